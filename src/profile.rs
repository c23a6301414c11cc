//! A profile: a named credential, which is a configuration, a token that is kept fresh, and a status to look at.
//!
//! Invariant: the refresh task lives exactly as long as its profile; the status never holds a token or a secret.

mod status;

use std::sync::Arc;

use tokio::task::JoinHandle;

pub use self::status::{FailureStatus, ProfileState, ProfileStatus};
use crate::clock::Clock;
use crate::config::{Name, ProfileConfig};
use crate::token::AccessToken;
use crate::token::cell::{self, TokenCell};
use crate::token::error::FetchError;
use crate::token::refresh::{self, Refresh, RefreshObserver, RefreshPolicy};
use crate::token::source::{FetchContext, FetchReason, Source, TokenSource};

/// A named credential whose token is kept fresh in the background. Dropping it ends the refresh task.
#[derive(Debug)]
pub struct Profile {
    config: Arc<ProfileConfig>,
    cell: TokenCell,
    clock: Clock,
    task: JoinHandle<std::convert::Infallible>,
}

impl Profile {
    /// Starts to fetch at once, on the tokio runtime of the caller.
    pub fn start(config: Arc<ProfileConfig>, clock: Clock, observer: Arc<dyn RefreshObserver>) -> Self {
        let source = Source::of(Arc::clone(&config), clock.clone());
        Self::start_with(config, clock, observer, source)
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
        Self { config, cell, clock, task }
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
        ProfileStatus::new(&self.config, &self.cell.state(), self.clock.now())
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Gets one token for a profile, without a task and without a retry: for `sidepass token`.
pub async fn fetch_once(config: Arc<ProfileConfig>, clock: Clock) -> Result<AccessToken, FetchError> {
    let source = Source::of(config, clock);
    source.fetch(FetchContext { why: FetchReason::First, previous: None }).await
}

#[cfg(test)]
mod tests;
