//! The lenient, bounded reader of token answers (RFC 6749 §5).
//!
//! Invariant: a token comes out only of a 2xx answer, and only if a Bearer header can carry it; whatever else arrives
//! becomes a [`FetchError`] without a secret in it. No input panics.

mod failure;
mod lifetime;
mod members;
mod named;

use std::time::Duration;

use serde_json::{Map, Value};

use self::lifetime::Evidence;
use self::members::{Content, Syntax};
use super::error::{FetchError, FetchErrorCode};
use super::redact::Redactor;
use super::{AccessToken, TokenFields, date};
use crate::clock::Moment;
use crate::config::profile::{AnswerRules, AuthorizationScheme, MemberPath};
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
    /// `DPoP-Nonce` (RFC 9449 §8)
    pub dpop_nonce: Option<String>,
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
    /// How the token will be shown.
    pub scheme: AuthorizationScheme,
    /// Whose answer it is.
    pub service: Service,
    /// Hides what must not be shown.
    pub redactor: &'a Redactor,
    /// What to try if the client is refused.
    pub invalid_client_hint: &'a str,
}

/// Whose answer it is: what is looked for where the rules say nothing, and what a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A token endpoint (RFC 6749 §3.2).
    OAuth2,
    /// A login of any other kind.
    Login,
}

impl Service {
    /// The members in which a token is looked for, in this order.
    pub const fn token_names(self) -> &'static [&'static str] {
        match self {
            Self::OAuth2 => &["access_token", "accessToken"],
            Self::Login => &["access_token", "accessToken", "token"],
        }
    }
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
    let content = members::content(answer, expected.rules);
    if !(200..300).contains(&answer.status) {
        return Err(failure::of_status(answer, content.members(), expected));
    }
    if answer.cut {
        let message =
            format!("the answer is larger than {} KiB; is this the token endpoint?", MAX_ANSWER / 1024);
        return Err(FetchError::new(FetchErrorCode::TooLarge, message));
    }
    let whole = expected.rules.token.as_ref().is_some_and(MemberPath::is_whole);
    match content {
        Content::Text(text) if whole => issued(filled(&text)?, Map::new(), answer, expected),
        Content::Other if whole => issued(plain_text(answer)?, Map::new(), answer, expected),
        Content::Members(members, syntax) => of_members(members, syntax, answer, expected),
        Content::Text(_) => Err(failure::without_token(answer, None, expected)),
        Content::Other => Err(failure::not_json(answer, expected)),
    }
}

/// The token of an answer that is nothing but the token.
fn plain_text(answer: &Answer) -> Result<&str, FetchError> {
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    filled(text.strip_prefix('\u{feff}').unwrap_or(text).trim())
}

fn filled(text: &str) -> Result<&str, FetchError> {
    match text {
        "" => Err(FetchError::new(FetchErrorCode::Missing, "the answer is empty, or no text")),
        text => Ok(text),
    }
}

fn of_members(
    mut members: Map<String, Value>,
    syntax: Syntax,
    answer: &Answer,
    expected: &Expectation<'_>,
) -> Result<Issued, FetchError> {
    if let Some(refused) = failure::of_success(answer, &members, expected) {
        return Err(refused);
    }
    let token = match &expected.rules.token {
        Some(path) => path.take(&mut members),
        None => expected.service.token_names().iter().find_map(|name| {
            let filled = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            members.get(*name).is_some_and(filled).then(|| members.remove(*name)).flatten()
        }),
    };
    match token {
        Some(Value::String(token)) if !token.is_empty() => {
            check_type(&members, expected.scheme)?;
            issued(&token, members, answer, expected)
        }
        _ => {
            let shown = (syntax == Syntax::Json).then_some(members);
            Err(failure::without_token(answer, shown, expected))
        }
    }
}

/// A token, and what is said about it.
fn issued(
    token: &str,
    mut members: Map<String, Value>,
    answer: &Answer,
    expected: &Expectation<'_>,
) -> Result<Issued, FetchError> {
    check_fit(token)?;
    let lifetime = lifetime::read(&Evidence {
        answer: &members,
        rules: expected.rules,
        token,
        service_now: service_now(answer, expected),
        last: expected.last_lifetime,
        default: expected.default_lifetime,
    });
    let mut access = AccessToken::new(Secret::new(token.to_owned()), expected.sent_at, lifetime);
    let refresh_token = refresh_token(&mut members, expected.rules);
    access.fields = TokenFields::of_answer(members);
    Ok(Issued { access, refresh_token })
}

/// The refresh token of a successful answer, whatever else is wrong with it: the one that was shown may be over.
pub fn renewed(answer: &Answer, rules: &AnswerRules) -> Option<Secret> {
    let successful = (200..300).contains(&answer.status) && !answer.cut;
    match members::content(answer, rules) {
        Content::Members(mut members, _) if successful => refresh_token(&mut members, rules),
        _ => None,
    }
}

fn refresh_token(members: &mut Map<String, Value>, rules: &AnswerRules) -> Option<Secret> {
    let found = match &rules.refresh_token {
        Some(path) => path.take(members),
        None => ["refresh_token", "refreshToken"].into_iter().find_map(|name| members.remove(name)),
    };
    match found {
        Some(Value::String(text)) if !text.is_empty() => Some(Secret::new(text)),
        _ => None,
    }
}

/// A Bearer header can carry a token of any type but those that want more than a header (RFC 6749 §7.1, RFC 9449, RFC 8693).
/// Where a bound token was asked for, nothing else will do (RFC 9449 §5).
fn check_type(members: &Map<String, Value>, scheme: AuthorizationScheme) -> Result<(), FetchError> {
    let token_type = members.get("token_type").and_then(Value::as_str).unwrap_or_default().trim();
    let unsupported = |message: String| Err(FetchError::new(FetchErrorCode::TypeUnsupported, message));
    let shown = match (&*token_type.to_ascii_lowercase(), scheme) {
        ("dpop", AuthorizationScheme::Dpop) => return Ok(()),
        (_, AuthorizationScheme::Dpop) => {
            return unsupported(
                "this profile has `dpop`, and the token service issued a token that is not bound to our key \
                 (its token_type is not DPoP); have DPoP turned on for this client there, or remove `dpop`"
                    .to_owned(),
            );
        }
        ("dpop", _) => {
            return unsupported(
                "the token service issued a token of type DPoP, which is bound to a key and no Bearer token; \
                 set `dpop: true`, or have the client registered for Bearer tokens"
                    .to_owned(),
            );
        }
        ("mac", _) => "mac",
        ("n_a", _) => "N_A",
        _ => return Ok(()),
    };
    unsupported(format!(
        "the token service issued a token of type {shown}, which a Bearer header cannot carry; \
         have the client registered for Bearer tokens"
    ))
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
