//! When the next fetch is due: pure functions of lifetimes, failures and a random number.
//!
//! Invariant: no input, however absurd, gives less than [`RefreshPolicy::min_gap`]; nothing here can loop hot.

use std::time::Duration;

use crate::token::error::FetchErrorClass;

/// The numbers that refreshing goes by. The defaults are DESIGN section 4; tests may take others.
#[derive(Clone, Debug)]
pub struct RefreshPolicy {
    /// Refresh when this share of the lifetime is over (0.75) ...
    pub refresh_at: f64,
    /// ... or earlier, so that this much is left (60 s) ...
    pub margin: Duration,
    /// ... but never before this share of the lifetime (0.5): a fixed margin would loop on short tokens.
    pub never_before: f64,
    /// Replicas spread over this share of the lifetime (0.1).
    pub spread: f64,
    /// Even a token that lives longer is fetched again after this time (24 h).
    pub look_again: Duration,
    /// The first retry comes after this time (1 s) to twice of it; that doubles ...
    pub first_retry: Duration,
    /// ... until twice of it is this (60 s).
    pub max_retry: Duration,
    /// Permanent errors are retried no sooner than this (30 s).
    pub permanent_retry: Duration,
    /// No `Retry-After` is obeyed beyond this (10 min).
    pub max_retry_after: Duration,
    /// This long before a valid token expires there is one last try, whatever the backoff says (10 s).
    pub last_try: Duration,
    /// At least this much lies between two fetches (1 s).
    pub min_gap: Duration,
    /// No sleep is longer than this (30 s): timers stand still while the machine sleeps, and know nothing of a clock that was set.
    pub slice: Duration,
    /// How often to ask, while backing off, whether a secret was rotated (1 s).
    pub poll_inputs: Duration,
    /// How often to ask whether a file changed that is the token (2 s).
    pub follow_inputs: Duration,
    /// A fetch that has not ended by itself after this time is given up (30 s).
    pub watchdog: Duration,
    /// The profile's `stale_if_error`.
    pub stale_if_error: Duration,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            refresh_at: 0.75,
            margin: Duration::from_secs(60),
            never_before: 0.5,
            spread: 0.1,
            look_again: Duration::from_secs(24 * 60 * 60),
            first_retry: Duration::from_secs(1),
            max_retry: Duration::from_secs(60),
            permanent_retry: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(10 * 60),
            last_try: Duration::from_secs(10),
            min_gap: Duration::from_secs(1),
            slice: Duration::from_secs(30),
            poll_inputs: Duration::from_secs(1),
            follow_inputs: Duration::from_secs(2),
            watchdog: Duration::from_secs(30),
            stale_if_error: Duration::ZERO,
        }
    }
}

/// How long after its issue a token is to be refreshed. `random` is in 0..1.
///
/// The point is 75 % of the lifetime, or 60 s before its end if that is earlier, but not before half of it. Replicas
/// spread over the 10 % before that point; where those would reach before half, over the 10 % after half.
pub fn next_refresh(policy: &RefreshPolicy, lifetime: Duration, random: f64) -> Duration {
    let whole = lifetime.as_secs_f64();
    let half = whole * policy.never_before;
    let point = (whole * policy.refresh_at).min(whole - policy.margin.as_secs_f64()).max(half);
    let earliest = (point - whole * policy.spread).max(half);
    let latest = point.max(earliest + whole * policy.spread);
    seconds(earliest + (latest - earliest) * random).min(policy.look_again).max(policy.min_gap)
}

/// How long to wait when the service returned the token that we hold already, which has `remaining` to live.
///
/// Half of what remains, again and again, and the last time right at expiry: a service that hands out a new token only
/// then is asked a handful of times, and the gap without a token stays below a second.
pub fn next_after_same_token(policy: &RefreshPolicy, remaining: Duration, random: f64) -> Duration {
    let half = remaining.mul_f64(0.5 + policy.spread * random / 2.0);
    let wait = if half > policy.min_gap { half } else { remaining };
    wait.min(policy.look_again).max(policy.min_gap)
}

/// What a retry is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// How many fetches failed in a row, at least 1.
    pub attempts: u32,
    /// How it may heal.
    pub class: FetchErrorClass,
    /// `Retry-After` of the answer.
    pub retry_after: Option<Duration>,
    /// How long the token that we hold is still valid; zero if there is none.
    pub remaining: Duration,
}

/// How long to wait after a failure. `random` is in 0..1.
///
/// 1 to 2 s, doubling up to 30 to 60 s, so that replicas which failed together spread; permanent errors start at 30 s. `Retry-After` makes it
/// longer. What would outlast a token that is still valid is cut, so that one try comes 10 s before it expires.
pub fn next_retry(policy: &RefreshPolicy, failed: Failed, random: f64) -> Duration {
    let doublings = failed.attempts.saturating_sub(1).min(30);
    let step = policy.first_retry.saturating_mul(1 << doublings).min(policy.max_retry / 2);
    let jittered = step.mul_f64(1.0 + random);
    let backoff = match failed.class {
        FetchErrorClass::Permanent => {
            policy.permanent_retry + policy.max_retry.saturating_sub(policy.permanent_retry).mul_f64(random)
        }
        FetchErrorClass::Unavailable | FetchErrorClass::Transient => jittered,
    };
    let asked = failed.retry_after.unwrap_or_default().min(policy.max_retry_after);
    let wait = backoff.max(asked);
    // Only once: after the last try, what remains is no longer than `last_try`, and nothing is cut any more.
    let last_try = failed.remaining.saturating_sub(policy.last_try);
    let wait = if last_try > policy.min_gap { wait.min(last_try) } else { wait };
    wait.max(policy.min_gap)
}

