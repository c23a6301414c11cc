//! What a route needs for this request: its prepared headers, at once or after a bounded wait.
//!
//! Invariant: this is the only wait of the request path before the request is forwarded, and it happens only where
//! there is no usable token. A renewal in the background never makes a request wait.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::clock::{Clock, Moment};
use crate::inject::{Injection, Prepared};
use crate::token::Generation;
use crate::token::cell::{Activity, Rejection, TokenCell};

/// How often a request that waits looks at the token task's schedule again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a route adds to its requests.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Nothing.
    None,
    /// The same headers for everybody, prepared ahead.
    Shared(Shared),
}

/// Prepared headers and, where a token is among them, where to ask for a new one.
#[derive(Clone, Debug)]
pub struct Shared {
    injection: Injection,
    cell: Option<TokenCell>,
    wait: Duration,
}

/// There is no usable token, and waiting longer would not help the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUnavailable {
    /// When it is worth asking again.
    pub retry_after: Duration,
    /// Why, if that is known: the code of the recorded failure, or which header could not be made and why. Never a value.
    pub cause: Option<String>,
}

impl Credential {
    /// A route's headers; `cell` and `wait` are those of its profile, if it has one.
    pub fn shared(injection: Injection, cell: Option<TokenCell>, wait: Duration) -> Self {
        Self::Shared(Shared { injection, cell, wait })
    }

    /// Sets the headers if they are usable now, and says which token they were made from. One atomic load.
    pub fn apply(&self, headers: &mut HeaderMap, now: Moment) -> Option<Option<Generation>> {
        match self {
            Self::None => Some(None),
            Self::Shared(shared) => shared.apply(headers, now),
        }
    }

    /// Waits until the headers are usable, at most the profile's `token_wait`. While the token task backs off, the
    /// recorded failure comes back at once.
    pub async fn wait(&self, clock: &Clock) -> Result<(), TokenUnavailable> {
        match self {
            Self::None => Ok(()),
            Self::Shared(shared) => shared.wait(clock).await,
        }
    }

    /// What to tell a caller for whom there is no usable token.
    pub fn unavailable(&self, clock: &Clock) -> TokenUnavailable {
        match self {
            Self::None => TokenUnavailable { retry_after: Duration::from_secs(1), cause: None },
            Self::Shared(shared) => shared.unavailable(shared.cell.as_ref(), clock),
        }
    }

    /// The upstream refused `used`, and nobody waits for a different token.
    pub fn suspect(&self, used: Generation) {
        if let Self::Shared(Shared { cell: Some(cell), .. }) = self {
            cell.reject(used);
        }
    }

    /// The upstream refused `used`: waits for a different token, at most `token_wait`. False if there will be none.
    pub async fn renewed(&self, used: Generation) -> bool {
        match self {
            Self::None => false,
            Self::Shared(shared) => shared.renewed(used).await,
        }
    }
}

impl Shared {
    fn apply(&self, headers: &mut HeaderMap, now: Moment) -> Option<Option<Generation>> {
        let snapshot = self.injection.load();
        let prepared: &Prepared = snapshot.as_deref().filter(|prepared| prepared.is_usable(now))?;
        prepared.apply(headers);
        Some(prepared.generation())
    }

    fn usable(&self, now: Moment) -> bool {
        self.injection.load().as_deref().is_some_and(|prepared| prepared.is_usable(now))
    }

    async fn wait(&self, clock: &Clock) -> Result<(), TokenUnavailable> {
        let Some(cell) = &self.cell else {
            // Without a token the values were prepared at start, or a secret could not be read then.
            return if self.usable(clock.now()) { Ok(()) } else { Err(self.unavailable(None, clock)) };
        };
        let waited = within(self.wait, self.published(cell, clock)).await;
        waited.unwrap_or_else(|| Err(self.unavailable(Some(cell), clock)))
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
                return Err(self.unavailable(Some(cell), clock));
            }
            tokio::select! {
                _ = published.changed() => {}
                _ = states.changed() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => cell.wake(),
            }
        }
    }

    fn unavailable(&self, cell: Option<&TokenCell>, clock: &Clock) -> TokenUnavailable {
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

    async fn renewed(&self, used: Generation) -> bool {
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

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// The snapshot as it is, for `explain` and `/status`.
pub fn snapshot(credential: &Credential) -> Option<Arc<Prepared>> {
    match credential {
        Credential::None => None,
        Credential::Shared(shared) => shared.injection.load().clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::route::HeaderConfig;
    use crate::config::template::Part;
    use crate::config::{SecretSource, Template};
    use crate::inject;

    #[tokio::test]
    async fn a_header_that_cannot_be_made_is_named_as_the_cause() {
        let file = SecretSource::File("/nowhere/key.txt".into());
        let value = Template(vec![Part::Secret(file)]);
        let header = HeaderConfig { name: http::HeaderName::from_static("x-key"), value };
        let (injector, injection) = inject::injection(vec![header], Arc::default(), None);
        injector.prepare().unwrap_err();
        let credential = Credential::shared(injection, None, Duration::from_secs(1));
        let unavailable = credential.wait(&Clock::system()).await.unwrap_err();
        let cause = unavailable.cause.unwrap_or_default();
        assert!(cause.contains("x-key") && cause.contains("/nowhere/key.txt"), "{cause}");
    }
}
