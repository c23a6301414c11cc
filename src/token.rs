//! An access token, and what is known about it.

pub mod cell;
pub mod client_auth;
pub mod date;
pub mod error;
pub mod form;
pub mod jwt;
pub mod redact;
pub mod refresh;
pub mod request;
pub mod response;
pub mod source;

use std::fmt;
use std::time::Duration;

use crate::clock::Moment;
use crate::secret::Secret;

/// A number for each token that a profile ever held, from 1. "Which token was used?" is asked by generation, never by text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An access token as a token service issued it.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token itself: visible ASCII, checked when it was read.
    pub text: Secret,
    /// When it was asked for; its lifetime counts from here.
    pub issued_at: Moment,
    /// How long it lives from `issued_at`; never zero.
    pub lifetime: Duration,
    /// Where the lifetime was read.
    pub lifetime_from: LifetimeFrom,
}

impl AccessToken {
    /// When it stops being valid.
    pub fn expires_at(&self) -> Moment {
        self.issued_at.after(self.lifetime)
    }

    /// The first 8 hex digits of the token's SHA-256: tells tokens apart and gives nothing away.
    pub fn fingerprint(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.text.expose().as_bytes());
        digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where a token's lifetime was read, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeFrom {
    /// `expires_in` of the answer.
    ExpiresIn,
    /// An absolute field: `expires_at`, `expires_on`, `expires`.
    ExpiresAt,
    /// `exp` of the token, which is a JWT.
    JwtExp,
    /// The answer said nothing; the lifetime of the token before it.
    LastSeen,
    /// Nothing else was there: the profile's `default_lifetime`.
    Default,
}

impl LifetimeFrom {
    /// As log and status show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExpiresIn => "expires_in",
            Self::ExpiresAt => "expires_at",
            Self::JwtExp => "jwt_exp",
            Self::LastSeen => "last_seen",
            Self::Default => "default_lifetime",
        }
    }
}

/// A token in use: the access token and its number.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its number among the profile's tokens.
    pub generation: Generation,
    /// The token as issued.
    pub access: AccessToken,
}

#[cfg(test)]
pub(crate) mod testing {
    //! Tokens and profiles for tests.

    use super::*;
    use crate::config::profile::{
        BasicEncoding, ClientAuthentication, ContentType, GrantTypePlace, ProfileConfig,
    };
    use crate::config::{Name, SecretSource};

    /// A token with this number and text, issued at `now`.
    pub(crate) fn token(generation: u64, text: &str, lifetime: Duration, now: Moment) -> Token {
        Token { generation: Generation(generation), access: access(text, lifetime, now) }
    }

    /// An access token with this text, issued at `now`.
    pub(crate) fn access(text: &str, lifetime: Duration, now: Moment) -> AccessToken {
        AccessToken {
            text: Secret::new(text.to_owned()),
            issued_at: now,
            lifetime,
            lifetime_from: LifetimeFrom::ExpiresIn,
        }
    }

    /// A source that is written in proxy.yaml.
    pub(crate) fn literal(value: &str) -> SecretSource {
        SecretSource::Literal(Secret::new(value.to_owned()))
    }

    /// A profile with every default.
    pub(crate) fn profile(url: &str, id: &str, secret: &str) -> ProfileConfig {
        ProfileConfig {
            name: Name::new("test").unwrap(),
            description: None,
            token_service_url: literal(url),
            client_id: literal(id),
            client_secret: literal(secret),
            client_authentication: ClientAuthentication::RequestHeader,
            basic_encoding: BasicEncoding::Form,
            grant_type_in: GrantTypePlace::Body,
            scope: None,
            resource: None,
            audience: None,
            content_type: ContentType::Form,
            custom_parameters: Vec::new(),
            ca_file: None,
            allow_cleartext: false,
            required: true,
            default_lifetime: Duration::from_secs(300),
            stale_if_error: Duration::ZERO,
            token_wait: Duration::from_secs(5),
        }
    }
}
