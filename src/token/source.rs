//! Where tokens come from: the trait that the refresh loop is written against, and the sources by type of profile.

use std::future::Future;
use std::sync::Arc;

pub use super::error::{FetchError, FetchErrorClass, FetchErrorCode};
use super::fixed::Fixed;
use super::login::LoginSource;
use super::oauth2::OAuth2Source;
use super::rotation::Rotation;
use super::signed::SelfSigned;
use super::state_file::StateError;
use super::{AccessToken, Token};
use crate::clock::Clock;
use crate::config::profile::{ProfileConfig, ProfileKind};

/// What a fetch is for.
#[derive(Clone, Debug)]
pub struct FetchContext {
    /// Why now.
    pub why: FetchReason,
    /// The token held until now, expired or not.
    pub previous: Option<Arc<Token>>,
}

/// Why a token is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchReason {
    /// There was none yet.
    First,
    /// The schedule said so.
    Scheduled,
    /// The token expired unnoticed (suspend, a clock that was set, a long outage).
    Expired,
    /// The upstream refused it.
    Rejected,
    /// What it is made of has changed.
    Changed,
    /// The fetch before this failed.
    Retry,
}

/// A way to get a token. One production implementation and one fake: refresh logic is tested on paused time, which real
/// sockets would skip.
pub trait TokenSource: Send + Sync + 'static {
    /// Gets a token. Ends by itself (connect 5 s, total 10 s).
    fn fetch(&self, context: FetchContext) -> impl Future<Output = Result<AccessToken, FetchError>> + Send;

    /// Whether something that the last fetch was made from has changed since (a rotated secret file): ends a backoff.
    fn inputs_changed(&self) -> bool;

    /// Whether the token itself is out of date when an input has changed: what is read from a file is the token.
    fn follows_inputs(&self) -> bool {
        false
    }
}

/// The source of a profile, by its type.
#[derive(Debug)]
pub enum Source {
    /// `oauth2_*`
    OAuth2(Box<OAuth2Source>),
    /// `http_login`
    Login(Box<LoginSource>),
    /// `self_signed_jwt`
    SelfSigned(Box<SelfSigned>),
    /// `static_token`, `user_credentials`
    Fixed(Fixed),
}

impl Source {
    /// The source of this profile. Touches nothing but its own state file, which may be in the way.
    pub fn of(profile: Arc<ProfileConfig>, clock: Clock) -> Result<Self, StateError> {
        Ok(match &profile.kind {
            ProfileKind::OAuth2(_) => Self::OAuth2(Box::new(OAuth2Source::new(profile, clock)?)),
            ProfileKind::HttpLogin(_) => Self::Login(Box::new(LoginSource::new(profile, clock)?)),
            ProfileKind::SelfSignedJwt(_) => Self::SelfSigned(Box::new(SelfSigned::new(profile, clock))),
            ProfileKind::StaticToken(_) | ProfileKind::UserCredentials { .. } => {
                Self::Fixed(Fixed::new(profile, clock))
            }
        })
    }

    /// The refresh token, where there is one.
    pub fn rotation(&self) -> Option<Arc<Rotation>> {
        match self {
            Self::OAuth2(source) => source.rotation(),
            Self::Login(_) | Self::SelfSigned(_) | Self::Fixed(_) => None,
        }
    }
}

impl TokenSource for Source {
    async fn fetch(&self, context: FetchContext) -> Result<AccessToken, FetchError> {
        match self {
            Self::OAuth2(source) => source.fetch(context).await,
            Self::Login(source) => source.fetch(context).await,
            Self::SelfSigned(source) => source.fetch(context).await,
            Self::Fixed(source) => source.fetch(context).await,
        }
    }

    fn inputs_changed(&self) -> bool {
        match self {
            Self::OAuth2(source) => source.inputs_changed(),
            Self::Login(source) => source.inputs_changed(),
            Self::SelfSigned(source) => source.inputs_changed(),
            Self::Fixed(source) => source.inputs_changed(),
        }
    }

    fn follows_inputs(&self) -> bool {
        match self {
            Self::OAuth2(source) => source.follows_inputs(),
            Self::Login(_) => false,
            Self::SelfSigned(source) => source.follows_inputs(),
            Self::Fixed(source) => source.follows_inputs(),
        }
    }
}
