//! What sidepass answers by itself: one reason, one status, one problem document (RFC 9457).
//!
//! Invariant: this is the only file that picks a status. The text is short and fixed; details (addresses, messages of a
//! token service) go to the log, so that a caller learns the reason and the request id and nothing else.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::credential::{CredentialError, SubjectRefusal, TokenUnavailable};
use crate::forward::ForwardError;
use crate::guard::{Refusal, path::Ambiguous};

mod grpc;

pub use grpc::is_grpc;

/// Tells sidepass's own answers from those of an upstream.
pub const REASON_HEADER: HeaderName = HeaderName::from_static("x-sidepass-reason");

/// The id that the log line of a refusal carries too.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Whose fault it is that a request is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller's: 4xx.
    Caller,
    /// The upstream's: 502, 504.
    Upstream,
    /// Ours, or the token service's: 500, 503.
    Sidepass,
}

/// Why sidepass answers by itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProxyError {
    /// Refused before it was routed.
    #[error("refused: {}", refusal_reason(.0).title)]
    Refused(Refusal),
    /// A path that could mean another route.
    #[error("the path is ambiguous")]
    AmbiguousPath,
    /// No route takes it.
    #[error("no route matches")]
    NoRoute,
    /// There is no usable token.
    #[error("no usable token ({})", .0.cause.as_deref().unwrap_or("none has come yet, and no request for one has failed"))]
    Token(TokenUnavailable),
    /// The route speaks for its callers, and this one shows no token that would do.
    #[error("the caller's token: {}", subject_reason(*.0).title)]
    Subject(SubjectRefusal),
    /// The upstream could not be reached, or did not answer as it should.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A write needs a CSRF token and the upstream gave none; the text is for the log: status, method and path.
    #[error("no CSRF token: {0}")]
    Csrf(String),
    /// A bug of ours, caught.
    #[error("internal error")]
    Internal,
}

impl From<Refusal> for ProxyError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Ambiguous> for ProxyError {
    fn from(_: Ambiguous) -> Self {
        Self::AmbiguousPath
    }
}

impl From<TokenUnavailable> for ProxyError {
    fn from(error: TokenUnavailable) -> Self {
        Self::Token(error)
    }
}

impl From<CredentialError> for ProxyError {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Token(unavailable) => Self::Token(unavailable),
            CredentialError::Subject(refusal) => Self::Subject(refusal),
        }
    }
}

/// Everything that a problem document and a metric say about a reason.
#[derive(Clone, Copy, Debug)]
struct Reason {
    code: &'static str,
    status: StatusCode,
    fault: Fault,
    title: &'static str,
}

const fn reason(code: &'static str, status: StatusCode, fault: Fault, title: &'static str) -> Reason {
    Reason { code, status, fault, title }
}

