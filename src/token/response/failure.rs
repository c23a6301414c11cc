//! What went wrong, told from an answer without a token: a code, a class, and a sentence for an operator.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Answer, Expectation};
use crate::config::HttpUrl;
use crate::token::date;
use crate::token::error::{FetchError, FetchErrorClass, FetchErrorCode};

/// How much of an `error_description` is shown.
const DESCRIPTION: usize = 200;

/// How much of a page's title is shown.
const EXCERPT: usize = 80;

/// An answer whose status is not success.
pub(super) fn of_status(
    answer: &Answer,
    members: Option<&Map<String, Value>>,
    expected: &Expectation<'_>,
) -> FetchError {
    let retry_after = retry_after(answer, expected);
    let error = match answer.status {
        300..400 => redirect(answer),
        429 => FetchError::new(FetchErrorCode::RateLimited, "the token service asks us to slow down (429)"),
        status => match members.and_then(|members| OauthError::of(members, expected)) {
            Some(oauth) if status < 500 || oauth.code() != FetchErrorCode::OauthError => {
                oauth.into_error(answer, expected)
            }
            oauth => bare_status(answer, oauth, expected),
        },
    };
    FetchError { retry_after, ..error }
}

/// Success without a token.
pub(super) fn without_token(
    answer: &Answer,
    members: &Map<String, Value>,
    expected: &Expectation<'_>,
) -> FetchError {
    match OauthError::of(members, expected) {
        Some(oauth) => oauth.into_error(answer, expected),
        None if answer.body.is_empty() => FetchError::new(FetchErrorCode::Missing, "the answer is empty"),
        None => FetchError::new(
            FetchErrorCode::Missing,
            format!("the answer ({}) holds no access_token; is this the token endpoint?", described(answer)),
        ),
    }
}

/// Success, but neither JSON nor a form.
pub(super) fn not_json(answer: &Answer, expected: &Expectation<'_>) -> FetchError {
    if answer.body.is_empty() {
        return FetchError::new(FetchErrorCode::Missing, "the answer is empty");
    }
    let message = format!("the answer is not JSON ({}){}", described(answer), excerpt(answer, expected));
    FetchError::new(FetchErrorCode::NotJson, message)
}

fn redirect(answer: &Answer) -> FetchError {
    // Only the host: the rest of a Location may carry anything.
    let target = answer.location.as_deref().and_then(|text| HttpUrl::parse(text).ok());
    let target = target.map_or_else(|| "elsewhere".to_owned(), |url| format!("to {}", url.host()));
    let message = format!(
        "the token service redirects {target} ({}); a token request is not redirected, since the secret would go \
         along: put the final URL into token_service_url",
        answer.status
    );
    FetchError::new(FetchErrorCode::Redirect, message)
}

/// A status that has to speak for itself.
fn bare_status(answer: &Answer, oauth: Option<OauthError>, expected: &Expectation<'_>) -> FetchError {
    let said = oauth.map_or_else(|| excerpt(answer, expected), |oauth| format!(": {}", oauth.text()));
    let what = described(answer);
    match answer.status {
        401 => FetchError::new(
            FetchErrorCode::InvalidClient,
            format!("the token service refused the client ({what}){said}; {}", expected.invalid_client_hint),
        ),
        403 => FetchError::new(
            FetchErrorCode::HttpStatus,
            format!(
                "the token service answered {what}{said}; SuccessFactors Learning answers so to a wrong client \
                 secret, others to a client without the right; {}",
                expected.invalid_client_hint
            ),
        ),
        500.. => FetchError::new(
            FetchErrorCode::ServerError,
            format!("the token service is in trouble ({what}){said}"),
        ),
        status => {
            let error = FetchError::new(
                FetchErrorCode::HttpStatus,
                format!("the token service answered {what}{said}; check token_service_url"),
            );
            // Request timeout, too early: worth asking again soon.
            if matches!(status, 408 | 425) { error.with_class(FetchErrorClass::Transient) } else { error }
        }
    }
}

