//! The cookies of one session with an upstream: names and values, as it set them last.
//!
//! Invariant: at most 50 cookies and 16 KiB; what comes beyond that is left out. Domain and path of a cookie mean nothing
//! here: all of it goes to the one upstream that set it.

use http::HeaderValue;

use crate::clock::Moment;
use crate::token::date::http_date;

/// Cookies of a session.
const MOST: usize = 50;
/// Bytes of all of them, names and values.
const BYTES: usize = 16 << 10;

/// The cookies of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Jar {
    cookies: Vec<Cookie>,
}

/// `name=value`, and where the name ends.
#[derive(Clone, PartialEq, Eq)]
struct Cookie {
    pair: Vec<u8>,
    name: usize,
}

impl Cookie {
    fn of(pair: &[u8]) -> Option<Self> {
        let pair = pair.trim_ascii();
        let name = pair.iter().position(|byte| *byte == b'=')?;
        // White space around the sign belongs to nobody (RFC 6265 §5.2).
        let (name, value) = (pair[..name].trim_ascii(), pair[name + 1..].trim_ascii());
        (!name.is_empty()).then(|| Self { pair: [name, b"=", value].concat(), name: name.len() })
    }

    fn name(&self) -> &[u8] {
        &self.pair[..self.name]
    }
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The value is as good as a password.
        write!(f, "{}=…", String::from_utf8_lossy(self.name()))
    }
}

impl Jar {
    /// Takes in the `Set-Cookie` lines of an answer: sets, replaces, and takes out what has expired.
    pub(super) fn learn<'a>(&mut self, lines: impl IntoIterator<Item = &'a HeaderValue>, now: Moment) {
        for line in lines {
            let (pair, attributes) = parts(line.as_bytes());
            let Some(cookie) = Cookie::of(pair) else { continue };
            let gone = is_over(attributes, now);
            let place = self.cookies.iter().position(|other| other.name() == cookie.name());
            let bytes: usize = self.cookies.iter().map(|cookie| cookie.pair.len()).sum();
            let old = place.map_or(0, |place| self.cookies[place].pair.len());
            match place {
                Some(place) if gone => drop(self.cookies.remove(place)),
                _ if gone || bytes - old + cookie.pair.len() > BYTES => {}
                Some(place) => self.cookies[place] = cookie,
                None if self.cookies.len() < MOST => self.cookies.push(cookie),
                None => {}
            }
        }
    }

    /// Whether a `Set-Cookie` line is about one of these.
    pub(super) fn holds(&self, line: &HeaderValue) -> bool {
        Cookie::of(parts(line.as_bytes()).0).is_some_and(|cookie| self.has(&cookie))
    }

    /// The `Cookie` line: these, and what a caller's own lines have under other names.
    pub(super) fn line(&self, own: &[HeaderValue]) -> Option<HeaderValue> {
        let theirs = own.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let theirs = theirs
            .map(<[u8]>::trim_ascii)
            .filter(|pair| !pair.is_empty() && Cookie::of(pair).is_none_or(|cookie| !self.has(&cookie)));
        let ours = self.cookies.iter().map(|cookie| cookie.pair.as_slice());
        let pairs: Vec<&[u8]> = ours.chain(theirs).collect();
        let mut line = HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok().filter(|_| !pairs.is_empty())?;
        line.set_sensitive(true);
        Some(line)
    }

    fn has(&self, cookie: &Cookie) -> bool {
        self.cookies.iter().any(|other| other.name() == cookie.name())
    }
}

/// A `Set-Cookie` line in two: the pair, and what stands behind it.
fn parts(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    (&line[..end], &line[end..])
}

/// Whether a cookie is only set to be gone: `Max-Age` of nothing, else `Expires` in the past (RFC 6265 §5.3).
fn is_over(attributes: &[u8], now: Moment) -> bool {
    let text = String::from_utf8_lossy(attributes);
    let find = |wanted: &str| {
        let pairs = text.split(';').filter_map(|attribute| attribute.split_once('='));
        let mut same = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        // The last one counts.
        same.next_back().map(|(_, value)| value.trim().to_owned())
    };
    if let Some(age) = find("max-age").and_then(|age| age.parse::<i64>().ok()) {
        return age <= 0;
    }
    // Old servers write `Thu, 01-Jan-1970 00:00:00 GMT`.
    let date = find("expires").and_then(|date| http_date(&date.replace('-', " ")));
    #[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years fit an f64 exactly")]
    date.is_some_and(|date| date as f64 <= now.unix_seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn lines(lines: &[&str]) -> Vec<HeaderValue> {
        lines.iter().map(|line| HeaderValue::from_str(line).unwrap()).collect()
    }

    fn jar(set: &[&str]) -> Jar {
        let mut jar = Jar::default();
        jar.learn(&lines(set), Clock::system().now());
        jar
    }

    fn told(jar: &Jar, own: &[&str]) -> String {
        jar.line(&lines(own)).map(|line| line.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn names_and_values_are_kept_and_nothing_else() {
        let jar = jar(&["a=1; path=/; HttpOnly", "b = two=2 ;Secure", "nonsense", "=x", "", "e="]);
        assert_eq!(told(&jar, &[]), "a=1; b=two=2; e=");
        assert!(jar.line(&[]).unwrap().is_sensitive());
        assert!(!format!("{jar:?}").contains("two"), "{jar:?}");
    }

    #[test]
    fn a_later_line_replaces_and_an_expired_one_takes_out() {
        let set = ["a=1", "b=2", "c=3", "d=4", "e=5", "a=9; Max-Age=60", "b=; Max-Age=0", "c=; max-age=-1"];
        let dates = [
            "d=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "e=x; expires=Thu, 01-Jan-1970 00:00:00 GMT",
            // Max-Age counts, not Expires.
            "f=6; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60",
            "g=7; Expires=Fri, 01 Jan 2100 00:00:00 GMT",
        ];
        assert_eq!(told(&jar(&[&set[..], &dates[..]].concat()), &[]), "a=9; f=6; g=7");
    }

    #[test]
    fn the_callers_cookies_go_along_but_for_names_that_are_ours() {
        let jar = jar(&["s=ours"]);
        assert_eq!(told(&jar, &["x=1; s=theirs;", " y=2;flag"]), "s=ours; x=1; y=2; flag");
        assert_eq!(told(&Jar::default(), &["x=1"]), "x=1");
        assert_eq!(Jar::default().line(&[]), None);
        assert!(jar.holds(&HeaderValue::from_static("s=; Max-Age=0")));
        assert!(!jar.holds(&HeaderValue::from_static("ss=1")));
    }

    #[test]
    fn a_jar_has_an_end() {
        let many: Vec<String> = (0..200).map(|n| format!("c{n}=v")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(told(&jar(&many), &[]).split("; ").count(), MOST);
        let long = format!("b={}", "x".repeat(BYTES / 2));
        let jar = jar(&[&long, &long.replacen('b', "c", 1), &long, "d=1"]);
        assert_eq!(told(&jar, &[]).len(), long.len() + "; d=1".len());
    }
}
