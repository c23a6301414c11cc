//! The host that a request is for: parsed once, without a copy.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Version};

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
    /// In an absolute target, or in `:authority`.
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

    /// The same in bytes of its own: what outlives its request must not keep the buffer alive that the request was read
    /// into.
    pub(super) fn detached(&self) -> Self {
        let sent = match &self.sent {
            Sent::Nowhere => Sent::Nowhere,
            // Bytes that were a header's value and an authority before.
            Sent::Header(value) => {
                HeaderValue::from_bytes(value.as_bytes()).map_or(Sent::Nowhere, Sent::Header)
            }
            Sent::Target(authority) => authority.as_str().parse().map_or(Sent::Nowhere, Sent::Target),
        };
        Self { sent, name: self.name }
    }

    /// Whether it is what this Host line says, and nothing else said it.
    pub(super) fn is_line(&self, line: Option<&HeaderValue>) -> bool {
        match (&self.sent, line) {
            (Sent::Header(own), Some(line)) => own.as_bytes() == line.as_bytes(),
            _ => false,
        }
    }

    /// Exactly one valid host. In HTTP/1 the authority of an absolute target replaces the header (RFC 9112 §3.2.2), which
    /// must be there all the same, but for HTTP/1.0. In HTTP/2 `:authority` is the host, a header beside it must say the
    /// same, and without it the header counts (RFC 9113 §8.3.1).
    pub(super) fn of(request: &Parts) -> Result<Self, Refusal> {
        let mut sent = request.headers.get_all(HOST).iter();
        let (first, second) = (sent.next(), sent.next());
        if second.is_some() {
            return Err(Refusal::HostInvalid);
        }
        let length = |host: &[u8]| name_length(host).ok_or(Refusal::HostInvalid);
        let header = match first {
            Some(value) => Some((value, length(value.as_bytes())?)),
            None => None,
        };
        let version = request.version;
        let Some(authority) = request.uri.authority() else {
            return match header {
                Some((value, name)) => Ok(Self { sent: Sent::Header(value.clone()), name }),
                None if version < Version::HTTP_11 => Ok(Self { sent: Sent::Nowhere, name: 0 }),
                None => Err(Refusal::HostInvalid),
            };
        };
        let name = length(authority.as_str().as_bytes())?;
        let agrees = match header {
            _ if version < Version::HTTP_2 => {
                // Whoever asks us for https:// in clear text meant somebody else (RFC 9110 §7.4).
                request.uri.scheme() == Some(&Scheme::HTTP)
                    && (header.is_some() || version < Version::HTTP_11)
            }
            Some((value, _)) => value.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()),
            None => true,
        };
        if agrees {
            Ok(Self { sent: Sent::Target(authority.clone()), name })
        } else {
            Err(Refusal::HostInvalid)
        }
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
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_detached_host_says_the_same_and_keeps_nothing_of_its_request() {
        let read = Bytes::from(b"localhost:4080".to_vec());
        let value = HeaderValue::from_maybe_shared(read.clone()).unwrap();
        let host = Host { sent: Sent::Header(value), name: 9 };
        let detached = host.detached();
        assert_eq!(detached, host);
        drop(host);
        assert!(read.is_unique());
        let target = Host { sent: Sent::Target("crm.example:80".parse().unwrap()), name: 11 };
        assert_eq!(target.detached(), target);
    }

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
