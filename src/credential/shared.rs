//! The same headers for everybody: a snapshot that is there, or a wait for the token that it is made from.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::{LOOK_AGAIN, TokenUnavailable, within};
use crate::clock::{Clock, Moment};
use crate::inject::{Injection, Prepared, Shown};
use crate::token::Generation;
use crate::token::cell::{Activity, Rejection, TokenCell};

/// Prepared headers and, where a token is among them, where to ask for a new one.
#[derive(Clone, Debug)]
pub struct Shared<D = ()> {
    injection: Injection<D>,
    cell: Option<TokenCell>,
    wait: Duration,
}

impl<D> Shared<D> {
    pub(super) fn new(injection: Injection<D>, cell: Option<TokenCell>, wait: Duration) -> Self {
        Self { injection, cell, wait }
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap, now: Moment) -> Option<Shown> {
        let snapshot = self.injection.load();
        let prepared = snapshot.as_deref().filter(|prepared| prepared.is_usable(now))?;
        Some(prepared.apply(headers))
    }

    /// The snapshot, if it may be used now.
    pub(super) fn snapshot(&self, now: Moment) -> Option<Arc<Prepared<D>>> {
        self.injection.load().as_ref().filter(|prepared| prepared.is_usable(now)).cloned()
    }

    fn usable(&self, now: Moment) -> bool {
        self.injection.load().as_deref().is_some_and(|prepared| prepared.is_usable(now))
    }

    pub(super) async fn wait(&self, clock: &Clock) -> Result<(), TokenUnavailable> {
        let Some(cell) = &self.cell else {
            // Without a token the values were prepared at start, or a secret could not be read then.
            return if self.usable(clock.now()) { Ok(()) } else { Err(self.why(None, clock)) };
        };
        let waited = within(self.wait, self.published(cell, clock)).await;
        waited.unwrap_or_else(|| Err(self.why(Some(cell), clock)))
    }

    /// Until a usable snapshot is published, or it is clear that none will be soon.
    async fn published(&self, cell: &TokenCell, clock: &Clock) -> Result<(), TokenUnavailable> {
        let mut published = self.injection.subscribe();
        let mut states = cell.subscribe();
        cell.wake();
        loop {
            let now = clock.now();
            if self.usable(now) {
                return Ok(());
            }
            let unfit = published.borrow_and_update().is_err();
            let backing_off = match states.borrow_and_update().activity {
                Activity::BackingOff { until } => !until.is_past(now),
                Activity::Fetching | Activity::Resting { .. } => false,
            };
            if unfit || backing_off {
                return Err(self.why(Some(cell), clock));
            }
            tokio::select! {
                _ = published.changed() => {}
                _ = states.changed() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => cell.wake(),
            }
        }
    }

    /// What to tell a caller for whom there is no usable token.
    pub(super) fn unavailable(&self, clock: &Clock) -> TokenUnavailable {
        self.why(self.cell.as_ref(), clock)
    }

    /// The upstream refused `used`, and nobody waits for a different token.
    pub(super) fn suspect(&self, used: Generation) {
        if let Some(cell) = &self.cell {
            cell.reject(used);
        }
    }

    fn why(&self, cell: Option<&TokenCell>, clock: &Clock) -> TokenUnavailable {
        let state = cell.map(TokenCell::state);
        let until = state.as_ref().and_then(|state| match state.activity {
            Activity::BackingOff { until } => Some(until.remaining(clock.now())),
            Activity::Fetching | Activity::Resting { .. } => None,
        });
        let failure = state.and_then(|state| state.last_failure).map(|failure| failure.code.to_string());
        // A token may be there, and fine, and only its headers could not be made.
        let unfit = || self.injection.subscribe().borrow().as_ref().err().map(ToString::to_string);
        TokenUnavailable {
            retry_after: until.unwrap_or_default().max(Duration::from_secs(1)),
            cause: failure.or_else(unfit),
        }
    }

    /// Waits for a token other than `used`, and for the headers made from it.
    pub(super) async fn renewed(&self, used: Generation) -> bool {
        let Some(cell) = &self.cell else { return false };
        let different = async {
            match cell.reject(used) {
                Rejection::Declined => return false,
                Rejection::Renewing if cell.newer_than(used).await.is_none() => return false,
                Rejection::Renewing | Rejection::Replaced => {}
            }
            // The token is there; its headers are being prepared.
            let mut published = self.injection.subscribe();
            while self.generation().is_none_or(|generation| generation <= used) {
                if published.changed().await.is_err() || published.borrow_and_update().is_err() {
                    return false;
                }
            }
            true
        };
        within(self.wait, different).await.unwrap_or(false)
    }

    fn generation(&self) -> Option<Generation> {
        self.injection.load().as_deref().and_then(Prepared::generation)
    }
}
