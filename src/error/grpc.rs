//! What a gRPC caller is told: its client reads `grpc-status`, not the status line, and takes anything but 200 for a
//! broken transport.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::{ProxyError, REASON_HEADER, REQUEST_ID_HEADER};
use crate::forward::ForwardError;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// How gRPC names what went wrong (the codes of its specification).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// Whether a caller speaks gRPC: it does so over HTTP/2 only, which spares everybody else the look.
pub fn is_grpc(version: Version, headers: &HeaderMap) -> bool {
    if version != Version::HTTP_2 {
        return false;
    }
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = kind.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

impl ProxyError {
    /// The answer to a gRPC caller: no body, the status in the head (Trailers-Only).
    pub fn grpc_response(&self, request_id: &str) -> Response<Bytes> {
        let problem = self.response(None, request_id);
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, HeaderValue::from(self.code() as u16));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(self.reason()));
        for name in [REASON_HEADER, REQUEST_ID_HEADER, RETRY_AFTER] {
            if let Some(value) = problem.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        response
    }

    /// `Unavailable` is what clients try again: only where the call was not executed, or may be repeated by definition.
    fn code(&self) -> Code {
        // 504 tells of a deadline, but for the one that ended before there was a connection.
        if matches!(self, Self::Forward(ForwardError::ConnectTimeout)) {
            return Code::Unavailable;
        }
        match self.status() {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => Code::PermissionDenied,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Code::Unimplemented,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Code::ResourceExhausted,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            status if status.is_client_error() => Code::InvalidArgument,
            _ => Code::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::credential::TokenUnavailable;
    use crate::guard::Refusal;

    #[test]
    fn a_grpc_caller_reads_status_and_reason() {
        let token = TokenUnavailable { retry_after: Duration::from_secs(2), cause: None };
        let response = ProxyError::Token(token).grpc_response("id1");
        assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 0));
        for (name, value) in [
            ("content-type", "application/grpc"),
            ("grpc-status", "14"),
            ("grpc-message", "token_unavailable"),
            ("x-sidepass-reason", "token_unavailable"),
            ("x-request-id", "id1"),
            ("retry-after", "2"),
        ] {
            assert_eq!(response.headers()[name], value, "{name}");
        }
    }

    #[test]
    fn each_kind_of_refusal_has_its_code() {
        for (error, code) in [
            (ProxyError::NoRoute, Code::Unimplemented),
            (ProxyError::AmbiguousPath, Code::InvalidArgument),
            (ProxyError::Internal, Code::Internal),
            (Refusal::Access.into(), Code::PermissionDenied),
            (Refusal::BodyTooLarge.into(), Code::ResourceExhausted),
            (Refusal::Loop.into(), Code::Internal),
            (ForwardError::TotalTimeout.into(), Code::DeadlineExceeded),
            (ForwardError::ConnectTimeout.into(), Code::Unavailable),
            (ForwardError::Closed(String::new()).into(), Code::Unavailable),
        ] {
            assert_eq!(error.code(), code, "{error}");
        }
    }

    #[test]
    fn grpc_is_known_by_its_content_type_over_http2() {
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=1", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_grpc(Version::HTTP_2, &headers), is, "{kind}");
            assert!(!is_grpc(Version::HTTP_11, &headers));
        }
        assert!(!is_grpc(Version::HTTP_2, &HeaderMap::new()));
    }
}
