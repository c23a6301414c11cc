//! What went wrong, told from an answer without a token: a code, a class, and a sentence for an operator.

use std::time::Duration;

use serde_json::{Map, Value};

use super::named::NamedError;
use super::{Answer, Expectation, Service};
use crate::config::HttpUrl;
use crate::token::error::{FetchError, FetchErrorClass, FetchErrorCode};
use crate::token::{TokenFields, date};

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
        status => match members.and_then(|members| NamedError::of(members, expected)) {
            Some(named) if status < 500 || named.code() != FetchErrorCode::OauthError => {
                named.into_error(answer, expected)
            }
            named => {
                let remark = || members.and_then(|members| NamedError::remark(members, expected));
                bare_status(answer, named.or_else(remark), expected)
            }
        },
    };
    FetchError { retry_after, ..error }
}

/// Success by its status, but not by what it says: the rule for success, or else an error that it names (RFC 6749 §5.2
/// has none in a good answer).
pub(super) fn of_success(
    answer: &Answer,
    members: &Map<String, Value>,
    expected: &Expectation<'_>,
) -> Option<FetchError> {
    let named = || NamedError::of(members, expected).map(|named| named.into_error(answer, expected));
    let success = match &expected.rules.success {
        Some(success) if success.holds(members) => return None,
        Some(success) => success,
        None => return named(),
    };
    let remark = || NamedError::remark(members, expected).map(|remark| remark.into_error(answer, expected));
    let bare = || {
        let message = format!("the answer ({}) is no success: `{}` says so", described(answer), success.path);
        FetchError::new(FetchErrorCode::OauthError, message)
    };
    Some(named().or_else(remark).unwrap_or_else(bare))
}

/// Success without a token; `members` are those of a JSON answer, whose names may be told.
pub(super) fn without_token(
    answer: &Answer,
    members: Option<Map<String, Value>>,
    expected: &Expectation<'_>,
) -> FetchError {
    if answer.body.is_empty() {
        return FetchError::new(FetchErrorCode::Missing, "the answer is empty");
    }
    let what = described(answer);
    let path = expected.rules.token.as_ref();
    let lacks = match path {
        Some(path) if path.is_whole() => {
            format!("the answer ({what}) is no text: `answer.token` must name a member of it")
        }
        Some(path) => {
            format!("the answer ({what}) holds no text at {path}, where `answer.token` looks for the token")
        }
        None => format!("the answer ({what}) holds no {}", expected.service.token_names()[0]),
    };
    let names = members.map(|members| TokenFields::of(members).names());
    // In a map by token, say, a name is a secret.
    let names = names.filter(|names| !expected.redactor.finds(names));
    let has = names.map_or_else(String::new, |names| format!(" (it has: {names})"));
    let question = match path {
        None => "is this the token endpoint? If so, let `answer.token` say where the token stands",
        Some(_) => "is this the token endpoint?",
    };
    FetchError::new(FetchErrorCode::Missing, format!("{lacks}{has}; {question}"))
}

/// Success, but neither JSON nor a form.
pub(super) fn not_json(answer: &Answer, expected: &Expectation<'_>) -> FetchError {
    if answer.body.is_empty() {
        return FetchError::new(FetchErrorCode::Missing, "the answer is empty");
    }
    let message = format!(
        "the answer is not JSON ({}){}; is this the token endpoint?",
        described(answer),
        excerpt(answer, expected)
    );
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
fn bare_status(answer: &Answer, named: Option<NamedError>, expected: &Expectation<'_>) -> FetchError {
    let said = named.map_or_else(|| excerpt(answer, expected), |named| format!(": {}", named.text()));
    let what = described(answer);
    match answer.status {
        401 => FetchError::new(
            FetchErrorCode::InvalidClient,
            format!("the token service refused the client ({what}){said}; {}", expected.invalid_client_hint),
        ),
        403 if expected.service == Service::Login => FetchError::new(
            FetchErrorCode::InvalidClient,
            format!("the service refused the login ({what}){said}; {}", expected.invalid_client_hint),
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
