//! The one refresh loop: a task per profile that fetches, publishes, sleeps, and backs off.
//!
//! Invariants: at most one fetch is in flight; a valid token is never taken away by a failure; two fetches are never
//! closer than a second; the loop ends only when its owner drops it, whatever the source does.

pub mod policy;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use self::policy::Failed;
pub use self::policy::RefreshPolicy;
use super::cell::{Activity, Failure, TokenWriter};
use super::error::{FetchError, FetchErrorClass, FetchErrorCode};
use super::source::{FetchContext, FetchReason, TokenSource};
use super::{AccessToken, Generation, LifetimeFrom, Token};
use crate::clock::{Clock, Moment};
use crate::config::Name;

/// A lifetime beyond this (a year) is more likely a wrong unit.
const ODD_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Tokens beyond this (7 KiB) run into the header limits of common servers.
const ODD_LENGTH: usize = 7 * 1024;

/// Is told how fetches end: metrics and readiness hang themselves in here.
pub trait RefreshObserver: Send + Sync + 'static {
    /// A fetch brought this token; the next one is due at `next`. A service may return the token that we had: its
    /// generation is then the one of before.
    fn succeeded(&self, token: &Token, next: Moment);
    /// A fetch failed; the next one is due at `until`.
    fn failed(&self, failure: &Failure, until: Moment);
}

/// Nobody listens.
impl RefreshObserver for () {
    fn succeeded(&self, _token: &Token, _next: Moment) {}
    fn failed(&self, _failure: &Failure, _until: Moment) {}
}

/// What the loop works with.
pub struct Refresh<S> {
    /// The profile's name, for log lines.
    pub name: Name,
    /// Where tokens come from.
    pub source: Arc<S>,
    /// Where they go.
    pub writer: TokenWriter,
    /// What time it is.
    pub clock: Clock,
    /// When to refresh.
    pub policy: RefreshPolicy,
    /// Who is told.
    pub observer: Arc<dyn RefreshObserver>,
}

impl<S> std::fmt::Debug for Refresh<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refresh").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Keeps a profile's token fresh for as long as the future lives. The owner spawns it, and ends it by dropping it.
pub async fn run<S: TokenSource>(refresh: Refresh<S>) -> Infallible {
    let mut task = Task { started: refresh.clock.now(), refresh, token: None, attempts: 0 };
    let mut why = FetchReason::First;
    loop {
        task.fetch(why).await;
        why = task.rest().await;
    }
}

struct Task<S> {
    refresh: Refresh<S>,
    /// The token in use; the writer's state holds the same.
    token: Option<Arc<Token>>,
    /// Failures in a row.
    attempts: u32,
    /// When the last fetch started.
    started: Moment,
}

impl<S: TokenSource> Task<S> {
    /// Fetches once and publishes what came of it.
    async fn fetch(&mut self, why: FetchReason) {
        self.refresh.writer.fetching();
        self.started = self.refresh.clock.now();
        let context = FetchContext { why, previous: self.token.clone() };
        let source = Arc::clone(&self.refresh.source);
        // In a task of its own, which dies with this one: a panic in there becomes an error like any other.
        let mut fetch = JoinSet::new();
        fetch.spawn(async move { source.fetch(context).await });
        let outcome = match tokio::time::timeout(self.refresh.policy.watchdog, fetch.join_next()).await {
            Ok(Some(Ok(outcome))) => outcome,
            Ok(_) => Err(FetchError::new(
                FetchErrorCode::Internal,
                "the token request ended in a fault of sidepass itself; please report it",
            )),
            Err(_) => Err(FetchError::new(
                FetchErrorCode::Timeout,
                "the token request did not end and was given up",
            )),
        };
        match outcome {
            Ok(access) => self.succeed(access),
            Err(error) => self.fail(error),
        }
    }

    fn succeed(&mut self, access: AccessToken) {
        let now = self.refresh.clock.now();
        let same = self.token.clone().filter(|held| held.access.text == access.text);
        let (token, wait) = match same {
            Some(held) => self.extend(held, access, now),
            None => self.accept(access, now),
        };
        let until = now.after(wait.max(self.gap(now)));
        let failed = std::mem::take(&mut self.attempts);
        tracing::info!(
            profile = %self.refresh.name,
            generation = token.generation.0,
            fingerprint = token.access.fingerprint(),
            lifetime = %span_of(&token.access, token.access.lifetime),
            lifetime_from = token.access.lifetime_from.as_str(),
            bytes = token.access.text.expose().len(),
            next = %human(until.remaining(now)),
            after_failures = failed,
            "{}", if self.token.is_none() { "token fetched" } else { "token renewed" },
        );
        self.warn_of_oddities(&token.access);
        self.token = Some(Arc::clone(&token));
        self.refresh.writer.succeeded(Arc::clone(&token), until, now.wall());
        self.refresh.observer.succeeded(&token, until);
    }

    /// What works, but will puzzle somebody later.
    fn warn_of_oddities(&self, access: &AccessToken) {
        let profile = &self.refresh.name;
        if access.lifetime > ODD_LIFETIME && access.lifetime_from != LifetimeFrom::Never {
            let lifetime = human(access.lifetime);
            tracing::warn!(%profile, %lifetime, "the token lives longer than a year; does the service count in milliseconds?");
        }
        let bytes = access.text.expose().len();
        if bytes > ODD_LENGTH {
            tracing::warn!(%profile, bytes, "the token is long; many servers refuse headers of more than 8 KiB");
        }
    }

