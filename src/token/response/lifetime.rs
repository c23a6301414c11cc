//! How long a token lives, from whatever the answer offers.
//!
//! Invariant: zero, negative, null, unreadable count as missing; the result is never zero, and never so long that a date
//! cannot be written.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::token::{LifetimeFrom, date, jwt};

/// Nothing that lives longer than this is told from anything else that does: a hundred years.
const LONGEST: f64 = 100.0 * 365.0 * 86400.0;

/// A number of seconds since the epoch beyond this is one of milliseconds (the year 5138).
const MILLISECONDS_FROM: f64 = 1e11;

/// An `expires` below this is no point in time (2001) but a span: an old Facebook habit.
const SPAN_BELOW: f64 = 1e9;

/// What the lifetime is read from.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) answer: &'a Map<String, Value>,
    pub(super) token: &'a str,
    /// The token service's idea of now, in seconds since the epoch: its `Date` header, so that skew does not matter.
    pub(super) service_now: f64,
    /// The lifetime of the token before.
    pub(super) last: Option<Duration>,
    pub(super) default: Duration,
}

/// The lifetime and where it was read, in the order of [`LifetimeFrom`].
pub(super) fn read(evidence: &Evidence<'_>) -> (Duration, LifetimeFrom) {
    let claims = || jwt::claims(evidence.token);
    let found = span(evidence.answer.get("expires_in"))
        .map(|seconds| (seconds, LifetimeFrom::ExpiresIn))
        .or_else(|| absolute(evidence).map(|seconds| (seconds, LifetimeFrom::ExpiresAt)))
        .or_else(|| {
            let exp = point(claims()?.get("exp"))? - evidence.service_now;
            (exp > 0.0).then_some((exp, LifetimeFrom::JwtExp))
        });
    if let Some((lifetime, from)) = found.and_then(|(seconds, from)| Some((duration(seconds)?, from))) {
        return (lifetime, from);
    }
    match evidence.last {
        Some(last) if !last.is_zero() => (last, LifetimeFrom::LastSeen),
        _ => (evidence.default.max(Duration::from_secs(1)), LifetimeFrom::Default),
    }
}

fn absolute(evidence: &Evidence<'_>) -> Option<f64> {
    ["expires_at", "expires_on", "expires"].into_iter().find_map(|key| {
        let value = evidence.answer.get(key)?;
        let left = match span(Some(value)) {
            Some(seconds) if key == "expires" && seconds < SPAN_BELOW => seconds,
            _ => point(Some(value))? - evidence.service_now,
        };
        (left > 0.0).then_some(left)
    })
}

/// A positive number, be it written as one or as a text.
fn span(value: Option<&Value>) -> Option<f64> {
    let number = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (number.is_finite() && number > 0.0).then_some(number)
}

/// A point in time, in seconds since the epoch.
fn point(value: Option<&Value>) -> Option<f64> {
    let value = value?;
    if let Some(number) = span(Some(value)) {
        return Some(if number >= MILLISECONDS_FROM { number / 1000.0 } else { number });
    }
    let text = value.as_str()?;
    #[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years fit an f64 exactly")]
    date::iso_8601(text).or_else(|| date::http_date(text).map(|seconds| seconds as f64))
}

/// Nothing for a span that rounds to zero.
fn duration(seconds: f64) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(seconds.min(LONGEST)).ok()?;
    (duration >= Duration::from_millis(1)).then_some(duration)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: f64 = 1_790_000_000.0;

    fn lifetime(answer: Value, token: &str, last: Option<u64>) -> (f64, LifetimeFrom) {
        let Value::Object(answer) = answer else { panic!("not an object") };
        let evidence = Evidence {
            answer: &answer,
            token,
            service_now: NOW,
            last: last.map(Duration::from_secs),
            default: Duration::from_secs(300),
        };
        let (lifetime, from) = read(&evidence);
        (lifetime.as_secs_f64(), from)
    }

    #[test]
    fn takes_expires_in_as_integer_float_or_text() {
        for value in [json!(3600), json!(3600.0), json!("3600"), json!(" 3600 "), json!("3.6e3")] {
            let found = lifetime(json!({"expires_in": value, "expires_at": 1}), "t", None);
            assert_eq!(found, (3600.0, LifetimeFrom::ExpiresIn), "{value}");
        }
    }

    #[test]
    fn counts_zero_negative_null_and_garbage_as_missing() {
        let values = [json!(0), json!(-1), json!(null), json!(""), json!("abc"), json!("inf"), json!("NaN")];
        for value in
            values.into_iter().chain([json!([3600]), json!({}), json!(true), json!(1e-9), json!("-5")])
        {
            let found = lifetime(json!({"expires_in": value}), "t", None);
            assert_eq!(found, (300.0, LifetimeFrom::Default), "{value}");
        }
    }

    #[test]
    fn saturates_what_is_huge() {
        for value in [json!(1e20), json!(18_446_744_073_709_551_615_u64), json!("1e300")] {
            assert_eq!(lifetime(json!({"expires_in": value}), "t", None), (LONGEST, LifetimeFrom::ExpiresIn));
        }
        assert_eq!(lifetime(json!({"expires_in": 2_592_000}), "t", None).0, 2_592_000.0);
    }

    #[test]
    fn takes_absolute_times_in_seconds_milliseconds_and_words() {
        let values = [
            json!(1_790_000_600),
            json!("1790000600"),
            json!(1_790_000_600_000_u64),
            json!("2026-09-21T14:23:20Z"),
            json!("Mon, 21 Sep 2026 14:23:20 GMT"),
        ];
        for value in values {
            for key in ["expires_at", "expires_on", "expires"] {
                let found = lifetime(json!({"expires_in": 0, key: value}), "t", Some(7));
                assert_eq!(found, (600.0, LifetimeFrom::ExpiresAt), "{key} {value}");
            }
        }
        let old_facebook = lifetime(json!({"expires": 5_184_000}), "t", None);
        assert_eq!(old_facebook, (5_184_000.0, LifetimeFrom::ExpiresAt));
        assert_eq!(lifetime(json!({"expires_at": 1_789_999_000}), "t", None).1, LifetimeFrom::Default);
    }

    #[test]
    fn falls_back_to_the_jwt_then_to_the_last_lifetime_then_to_the_default() {
        let token = jwt::testing::jwt(&json!({"exp": 1_790_000_900}));
        assert_eq!(lifetime(json!({}), &token, Some(7)), (900.0, LifetimeFrom::JwtExp));
        let expired = jwt::testing::jwt(&json!({"exp": 1}));
        assert_eq!(lifetime(json!({}), &expired, Some(7)), (7.0, LifetimeFrom::LastSeen));
        assert_eq!(lifetime(json!({}), "opaque", None), (300.0, LifetimeFrom::Default));
    }

    proptest! {
        #[test]
        fn is_never_zero_and_never_endless(number in any::<f64>(), key in 0_usize..3, now in any::<f64>()) {
            let answer = Map::from_iter([(["expires_in", "expires_at", "expires"][key].to_owned(), json!(number))]);
            let evidence = Evidence {
                answer: &answer, token: "t", service_now: now, last: None, default: Duration::ZERO,
            };
            let (lifetime, _) = read(&evidence);
            prop_assert!(lifetime > Duration::ZERO && lifetime.as_secs_f64() <= LONGEST);
        }
    }
}
