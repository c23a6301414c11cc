//! The body of an answer, taken out of its framing (RFC 9112 §6.3, §7.1).
//!
//! Invariant: what is behind the end of the body stays in the buffer, where it keeps the connection from being used
//! again.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::chunked::{Chunked, Piece};
use super::parse::Length;
use super::{BodyFault, Limits};

/// What is left of a body.
#[derive(Debug)]
pub(super) enum Decoder {
    /// So many bytes.
    Exact(u64),
    /// Chunks.
    Chunked(Box<Chunked>),
    /// What comes until the upstream closes.
    Close,
    /// Nothing: it is over.
    Over,
}

/// What the buffer held.
#[derive(Debug)]
pub(super) enum Decoded {
    /// A piece of the body; there may be more.
    Data(Bytes),
    /// The fields behind the body, which is over.
    Trailers(HeaderMap),
    /// The body is over.
    End,
    /// More bytes are needed.
    More,
}

impl Decoder {
    pub(super) fn of(length: Length, limits: Limits) -> Self {
        match length {
            Length::Exact(0) => Self::Over,
            Length::Exact(left) => Self::Exact(left),
            Length::Chunked => Self::Chunked(Box::new(Chunked::new(limits))),
            Length::Close => Self::Close,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// How many bytes are left, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Exact(left) => Some(*left),
            Self::Over => Some(0),
            Self::Chunked(_) | Self::Close => None,
        }
    }

    /// Takes what it can off the buffer.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, BodyFault> {
        match self {
            Self::Over => Ok(Decoded::End),
            _ if buffer.is_empty() => Ok(Decoded::More),
            Self::Exact(left) => {
                let length = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
                *left -= length as u64;
                if *left == 0 {
                    *self = Self::Over;
                }
                Ok(Decoded::Data(take(buffer, length)))
            }
            Self::Close => {
                let length = buffer.len();
                Ok(Decoded::Data(take(buffer, length)))
            }
            Self::Chunked(chunks) => match chunks.next(buffer)? {
                Piece::Data(length) => Ok(Decoded::Data(take(buffer, length))),
                Piece::More => Ok(Decoded::More),
                Piece::End(trailers) => {
                    *self = Self::Over;
                    Ok(trailers.map_or(Decoded::End, Decoded::Trailers))
                }
            },
        }
    }

    /// The upstream has closed: the end of the body, or too early.
    pub(super) fn close(&mut self) -> Result<(), BodyFault> {
        match self {
            Self::Close | Self::Over => {
                *self = Self::Over;
                Ok(())
            }
            Self::Exact(_) | Self::Chunked(_) => Err(BodyFault::Incomplete),
        }
    }
}

fn take(buffer: &mut BytesMut, length: usize) -> Bytes {
    buffer.split_to(length).freeze()
}

#[cfg(test)]
mod tests;
