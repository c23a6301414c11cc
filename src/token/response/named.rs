//! The error that an answer names: RFC 6749 §5.2, and what others make of it.
//!
//! Invariant: nothing is shown that the redactor would hide, and a code only if it is short and plain.

use serde_json::{Map, Value};

use super::{Answer, Expectation, Service};
use crate::token::error::{FetchError, FetchErrorClass, FetchErrorCode};

/// How much of a description is shown.
const DESCRIPTION: usize = 200;

/// Members that hold a code, and members that hold a sentence.
const CODES: [&str; 5] = ["errorCode", "code", "errorType", "error_code", "type"];
const SENTENCES: [&str; 8] = [
    "error_description",
    "message",
    "errorMessage",
    "error_message",
    "errorSummary",
    "detail",
    "title",
    "faultstring",
];

/// What some services write into `error` when there is none.
const NO_ERROR: [&str; 7] = ["", "0", "none", "null", "false", "ok", "success"];

/// An error that an answer names, fit to be shown.
pub(super) struct NamedError {
    /// Its code, if it is short and plain.
    code: Option<String>,
    description: Option<String>,
}

impl NamedError {
    /// What `error` or `errors` say.
    pub(super) fn of(members: &Map<String, Value>, expected: &Expectation<'_>) -> Option<Self> {
        let first = |value: &Value| value.get(0).filter(|first| is_error(first)).cloned();
        let error = members.get("error").filter(|error| is_error(error)).cloned();
        let error = error.or_else(|| members.get("errors").and_then(first))?;
        let (code, description) = match &error {
            // SuccessFactors: {"error":{"errorCode","message"}}; Fitbit: {"errors":[{"errorType","message"}]}
            Value::Object(error) => (text(error, &CODES), text(error, &SENTENCES)),
            Value::Bool(_) => (text(members, &CODES), text(members, &SENTENCES)),
            code => (as_text(code), text(members, &SENTENCES)),
        };
        Some(Self::shown(code, description, expected))
    }

    /// What an answer that is a failure by other signs says about it.
    pub(super) fn remark(members: &Map<String, Value>, expected: &Expectation<'_>) -> Option<Self> {
        let inner = match members.get("fault") {
            // Apigee: {"fault":{"faultstring"}}
            Some(Value::Object(fault)) => fault,
            _ => members,
        };
        let description = text(inner, &SENTENCES)?;
        Some(Self::shown(text(inner, &CODES), Some(description), expected))
    }

    fn shown(code: Option<String>, description: Option<String>, expected: &Expectation<'_>) -> Self {
        let plain = |code: &String| {
            (1..=64).contains(&code.len())
                && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
                && !expected.redactor.finds(code)
        };
        let description = description
            .map(|text| expected.redactor.clean(&text, DESCRIPTION))
            .filter(|text| !text.is_empty());
        Self { code: code.filter(plain), description }
    }

    /// Our code for it.
    pub(super) fn code(&self) -> FetchErrorCode {
        match self.code.as_deref() {
            // The last two are Slack's.
            Some("invalid_client" | "invalid_client_id" | "bad_client_secret") => {
                FetchErrorCode::InvalidClient
            }
            Some("unauthorized_client") => FetchErrorCode::UnauthorizedClient,
            Some("invalid_scope") => FetchErrorCode::InvalidScope,
            Some("ratelimited" | "rate_limited") => FetchErrorCode::RateLimited,
            // The others: what services say of a refresh token that is over (OpenID Connect Core §3.1.2.6, Slack).
            Some(
                "invalid_grant"
                | "interaction_required"
                | "consent_required"
                | "login_required"
                | "invalid_refresh_token"
                | "token_revoked",
            ) => FetchErrorCode::InvalidGrant,
            _ => FetchErrorCode::OauthError,
        }
    }

    /// `invalid_client (Bad credentials)`
    pub(super) fn text(&self) -> String {
        let code = self.code.as_deref().unwrap_or("an error");
        self.description.as_ref().map_or_else(|| code.to_owned(), |text| format!("{code} ({text})"))
    }

    /// The error that stands for the answer.
    pub(super) fn into_error(self, answer: &Answer, expected: &Expectation<'_>) -> FetchError {
        let refused = match expected.service {
            Service::OAuth2 => answer.status == 401,
            Service::Login => matches!(answer.status, 401 | 403),
        };
        let mut message = format!("the token service answered {}: {}", answer.status, self.text());
        if refused || self.code() == FetchErrorCode::InvalidClient {
            message = format!("{message}; {}", expected.invalid_client_hint);
        }
        let code = if refused && self.code() == FetchErrorCode::OauthError {
            FetchErrorCode::InvalidClient
        } else {
            self.code()
        };
        let error = FetchError::new(code, message);
        match self.code.as_deref() {
            Some(
                "temporarily_unavailable"
                | "server_error"
                | "service_unavailable"
                | "internal_error"
                | "fatal_error",
            ) => error.with_class(FetchErrorClass::Unavailable),
            Some("slow_down") => error.with_class(FetchErrorClass::Transient),
            _ => error,
        }
    }
}

/// Whether a value of `error` is one.
fn is_error(value: &Value) -> bool {
    match value {
        Value::Object(error) => !error.is_empty(),
        Value::Array(_) | Value::Null => false,
        other => as_text(other).is_some_and(|text| !NO_ERROR.contains(&&*text.to_ascii_lowercase())),
    }
}

/// The first of these members that is a text; SAP's OData nests it: `{"message":{"lang","value"}}`.
fn text(members: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let text = |value: &Value| match value {
        Value::Object(nested) => nested.get("value").and_then(as_text),
        value => as_text(value),
    };
    names.iter().find_map(|name| text(members.get(*name)?).filter(|text| !text.is_empty()))
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
