//! A JWT that we sign is the token (Snowflake, App Store Connect, GitHub Apps).

use std::sync::Arc;

use super::inputs::Inputs;
use super::keys::HeldPair;
use super::request::unfit;
use super::source::{FetchContext, FetchError, TokenSource};
use super::{AccessToken, LifetimeFrom, assertion};
use crate::clock::Clock;
use crate::config::profile::{ProfileConfig, ProfileKind};

/// The source of a `self_signed_jwt` profile. Its token lives as long as it says itself, and a new one is made as soon
/// as the key has changed.
#[derive(Debug)]
pub struct SelfSigned {
    profile: Arc<ProfileConfig>,
    clock: Clock,
    inputs: Inputs,
    keys: HeldPair,
}

impl SelfSigned {
    /// A source for this profile.
    pub fn new(profile: Arc<ProfileConfig>, clock: Clock) -> Self {
        let (inputs, keys) = (Inputs::of(&profile), HeldPair::of(&profile));
        Self { profile, clock, inputs, keys }
    }

    fn sign(&self) -> Result<AccessToken, FetchError> {
        let ProfileKind::SelfSignedJwt(config) = &self.profile.kind else {
            return Err(unfit("this profile signs no token".to_owned()));
        };
        let now = self.clock.now();
        let pair = self.keys.current(now.wall())?;
        let text = assertion::token(config, &pair, now)?;
        Ok(AccessToken::new(text, now, (config.jwt.lifetime, LifetimeFrom::JwtExp)))
    }
}

impl TokenSource for SelfSigned {
    async fn fetch(&self, _context: FetchContext) -> Result<AccessToken, FetchError> {
        self.inputs.remember();
        self.sign()
    }

    fn inputs_changed(&self) -> bool {
        self.inputs.changed()
    }

    fn follows_inputs(&self) -> bool {
        true
    }
}
