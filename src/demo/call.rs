//! One request as the sandbox's services see it, and the answers they give.
//!
//! Invariant: whatever a caller sends can be asked for without a panic; what can't be read is absent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::form;

/// A whole answer: the sandbox never streams.
pub(super) type Answer = Response<Full<Bytes>>;

/// A whole request, its body already read and bounded.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    /// As it was sent, without the `?`; empty when there is none.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// The first header of that name, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type in lower case and without parameters; empty when there is none.
    pub(super) fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The token of `Authorization: Bearer <token>`.
    pub(super) fn bearer(&self) -> Option<&str> {
        self.credentials("bearer")
    }

    /// User and password of `Authorization: Basic`, split at the first colon and not decoded any further.
    pub(super) fn basic(&self) -> Option<(String, String)> {
        let text = String::from_utf8(STANDARD.decode(self.credentials("basic")?).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// What follows the scheme; a second `Authorization` header makes both worthless.
    fn credentials(&self, scheme: &str) -> Option<&str> {
        if self.headers.get_all(AUTHORIZATION).iter().count() > 1 {
            return None;
        }
        let (sent, rest) = self.header(AUTHORIZATION.as_str())?.split_once(' ')?;
        sent.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }

    /// The pairs of the query; `None` when it is not well-formed.
    pub(super) fn query_pairs(&self) -> Option<Vec<(String, String)>> {
        form::pairs(&self.query)
    }
}

/// A JSON answer. Nothing of the sandbox may be cached (RFC 6749, section 5.1).
pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    text(status, "application/json;charset=UTF-8", body.to_string())
}

/// An answer of any media type.
pub(super) fn text(status: StatusCode, media_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    answer
}

/// An answer of OAuth's error shape (RFC 6749, section 5.2).
pub(super) fn oauth_error(status: StatusCode, error: &str, description: &str) -> Answer {
    json(status, &serde_json::json!({ "error": error, "error_description": description }))
}

/// The same answer with a challenge; one that fits no header is left out.
pub(super) fn challenge(mut answer: Answer, challenge: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(challenge) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    answer
}

/// The same answer with the methods that would have been right.
pub(super) fn allow(mut answer: Answer, methods: &'static str) -> Answer {
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

/// Nothing lives at this path.
pub(super) fn not_found(call: &Call) -> Answer {
    json(
        StatusCode::NOT_FOUND,
        &serde_json::json!({ "status": 404, "error": "Not Found", "path": call.path }),
    )
}
