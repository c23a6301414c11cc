//! Whom a request speaks for: the token that a caller shows, and the exchange of it for one of ours (RFC 8693).
//!
//! Invariant: a caller's token is known by its digest only, once its exchange is over; the digest's key is this
//! process's and never leaves it.

use std::fmt;
use std::future::Future;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

use super::AccessToken;
use super::error::{FetchError, FetchErrorCode};
use super::jwt;
use super::response::MAX_TOKEN;
use crate::clock::Moment;
use crate::secret::Secret;

/// Exchanges a caller's token for an access token.
pub trait SubjectSource: Send + Sync + 'static {
    /// Gets an access token for this subject. Ends by itself (connect 5 s, total 10 s).
    fn exchange(&self, subject: Secret) -> impl Future<Output = Result<AccessToken, FetchError>> + Send;
}

/// What a caller's token is known by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubjectDigest([u8; 32]);

impl fmt::Debug for SubjectDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// A caller's token and its digest.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is known by.
    pub digest: SubjectDigest,
    /// The token itself: visible ASCII.
    pub token: Secret,
}

/// Makes digests with a key of its own (HMAC-SHA256): whoever sees one cannot try tokens on it.
#[derive(Debug)]
pub struct Digester(hmac::Key);

impl Digester {
    /// One with a new key; nothing if the system has no random bytes.
    pub fn new() -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok().map(Self)
    }

    /// The subject of a token; nothing if it is none that a token request could show: empty, too long, or not visible ASCII.
    pub fn subject(&self, token: &str) -> Option<Subject> {
        let sound = !token.is_empty() && token.len() <= MAX_TOKEN;
        if !sound || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let tag = hmac::sign(&self.0, token.as_bytes());
        let digest = SubjectDigest(tag.as_ref().try_into().ok()?);
        Some(Subject { digest, token: Secret::new(token.to_owned()) })
    }
}

/// Whether it is the subject that the token service refuses, rather than us: `invalid_grant`, `invalid_request`,
/// `invalid_target` and their like (RFC 8693 §2.2.2).
pub fn blames_subject(error: &FetchError) -> bool {
    matches!(error.code, FetchErrorCode::InvalidGrant | FetchErrorCode::OauthError)
}

/// When a subject's token expires, in seconds since the Unix epoch, if it is a JWT that says so.
pub fn expiry(token: &Secret) -> Option<f64> {
    jwt::claims(token.expose())?.get("exp")?.as_f64().filter(|exp| exp.is_finite())
}

/// The token as it may be used for a subject that expires then: never longer than the subject's. Nothing if that is over.
pub fn within(access: AccessToken, expiry: Option<f64>, now: Moment) -> Option<AccessToken> {
    let Some(expiry) = expiry else { return Some(access) };
    if expiry <= now.unix_seconds() {
        return None;
    }
    let left = expiry - access.issued_at.unix_seconds();
    let left = std::time::Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(std::time::Duration::MAX);
    Some(AccessToken { lifetime: access.lifetime.min(left), ..access })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::token::testing::access;

    #[test]
    fn a_digest_tells_tokens_apart_and_belongs_to_one_process() {
        let (one, other) = (Digester::new().unwrap(), Digester::new().unwrap());
        let digest = |digester: &Digester, token| digester.subject(token).unwrap().digest;
        assert_eq!(digest(&one, "a"), digest(&one, "a"));
        assert_ne!(digest(&one, "a"), digest(&one, "b"));
        assert_ne!(digest(&one, "a"), digest(&other, "a"));
        assert_eq!(format!("{:?}", digest(&one, "a")).len(), 8);
        assert!(!format!("{:?}", one.subject("hunter2")).contains("hunter2"));
    }

    #[test]
    fn what_no_token_request_could_show_is_no_subject() {
        let digester = Digester::new().unwrap();
        let long = "x".repeat(MAX_TOKEN + 1);
        for token in ["", "a b", "a\n", "ä", &long] {
            assert!(digester.subject(token).is_none(), "{token:.10}");
        }
    }

    #[test]
    fn a_token_lives_no_longer_than_its_subject() {
        let now = Clock::system().now();
        let hour = || access("x", Duration::from_secs(3600), now);
        let left = |expiry| Some(within(hour(), expiry, now)?.lifetime.as_secs());
        let soon = now.unix_seconds();
        assert_eq!(left(None), Some(3600));
        assert_eq!(left(Some(soon + 7200.0)), Some(3600));
        assert_eq!(left(Some(soon + 60.5)), Some(60));
        for over in [soon, soon - 1.0, 0.0, -1e300] {
            assert_eq!(left(Some(over)), None, "{over}");
        }
        assert_eq!(left(Some(1e300)), Some(3600));
    }

    #[test]
    fn only_a_jwt_says_when_it_expires() {
        let token = |claims| Secret::new(jwt::testing::jwt(&claims));
        assert_eq!(expiry(&token(json!({"exp": 12.5}))), Some(12.5));
        for claims in [json!({}), json!({"exp": "12"}), json!({"exp": null})] {
            assert_eq!(expiry(&token(claims)), None);
        }
        assert_eq!(expiry(&Secret::new("opaque".to_owned())), None);
    }
}
