//! A path decoded as far as any backend decodes: each byte, and how it was spelled.

use super::Ambiguous;

/// A byte of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub(super) byte: u8,
    /// How often it has to be decoded to be seen: 0 for a plain byte, 1 for `%2F`, 2 for `%252F`.
    pub(super) escapes: u8,
    /// Whether it is seen only by who reads UTF-8 that is longer than it may be (RFC 3629 §3).
    pub(super) overlong: bool,
}

/// All bytes of a path.
pub(super) type Units = Vec<Unit>;

/// Nobody decodes as often as this, and each time is a pass over the path.
const MOST_ESCAPES: u8 = 4;

/// Decodes a path; a `%` that begins no escape is refused.
pub(super) fn decode(path: &[u8]) -> Result<Units, Ambiguous> {
    let plain = |byte: &u8| Unit { byte: *byte, escapes: 0, overlong: false };
    let mut units: Units = path.iter().map(plain).collect();
    for escapes in 1..=MOST_ESCAPES {
        if !decode_once(&mut units, escapes)? {
            shorten(&mut units);
            return Ok(units);
        }
    }
    Err(Ambiguous)
}

/// Replaces every escape by its byte; whether there was one.
fn decode_once(units: &mut Units, escapes: u8) -> Result<bool, Ambiguous> {
    let (mut read, mut write) = (0, 0);
    while let Some(unit) = units.get(read).copied() {
        let byte = if unit.byte == b'%' { escape(units, read) } else { None };
        let (unit, length) = match byte {
            Some(byte) => (Unit { byte, escapes, overlong: false }, 3),
            None if unit.byte == b'%' && unit.escapes == 0 => return Err(Ambiguous),
            None => (unit, 1),
        };
        if let Some(place) = units.get_mut(write) {
            *place = unit;
        }
        read += length;
        write += 1;
    }
    units.truncate(write);
    Ok(write < read)
}

/// The byte of the escape that begins at a percent sign.
fn escape(units: &[Unit], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(units.get(at)?.byte).to_digit(16);
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

/// Replaces every sequence that a lenient decoder reads as an ASCII character by that character.
fn shorten(units: &mut Units) {
    if units.iter().all(|unit| unit.byte < 0xC0) {
        return;
    }
    let (mut read, mut write) = (0, 0);
    while let Some(unit) = units.get(read).copied() {
        let (unit, length) = match overlong(&units[read..]) {
            Some((byte, length)) => {
                // As often as the byte of it that is hidden deepest.
                let hidden = units[read..read + length].iter().map(|unit| unit.escapes);
                (Unit { byte, escapes: hidden.max().unwrap_or(unit.escapes), overlong: true }, length)
            }
            None => (unit, 1),
        };
        units[write] = unit;
        read += length;
        write += 1;
    }
    units.truncate(write);
}

/// The ASCII character that an overlong sequence at the beginning stands for, and its length. A single byte that is no
/// UTF-8 is data in another encoding (`%FC` is ü in Latin-1), unless it swallows an escaped separator or dot.
fn overlong(units: &[Unit]) -> Option<(u8, usize)> {
    let byte = |at: usize| units.get(at).map(|unit| unit.byte);
    let length = match byte(0)? {
        0xC0 | 0xC1 => 2,
        0xE0 => 3,
        0xF0 => 4,
        0xF8 => 5,
        0xFC => 6,
        _ => return None,
    };
    let last = byte(length - 1)?;
    // The bits before the last six: what is left of them is the seventh bit.
    let high = if length == 2 { byte(0)? & 1 } else { byte(length - 2)?.wrapping_sub(0x80) };
    let zeros = (1..length.max(3) - 2).all(|at| byte(at) == Some(0x80));
    let meant = (high << 6 & 0x40) | (last & 0x3F);
    let well_formed = (0x80..=0xBF).contains(&last);
    let swallows = matches!(meant, b'/' | b'\\' | b'.') && units.get(length - 1)?.escapes > 0;
    (high <= 1 && zeros && (well_formed || swallows)).then_some((meant, length))
}
