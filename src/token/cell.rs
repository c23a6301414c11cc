//! Where a profile's token lives: one task writes ([`TokenWriter`]), everybody reads ([`TokenCell`]).
//!
//! Invariant: only the refresh task holds the writer, and the data plane is never handed it.

mod signals;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use self::signals::Signals;
use super::error::FetchErrorCode;
use super::{Generation, Token};
use crate::clock::Moment;

/// What everybody may know of a profile's token. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenState {
    /// The newest token, if there ever was one; it may have expired: ask its `expires_at`.
    pub token: Option<Arc<Token>>,
    /// How far past its expiry the token may be used just now (`stale_if_error`, while the token service is down); zero is not.
    pub stale_for: Duration,
    /// What the refresh task is doing.
    pub activity: Activity,
    /// The last failure, kept until a fetch succeeds.
    pub last_failure: Option<Arc<Failure>>,
    /// When a fetch last succeeded.
    pub last_success: Option<SystemTime>,
}

/// What the refresh task is doing.
#[derive(Clone, Debug)]
pub enum Activity {
    /// A fetch is in flight, or about to start.
    Fetching,
    /// The token is fresh; the next fetch is due then.
    Resting {
        /// When the next fetch is due.
        until: Moment,
    },
    /// The last fetch failed; no other starts before then, whoever asks.
    BackingOff {
        /// When the next fetch is due.
        until: Moment,
    },
}

/// A fetch that failed, in words for an operator; never holds a secret or a body.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The stable code, e.g. `token_timeout`.
    pub code: FetchErrorCode,
    /// The sentence for log and status.
    pub message: String,
    /// When it happened.
    pub at: SystemTime,
    /// How many fetches have failed in a row, this one included.
    pub attempts: u32,
}

/// The answer to "the upstream refused generation g".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A forced refresh of this generation is on its way: wait for a newer token.
    Renewing,
    /// A newer token is there already.
    Replaced,
    /// No refresh will come of it: within 30 s of the last forced one, or while backing off.
    Declined,
}

/// Makes the two halves. Until its first fetch ends, the state is "fetching, no token".
pub fn cell() -> (TokenWriter, TokenCell) {
    let (states, reader) = watch::channel(TokenState {
        token: None,
        stale_for: Duration::ZERO,
        activity: Activity::Fetching,
        last_failure: None,
        last_success: None,
    });
    let signals = Arc::new(Signals::new());
    (TokenWriter { states, signals: Arc::clone(&signals) }, TokenCell { states: reader, signals })
}

/// The reading half; cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenCell {
    states: watch::Receiver<TokenState>,
    signals: Arc<Signals>,
}

impl TokenCell {
    /// The state just now.
    pub fn state(&self) -> TokenState {
        self.states.borrow().clone()
    }

    /// A receiver that tells of every change of state.
    pub fn subscribe(&self) -> watch::Receiver<TokenState> {
        self.states.clone()
    }

    /// A request found no usable token: the task looks at the clock again, and fetches if it is not backing off.
    pub fn wake(&self) {
        self.signals.wake();
    }

    /// The upstream answered 401 to this generation. At most one forced refresh per profile per 30 s comes of it.
    /// Never waits: it is decided by a few atomics. Everyone else keeps getting the suspect token until it is replaced.
    pub fn reject(&self, generation: Generation) -> Rejection {
        self.signals.reject(generation)
    }

    /// Waits, after [`Rejection::Renewing`], for a token newer than this one; nothing, when the refresh ended without
    /// one. The caller bounds the wait.
    pub async fn newer_than(&self, generation: Generation) -> Option<Arc<Token>> {
        let mut states = self.states.clone();
        loop {
            let renewing = self.signals.is_renewing(generation);
            let state = states.borrow_and_update().clone();
            if let Some(token) = state.token.filter(|token| token.generation > generation) {
                return Some(token);
            }
            if !renewing && !matches!(state.activity, Activity::Fetching) {
                return None;
            }
            states.changed().await.ok()?;
        }
    }
}

/// The writing half: owned by the refresh task.
#[derive(Debug)]
pub struct TokenWriter {
    states: watch::Sender<TokenState>,
    signals: Arc<Signals>,
}

impl TokenWriter {
    /// The state just now.
    pub fn state(&self) -> TokenState {
        self.states.borrow().clone()
    }

    /// A fetch starts.
    pub fn fetching(&mut self) {
        // State first: who is told "renewing" must then see the fetch.
        self.states.send_modify(|state| state.activity = Activity::Fetching);
        self.signals.fetching();
    }

    /// A fetch brought this token (or the one held already); the next one is due at `until`.
    pub fn succeeded(&mut self, token: Arc<Token>, until: Moment, at: SystemTime) {
        // Signals first: who waits for the state must not see a refresh that has ended as still running.
        self.signals.succeeded(token.generation);
        self.states.send_replace(TokenState {
            token: Some(token),
            stale_for: Duration::ZERO,
            activity: Activity::Resting { until },
            last_failure: None,
            last_success: Some(at),
        });
    }

    /// A fetch failed; no other starts before `until`. The token held stays, and may be used `stale_for` past its expiry.
    pub fn failed(&mut self, failure: Arc<Failure>, until: Moment, stale_for: Duration) {
        self.signals.failed();
        self.states.send_modify(|state| {
            state.activity = Activity::BackingOff { until };
            state.last_failure = Some(failure);
            state.stale_for = stale_for;
        });
    }

    /// Whether the token in use was refused, so that a forced refresh has been promised.
    pub fn refresh_demanded(&self) -> bool {
        self.signals.refresh_demanded()
    }

    /// Takes back a promise that came too late: while backing off there is no forced refresh.
    pub fn decline(&mut self) {
        self.signals.decline();
    }

    /// Ends when somebody woke or rejected since the last call.
    pub async fn woken(&self) {
        self.signals.woken().await;
    }
}

#[cfg(test)]
mod tests;
