//! Durations and sizes as people write them.

use std::time::Duration;

/// A year: longer than any wait here can mean, short enough for every clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A mistake in a quantity: what is wrong, and what to write.
pub(crate) type Wrong = (&'static str, &'static str);

/// `30s`, `5m`, `1h30m`, `500ms`; `0` needs no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, Wrong> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(("a duration needs a unit", "write `30s`, `5m` or `1h30m`"));
    }
    match humantime::parse_duration(text) {
        Ok(duration) if duration > LONGEST => {
            Err(("this duration is longer than a year", "write `30s`, `5m` or `1h30m`"))
        }
        Ok(duration) => Ok(duration),
        Err(_) => Err(("this is not a duration", "write `30s`, `5m` or `1h30m`")),
    }
}

/// `65536`, `64KiB`, `64k`, `1M`: units are powers of 1024, as in nginx.
pub(crate) fn size(text: &str) -> Result<usize, Wrong> {
    const WRONG: Wrong = ("this is not a size", "write `64KiB`, `1MiB` or a number of bytes");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| WRONG)?;
    let factor = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(WRONG),
    };
    number.checked_mul(factor).ok_or(WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["30", "", "soon", "-5s", "9999y", "1.5", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_sizes() {
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("64k"), Ok(65536));
        assert_eq!(size("1 MiB"), Ok(1 << 20));
        assert_eq!(size("0"), Ok(0));
        for wrong in ["", "k", "-1", "1.5k", "64 potatoes", "99999999999999999999", "18446744073709551615k"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
