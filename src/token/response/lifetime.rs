//! How long a token lives, from whatever the answer offers.
//!
//! Invariant: zero, negative, null, unreadable count as missing; the result is never zero, and never so long that a date
//! cannot be written.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::profile::{AnswerRules, LifetimeUnit};
use crate::token::{LifetimeFrom, date, jwt};

/// Where a span is looked for, in this order: the RFC's name, and what it becomes where members are written so.
const RELATIVE: [&str; 2] = ["expires_in", "expiresIn"];

/// Where a point in time is looked for.
const ABSOLUTE: [&str; 5] = ["expires_at", "expires_on", "expires", "expiresAt", "expiresOn"];

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
    pub(super) rules: &'a AnswerRules,
    pub(super) token: &'a str,
    /// The token service's idea of now, in seconds since the epoch: its `Date` header, so that skew does not matter.
    pub(super) service_now: f64,
    /// The lifetime of the token before.
    pub(super) last: Option<Duration>,
    pub(super) default: Duration,
}

/// The lifetime and where it was read, in the order of [`LifetimeFrom`]; what a rule points to comes first.
pub(super) fn read(evidence: &Evidence<'_>) -> (Duration, LifetimeFrom) {
    let claims = || jwt::claims(evidence.token);
    let found = by_rule(evidence)
        .or_else(|| relative(evidence).map(|seconds| (seconds, LifetimeFrom::ExpiresIn)))
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

/// What stands where `answer.lifetime` points to.
fn by_rule(evidence: &Evidence<'_>) -> Option<(f64, LifetimeFrom)> {
    let value = evidence.rules.lifetime.as_ref()?.find(evidence.answer)?;
    in_unit(value, evidence.rules.lifetime_unit, evidence.service_now)
}

/// Seconds from now, and what kind of value that was.
fn in_unit(value: &Value, unit: LifetimeUnit, service_now: f64) -> Option<(f64, LifetimeFrom)> {
    let seconds = match unit {
        LifetimeUnit::Seconds => span(Some(value))?,
        LifetimeUnit::Milliseconds => span(Some(value))? / 1000.0,
        LifetimeUnit::Minutes => span(Some(value))? * 60.0,
        LifetimeUnit::Clock => clock(value.as_str()?)?,
        LifetimeUnit::Timestamp => {
            let left = point(Some(value))? - service_now;
            return (left > 0.0).then_some((left, LifetimeFrom::ExpiresAt));
        }
    };
    Some((seconds, LifetimeFrom::ExpiresIn))
}

/// A span in a member whose name tells it. A unit without a path is about these; with one, they are in seconds.
fn relative(evidence: &Evidence<'_>) -> Option<f64> {
    let unit = match evidence.rules.lifetime {
        None => evidence.rules.lifetime_unit,
        Some(_) => LifetimeUnit::Seconds,
    };
    RELATIVE.into_iter().find_map(|key| {
        let (seconds, _) = in_unit(evidence.answer.get(key)?, unit, evidence.service_now)?;
        Some(seconds)
    })
}

fn absolute(evidence: &Evidence<'_>) -> Option<f64> {
    ABSOLUTE.into_iter().find_map(|key| {
        let value = evidence.answer.get(key)?;
        let left = match span(Some(value)) {
            Some(seconds) if key == "expires" && seconds < SPAN_BELOW => seconds,
            _ => point(Some(value))? - evidence.service_now,
        };
        (left > 0.0).then_some(left)
    })
}

/// `177:05:38`, hours first, or `7.09:05:38`, days first: seconds.
fn clock(text: &str) -> Option<f64> {
    let whole = |text: &str| -> Option<f64> {
        let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok())?
    };
    let fields: Vec<&str> = text.trim().split(':').collect();
    let [hours, minutes, seconds] = fields[..] else { return None };
    let (days, hours) = hours.split_once('.').unwrap_or(("0", hours));
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let (minutes, seconds) = (whole(minutes)?, whole(seconds)?);
    // The fraction of a second is checked, but of no account.
    whole(fraction)?;
    let total = whole(days)? * 86400.0 + whole(hours)? * 3600.0 + minutes * 60.0 + seconds;
    (minutes < 60.0 && seconds < 60.0 && total > 0.0).then_some(total)
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
mod tests;
