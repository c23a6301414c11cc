//! A login that is no OAuth: a request by template, and the token somewhere in its answer.
//!
//! Invariant: as with OAuth, secrets go to the configured URL and nowhere else, and every wait is bounded: the profile that
//! signs in first shares the time of the login.

mod first;
mod request;

use std::sync::Arc;

use self::first::{First, Held};
use super::AccessToken;
use super::exchange::{self, Asked};
use super::http::{HttpClient, Limits};
use super::inputs::Inputs;
use super::request::unfit;
use super::response::Service;
use super::source::{FetchContext, FetchError, FetchErrorCode, TokenSource};
use super::state_file::StateError;
use crate::clock::Clock;
use crate::config::profile::{HttpLogin, ProfileConfig, ProfileKind};

/// What to try where a login is refused.
const REFUSED: &str = "is all right that `request` shows, and where it shows it?";

/// The source of an `http_login` profile. Made without touching the network, the disk or a TLS library.
#[derive(Debug)]
pub struct LoginSource {
    profile: Arc<ProfileConfig>,
    clock: Clock,
    limits: Limits,
    inputs: Inputs,
    client: HttpClient,
    first: Option<First>,
}

impl LoginSource {
    /// A source for this profile.
    pub fn new(profile: Arc<ProfileConfig>, clock: Clock) -> Result<Self, StateError> {
        let inputs = Inputs::of(&profile);
        let limits = Limits::PRODUCTION;
        let client = HttpClient::new(Arc::clone(&profile), limits);
        let first = match &profile.kind {
            ProfileKind::HttpLogin(login) => login.first.as_ref().and_then(|first| first.profile.clone()),
            _ => None,
        };
        let first = first.map(|first| First::new(first, clock.clone())).transpose()?;
        Ok(Self { profile, clock, limits, inputs, client, first })
    }

    /// One login; one that is refused with a token that was kept gets a second one at once, with a new token.
    async fn fetch_now(&self, context: &FetchContext) -> Result<AccessToken, FetchError> {
        let ProfileKind::HttpLogin(login) = &self.profile.kind else {
            return Err(unfit("this is no login".to_owned()));
        };
        self.inputs.remember();
        let Some(first) = &self.first else { return self.sign_in(login, None, context).await };
        let (token, held) = first.token().await?;
        match (self.sign_in(login, Some(&token), context).await, held) {
            (Err(error), held) if error.code == FetchErrorCode::InvalidClient => {
                first.forget();
                match held {
                    Held::New => Err(error),
                    Held::Before => self.sign_in(login, Some(&first.token().await?.0), context).await,
                }
            }
            (outcome, _) => outcome,
        }
    }

    async fn sign_in(
        &self,
        login: &HttpLogin,
        first: Option<&AccessToken>,
        context: &FetchContext,
    ) -> Result<AccessToken, FetchError> {
        let request = request::build(&self.profile, login, first)?;
        let asked = Asked {
            profile: &self.profile,
            clock: &self.clock,
            context,
            service: Service::Login,
            refused_hint: REFUSED,
        };
        let (_, issued) = exchange::send(&self.client, &request, &asked).await?;
        Ok(issued?.access)
    }
}

impl TokenSource for LoginSource {
    async fn fetch(&self, context: FetchContext) -> Result<AccessToken, FetchError> {
        exchange::bounded(self.limits, self.fetch_now(&context)).await
    }

    fn inputs_changed(&self) -> bool {
        self.inputs.changed() || self.first.as_ref().is_some_and(First::inputs_changed)
    }
}
