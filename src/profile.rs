//! A profile: a named credential, which is a configuration, a token that is kept fresh, and a status to look at.
//!
//! Invariant: the refresh task lives exactly as long as its profile; the status never holds a token or a secret.

mod status;

use std::sync::Arc;

use tokio::task::JoinHandle;

pub use self::status::{FailureStatus, ProfileState, ProfileStatus, RefreshTokenStatus};
use crate::clock::Clock;
use crate::config::{Name, ProfileConfig};
use crate::token::AccessToken;
use crate::token::cell::{self, Activity, TokenCell};
use crate::token::error::{FetchError, FetchErrorCode};
use crate::token::refresh::{self, Refresh, RefreshObserver, RefreshPolicy};
use crate::token::rotation::Rotation;
use crate::token::source::{FetchContext, FetchReason, Source, TokenSource};
use crate::token::state_file::StateError;

/// A named credential whose token is kept fresh in the background. Dropping it ends the refresh task.
#[derive(Debug)]
pub struct Profile {
    config: Arc<ProfileConfig>,
    cell: TokenCell,
    clock: Clock,
    rotation: Option<Arc<Rotation>>,
    /// Nothing where each subject has a token of its own, which the requests ask for.
    task: Option<JoinHandle<std::convert::Infallible>>,
}

impl Profile {
    /// Starts to fetch at once, on the tokio runtime of the caller; never, where the tokens are those of subjects. An error,
    /// if another process has its state file.
    pub fn start(
        config: Arc<ProfileConfig>,
        clock: Clock,
        observer: Arc<dyn RefreshObserver>,
    ) -> Result<Self, StateError> {
        if config.subject_header().is_some() {
            let (_, cell) = cell::cell();
            return Ok(Self { config, cell, clock, rotation: None, task: None });
        }
        let source = Source::of(Arc::clone(&config), clock.clone())?;
        let rotation = source.rotation();
        let mut profile = Self::start_with(config, clock, observer, source);
        profile.rotation = rotation;
        Ok(profile)
    }

    /// The same with tokens from elsewhere.
    fn start_with<S: TokenSource>(
        config: Arc<ProfileConfig>,
        clock: Clock,
        observer: Arc<dyn RefreshObserver>,
        source: S,
    ) -> Self {
        let (writer, cell) = cell::cell();
        let policy = RefreshPolicy { stale_if_error: config.stale_if_error, ..RefreshPolicy::default() };
        let task = tokio::spawn(refresh::run(Refresh {
            name: config.name.clone(),
            source: Arc::new(source),
            writer,
            clock: clock.clone(),
            policy,
            observer,
        }));
        Self { config, cell, clock, rotation: None, task: Some(task) }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.config.name
    }

    /// What it was configured as.
    pub fn config(&self) -> &Arc<ProfileConfig> {
        &self.config
    }

    /// The reading half of its token.
    pub fn cell(&self) -> &TokenCell {
        &self.cell
    }

    /// What an operator may see of it.
    pub fn status(&self) -> ProfileStatus {
        let refresh_token = self.rotation.as_deref().map(RefreshTokenStatus::from);
        let status = ProfileStatus::new(&self.config, &self.cell.state(), self.clock.now());
        ProfileStatus { refresh_token, ..status }
    }

    /// Ends when no request with a refresh token is under way: to break one off may lose the token that it brings.
    pub fn at_rest(&self) -> impl Future<Output = ()> + use<> {
        let states = self.rotation.as_ref().map(|_| self.cell.subscribe());
        async move {
            if let Some(mut states) = states {
                // An error: the task is gone, and the request with it.
                let _ = states.wait_for(|state| !matches!(state.activity, Activity::Fetching)).await;
            }
        }
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Gets one token for a profile, without a task and without a retry: for `sidepass token`.
pub async fn fetch_once(config: Arc<ProfileConfig>, clock: Clock) -> Result<AccessToken, FetchError> {
    let source =
        Source::of(config, clock).map_err(|error| FetchError::new(FetchErrorCode::StateFile, error.0))?;
    source.fetch(FetchContext { why: FetchReason::First, previous: None }).await
}

#[cfg(test)]
mod tests;
