//! One pass over a request's head: how large it is, and which of the fields that a guard judges are there at all.
//!
//! Invariant: a few instructions a field, and no hash. Fields that nearly no request has are looked up only if the pass
//! has met them.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Uri};

use super::Refusal;
use crate::config::server::Limits;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    /// Bytes of path and query.
    uri_bytes: usize,
    /// Fields.
    headers: usize,
    /// Bytes of all fields: name, value, and four for what stands between and behind them in HTTP/1.1.
    header_bytes: usize,
}

/// Which of the fields that are judged a head has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen<'a> {
    /// The only `Host` line.
    pub(super) host: Option<&'a HeaderValue>,
    /// `Transfer-Encoding` or `Expect`.
    pub(super) framing: bool,
    /// `Origin` or `Sec-Fetch-Site`.
    pub(super) browser: bool,
}

impl HeadLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        let Limits { uri_bytes, headers, header_bytes, .. } = *limits;
        Self { uri_bytes, headers, header_bytes }
    }

    /// Refuses a head that is larger; says what else was seen on the way.
    pub(super) fn check<'a>(&self, target: &Uri, headers: &'a HeaderMap) -> Result<Seen<'a>, Refusal> {
        if target.path_and_query().is_some_and(|target| target.as_str().len() > self.uri_bytes) {
            return Err(Refusal::UriTooLong);
        }
        if headers.len() > self.headers {
            return Err(Refusal::TooManyHeaders);
        }
        let mut seen = Seen::default();
        let (mut bytes, mut hosts) = (0, 0);
        for (name, value) in headers {
            let name = name.as_str();
            bytes += name.len() + value.len() + 4;
            match name.len() {
                4 if name == "host" => {
                    hosts += 1;
                    seen.host = Some(value).filter(|_| hosts == 1);
                }
                6 if name == "origin" => seen.browser = true,
                6 if name == "expect" => seen.framing = true,
                14 if name == "sec-fetch-site" => seen.browser = true,
                17 if name == "transfer-encoding" => seen.framing = true,
                _ => {}
            }
        }
        if bytes > self.header_bytes { Err(Refusal::HeadersTooLarge) } else { Ok(seen) }
    }
}

/// What is malformed over HTTP/2 and h2 lets pass: no path, white space around a value (RFC 9113 §8.2.1, §8.3.1); and what
/// an HTTP/1.1 upstream must not see: a length that is said twice (RFC 9110 §8.6), a name that is no token (§5.6.2).
pub(super) fn check_http2(target: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let mut lengths = 0;
    for (name, value) in headers {
        let value = value.as_bytes();
        // Of what is in no token, a `HeaderName` holds the quotation mark.
        if is_blank(value.first()) || is_blank(value.last()) || name.as_str().contains('"') {
            return Err(Refusal::Malformed);
        }
        lengths += u32::from(*name == CONTENT_LENGTH);
    }
    if lengths > 1 || target.path().is_empty() { Err(Refusal::Malformed) } else { Ok(()) }
}
