//! Trailer fields: which of them cross, and how they are announced.
//!
//! Invariant: nothing that a head would not have been allowed to say is said behind the body, and nothing that matters
//! before the body is read (RFC 9110 §6.5.1): no credential, no framing, no routing, no control field.

use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONNECTION, COOKIE, DATE, EXPECT, EXPIRES, HOST, LOCATION,
    MAX_FORWARDS, ORIGIN, PRAGMA, PROXY_AUTHENTICATE, RANGE, RETRY_AFTER, SET_COOKIE, VARY, VIA, WARNING,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::strip::{is_forwarding, is_hop_by_hop, is_twin};
use crate::inject::Managed;

/// Which trailers of a message pass.
#[derive(Clone, Debug)]
pub enum TrailerRule {
    /// A caller's: neither managed names nor the key of the listener's access rule.
    Request(Arc<Managed>, Option<HeaderName>),
    /// An upstream's: not the names that never come back.
    Answer(Arc<[HeaderName]>),
}

impl TrailerRule {
    /// What is left of these trailers; nothing if none is.
    pub fn filter(&self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        let gone: Vec<HeaderName> = trailers.keys().filter(|name| !self.allows(name)).cloned().collect();
        for name in gone {
            trailers.remove(name);
        }
        (!trailers.is_empty()).then_some(trailers)
    }

    /// `Trailer` anew, with the names that may follow; nothing if none may. Over HTTP/1.1 only trailers that it names are written.
    pub fn announce(&self, announced: &[HeaderValue]) -> Option<HeaderValue> {
        let names = announced.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
        let names: Vec<HeaderName> = names.filter(|name| self.allows(name)).collect();
        let texts: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
        HeaderValue::from_str(&texts.join(", ")).ok().filter(|_| !names.is_empty())
    }

    fn allows(&self, name: &HeaderName) -> bool {
        // A `HeaderName` may hold the quotation mark, which is in no token (RFC 9110 §5.6.2).
        if is_forbidden(name) || name.as_str().contains('"') {
            return false;
        }
        match self {
            Self::Request(managed, access) => {
                !managed.takes(name.as_str())
                    && !access.as_ref().is_some_and(|access| is_twin(name.as_str(), access.as_str()))
            }
            Self::Answer(hidden) => !hidden.iter().any(|hidden| is_twin(name.as_str(), hidden.as_str())),
        }
    }
}

/// Names that mean something only in a head.
fn is_forbidden(name: &HeaderName) -> bool {
    const HEAD_ONLY: [HeaderName; 21] = [
        ACCEPT_RANGES,
        AGE,
        CACHE_CONTROL,
        CONNECTION,
        COOKIE,
        DATE,
        EXPECT,
        EXPIRES,
        HOST,
        LOCATION,
        MAX_FORWARDS,
        ORIGIN,
        PRAGMA,
        PROXY_AUTHENTICATE,
        RANGE,
        RETRY_AFTER,
        SET_COOKIE,
        VARY,
        VIA,
        WARNING,
        WWW_AUTHENTICATE,
    ];
    let text = name.as_str();
    is_hop_by_hop(name)
        || is_forwarding(name.as_str())
        || HEAD_ONLY.contains(name)
        || is_twin(name.as_str(), http::header::AUTHORIZATION.as_str())
        || is_twin(name.as_str(), http::header::PROXY_AUTHORIZATION.as_str())
        || text.starts_with("content-")
        || text.starts_with("if-")
        || text.starts_with("sec-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> TrailerRule {
        let managed = Managed::new([HeaderName::from_static("x-token")]);
        TrailerRule::Request(Arc::new(managed), Some(HeaderName::from_static("x-key")))
    }

    #[test]
    fn only_trailers_that_a_head_could_have_done_without_pass() {
        let names = [
            "grpc-status",
            "x-checksum",
            "x-token",
            "x_token",
            "x-key",
            "x_key",
            "authorization",
            "host",
            "content-length",
            "content-type",
            "te",
            "transfer-encoding",
            "trailer",
            "cookie",
            "set-cookie",
            "cache-control",
            "if-match",
            "forwarded",
            "x-forwarded-for",
            "via",
            "connection",
            "date",
        ];
        let value = HeaderValue::from_static("1");
        let all = names.iter().map(|name| (HeaderName::from_static(name), value.clone())).collect();
        let left = rule().filter(all).unwrap();
        let mut left: Vec<_> = left.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-checksum"]);
    }

    #[test]
    fn an_announcement_names_what_may_follow() {
        let sent =
            [HeaderValue::from_static("X-Token, Host ,x-sum"), HeaderValue::from_static("Grpc-Status")];
        assert_eq!(rule().announce(&sent).unwrap(), "x-sum, grpc-status");
        assert_eq!(rule().announce(&sent[..0]), None);
        assert_eq!(rule().announce(&[HeaderValue::from_static("host")]), None);
    }

    #[test]
    fn names_that_never_come_back_do_not_come_behind_the_body_either() {
        let rule = TrailerRule::Answer(Arc::new([HeaderName::from_static("x-token")]));
        let map = HeaderMap::from_iter([(HeaderName::from_static("x_token"), HeaderValue::from_static("s"))]);
        assert!(rule.filter(map).is_none());
    }
}
