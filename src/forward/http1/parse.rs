//! The head of an answer (RFC 9112 §4, §5), and what it says of its body and its connection (§6.3, §9.3).
//!
//! Invariant: what could be read in two ways is not read at all.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;

use super::Limits;
use crate::forward::ForwardError;

/// How many fields are read without allocating for it.
const CHEAP_FIELDS: usize = 100;

/// More than this many fields are rare.
const USUAL_FIELDS: usize = 32;

/// The longest body that a length may announce: what is longer could not be counted.
const LONGEST: u64 = u64::MAX - 2;

/// A head.
#[derive(Debug)]
pub(super) struct Head {
    /// Status, version, fields, and the reason phrase if it is not the usual one.
    pub(super) response: Response<()>,
    /// Where its body ends.
    pub(super) length: Length,
    /// The connection may carry another exchange after this one, as far as the head says.
    pub(super) keep: bool,
}

/// Where the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// After so many bytes.
    Exact(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// HEAD: the answer has no body, whatever its head says.
    Head,
    /// Anything else.
    Other,
}

/// Takes a head off the buffer, if it is there as a whole; its fields go into the spare map, which is empty.
pub(super) fn head(
    buffer: &mut BytesMut,
    asked: Asked,
    limits: Limits,
    spare: &mut HeaderMap,
) -> Result<Option<Head>, ForwardError> {
    let mut few = [const { MaybeUninit::uninit() }; CHEAP_FIELDS];
    let mut many = Vec::new();
    let room = match few.get_mut(..limits.fields) {
        Some(room) => room,
        None => {
            many.resize_with(limits.fields, MaybeUninit::uninit);
            &mut many[..]
        }
    };
    let mut read = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut read, buffer, room) {
        Ok(httparse::Status::Complete(length)) if length <= limits.bytes => length,
        Ok(httparse::Status::Partial) if buffer.len() <= limits.bytes => return Ok(None),
        Ok(_) => return Err(ForwardError::HeadTooLarge(format!("more than {} bytes", limits.bytes))),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(ForwardError::HeadTooLarge(format!("more than {} fields", limits.fields)));
        }
        Err(error) => return Err(ForwardError::Invalid(error.to_string())),
    };
    let mut response = Response::new(());
    *response.status_mut() = status(read.code)?;
    *response.version_mut() = if read.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    if let Some(reason) = read.reason.filter(|reason| Some(*reason) != response.status().canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    let mut places = Places::new(read.headers.len());
    places.note(read.headers, buffer);
    let bytes = buffer.split_to(length).freeze();
    std::mem::swap(response.headers_mut(), spare);
    let notes = places.fill(response.headers_mut(), &bytes)?;
    let (length, keep) = notes.framing(&response, asked)?;
    Ok(Some(Head { response, length, keep }))
}

