//! A body that is kept while it goes up, so that it can be sent again.
//!
//! Invariant: it is kept whole or not at all, and costs no more than the room that there was for it.

use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

/// What keeping a piece of a body costs at least, in bytes: many tiny ones must not cost many times their size.
const PIECE: usize = 64;

/// A body that was kept whole.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    chunks: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Kept {
    /// These chunks.
    #[cfg(test)]
    pub(in crate::forward) fn of(chunks: Vec<Bytes>) -> Self {
        Self { chunks: chunks.into(), trailers: None }
    }

    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        let chunk = self.chunks.pop_front().map(Frame::data);
        chunk.or_else(|| self.trailers.take().map(Frame::trailers))
    }

    pub(super) fn is_over(&self) -> bool {
        self.chunks.is_empty() && self.trailers.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.chunks.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

/// The chunks so far, while there is room for them.
#[derive(Debug)]
pub(super) enum Keep {
    Room(Kept, usize),
    Nothing,
}

impl Keep {
    /// Keeps at most so many bytes of a body that has at least `length`.
    pub(super) fn of(room: usize, length: u64) -> Self {
        let fits = room > 0 && length <= room as u64;
        if fits { Self::Room(Kept::default(), room) } else { Self::Nothing }
    }

    pub(super) fn chunk(&mut self, chunk: &Bytes) {
        if let Self::Room(kept, room) = self {
            match room.checked_sub(chunk.len().max(PIECE)) {
                Some(left) => {
                    *room = left;
                    kept.chunks.push_back(chunk.clone());
                }
                None => *self = Self::Nothing,
            }
        }
    }

    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Self::Room(kept, _) = self {
            kept.trailers = Some(trailers.clone());
        }
    }

    /// What is kept; its chunks are shared, not copied.
    pub(super) fn kept(&self) -> Option<Kept> {
        match self {
            Self::Room(kept, _) => Some(kept.clone()),
            Self::Nothing => None,
        }
    }
}