    /// A token that we did not hold: it gets the next number.
    fn accept(&self, access: AccessToken, now: Moment) -> (Arc<Token>, Duration) {
        let generation = Generation(self.token.as_ref().map_or(1, |held| held.generation.0 + 1));
        let due = policy::next_refresh(&self.refresh.policy, access.lifetime, fastrand::f64());
        let wait = due.saturating_sub(access.issued_at.elapsed(now));
        (Arc::new(Token { generation, access }), wait)
    }

    /// The token that we hold, once more: it keeps its number, and lives longer if the answer says so.
    fn extend(&self, held: Arc<Token>, access: AccessToken, now: Moment) -> (Arc<Token>, Duration) {
        let later = access.expires_at().remaining(now) > held.access.expires_at().remaining(now);
        let token = if later { Arc::new(Token { generation: held.generation, access }) } else { held };
        let remaining = token.access.expires_at().remaining(now);
        (token, policy::next_after_same_token(&self.refresh.policy, remaining, fastrand::f64()))
    }

    fn fail(&mut self, error: FetchError) {
        let now = self.refresh.clock.now();
        self.attempts = self.attempts.saturating_add(1);
        let remaining =
            self.token.as_ref().map_or(Duration::ZERO, |token| token.access.expires_at().remaining(now));
        let failed =
            Failed { attempts: self.attempts, class: error.class, retry_after: error.retry_after, remaining };
        let until = now.after(policy::next_retry(&self.refresh.policy, failed, fastrand::f64()));
        tracing::warn!(
            profile = %self.refresh.name,
            code = error.code.as_str(),
            attempts = self.attempts,
            retry_in = %human(until.remaining(now)),
            valid_for = %self.token.as_ref().map_or_else(
                || human(remaining).to_string(),
                |token| span_of(&token.access, remaining),
            ),
            "no new token: {}", error.message,
        );
        let stale_for = match error.class {
            FetchErrorClass::Unavailable => self.refresh.policy.stale_if_error,
            FetchErrorClass::Transient | FetchErrorClass::Permanent => Duration::ZERO,
        };
        let failure =
            Failure { code: error.code, message: error.message, at: now.wall(), attempts: self.attempts };
        let failure = Arc::new(failure);
        self.refresh.writer.failed(Arc::clone(&failure), until, stale_for);
        self.refresh.observer.failed(&failure, until);
    }

    /// Sleeps until the next fetch is due, and says why it is.
    async fn rest(&mut self) -> FetchReason {
        let why = match self.refresh.writer.state().activity {
            Activity::Resting { until } => self.rest_until(until).await,
            Activity::BackingOff { until } => self.back_off_until(until).await,
            Activity::Fetching => FetchReason::Scheduled,
        };
        let gap = self.gap(self.refresh.clock.now());
        if !gap.is_zero() {
            tokio::time::sleep(gap).await;
        }
        why
    }

    async fn rest_until(&self, until: Moment) -> FetchReason {
        let follows = self.refresh.source.follows_inputs();
        let slice = if follows { self.refresh.policy.follow_inputs } else { self.refresh.policy.slice };
        loop {
            let now = self.refresh.clock.now();
            if follows && self.refresh.source.inputs_changed() {
                return FetchReason::Changed;
            }
            if self.refresh.writer.refresh_demanded() {
                return FetchReason::Rejected;
            }
            if self.token.as_ref().is_none_or(|token| token.access.expires_at().is_past(now)) {
                return FetchReason::Expired;
            }
            if until.is_past(now) {
                return FetchReason::Scheduled;
            }
            self.sleep(until.remaining(now).min(slice)).await;
        }
    }

    async fn back_off_until(&mut self, until: Moment) -> FetchReason {
        // A 401 that was reported while the failing fetch was in flight; nothing more will come of it.
        self.refresh.writer.decline();
        let mut looked = self.refresh.clock.now();
        loop {
            let now = self.refresh.clock.now();
            if until.is_past(now) {
                return FetchReason::Retry;
            }
            // Wakes may come by the thousand; the files are looked at once a second.
            if looked.elapsed(now) >= self.refresh.policy.poll_inputs {
                looked = now;
                if self.refresh.source.inputs_changed() {
                    tracing::info!(profile = %self.refresh.name, "a secret or certificate file changed; trying again");
                    return FetchReason::Retry;
                }
            }
            self.sleep(until.remaining(now).min(self.refresh.policy.poll_inputs)).await;
        }
    }

    async fn sleep(&self, span: Duration) {
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = self.refresh.writer.woken() => {}
        }
    }

    /// How long the last fetch forbids another one.
    fn gap(&self, now: Moment) -> Duration {
        self.refresh.policy.min_gap.saturating_sub(self.started.elapsed(now))
    }
}

/// A span as people read it, to the second.
/// A span of a token's life, for a log.
fn span_of(access: &AccessToken, span: Duration) -> String {
    match access.lifetime_from {
        LifetimeFrom::Never => "unlimited".to_owned(),
        _ => human(span).to_string(),
    }
}

fn human(span: Duration) -> humantime::FormattedDuration {
    let rounded = if span < Duration::from_secs(10) {
        Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    } else {
        Duration::from_secs(span.as_secs())
    };
    humantime::format_duration(rounded)
}

#[cfg(test)]
mod tests;
