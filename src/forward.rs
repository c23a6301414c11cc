//! URI rules of a proxy, and why an upstream gave no answer; header rules are in [`strip`].
//!
//! Invariant: path and query bytes leave as they came, but for the prefix; hop-by-hop names never cross, in either
//! direction; nothing of the request picks the upstream's address.

pub mod body;
pub mod dial;
pub mod expect;
pub mod frames;
pub mod http1;
pub mod location;
pub mod pool;
pub mod replay;
pub mod sequel;
pub mod strip;
pub mod ticker;
pub mod trailers;
pub mod tunnel;
pub mod upgrade;
pub mod upload;
pub mod via;

pub use strip::{strip_request, strip_response};

use http::HeaderValue;
use http::uri::{PathAndQuery, Uri};

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
    /// Its head is larger than `limits.header_bytes` or has more fields than `limits.headers`.
    #[error("the head of the answer is too large: {0}")]
    HeadTooLarge(String),
    /// `timeouts.total` ran out.
    #[error("the exchange took too long")]
    TotalTimeout,
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