/// Three digits of a class that exists (RFC 9110 §15).
fn status(code: Option<u16>) -> Result<StatusCode, ForwardError> {
    code.filter(|code| (100..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| ForwardError::Invalid("a status outside of 100 to 599".to_owned()))
}

/// Where the names and values of a head are in its bytes.
struct Places {
    few: [Place; USUAL_FIELDS],
    many: Vec<Place>,
    count: usize,
}

/// Begin and end of a name, begin and end of its value.
type Place = [usize; 4];

impl Places {
    fn new(count: usize) -> Self {
        let many = if count > USUAL_FIELDS { vec![[0; 4]; count] } else { Vec::new() };
        Self { few: [[0; 4]; USUAL_FIELDS], many, count }
    }

    /// Not by value, here and below: this is a kilobyte.
    fn note(&mut self, fields: &[httparse::Header<'_>], bytes: &[u8]) {
        let start = bytes.as_ptr() as usize;
        for (place, field) in self.all_mut().iter_mut().zip(fields) {
            let name = (field.name.as_ptr() as usize).saturating_sub(start);
            let value = (field.value.as_ptr() as usize).saturating_sub(start);
            let end = value + field.value.len();
            // An empty value may point anywhere.
            *place = [name, name + field.name.len(), if field.value.is_empty() { end } else { value }, end];
        }
    }

    fn all_mut(&mut self) -> &mut [Place] {
        if self.many.is_empty() { &mut self.few[..self.count] } else { &mut self.many }
    }

    /// Puts the fields into a map; what they say of the body and the connection.
    fn fill(&mut self, headers: &mut HeaderMap, bytes: &Bytes) -> Result<Notes, ForwardError> {
        let mut notes = Notes::default();
        headers.reserve(self.count);
        for [name, name_end, value, value_end] in self.all_mut().iter().copied() {
            let name = HeaderName::from_bytes(&bytes[name..name_end]);
            let name = name.map_err(|_| ForwardError::Invalid("a field name".to_owned()))?;
            let value = if value == value_end { Bytes::new() } else { bytes.slice(value..value_end) };
            let value = HeaderValue::from_maybe_shared(value);
            let value = value.map_err(|_| ForwardError::Invalid("a field value".to_owned()))?;
            if notes.field(&name, &value) == Fate::Passed {
                headers.append(name, value);
            }
        }
        Ok(notes)
    }
}

/// What a head's fields say about its body and its connection, noticed as they pass.
#[derive(Default)]
struct Notes {
    lengths: Announced,
    codings: usize,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

/// What all `Content-Length` lines and their members say.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Announced {
    #[default]
    Nothing,
    Length(u64),
    /// Different lengths, or none at all (RFC 9112 §6.3).
    Nonsense,
}

/// What becomes of a field.
#[derive(PartialEq, Eq)]
enum Fate {
    Passed,
    /// Its whole meaning is noted.
    Taken,
}

impl Notes {
    fn field(&mut self, name: &HeaderName, value: &HeaderValue) -> Fate {
        // Most names are ruled out by their length.
        match name.as_str().len() {
            14 if *name == CONTENT_LENGTH => self.lengths.add(value.as_bytes()),
            17 if *name == TRANSFER_ENCODING => {
                self.codings += 1;
                self.chunked = value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
            }
            10 if *name == CONNECTION => {
                let options = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                let mut others = false;
                for option in options {
                    match option {
                        close if close.eq_ignore_ascii_case(b"close") => self.close = true,
                        keep if keep.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                        _ => others = true,
                    }
                }
                if !others {
                    return Fate::Taken;
                }
            }
            _ => {}
        }
        Fate::Passed
    }

    /// Where the body ends (RFC 9112 §6.3), and whether the connection is of use after that.
    fn framing(&self, response: &Response<()>, asked: Asked) -> Result<(Length, bool), ForwardError> {
        let old = response.version() == Version::HTTP_10;
        let ends = self.close || (old && !self.keep_alive);
        // With both a coding and a length, one of them is a lie: not used again (RFC 9112 §6.3).
        let keep = !ends && (self.codings == 0 || self.lengths == Announced::Nothing);
        let status = response.status();
        let silent = status.is_informational() || status == StatusCode::NO_CONTENT;
        if silent || asked == Asked::Head || status == StatusCode::NOT_MODIFIED {
            // What passes on says how long another answer would be: it must be one length all the same.
            if self.codings == 0 && !silent {
                self.lengths.agreed()?;
            }
            return Ok((Length::Exact(0), keep && status != StatusCode::SWITCHING_PROTOCOLS));
        }
        if self.codings > 0 {
            if old || self.codings > 1 || !self.chunked {
                return Err(ForwardError::Invalid("a transfer coding other than chunked".to_owned()));
            }
            return Ok((Length::Chunked, keep));
        }
        Ok(match self.lengths.agreed()? {
            Some(length) => (Length::Exact(length), keep),
            None => (Length::Close, false),
        })
    }
}

impl Announced {
    /// The length, if there is one.
    fn agreed(self) -> Result<Option<u64>, ForwardError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Length(length) if length <= LONGEST => Ok(Some(length)),
            _ => Err(ForwardError::Invalid("a Content-Length".to_owned())),
        }
    }

    /// One line more, which may be a list.
    fn add(&mut self, line: &[u8]) {
        for member in line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            *self = match (*self, number(member)) {
                (Self::Nothing, Some(length)) => Self::Length(length),
                (Self::Length(before), Some(length)) if before == length => Self::Length(length),
                _ => Self::Nonsense,
            };
        }
    }
}

/// Digits, and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests;