/// `502, text/html`: status and content type.
fn described(answer: &Answer) -> String {
    let media_type: String = answer
        .content_type
        .as_deref()
        .unwrap_or("no content type")
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(60)
        .collect();
    match &answer.content_encoding {
        Some(_) => format!("{}, {media_type}, compressed although nobody asked for it", answer.status),
        None => format!("{}, {media_type}", answer.status),
    }
}

/// `: a page titled "502 Bad Gateway"`, or nothing. Of a body that is no token answer nothing but the title of a page is
/// shown: the rest may hold a token that is too short, or too broken, to be told from a word.
fn excerpt(answer: &Answer, expected: &Expectation<'_>) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let folded = text.to_ascii_lowercase();
    let title = folded.find("<title>").map(|at| at + "<title>".len()).and_then(|start| {
        let length = folded.get(start..)?.find('<')?;
        text.get(start..start + length)
    });
    let title = title.map(|title| expected.redactor.clean(title, EXCERPT)).filter(|title| !title.is_empty());
    title.map_or_else(String::new, |title| format!(": a page titled \"{title}\""))
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date by the service's own clock.
fn retry_after(answer: &Answer, expected: &Expectation<'_>) -> Option<Duration> {
    let text = answer.retry_after.as_deref()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years fit an f64 exactly")]
    let seconds = date::http_date(text)? as f64 - super::service_now(answer, expected);
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

/// The error that an answer names (RFC 6749 §5.2, and what others make of it), fit to be shown.
struct OauthError {
    /// The error's code if it is short and plain.
    code: Option<String>,
    description: Option<String>,
}

impl OauthError {
    fn of(members: &Map<String, Value>, expected: &Expectation<'_>) -> Option<Self> {
        let text = |map: &Map<String, Value>, keys: &[&str]| {
            keys.iter()
                .find_map(|key| map.get(*key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let (code, description) = match members.get("error").or_else(|| members.get("errors")?.get(0)) {
            Some(Value::String(code)) if !code.is_empty() => {
                (Some(code.clone()), text(members, &["error_description", "message"]))
            }
            // SuccessFactors: {"error":{"errorCode","message"}}; Fitbit: {"errors":[{"errorType","message"}]}
            Some(Value::Object(error)) => (
                text(error, &["errorCode", "code", "errorType", "type"]),
                text(error, &["message", "error_description"]),
            ),
            _ => return None,
        };
        let plain = |code: &String| {
            (1..=64).contains(&code.len())
                && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
                && !expected.redactor.finds(code)
        };
        let description = description
            .map(|text| expected.redactor.clean(&text, DESCRIPTION))
            .filter(|text| !text.is_empty());
        Some(Self { code: code.filter(plain), description })
    }

    fn code(&self) -> FetchErrorCode {
        match self.code.as_deref() {
            Some("invalid_client") => FetchErrorCode::InvalidClient,
            Some("unauthorized_client") => FetchErrorCode::UnauthorizedClient,
            Some("invalid_scope") => FetchErrorCode::InvalidScope,
            _ => FetchErrorCode::OauthError,
        }
    }

    fn text(&self) -> String {
        let code = self.code.as_deref().unwrap_or("an error");
        self.description.as_ref().map_or_else(|| code.to_owned(), |text| format!("{code} ({text})"))
    }

    fn into_error(self, answer: &Answer, expected: &Expectation<'_>) -> FetchError {
        let refused_client = matches!(answer.status, 401) || self.code() == FetchErrorCode::InvalidClient;
        let mut message = format!("the token service answered {}: {}", answer.status, self.text());
        if refused_client {
            message = format!("{message}; {}", expected.invalid_client_hint);
        }
        let code = if answer.status == 401 && self.code() == FetchErrorCode::OauthError {
            FetchErrorCode::InvalidClient
        } else {
            self.code()
        };
        let error = FetchError::new(code, message);
        match self.code.as_deref() {
            Some("temporarily_unavailable" | "server_error") => {
                error.with_class(FetchErrorClass::Unavailable)
            }
            Some("slow_down") => error.with_class(FetchErrorClass::Transient),
            _ => error,
        }
    }
}
