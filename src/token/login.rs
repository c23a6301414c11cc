//! A login that is no OAuth.

use std::sync::Arc;

use super::AccessToken;
use super::inputs::Inputs;
use super::request::unfit;
use super::source::{FetchContext, FetchError, TokenSource};
use crate::clock::Clock;
use crate::config::profile::ProfileConfig;

/// The source of an `http_login` profile.
#[derive(Debug)]
pub struct LoginSource {
    profile: Arc<ProfileConfig>,
    clock: Clock,
    inputs: Inputs,
}

impl LoginSource {
    /// A source for this profile.
    pub fn new(profile: Arc<ProfileConfig>, clock: Clock) -> Self {
        let inputs = Inputs::of(&profile);
        Self { profile, clock, inputs }
    }
}

impl TokenSource for LoginSource {
    async fn fetch(&self, _context: FetchContext) -> Result<AccessToken, FetchError> {
        self.inputs.remember();
        let _ = self.clock.now();
        Err(unfit(format!("a profile of type {} is not there yet", self.profile.type_name())))
    }

    fn inputs_changed(&self) -> bool {
        self.inputs.changed()
    }
}
