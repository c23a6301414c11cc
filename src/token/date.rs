//! Points in time as token services write them: HTTP dates, ISO 8601, and numbers since the epoch.

/// Seconds since the epoch of an HTTP date in the preferred form, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
pub fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_day_name, rest) = text.trim().split_once(", ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let [day, month, year, time, "GMT"] = fields[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    seconds(number(year, 4)?, i64::try_from(month).ok()?, number(day, 2)?, clock_time(time)?)
}

/// Seconds since the epoch of an ISO 8601 date and time; without an offset it is taken for UTC.
pub fn iso_8601(text: &str) -> Option<f64> {
    let text = text.trim();
    let (date, rest) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes()[10], b'T' | b't' | b' ') {
        return None;
    }
    let fields: Vec<&str> = date.split('-').collect();
    let [year, month, day] = fields[..] else { return None };
    let time_end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, offset) = rest.split_at(time_end);
    let (whole, fraction) = time.split_once(['.', ',']).unwrap_or((time, "0"));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let at = seconds(number(year, 4)?, number(month, 2)?, number(day, 2)?, clock_time(whole)?)?;
    #[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years fit an f64 exactly")]
    Some((at - utc_offset(offset)?) as f64 + fraction)
}

/// `""`, `Z`, `+02:00`, `+0200`, `-05`: seconds east of Greenwich.
fn utc_offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first() {
        None => return Some(0),
        Some(b'Z' | b'z') if text.len() == 1 => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return None,
    };
    let digits = text[1..].replace(':', "");
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits, 2)?, 0),
        4 => (number(digits.get(..2)?, 2)?, number(digits.get(2..)?, 2)?),
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

/// `08:49:37` or `08:49`: seconds since midnight.
fn clock_time(text: &str) -> Option<i64> {
    let fields: Vec<&str> = text.split(':').collect();
    let (hours, minutes, seconds) = match fields[..] {
        [hours, minutes] => (hours, minutes, "00"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let (hours, minutes, seconds) = (number(hours, 2)?, number(minutes, 2)?, number(seconds, 2)?);
    (hours < 24 && minutes < 60 && seconds <= 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn seconds(year: i64, month: i64, day: i64, of_day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from civil: a year that starts in March has its leap day at the end.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era_year = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = era_year * 365 + era_year / 4 - era_year / 100 + day_of_year;
    let days = shifted_year.div_euclid(400) * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + of_day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_preferred_http_date() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        for wrong in ["", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Foo 1994 08:49:37 GMT", "x, "] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn reads_iso_8601_with_and_without_offset_and_fraction() {
        let expected = 1_790_000_000.0;
        for text in [
            "2026-09-21T14:13:20Z",
            "2026-09-21T14:13:20",
            "2026-09-21 14:13:20Z",
            "2026-09-21T16:13:20+02:00",
            "2026-09-21T09:13:20-0500",
            "2026-09-21T14:13:20.000Z",
        ] {
            assert_eq!(iso_8601(text), Some(expected), "{text}");
        }
        assert_eq!(iso_8601("2026-09-21T14:13:20.5Z"), Some(expected + 0.5));
    }

    #[test]
    fn refuses_what_is_no_date() {
        for wrong in [
            "",
            "soon",
            "2026-09-21",
            "2026-13-21T14:13:20Z",
            "2026-09-21T25:00:00Z",
            "2026-09-21Tx",
            "ä2026-09-2T",
        ] {
            assert_eq!(iso_8601(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_another_implementation(at in 0_u64..253_402_300_799) {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
            let text = humantime::format_rfc3339_seconds(time).to_string();
            #[allow(clippy::cast_precision_loss)]
            let expected = at as f64;
            prop_assert_eq!(iso_8601(&text), Some(expected));
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = (iso_8601(&text), http_date(&text));
        }
    }
}
