//! Chunks, byte by byte between the data (RFC 9112 §7.1).
//!
//! Invariant: lines end with CRLF and nothing else, sizes are hexadecimal digits that fit, extensions and trailers are
//! bounded over the whole body.

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{BodyFault, Limits};

/// Bytes of extensions that all chunks of a body may have together; nobody reads them.
const EXTENSIONS: usize = 16 * 1024;

/// Where in a chunked body the next byte is.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Of the chunk's data.
    left: u64,
    extensions: usize,
    trailers: Vec<u8>,
    limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first digit of a size.
    Size,
    /// Another one, or what may follow it.
    MoreSize,
    /// White space behind a size.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a line behind the last chunk.
    Line,
    Trailer,
    TrailerLf,
    EndLf,
}

/// What is at the front of the buffer now.
#[derive(Debug)]
pub(super) enum Piece {
    /// So many bytes of data.
    Data(usize),
    /// Nothing that is whole.
    More,
    /// Nothing of the body: it is over. Trailers, if there were some.
    End(Option<HeaderMap>),
}

impl Chunked {
    pub(super) fn new(limits: Limits) -> Self {
        Self { state: State::Size, left: 0, extensions: 0, trailers: Vec::new(), limits }
    }

    /// Takes framing off the buffer up to the next piece of data, which the caller takes.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, BodyFault> {
        let mut taken = 0;
        let piece = loop {
            if self.state == State::Data {
                let there = buffer.len() - taken;
                let length = usize::try_from(self.left).map_or(there, |left| left.min(there));
                if length == 0 {
                    break Piece::More;
                }
                self.left -= length as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                break Piece::Data(length);
            }
            let Some(byte) = buffer.get(taken) else { break Piece::More };
            taken += 1;
            if self.step(*byte)? {
                break Piece::End(self.fields()?);
            }
        };
        buffer.advance(taken);
        Ok(piece)
    }

    /// One byte of framing; whether it was the last one of the body.
    fn step(&mut self, byte: u8) -> Result<bool, BodyFault> {
        self.state = match (self.state, byte) {
            (State::Size | State::MoreSize, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let left = self.left.checked_mul(16).and_then(|left| left.checked_add(digit.into()));
                self.left = left.ok_or(BodyFault::Chunk)?;
                State::MoreSize
            }
            (State::MoreSize | State::Space, b' ' | b'\t') => State::Space,
            (State::MoreSize | State::Space, b';') => State::Extension,
            (State::MoreSize | State::Space | State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b'\n') => return Err(BodyFault::Chunk),
            (State::Extension, _) => {
                self.extensions += 1;
                if self.extensions >= EXTENSIONS {
                    return Err(BodyFault::Chunk);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') if self.left == 0 => State::Line,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::Line, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => return Ok(true),
            // Others take a bare line feed for the end of a line, or for a part of it.
            (State::Line | State::Trailer, b'\n') => return Err(BodyFault::Trailers),
            (State::Line | State::Trailer, _) => {
                self.trailer(byte)?;
                if byte == b'\r' { State::TrailerLf } else { State::Trailer }
            }
            (State::TrailerLf, b'\n') => {
                self.trailer(byte)?;
                State::Line
            }
            _ => return Err(BodyFault::Chunk),
        };
        Ok(false)
    }

    fn trailer(&mut self, byte: u8) -> Result<(), BodyFault> {
        if self.trailers.len() >= self.limits.bytes {
            return Err(BodyFault::Trailers);
        }
        self.trailers.push(byte);
        Ok(())
    }

    /// The trailers; none if there are none.
    fn fields(&mut self) -> Result<Option<HeaderMap>, BodyFault> {
        if self.trailers.is_empty() {
            return Ok(None);
        }
        self.trailers.extend_from_slice(b"\r\n");
        let lines = self.trailers.iter().filter(|byte| **byte == b'\n').count();
        // The empty line is no field.
        if lines - 1 > self.limits.fields {
            return Err(BodyFault::Trailers);
        }
        let mut fields = vec![httparse::EMPTY_HEADER; lines];
        let Ok(httparse::Status::Complete((_, read))) = httparse::parse_headers(&self.trailers, &mut fields)
        else {
            return Err(BodyFault::Trailers);
        };
        let mut trailers = HeaderMap::with_capacity(read.len());
        for field in read {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BodyFault::Trailers)?;
            let value = HeaderValue::from_bytes(field.value).map_err(|_| BodyFault::Trailers)?;
            trailers.append(name, value);
        }
        Ok(Some(trailers))
    }
}
