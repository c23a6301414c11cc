//! Paths that mean one thing to us and another to a backend.
//!
//! Invariant: the bytes that are forwarded are the bytes that were matched. A path that some backend would read as a
//! path of another route is refused; ordinary paths pass untouched. What a route's [`PathRules`] let pass is judged all
//! the same: every reading of it must lead to that route.

use crate::config::route::PathRules;

mod reading;
mod units;

use reading::{Reading, Split};
use units::{Unit, Units};

/// A path that cannot be matched without guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// What a route says of paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// How many bytes the route cuts from the front with nothing put in their place: what follows becomes the beginning.
    pub cut: usize,
    /// What the route lets pass by name.
    pub rules: PathRules,
}

/// A path with more dot segments than this is refused on every route: each costs a look-up.
const MOST_DOT_SEGMENTS: usize = 32;

/// The route of a path (without query): what `find` says of it, byte for byte as it was sent.
///
/// Refused where some backend would read the path as one of another route, or what is left when the route cuts its prefix
/// as the name of a host (`//evil.example/x`). `find` must take paths that [`crate::config`] would accept in a match as
/// they are: one spelling each.
pub fn select<'a, R>(
    path: &str,
    find: impl Fn(&str) -> Option<&'a R>,
    terms: impl Fn(&R) -> Terms,
) -> Result<Option<&'a R>, Ambiguous> {
    let found = find(path);
    if is_plain(path.as_bytes()) {
        return Ok(found);
    }
    let Terms { cut, rules } = found.map(terms).unwrap_or_default();
    if cut > 0 && path.get(cut..).is_some_and(names_a_host) {
        return Err(Ambiguous);
    }
    let units = units::decode(path.as_bytes())?;
    allowed(&units, &rules)?;
    let same = |path: &str| match (found, find(path)) {
        (Some(found), Some(other)) => std::ptr::eq(found, other),
        (None, None) => true,
        _ => false,
    };
    judge(&units, &rules, same)?;
    Ok(found)
}

/// What a byte of a path may mean to somebody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Itself, to everybody.
    Plain,
    Slash,
    Dot,
    /// `%`, `;`, `\`, and what some send as it is and others encode.
    Special,
}

/// pchar (RFC 3986 §3.3) but for `%`, `;` and `*`, which no match holds.
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Special; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        classes[byte as usize] = match byte {
            b'/' => Class::Slash,
            b'.' => Class::Dot,
            b'-' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'+' | b',' | b'=' | b':'
            | b'@' => Class::Plain,
            _ if byte.is_ascii_alphanumeric() => Class::Plain,
            _ => Class::Special,
        };
        byte += 1;
    }
    classes
};

/// Nearly every path: nothing in it that could be read in two ways. One pass. `*`, which is no path, is plain too.
fn is_plain(path: &[u8]) -> bool {
    let mut after_slash = false;
    for byte in path {
        after_slash = match CLASSES[usize::from(*byte)] {
            Class::Plain => false,
            Class::Slash if !after_slash => true,
            Class::Dot if !after_slash => false,
            _ => return path == b"*",
        };
    }
    true
}

/// What is left of a path, if some would read it as `//host`.
fn names_a_host(rest: &str) -> bool {
    let Some(after) = rest.strip_prefix('/') else { return false };
    let escaped = after
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("%2f") || start.eq_ignore_ascii_case("%5c"));
    after.starts_with(['/', '\\']) || escaped
}

/// Whether everything in the path that is refused by default is something that the route lets pass.
fn allowed(units: &Units, rules: &PathRules) -> Result<(), Ambiguous> {
    let fine = units.iter().all(|unit| match (unit.byte, unit.escapes) {
        (0, _) => false,
        _ if unit.overlong && !rules.invalid_utf8 => false,
        (b'/' | b'\\' | b'.', 2..) => rules.double_encoding,
        _ if unit.overlong => true,
        (b'/', 1) => rules.encoded_slash,
        (b'\\', _) => rules.backslash,
        _ => true,
    });
    if fine { Ok(()) } else { Err(Ambiguous) }
}

/// Whether every reading of the path leads to the same route.
///
/// Without dot segments the most lenient reading decides: a match holds nothing that readings differ in, so what a less
/// lenient one matches the most lenient one matches too. But where `;` may cut what others take for a separator (`/a;%2Fb`
/// is `/a` or `/a/b`), and with dot segments, it matters which segments there are: all readings are made, and none may
/// leave the route on its way. What is spelled in two ways at once, of which a backend may know one, is refused there.
fn judge(units: &Units, rules: &PathRules, same: impl Fn(&str) -> bool) -> Result<(), Ambiguous> {
    let lenient = Reading::of(units, Split::LENIENT);
    let dots = lenient.dot_segments();
    let lets = dots == 0 || (dots <= MOST_DOT_SEGMENTS && rules.dot_segments);
    let every = dots > 0 || swallows(units);
    if lets && same(&lenient.merged()) && (!every || (is_spelled_alike(units) && stays(units, &same))) {
        Ok(())
    } else {
        Err(Ambiguous)
    }
}

/// Whether no reading leaves the route.
fn stays(units: &Units, same: &impl Fn(&str) -> bool) -> bool {
    Split::all().all(|split| Reading::of(units, split).stays(same))
}

/// Whether something behind a `;` separates segments for some and not for others.
fn swallows(units: &Units) -> bool {
    let mut behind = units.iter().skip_while(|unit| unit.byte != b';');
    behind.any(|unit| unit.byte == b'\\' || (unit.byte == b'/' && (unit.escapes > 0 || unit.overlong)))
}

/// Whether all of a kind that readings differ in are spelled alike, so that [`Split::all`] holds every reading: with `%2F`
/// and `%252F` in one path, a backend may take either, both or none for a slash.
fn is_spelled_alike(units: &Units) -> bool {
    [b'/', b'\\', b'.', b';'].into_iter().all(|byte| {
        // These two are what they are, to everybody, where they are plain.
        let certain = |unit: &&Unit| matches!(byte, b'/' | b'.') && unit.escapes == 0 && !unit.overlong;
        let mut spelled = units.iter().filter(|unit| unit.byte == byte && !certain(unit));
        let first = spelled.next().map(|unit| (unit.escapes, unit.overlong));
        spelled.all(|unit| Some((unit.escapes, unit.overlong)) == first)
    })
}

#[cfg(test)]
mod tests;