/// Saturates instead of panicking: lifetimes come from other people's servers.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn range(lifetime: u64) -> (u64, u64) {
        let policy = RefreshPolicy::default();
        let at = |random| next_refresh(&policy, secs(lifetime), random).as_secs_f64().round() as u64;
        (at(0.0), at(1.0))
    }

    #[test]
    fn refreshes_at_three_quarters_with_a_minute_left_but_never_before_half() {
        assert_eq!(range(43200), (28080, 32400));
        assert_eq!(range(1800), (1170, 1350));
        assert_eq!(range(200), (120, 140), "60 s are left");
        assert_eq!(range(150), (75, 90));
        assert_eq!(range(60), (30, 36), "half of it");
        assert_eq!(range(30), (15, 18));
        assert_eq!(range(1), (1, 1), "never hot");
    }

    #[test]
    fn even_a_year_is_looked_at_again_after_a_day() {
        assert_eq!(range(365 * 86400), (86400, 86400));
        assert_eq!(next_refresh(&RefreshPolicy::default(), Duration::MAX, 1.0), secs(86400));
    }

    #[test]
    fn the_same_token_again_is_asked_for_a_handful_of_times() {
        let policy = RefreshPolicy::default();
        let mut remaining = secs(60);
        let mut calls = 0;
        while remaining > Duration::ZERO {
            remaining = remaining.saturating_sub(next_after_same_token(&policy, remaining, 0.0));
            calls += 1;
        }
        assert!(calls <= 8, "{calls}");
        assert_eq!(
            next_after_same_token(&policy, Duration::from_millis(1500), 0.0),
            Duration::from_millis(1500)
        );
        assert_eq!(next_after_same_token(&policy, Duration::from_millis(300), 0.0), secs(1));
    }

    fn retry(attempts: u32, class: FetchErrorClass, random: f64) -> Duration {
        let failed = Failed { attempts, class, retry_after: None, remaining: Duration::ZERO };
        next_retry(&RefreshPolicy::default(), failed, random)
    }

    #[test]
    fn transient_failures_back_off_from_a_second_to_a_minute() {
        let longest: Vec<_> = (1..=8).map(|n| retry(n, FetchErrorClass::Transient, 1.0).as_secs()).collect();
        assert_eq!(longest, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(retry(1, FetchErrorClass::Unavailable, 0.0), secs(1));
        assert_eq!(retry(4, FetchErrorClass::Unavailable, 0.0), secs(8));
        assert_eq!(retry(u32::MAX, FetchErrorClass::Transient, 0.0), secs(30));
    }

    #[test]
    fn permanent_failures_start_at_the_slow_end_and_are_never_given_up() {
        assert_eq!(retry(1, FetchErrorClass::Permanent, 0.0), secs(30));
        assert_eq!(retry(1000, FetchErrorClass::Permanent, 1.0), secs(60));
    }

    #[test]
    fn retry_after_is_obeyed_up_to_ten_minutes() {
        let policy = RefreshPolicy::default();
        let wait = |seconds| {
            let failed = Failed {
                attempts: 1,
                class: FetchErrorClass::Transient,
                retry_after: Some(secs(seconds)),
                remaining: Duration::ZERO,
            };
            next_retry(&policy, failed, 0.5).as_secs()
        };
        assert_eq!([0, 7, 600, 999_999].map(wait), [1, 7, 600, 600]);
    }

    #[test]
    fn a_valid_token_gets_one_last_try_before_it_expires() {
        let policy = RefreshPolicy::default();
        let wait = |remaining| {
            let failed = Failed {
                attempts: 9,
                class: FetchErrorClass::Transient,
                retry_after: Some(secs(600)),
                remaining: secs(remaining),
            };
            next_retry(&policy, failed, 0.5).as_secs()
        };
        assert_eq!(wait(100), 90);
        assert_eq!(wait(10), 600, "that was the last one");
        assert_eq!(wait(3600), 600);
    }

    proptest! {
        #[test]
        fn a_refresh_lies_between_half_and_its_point_and_is_never_hot(
            seconds in 0.0_f64..1e12,
            random in 0.0_f64..1.0,
        ) {
            let policy = RefreshPolicy::default();
            let lifetime = Duration::from_secs_f64(seconds);
            let at = next_refresh(&policy, lifetime, random);
            prop_assert!(at >= policy.min_gap && at <= policy.look_again);
            if seconds > 2.0 && seconds < 86400.0 {
                prop_assert!(at.as_secs_f64() >= seconds / 2.0 - 1e-6);
                prop_assert!(at.as_secs_f64() <= seconds * 0.75 + 1e-6);
            }
            if (150.0..86400.0).contains(&seconds) {
                prop_assert!(lifetime - at >= Duration::from_millis(59_999));
            }
        }

        #[test]
        fn a_retry_waits_at_least_the_gap_and_at_most_ten_minutes(
            attempts in 1_u32..,
            permanent in any::<bool>(),
            retry_after in proptest::option::of(0_u64..),
            remaining in 0_u64..,
            random in 0.0_f64..1.0,
        ) {
            let policy = RefreshPolicy::default();
            let class = if permanent { FetchErrorClass::Permanent } else { FetchErrorClass::Transient };
            let failed = Failed { attempts, class, retry_after: retry_after.map(secs), remaining: secs(remaining) };
            let wait = next_retry(&policy, failed, random);
            prop_assert!(wait >= policy.min_gap && wait <= policy.max_retry_after);
        }
    }
}