impl ProxyError {
    /// The stable code, as in metrics, logs and the problem document.
    pub fn reason(&self) -> &'static str {
        self.describe().code
    }

    /// The status that the caller sees.
    pub fn status(&self) -> StatusCode {
        self.describe().status
    }

    /// The fixed sentence for a caller.
    pub fn title(&self) -> &'static str {
        self.describe().title
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.describe().fault
    }

    /// Every reason, for the test that keeps the documentation complete.
    pub fn reasons() -> impl Iterator<Item = (&'static str, u16)> {
        use ForwardError as F;
        let refusals = [
            Refusal::Method,
            Refusal::HostInvalid,
            Refusal::HostNotAllowed(String::new()),
            Refusal::Browser,
            Refusal::Access,
            Refusal::TransferCoding,
            Refusal::Expectation,
            Refusal::UriTooLong,
            Refusal::HeadersTooLarge,
            Refusal::TooManyHeaders,
            Refusal::BodyTooLarge,
            Refusal::Malformed,
            Refusal::Loop,
        ];
        let forwards = [
            F::Dns(String::new()),
            F::Connect(String::new()),
            F::ConnectTimeout,
            F::Tls(String::new()),
            F::Closed(String::new()),
            F::Invalid(String::new()),
            F::HeadTimeout,
            F::UploadTimeout,
            F::CallerTimeout,
            F::CallerGone,
            F::HeadTooLarge(String::new()),
            F::TotalTimeout,
        ];
        let token = TokenUnavailable { retry_after: Duration::ZERO, cause: None };
        let csrf = Self::Csrf(String::new());
        let subjects = [SubjectRefusal::Missing, SubjectRefusal::Rejected].map(Self::Subject);
        let others = [Self::AmbiguousPath, Self::NoRoute, Self::Token(token), csrf, Self::Internal];
        let others = subjects.into_iter().chain(others);
        let all = refusals
            .into_iter()
            .map(Self::Refused)
            .chain(forwards.into_iter().map(Self::Forward))
            .chain(others);
        all.map(|error| (error.reason(), error.status().as_u16()))
    }

    fn describe(&self) -> Reason {
        use StatusCode as S;
        match self {
            Self::Refused(refusal) => refusal_reason(refusal),
            Self::AmbiguousPath => reason(
                "ambiguous_path",
                S::BAD_REQUEST,
                Fault::Caller,
                "The path could mean another route to a backend",
            ),
            Self::NoRoute => reason("no_route", S::NOT_FOUND, Fault::Caller, "No route matches this request"),
            Self::Token(_) => reason(
                "token_unavailable",
                S::SERVICE_UNAVAILABLE,
                Fault::Sidepass,
                "There is no usable access token",
            ),
            Self::Subject(refusal) => subject_reason(*refusal),
            Self::Forward(error) => forward_reason(error),
            Self::Csrf(_) => reason(
                "csrf_unavailable",
                S::BAD_GATEWAY,
                Fault::Upstream,
                "The upstream gave no CSRF token for this write",
            ),
            Self::Internal => {
                reason("internal", S::INTERNAL_SERVER_ERROR, Fault::Sidepass, "sidepass failed")
            }
        }
    }

    /// The answer: a problem document with reason and request id.
    pub fn response(&self, route: Option<&str>, request_id: &str) -> Response<Bytes> {
        let reason = self.describe();
        let mut document = serde_json::json!({
            "type": format!("urn:sidepass:{}", reason.code),
            "title": reason.title,
            "status": reason.status.as_u16(),
            "reason": reason.code,
            "request_id": request_id,
        });
        if let Some(route) = route {
            document["route"] = route.into();
        }
        let mut response = Response::new(Bytes::from(document.to_string()));
        *response.status_mut() = reason.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(REASON_HEADER, HeaderValue::from_static(reason.code));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID_HEADER, id);
        }
        if matches!(self, Self::Refused(Refusal::Method)) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        if matches!(self, Self::Refused(Refusal::TransferCoding | Refusal::Malformed | Refusal::Method)) {
            // What follows on this connection may be a body to one reader and a request to another (RFC 9112 §6.1), or
            // meant for the tunnel that a CONNECT asked for.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Self::Subject(refusal) = self {
            // RFC 6750 §3: no error where no token was shown.
            let challenge = match refusal {
                SubjectRefusal::Missing => "Bearer",
                SubjectRefusal::Rejected => "Bearer error=\"invalid_token\"",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Self::Token(unavailable) = self {
            // Rounded up: a caller that comes back too early gets the same answer again.
            let seconds = unavailable.retry_after.as_millis().div_ceil(1000).max(1);
            headers.insert(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
        }
        response
    }
}

fn subject_reason(refusal: SubjectRefusal) -> Reason {
    let caller = |code, title| reason(code, StatusCode::UNAUTHORIZED, Fault::Caller, title);
    match refusal {
        SubjectRefusal::Missing => {
            caller("subject_missing", "This route needs the token of whom the request speaks for")
        }
        SubjectRefusal::Rejected => {
            caller("subject_rejected", "The token of whom the request speaks for is not accepted")
        }
    }
}

fn refusal_reason(refusal: &Refusal) -> Reason {
    use StatusCode as S;
    let caller = |code, status, title| reason(code, status, Fault::Caller, title);
    match refusal {
        Refusal::Method => {
            caller("method_refused", S::METHOD_NOT_ALLOWED, "CONNECT and TRACE are not served")
        }
        Refusal::HostInvalid => caller("host_invalid", S::BAD_REQUEST, "Exactly one valid Host is needed"),
        Refusal::HostNotAllowed(_) => caller(
            "host_not_allowed",
            S::MISDIRECTED_REQUEST,
            "This Host is not served here; add it to proxy.hosts",
        ),
        Refusal::Browser => caller("browser_refused", S::FORBIDDEN, "Requests of web pages are not served"),
        Refusal::Access => {
            caller("access_denied", S::FORBIDDEN, "The access rule of this listener does not hold")
        }
        Refusal::TransferCoding => caller(
            "transfer_coding",
            S::BAD_REQUEST,
            "The only transfer coding is chunked, without Content-Length",
        ),
        Refusal::Expectation => {
            caller("expectation", S::EXPECTATION_FAILED, "The only expectation is 100-continue")
        }
        Refusal::UriTooLong => {
            caller("uri_too_long", S::URI_TOO_LONG, "Path and query are longer than limits.uri_bytes")
        }
        Refusal::HeadersTooLarge => caller(
            "headers_too_large",
            S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The head is larger than limits.header_bytes",
        ),
        Refusal::TooManyHeaders => caller(
            "too_many_headers",
            S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The head has more fields than limits.headers",
        ),
        Refusal::BodyTooLarge => {
            caller("body_too_large", S::PAYLOAD_TOO_LARGE, "The body is larger than limits.body_bytes")
        }
        Refusal::Malformed => caller("malformed_request", S::BAD_REQUEST, "This is no valid HTTP request"),
        Refusal::Loop => reason(
            "loop_detected",
            S::LOOP_DETECTED,
            Fault::Sidepass,
            "The request came back to sidepass: an upstream leads here",
        ),
    }
}

fn forward_reason(error: &ForwardError) -> Reason {
    use StatusCode as S;
    let bad = |code, title| reason(code, S::BAD_GATEWAY, Fault::Upstream, title);
    let late = |code, title| reason(code, S::GATEWAY_TIMEOUT, Fault::Upstream, title);
    match error {
        ForwardError::Dns(_) => bad("upstream_dns", "The upstream's name cannot be resolved"),
        ForwardError::Connect(_) => bad("upstream_unreachable", "The upstream cannot be reached"),
        ForwardError::ConnectTimeout => {
            late("upstream_connect_timeout", "The upstream did not accept in time")
        }
        ForwardError::Tls(_) => bad("upstream_tls", "The upstream's TLS failed"),
        ForwardError::Closed(_) => {
            bad("upstream_closed", "The upstream closed the connection without an answer")
        }
        ForwardError::Invalid(_) => bad("upstream_invalid", "The upstream's answer is not valid HTTP"),
        ForwardError::HeadTimeout => late("upstream_timeout", "The upstream did not answer in time"),
        ForwardError::UploadTimeout => {
            late("upstream_upload_timeout", "The upstream stopped reading the request")
        }
        ForwardError::CallerTimeout => {
            reason("request_timeout", S::REQUEST_TIMEOUT, Fault::Caller, "The request body stopped arriving")
        }
        ForwardError::CallerGone => {
            reason("request_incomplete", S::BAD_REQUEST, Fault::Caller, "The request body ended too early")
        }
        ForwardError::HeadTooLarge(_) => {
            bad("upstream_headers_too_large", "The head of the upstream's answer is too large")
        }
        ForwardError::TotalTimeout => late("total_timeout", "The exchange took longer than timeouts.total"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: Vec<_> = ProxyError::reasons().map(|(code, _)| code).collect();
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len(), "{codes:?}");
    }

    #[test]
    fn a_problem_document_says_reason_and_request_id() {
        let token = TokenUnavailable {
            retry_after: Duration::from_millis(2500),
            cause: Some("token_timeout".into()),
        };
        let response = ProxyError::Token(token).response(Some("cai"), "abc123");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(document["reason"], "token_unavailable");
        assert_eq!(document["request_id"], "abc123");
        assert_eq!(document["route"], "cai");
    }

    #[test]
    fn a_refused_method_is_told_which_ones_are_served() {
        let response = ProxyError::Refused(Refusal::Method).response(None, "id");
        assert!(response.headers()["allow"].to_str().unwrap().contains("GET"), "RFC 9110 §15.5.6");
    }

    #[test]
    fn where_the_end_of_a_request_is_unclear_the_connection_ends() {
        let response = ProxyError::Refused(Refusal::TransferCoding).response(None, "id");
        assert_eq!(response.headers()["connection"], "close");
        let response = ProxyError::Refused(Refusal::Method).response(None, "id");
        assert_eq!(response.headers()["connection"], "close");
        assert!(!ProxyError::NoRoute.response(None, "id").headers().contains_key("connection"));
    }

    #[test]
    fn details_of_an_upstream_stay_out_of_the_answer() {
        let error = ProxyError::Forward(ForwardError::Connect("10.1.2.3:443 refused".into()));
        let response = error.response(None, "id");
        assert!(!String::from_utf8_lossy(response.body()).contains("10.1.2.3"));
        assert_eq!(error.fault(), Fault::Upstream);
    }

    #[test]
    fn a_refusal_is_told_in_words() {
        let told = ProxyError::Refused(Refusal::Access).to_string();
        assert_eq!(told, "refused: The access rule of this listener does not hold");
    }
}
