//! How many frames of HTTP/2 that ask for nothing a caller has sent since the last tick.

use std::cell::Cell;

/// So many there may be in one tick, besides one for each piece of an answer that the caller gets. One that cancels
/// hundreds of requests a second stays far below.
const MOST: u32 = 5000;

/// Frames that ask for nothing.
#[derive(Debug, Default)]
pub(super) struct Noise(Cell<u32>);

impl Noise {
    /// There are so many more. True if there are too many.
    pub(super) fn add(&self, frames: u32) -> bool {
        self.0.set(self.0.get().saturating_add(frames));
        self.0.get() > MOST
    }

    /// A piece of an answer goes out, and one frame is excused: gRPC in Go answers each piece with a PING, to learn how much
    /// the line holds, and on one machine that is tens of thousands a second.
    pub(super) fn excuse(&self) {
        self.0.set(self.0.get().saturating_sub(1));
    }

    /// A tick.
    pub(super) fn forget(&self) {
        self.0.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_for_each_piece_of_an_answer_is_no_flood() {
        let noise = Noise::default();
        for _ in 0..10 * MOST {
            assert!(!noise.add(1));
            noise.excuse();
        }
        assert!((0..=MOST).any(|_| noise.add(1)), "without a piece it is one");
        noise.forget();
        assert!(!noise.add(MOST));
    }
}
