//! URI and header rules of a proxy, and why an upstream gave no answer.
//!
//! Invariant: path and query bytes leave as they came, but for the prefix; hop-by-hop names never cross, in either
//! direction; nothing of the request picks the upstream's address.

pub mod body;
pub mod dial;
pub mod location;
pub mod pool;
pub mod replay;
pub mod upload;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::inject::Managed;

/// Why an upstream gave no (valid) answer. Texts are for the log; they hold addresses, never headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// Its name has no address.
    #[error("name resolution failed: {0}")]
    Dns(String),
    /// TCP refused or unreachable.
    #[error("connect failed: {0}")]
    Connect(String),
    /// `timeouts.connect` ran out.
    #[error("connect timed out")]
    ConnectTimeout,
    /// The TLS handshake failed: an unknown authority, another name, another protocol.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// It closed the connection before the head of the answer.
    #[error("closed without an answer: {0}")]
    Closed(String),
    /// What it sent is no HTTP, or none that was asked for.
    #[error("invalid answer: {0}")]
    Invalid(String),
    /// `timeouts.response_head` ran out.
    #[error("no answer in time")]
    HeadTimeout,
    /// `timeouts.body_idle` ran out while the upstream read nothing.
    #[error("the upstream stopped reading")]
    UploadTimeout,
    /// `timeouts.body_idle` ran out while the caller sent nothing.
    #[error("the caller stopped sending")]
    CallerTimeout,
    /// The caller's body ended before its announced end.
    #[error("the request body ended too early")]
    CallerGone,
}

/// Takes out what must not go upstream: hop-by-hop names and what `Connection` names, the caller's word on who it is
/// (`Forwarded` and its kin), managed headers with their look-alikes, and the key of the listener's access rule.
pub fn strip_request(headers: &mut HeaderMap, managed: &Managed, access_header: Option<&HeaderName>) {
    if let Some(name) = access_header {
        headers.remove(name);
    }
    strip(headers, |name| *name == EXPECT || managed.takes(name) || is_forwarding(name));
}

/// Takes out what concerned the upstream's connection, and names that never come back: an upstream that echoes its
/// request must not show the credential.
pub fn strip_response(headers: &mut HeaderMap, hidden: &[HeaderName]) {
    strip(headers, |name| hidden.contains(name));
}

/// Takes out hop-by-hop names, what `Connection` names, and `others`, in one pass over what is there: asking the map for
/// each name that might be in it costs a hash each.
fn strip(headers: &mut HeaderMap, others: impl Fn(&HeaderName) -> bool) {
    // A vector that stays empty does not allocate.
    let mut gone: Vec<HeaderName> = Vec::new();
    let mut connection = false;
    for name in headers.keys() {
        if *name == CONNECTION {
            connection = true;
        } else if is_hop_by_hop(name) || others(name) {
            gone.push(name.clone());
        }
    }
    if connection {
        gone.extend(named_by_connection(headers));
        headers.remove(CONNECTION);
    }
    for name in gone {
        headers.remove(name);
    }
}

/// What concerns one connection only (RFC 9110 §7.6.1); `Connection` itself is handled with what it names.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    match name.as_str().len() {
        2 => *name == TE,
        7 => *name == TRAILER || *name == UPGRADE,
        10 => name.as_str() == "keep-alive",
        16 => name.as_str() == "proxy-connection",
        17 => *name == TRANSFER_ENCODING,
        18 => *name == PROXY_AUTHENTICATE,
        _ => false,
    }
}

/// The fields that `Connection` names, but for what routes and frames the message; `close` and `keep-alive` are none.
fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
}

/// Makes one length of a list of equal ones (`2, 2`), which must not be passed on (RFC 9110 §8.6). hyper has refused
/// lists of different ones.
pub fn merge_lengths(headers: &mut HeaderMap) {
    let Some(length) = headers.get(CONTENT_LENGTH) else { return };
    let first = length.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if first.len() < length.len()
        && let Ok(first) = HeaderValue::from_bytes(first)
    {
        headers.insert(CONTENT_LENGTH, first);
    }
}

/// Headers in which a caller says who it is or asks for: nobody behind us may believe them.
fn is_forwarding(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    // A CGI-like backend takes `_` for `-`.
    let begins = |prefix: &[u8]| {
        name.len() >= prefix.len()
            && name.iter().zip(prefix).all(|(byte, want)| byte == want || (*byte == b'_' && *want == b'-'))
    };
    match name.first() {
        Some(b'f') => name == b"forwarded",
        Some(b'x') => begins(b"x-forwarded-") || (name.len() == 9 && begins(b"x-real-ip")),
        _ => false,
    }
}

/// How a route turns the caller's path into the upstream's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathRule {
    /// How many bytes are cut from the front.
    strip: usize,
    /// The upstream's base path, without a trailing slash.
    base: String,
}

impl PathRule {
    /// `strip` is a prefix of every path that the route matches; `base` is the upstream URL's path.
    pub fn new(strip: Option<&str>, base: &str) -> Self {
        let strip = strip.map_or(0, |prefix| prefix.trim_end_matches('/').len());
        Self { strip, base: base.trim_end_matches('/').to_owned() }
    }

    /// The target for the upstream; nothing if the caller's is none that can be forwarded (`OPTIONS *`).
    pub fn apply(&self, target: &Uri) -> Option<Uri> {
        let asked = target.path_and_query()?;
        // An absolute target may have a query and no path, which means `/` (RFC 9112 §3.2.1).
        let bare = asked.as_str().starts_with('?') && self.strip == 0;
        if !asked.as_str().starts_with('/') && !bare {
            return None;
        }
        if self.strip == 0 && self.base.is_empty() && !bare {
            return Some(Uri::from(asked.clone()));
        }
        let rest = asked.as_str().get(self.strip..)?;
        let slash =
            if rest.starts_with('/') || (rest.is_empty() && !self.base.is_empty()) { "" } else { "/" };
        let slash = if rest.starts_with('?') && !self.base.is_empty() { "" } else { slash };
        let path = [self.base.as_str(), slash, rest].concat();
        Some(Uri::from(PathAndQuery::try_from(path).ok()?))
    }

    /// The caller's path for a path of the upstream: the other way round; nothing if no caller's path leads there.
    pub fn revert(&self, path: &str, prefix: &str) -> Option<String> {
        let rest = path.strip_prefix(self.base.as_str())?;
        let whole = rest.is_empty() || rest.starts_with(['/', '?', '#']);
        // Without a prefix the root would be nothing at all, which is a reference to the page itself.
        let slash = if prefix.is_empty() && !rest.starts_with('/') { "/" } else { "" };
        whole.then(|| [prefix, slash, rest].concat())
    }

    /// How many bytes are cut from the front with nothing put in their place: what follows becomes the beginning.
    pub fn cut_bare(&self) -> usize {
        if self.base.is_empty() { self.strip } else { 0 }
    }
}

/// The value of the Host header that an upstream wants.
pub fn host_value(authority: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(authority).ok()
}

#[cfg(test)]
mod tests;
