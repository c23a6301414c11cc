//! One way to read a path: what separates, what is cut, which segments count.

use super::units::Unit;
use super::{CLASSES, Class};

/// What a backend takes for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// An encoded slash separates.
    slash: bool,
    /// A backslash separates.
    backslash: bool,
    /// What stands behind `;` in a segment is cut.
    parameters: bool,
    /// An empty segment is none.
    merge: bool,
    /// Encoded dots are dots.
    dots: bool,
}

impl Split {
    /// Everything that separates separates, and everything that can be cut is cut.
    pub(super) const LENIENT: Self =
        Self { slash: true, backslash: true, parameters: true, merge: true, dots: true };

    /// Every combination.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..32_u8).map(|bits| Self {
            slash: bits & 1 == 0,
            backslash: bits & 2 == 0,
            parameters: bits & 4 == 0,
            merge: bits & 8 == 0,
            dots: bits & 16 == 0,
        })
    }

    fn separates(self, unit: &Unit) -> bool {
        match unit.byte {
            b'/' => self.slash || (unit.escapes == 0 && !unit.overlong),
            b'\\' => self.backslash,
            _ => false,
        }
    }
}

/// A segment as it would stand in a match.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Name(String),
    /// `.`
    Same,
    /// `..`
    Up,
}

/// A path in segments.
#[derive(Debug)]
pub(super) struct Reading {
    segments: Vec<Segment>,
    /// Whether it ends with a separator.
    open: bool,
    merge: bool,
}

impl Reading {
    /// Reads a path that begins with a separator.
    pub(super) fn of(units: &[Unit], split: Split) -> Self {
        let mut segments: Vec<Segment> =
            units.split(|unit| split.separates(unit)).skip(1).map(|units| segment(units, split)).collect();
        let empty = |segment: &Segment| matches!(segment, Segment::Name(name) if name.is_empty());
        let open =
            segments.last().is_none_or(|last| !matches!(last, Segment::Name(name) if !name.is_empty()));
        if segments.last().is_some_and(empty) {
            segments.pop();
        }
        Self { segments, open, merge: split.merge }
    }

    pub(super) fn dot_segments(&self) -> usize {
        self.segments.iter().filter(|segment| !matches!(segment, Segment::Name(_))).count()
    }

    /// The path without empty segments; dot segments stay as they are.
    pub(super) fn merged(&self) -> String {
        let names = self.segments.iter().map(|segment| match segment {
            Segment::Name(name) => name.as_str(),
            Segment::Same => ".",
            Segment::Up => "..",
        });
        joined(names.filter(|name| !name.is_empty()), self.open)
    }

    /// Whether the path never leaves its route while its dot segments are resolved (RFC 3986 §5.2.4).
    pub(super) fn stays(&self, same: &impl Fn(&str) -> bool) -> bool {
        let mut names: Vec<&str> = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Same => {}
                Segment::Name(name) if name.is_empty() && self.merge => {}
                Segment::Name(name) => names.push(name),
                Segment::Up => {
                    if names.pop().is_none() || !same(&joined(names.iter().copied(), true)) {
                        return false;
                    }
                }
            }
        }
        same(&joined(names.iter().copied(), self.open))
    }
}

fn joined<'n>(names: impl Iterator<Item = &'n str>, open: bool) -> String {
    let mut path = String::new();
    for name in names {
        path.push('/');
        path.push_str(name);
    }
    if open {
        path.push('/');
    }
    path
}

/// A segment in the one spelling that a match may have: plain where that is possible, `%` and capitals elsewhere.
fn segment(units: &[Unit], split: Split) -> Segment {
    let end = units.iter().position(|unit| split.parameters && unit.byte == b';').unwrap_or(units.len());
    let units = &units[..end];
    let dot = |unit: &Unit| unit.byte == b'.' && (split.dots || (unit.escapes == 0 && !unit.overlong));
    match units {
        [one] if dot(one) => return Segment::Same,
        [one, two] if dot(one) && dot(two) => return Segment::Up,
        _ => {}
    }
    let mut name = String::with_capacity(units.len());
    for Unit { byte, .. } in units {
        match CLASSES[usize::from(*byte)] {
            Class::Plain | Class::Dot => name.push(char::from(*byte)),
            Class::Slash | Class::Special => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                name.push('%');
                name.push(char::from(DIGITS[usize::from(byte >> 4)]));
                name.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    Segment::Name(name)
}
