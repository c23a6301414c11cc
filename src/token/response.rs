//! The lenient, bounded reader of token answers (RFC 6749 §5).
//!
//! Invariant: a token comes out only of a 2xx answer, and only if a Bearer header can carry it; whatever else arrives
//! becomes a [`FetchError`] without a secret in it. No input panics.

mod failure;
mod lifetime;

use std::time::Duration;

use serde_json::{Map, Value};

use self::lifetime::Evidence;
use super::error::{FetchError, FetchErrorCode};
use super::redact::Redactor;
use super::{AccessToken, date, form};
use crate::clock::Moment;
use crate::config::profile::AnswerRules;
use crate::secret::Secret;

/// The longest token that is taken (RFC 6749 sets no limit, HTTP servers do).
pub const MAX_TOKEN: usize = 32 * 1024;

/// The longest answer that is taken.
pub const MAX_ANSWER: usize = 256 * 1024;

/// An answer of a token service, as far as it was read.
#[derive(Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Content-Encoding`, other than `identity`.
    pub content_encoding: Option<String>,
    /// `Date`
    pub date: Option<String>,
    /// `Retry-After`
    pub retry_after: Option<String>,
    /// `Location`
    pub location: Option<String>,
    /// The body, or its start.
    pub body: Vec<u8>,
    /// Whether there was more of the body than [`MAX_ANSWER`].
    pub cut: bool,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What an answer is judged by, besides itself.
#[derive(Debug)]
pub struct Expectation<'a> {
    /// When the request was sent; lifetimes count from here.
    pub sent_at: Moment,
    /// When the answer was there.
    pub received_at: Moment,
    /// The lifetime of the token before, if its service named one.
    pub last_lifetime: Option<Duration>,
    /// The profile's `default_lifetime`.
    pub default_lifetime: Duration,
    /// Where things stand in the answer.
    pub rules: &'a AnswerRules,
    /// Hides what must not be shown.
    pub redactor: &'a Redactor,
    /// What to try if the client is refused.
    pub invalid_client_hint: &'a str,
}

/// What an answer brought.
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub access: AccessToken,
    /// A new refresh token, which takes the place of the old one.
    pub refresh_token: Option<Secret>,
}

/// Reads an answer.
pub fn read(answer: &Answer, expected: &Expectation<'_>) -> Result<Issued, FetchError> {
    let members = members(answer);
    if !(200..300).contains(&answer.status) {
        return Err(failure::of_status(answer, members.as_ref(), expected));
    }
    if answer.cut {
        let message =
            format!("the answer is larger than {} KiB; is this the token endpoint?", MAX_ANSWER / 1024);
        return Err(FetchError::new(FetchErrorCode::TooLarge, message));
    }
    let Some(members) = members else {
        return Err(failure::not_json(answer, expected));
    };
    let token = match members.get("access_token") {
        Some(Value::String(token)) if !token.is_empty() => token,
        _ => return Err(failure::without_token(answer, &members, expected)),
    };
    check_type(&members)?;
    check_fit(token)?;
    let (lifetime, lifetime_from) = lifetime::read(&Evidence {
        answer: &members,
        token,
        service_now: service_now(answer, expected),
        last: expected.last_lifetime,
        default: expected.default_lifetime,
    });
    let text = Secret::new(token.clone());
    let access = AccessToken::new(text, expected.sent_at, (lifetime, lifetime_from));
    Ok(Issued { access, refresh_token: refresh_token(&members, expected.rules) })
}

fn refresh_token(members: &Map<String, Value>, rules: &AnswerRules) -> Option<Secret> {
    let found = match &rules.refresh_token {
        Some(path) => path.find(members),
        None => members.get("refresh_token"),
    };
    found.and_then(Value::as_str).filter(|text| !text.is_empty()).map(|text| Secret::new(text.to_owned()))
}

/// The members of the answer: JSON whatever its type says, else a form if its type says so.
fn members(answer: &Answer) -> Option<Map<String, Value>> {
    let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        // `[]` or `null` is an answer without members: there is no token in it.
        return Some(if let Value::Object(members) = value { members } else { Map::new() });
    }
    let media_type = answer.content_type.as_deref().unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let may_be_form = matches!(&*media_type, "application/x-www-form-urlencoded" | "text/plain");
    let text = std::str::from_utf8(body).ok().filter(|text| may_be_form && text.contains('='))?;
    Some(form::pairs(text.trim()).map(|(key, value)| (key, Value::String(value))).collect())
}

/// A Bearer header can carry a token of any type but those that want more than a header (RFC 6749 §7.1, RFC 9449, RFC 8693).
fn check_type(members: &Map<String, Value>) -> Result<(), FetchError> {
    let token_type = members.get("token_type").and_then(Value::as_str).unwrap_or_default().trim();
    let shown = match &*token_type.to_ascii_lowercase() {
        "mac" => "mac",
        "dpop" => "DPoP",
        "n_a" => "N_A",
        _ => return Ok(()),
    };
    let message = format!(
        "the token service issued a token of type {shown}, which a Bearer header cannot carry; \
         have the client registered for Bearer tokens"
    );
    Err(FetchError::new(FetchErrorCode::TypeUnsupported, message))
}

/// Whether a header can carry a token.
pub(super) fn check_fit(token: &str) -> Result<(), FetchError> {
    let message = if token.len() > MAX_TOKEN {
        format!("the access token is {} KiB long; {} KiB is the limit", token.len() / 1024, MAX_TOKEN / 1024)
    } else if !token.bytes().all(|b| b.is_ascii_graphic()) {
        "the access token holds a character that does not belong in a header (a space, a line end, non-ASCII)"
            .to_owned()
    } else {
        return Ok(());
    };
    Err(FetchError::new(FetchErrorCode::Unfit, message))
}

/// The token service's own idea of now, if it tells: then it does not matter how wrong our clock is.
fn service_now(answer: &Answer, expected: &Expectation<'_>) -> f64 {
    let theirs = answer.date.as_deref().and_then(date::http_date);
    #[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years fit an f64 exactly")]
    theirs.map_or_else(|| expected.received_at.unix_seconds(), |seconds| seconds as f64)
}

#[cfg(test)]
mod tests;
