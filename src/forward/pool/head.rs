//! The head of a request in the form that its connection wants, and limits for the head of an answer.

use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, Parts, Uri};
use http::{HeaderName, Request, Response, Version};

use super::SendError;
use crate::forward::ForwardError;
use crate::forward::dial::Target;

/// What an upstream's answer head may use up.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

impl HeadLimits {
    /// The status (RFC 9110 §15: 600 and more are invalid) and the limit on fields; over HTTP/1.1 bytes are counted while
    /// they are read.
    pub(super) fn check<B>(&self, answer: &Response<B>) -> Result<(), SendError> {
        let (status, fields) = (answer.status().as_u16(), answer.headers().len());
        let error = if status >= 600 {
            ForwardError::Invalid(format!("status {status}"))
        } else if fields > self.fields {
            ForwardError::HeadTooLarge(format!("{fields} fields"))
        } else {
            return Ok(());
        };
        Err(SendError::unusable(error))
    }

    /// All of that, the limit on bytes, and names that are no tokens (RFC 9110 §5.6.2): a `HeaderName` may hold the
    /// quotation mark. For an answer over HTTP/2.
    pub(super) fn check_whole<B>(&self, answer: &Response<B>) -> Result<(), SendError> {
        self.check(answer)?;
        let headers = answer.headers();
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.keys().any(|name| name.as_str().contains('"')) {
            return Err(SendError::unusable(ForwardError::Invalid("a field name".to_owned())));
        }
        if bytes <= self.bytes {
            return Ok(());
        }
        Err(SendError::unusable(ForwardError::HeadTooLarge(format!("{bytes} bytes"))))
    }

    /// What h2 takes (RFC 9113 §6.5.2 counts 32 bytes more a field): what lies between our limit and this one is refused
    /// with a reason; what is more than this looks like any broken answer.
    pub(super) fn over_http2(&self) -> u32 {
        u32::try_from(self.bytes.saturating_mul(2).saturating_add(32 * self.fields)).unwrap_or(u32::MAX)
    }
}

/// What belongs to an HTTP/1.1 connection (RFC 9113 §8.2.2), but for `TE`.
const OF_HTTP1: [HeaderName; 5] = [
    CONNECTION,
    UPGRADE,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// From origin-form and Host to scheme, authority and path.
pub(super) fn to_http2<B>(request: &mut Request<B>, target: &Target) {
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    let host = headers.remove(HOST);
    for name in &OF_HTTP1 {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
    let authority = match host {
        Some(host) if host != target.authority.as_str() => Authority::try_from(host.as_bytes()).ok(),
        _ => None,
    };
    let mut parts = Parts::default();
    parts.scheme = Some(target.scheme.clone());
    parts.authority = Some(authority.unwrap_or_else(|| target.authority.clone()));
    parts.path_and_query = request.uri().path_and_query().cloned();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
