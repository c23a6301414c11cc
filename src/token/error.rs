//! Why there is no new token: a stable code, a sentence that says what to do, and how soon it is worth another try.
//!
//! Invariant: no text in here holds a secret, a token or the body of an answer.

use std::fmt;
use std::time::Duration;

/// Why there is no new token; says what an operator can do. Never holds a secret, a token or a body.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// The stable code.
    pub code: FetchErrorCode,
    /// The sentence.
    pub message: String,
    /// Whether it heals without a human; permanent ones are retried too, slowly.
    pub class: FetchErrorClass,
    /// `Retry-After` of the answer, as sent; whoever waits decides how much of it to obey.
    pub retry_after: Option<Duration>,
}

impl FetchError {
    /// An error of this code, with the code's usual class and no `Retry-After`.
    pub fn new(code: FetchErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), class: code.class(), retry_after: None }
    }

    /// The same error, healing in another way than its code usually does.
    pub fn with_class(self, class: FetchErrorClass) -> Self {
        Self { class, ..self }
    }
}

/// Does it heal without a human?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchErrorClass {
    /// The token service cannot be reached, or answered 5xx: a stale token may be used if the profile allows it.
    Unavailable,
    /// It answered, but not with a token (429, HTML, garbage): heals by itself, most likely.
    Transient,
    /// `invalid_client` and its kin: somebody has to change something.
    Permanent,
}

/// The stable codes of a failed fetch: for log, status, metrics and the caller's 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchErrorCode {
    /// No whole answer within the time limits.
    Timeout,
    /// No TCP connection.
    Connect,
    /// The name of the token service does not resolve.
    Dns,
    /// TLS failed, or the certificate is not trusted.
    Tls,
    /// The connection ended before the answer did, or what came was no HTTP.
    Interrupted,
    /// 3xx: a token request is never redirected, since the secret would go along.
    Redirect,
    /// 429.
    RateLimited,
    /// 5xx.
    ServerError,
    /// Another status that is not success.
    HttpStatus,
    /// `invalid_client`, or a bare 401.
    InvalidClient,
    /// `unauthorized_client`
    UnauthorizedClient,
    /// `invalid_scope`
    InvalidScope,
    /// `invalid_grant`: a password, an assertion, a code is not (or no longer) good.
    InvalidGrant,
    /// There is no refresh token, or the service does not take it any more: a person has to authorize the profile again.
    Unauthorized,
    /// Another OAuth error (RFC 6749 §5.2).
    OauthError,
    /// Success, but neither JSON nor a form.
    NotJson,
    /// Success, but without an access token.
    Missing,
    /// A `token_type` that a Bearer header cannot carry: `mac`, `DPoP`, `N_A`.
    TypeUnsupported,
    /// A token that does not fit a header: not visible ASCII, or too long.
    Unfit,
    /// The answer is larger than any token answer.
    TooLarge,
    /// A secret source (a file, mostly) could not be read.
    SecretUnreadable,
    /// The issuer's metadata cannot be had, or cannot be used; the class is that of the cause.
    Discovery,
    /// The state file cannot be read or written.
    StateFile,
    /// The token request could not be made: a URL or a header value does not fit.
    RequestInvalid,
    /// A fault of sidepass itself.
    Internal,
}

impl FetchErrorCode {
    /// Every code, for documentation and for metrics that start at zero.
    pub const ALL: [Self; 25] = [
        Self::Timeout,
        Self::Connect,
        Self::Dns,
        Self::Tls,
        Self::Interrupted,
        Self::Redirect,
        Self::RateLimited,
        Self::ServerError,
        Self::HttpStatus,
        Self::InvalidClient,
        Self::UnauthorizedClient,
        Self::InvalidScope,
        Self::InvalidGrant,
        Self::Unauthorized,
        Self::OauthError,
        Self::NotJson,
        Self::Missing,
        Self::TypeUnsupported,
        Self::Unfit,
        Self::TooLarge,
        Self::SecretUnreadable,
        Self::Discovery,
        Self::StateFile,
        Self::RequestInvalid,
        Self::Internal,
    ];

    /// The code as users see it; never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "token_timeout",
            Self::Connect => "token_connect",
            Self::Dns => "token_dns",
            Self::Tls => "token_tls",
            Self::Interrupted => "token_interrupted",
            Self::Redirect => "token_redirect",
            Self::RateLimited => "token_rate_limited",
            Self::ServerError => "token_server_error",
            Self::HttpStatus => "token_http_status",
            Self::InvalidClient => "token_invalid_client",
            Self::UnauthorizedClient => "token_unauthorized_client",
            Self::InvalidScope => "token_invalid_scope",
            Self::InvalidGrant => "token_invalid_grant",
            Self::Unauthorized => "token_unauthorized",
            Self::OauthError => "token_oauth_error",
            Self::NotJson => "token_not_json",
            Self::Missing => "token_missing",
            Self::TypeUnsupported => "token_type_unsupported",
            Self::Unfit => "token_unfit",
            Self::TooLarge => "token_too_large",
            Self::SecretUnreadable => "token_secret_unreadable",
            Self::Discovery => "token_discovery",
            Self::StateFile => "token_state_file",
            Self::RequestInvalid => "token_request_invalid",
            Self::Internal => "token_internal",
        }
    }

    /// How it usually heals.
    const fn class(self) -> FetchErrorClass {
        match self {
            Self::Timeout | Self::Connect | Self::Dns | Self::Tls | Self::Interrupted | Self::ServerError => {
                FetchErrorClass::Unavailable
            }
            Self::RateLimited
            | Self::NotJson
            | Self::Missing
            | Self::Unfit
            | Self::TooLarge
            | Self::StateFile
            | Self::Internal => FetchErrorClass::Transient,
            Self::Redirect
            | Self::HttpStatus
            | Self::InvalidClient
            | Self::UnauthorizedClient
            | Self::InvalidScope
            | Self::InvalidGrant
            | Self::Unauthorized
            | Self::OauthError
            | Self::TypeUnsupported
            | Self::SecretUnreadable
            | Self::Discovery
            | Self::RequestInvalid => FetchErrorClass::Permanent,
        }
    }
}

impl fmt::Display for FetchErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for FetchErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_distinct_and_snake_case() {
        let codes: HashSet<_> = FetchErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), FetchErrorCode::ALL.len());
        for code in codes {
            assert!(code.starts_with("token_"), "{code}");
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
        }
    }

    #[test]
    fn a_wrong_secret_is_permanent_and_an_unreachable_service_is_not() {
        assert_eq!(FetchError::new(FetchErrorCode::InvalidClient, "").class, FetchErrorClass::Permanent);
        assert_eq!(FetchError::new(FetchErrorCode::Connect, "").class, FetchErrorClass::Unavailable);
        assert_eq!(FetchError::new(FetchErrorCode::NotJson, "").class, FetchErrorClass::Transient);
    }
}
