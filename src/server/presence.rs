//! Whether a caller that sends no more is still there.
//!
//! TCP cannot tell a caller that has closed its side and still reads from one that is gone: only bytes that we write
//! show it, by an error. Invariant: doubt lasts from the end of input until bytes are written, and comes back with the
//! next request.

use std::cell::Cell;

/// How long after the beginning of its answer a caller surely knows of it, in ticks: at least one whole second.
const SEEN: u32 = 2;

/// What is known of the caller of one connection. Times are ticks of the watch.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// When the newest request's answer began.
    begun: Cell<Option<u32>>,
    /// The caller sends no more, but may still read.
    half_closed: Cell<bool>,
    /// Bytes were written since then, or since its newest request: had it gone, TCP would say so by an error.
    probed: Cell<bool>,
}

impl Presence {
    /// A request begins.
    pub(super) fn asked(&self) {
        self.begun.set(None);
        self.probed.set(false);
    }

    /// The newest request's answer begins.
    pub(super) fn answered(&self, now: u32) {
        self.begun.set(Some(now));
    }

    /// Bytes were written to the caller.
    pub(super) fn written(&self) {
        self.probed.set(true);
    }

    /// The caller sends no more: gone (true), if its answer began a while ago; it may have ended before that otherwise.
    pub(super) fn end_of_input(&self, now: u32) -> bool {
        self.half_closed.set(true);
        self.probed.set(false);
        self.begun.get().is_some_and(|begun| now.saturating_sub(begun) >= SEEN)
    }

    /// What was said about the end of input holds no longer: a tunnel looks for itself.
    pub(super) fn forget_end(&self) {
        self.half_closed.set(false);
    }

    pub(super) fn is_half_closed(&self) -> bool {
        self.half_closed.get()
    }

    /// Whether the caller sends no more, and nothing that was written since could show that it is gone.
    pub(super) fn is_doubtful(&self) -> bool {
        self.half_closed.get() && !self.probed.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_begins_with_the_end_and_is_over_once_bytes_are_written() {
        let presence = Presence::default();
        assert!(!presence.is_doubtful());
        assert!(!presence.end_of_input(0) && presence.is_doubtful());
        presence.written();
        assert!(presence.is_half_closed() && !presence.is_doubtful());
        presence.asked();
        assert!(presence.is_doubtful(), "what was written belongs to the request before");
    }

    #[test]
    fn an_end_long_after_the_beginning_of_an_answer_means_gone() {
        let presence = Presence::default();
        presence.answered(5);
        assert!(!presence.end_of_input(5 + SEEN - 1));
        assert!(presence.end_of_input(5 + SEEN));
        presence.asked();
        assert!(!presence.end_of_input(100), "the next answer has not begun");
    }
}
