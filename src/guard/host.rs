//! The host that a request is for: parsed once, without a copy.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, Version};

use super::Refusal;

/// A host as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    sent: Sent,
    /// Length of the name, which comes first: without the port, and without the dot that may end a full name.
    name: usize,
}

/// Where it was named. The bytes are shared with the request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    /// Nowhere: an HTTP/1.0 caller.
    Nowhere,
    Header(HeaderValue),
    /// In an absolute target, which replaces the header (RFC 9112 §3.2.2).
    Target(Authority),
}

impl Host {
    /// The name without port and without the dot that may end a full name; empty where an HTTP/1.0 caller sent none.
    pub fn name(&self) -> &str {
        self.as_sent().get(..self.name).unwrap_or_default()
    }

    /// Name and port, as sent.
    pub fn as_sent(&self) -> &str {
        match &self.sent {
            Sent::Nowhere => "",
            // Only ASCII passed the check.
            Sent::Header(value) => value.to_str().unwrap_or_default(),
            Sent::Target(authority) => authority.as_str(),
        }
    }

    /// Exactly one valid Host; the authority of an absolute-form target replaces it.
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, Refusal> {
        let mut sent = request.headers().get_all(HOST).iter();
        let (first, second) = (sent.next(), sent.next());
        let header = match (first, second) {
            (_, Some(_)) => return Err(Refusal::HostInvalid),
            (Some(value), None) => Some((value, name_length(value.as_bytes()).ok_or(Refusal::HostInvalid)?)),
            (None, None) if request.version() < Version::HTTP_11 => None,
            (None, None) => return Err(Refusal::HostInvalid),
        };
        if let Some(authority) = request.uri().authority() {
            let name = name_length(authority.as_str().as_bytes()).ok_or(Refusal::HostInvalid)?;
            return Ok(Self { sent: Sent::Target(authority.clone()), name });
        }
        Ok(match header {
            Some((value, name)) => Self { sent: Sent::Header(value.clone()), name },
            None => Self { sent: Sent::Nowhere, name: 0 },
        })
    }
}

/// How long the name in `name[:port]` is; nothing if it is no host (RFC 3986 §3.2.2): no user info, no empty name, a
/// port that is a number.
fn name_length(host: &[u8]) -> Option<usize> {
    let end = match host.first()? {
        b'[' => {
            let end = host.iter().position(|byte| *byte == b']')? + 1;
            let address = std::str::from_utf8(host.get(1..end - 1)?).ok()?;
            address.parse::<Ipv6Addr>().ok()?;
            end
        }
        _ => host.iter().position(|byte| *byte == b':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at_checked(end)?;
    let named = name.starts_with(b"[") || name.iter().all(|byte| is_name_byte(*byte));
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => std::str::from_utf8(digits).is_ok_and(is_port),
        _ => false,
    };
    let bare = name.strip_suffix(b".").unwrap_or(name);
    (named && port_fits && !bare.is_empty()).then_some(bare.len())
}

fn is_port(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
}

/// unreserved, pct-encoded and sub-delims (RFC 3986 §2.2, §2.3).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_before_the_port_and_the_last_dot() {
        for (host, name) in [
            ("localhost", "localhost"),
            ("localhost:4080", "localhost"),
            ("crm.example.", "crm.example"),
            ("crm.example.:80", "crm.example"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[::1]:4080", "[::1]"),
        ] {
            assert_eq!(name_length(host.as_bytes()), Some(name.len()), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_has_no_name() {
        for host in [
            "", ".", ":80", "u:p@h", "u@h", "h:http", "h:", "h:99999", "h:+80", "a b", "h/x", "h?x", "h#x",
            "[::1", "[x]", "[]", "::1", "[::1]x", "[::1]x80", "h\"", "h\\x", "\u{fc}",
        ] {
            assert_eq!(name_length(host.as_bytes()), None, "{host:?}");
        }
    }
}
