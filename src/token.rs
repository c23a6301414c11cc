//! An access token, and what is known about it.

mod assertion;
pub mod authorize;
pub mod cell;
pub mod certificate;
pub mod client_assertion;
pub mod client_auth;
pub mod date;
pub mod discovery;
pub mod dpop;
pub mod error;
mod exchange;
pub mod fields;
pub mod fixed;
pub mod form;
pub mod grant;
pub mod http;
mod inputs;
pub mod jwt;
pub mod keys;
pub mod login;
pub mod oauth2;
pub mod redact;
pub mod refresh;
pub mod request;
pub mod response;
pub mod rotation;
mod saml;
pub mod sign;
pub mod signed;
pub mod source;
pub mod state_file;
pub mod subject;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{digest, hmac};

use self::dpop::DpopKey;
pub use self::fields::TokenFields;
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
    /// What else the answer said; empty where there was no answer.
    pub fields: TokenFields,
    /// Which of two client secrets it was got with, where there are two.
    pub secret: Option<SecretSlot>,
    /// The key that it is bound to (RFC 9449); nothing for a bearer token.
    pub key: Option<Arc<DpopKey>>,
}

/// One of two client secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretSlot {
    /// `current`
    #[default]
    Current,
    /// `next`
    Next,
}

impl SecretSlot {
    /// As it is written in proxy.yaml.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Next => "next",
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Current => Self::Next,
            Self::Next => Self::Current,
        }
    }
}

impl AccessToken {
    /// A token with a lifetime and where that was read.
    pub fn new(text: Secret, issued_at: Moment, (lifetime, lifetime_from): (Duration, LifetimeFrom)) -> Self {
        Self {
            text,
            issued_at,
            lifetime,
            lifetime_from,
            fields: TokenFields::default(),
            secret: None,
            key: None,
        }
    }

    /// When it stops being valid.
    pub fn expires_at(&self) -> Moment {
        self.issued_at.after(self.lifetime)
    }

    /// The first 8 hex digits of the token's SHA-256: tells tokens apart and gives nothing away. A static credential may be
    /// a password, whose digest would tell a guess from the right one: its digits are those of an HMAC with a key that
    /// only this process has.
    pub fn fingerprint(&self) -> String {
        static KEY: LazyLock<Option<hmac::Key>> =
            LazyLock::new(|| hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok());
        let text = self.text.expose().as_bytes();
        let hex = |digest: &[u8]| digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        match (self.lifetime_from, KEY.as_ref()) {
            (LifetimeFrom::Never, Some(key)) => hex(hmac::sign(key, text).as_ref()),
            // Without random bytes it says nothing.
            (LifetimeFrom::Never, None) => hex(&[0; 4]),
            _ => hex(digest::digest(&digest::SHA256, text).as_ref()),
        }
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
    /// A static credential: it does not expire.
    Never,
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
            Self::Never => "never",
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
        AnswerRules, BasicEncoding, ClientAuthentication, ClientConfig, ClientSecret, Grant, OAuth2,
        ProfileConfig, ProfileKind, RequestConfig, TokenEndpoint, Transport, Written,
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
            fields: TokenFields::default(),
            secret: None,
            key: None,
        }
    }

    /// A source that is written in proxy.yaml.
    pub(crate) fn literal(value: &str) -> SecretSource {
        SecretSource::Literal(Secret::new(value.to_owned()))
    }

    /// A profile with client credentials and every default.
    pub(crate) fn profile(url: &str, id: &str, secret: &str) -> ProfileConfig {
        let secret = ClientSecret { current: literal(secret), next: None };
        let scheme = "Basic".to_owned();
        let authentication =
            ClientAuthentication::RequestHeader { secret, encoding: BasicEncoding::Form, scheme };
        with_grant(OAuth2 {
            endpoint: TokenEndpoint::Url(literal(url)),
            client: ClientConfig { id: Some(literal(id)), authentication },
            grant: Grant::ClientCredentials,
            request: RequestConfig::default(),
            dpop: None,
        })
    }

    /// A profile of this kind of token request, and every default.
    pub(crate) fn with_grant(oauth2: OAuth2) -> ProfileConfig {
        of_kind(ProfileKind::OAuth2(Box::new(oauth2)))
    }

    /// A profile of any kind, and every default.
    pub(crate) fn of_kind(kind: ProfileKind) -> ProfileConfig {
        ProfileConfig {
            name: Name::new("test").unwrap(),
            description: None,
            kind,
            transport: Transport::default(),
            answer: AnswerRules::default(),
            required: true,
            default_lifetime: Duration::from_secs(300),
            stale_if_error: Duration::ZERO,
            token_wait: Duration::from_secs(5),
            written: Written::default(),
        }
    }

    impl ProfileConfig {
        /// Its OAuth2 part, to be changed.
        pub(crate) fn oauth2_mut(&mut self) -> &mut OAuth2 {
            match &mut self.kind {
                ProfileKind::OAuth2(oauth2) => oauth2,
                _ => panic!("no OAuth2"),
            }
        }

        /// How its request is written, to be changed.
        pub(crate) fn request_mut(&mut self) -> &mut RequestConfig {
            &mut self.oauth2_mut().request
        }

        /// Shows this secret in the body.
        pub(crate) fn body_secret(&mut self, secret: SecretSource) {
            let secret = ClientSecret { current: secret, next: None };
            self.oauth2_mut().client.authentication = ClientAuthentication::BodyParameter { secret };
        }

        /// Shows this secret in the header.
        pub(crate) fn header_secret(&mut self, new: SecretSource, new_encoding: BasicEncoding) {
            let secret = ClientSecret { current: new, next: None };
            self.oauth2_mut().client.authentication = ClientAuthentication::RequestHeader {
                secret,
                encoding: new_encoding,
                scheme: "Basic".to_owned(),
            };
        }
    }
}
