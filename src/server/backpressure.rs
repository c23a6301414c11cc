//! How long a caller has taken nothing of what waits for it.
//!
//! Invariant: there are two places to wait, and the longer wait counts: the socket, which takes no bytes, and on HTTP/2
//! the caller's window, which can be full while the socket takes bytes all the while.

use std::cell::Cell;

/// What waits on one connection. Times are ticks of the watch.
#[derive(Debug, Default)]
pub(super) struct Backpressure {
    /// Since when the socket has taken nothing of what we want to write.
    stuck: Cell<Option<u32>>,
    /// HTTP/2 answers that wait for the caller's window, and when one of them got on.
    offered: Cell<u32>,
    progress: Cell<u32>,
}

impl Backpressure {
    /// The socket has taken bytes.
    pub(super) fn taken(&self) {
        self.stuck.set(None);
    }

    /// The socket takes no bytes at the moment.
    pub(super) fn blocked(&self, now: u32) {
        if self.stuck.get().is_none() {
            self.stuck.set(Some(now));
        }
    }

    /// Whether bytes wait that the socket does not take.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.get().is_some()
    }

    /// An answer's bytes wait for the caller's window, or no longer; they did before, or did not.
    pub(super) fn offer(&self, waits: bool, waited: bool, now: u32) {
        let others = self.offered.get().saturating_sub(u32::from(waited));
        self.offered.set(others + u32::from(waits));
        self.progress.set(now);
    }

    /// For how many ticks the caller has taken nothing of what waits; zero if nothing does.
    pub(super) fn lasts(&self, now: u32) -> u32 {
        let held_up = if self.offered.get() == 0 { 0 } else { now.saturating_sub(self.progress.get()) };
        now.saturating_sub(self.stuck.get().unwrap_or(now)).max(held_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_wait_counts_and_ends_when_bytes_are_taken() {
        let held = Backpressure::default();
        assert_eq!(held.lasts(9), 0, "nothing waits");
        held.blocked(10);
        held.blocked(12);
        held.offer(true, false, 13);
        assert_eq!(held.lasts(15), 5, "since the socket was first blocked");
        held.taken();
        assert_eq!(held.lasts(15), 2, "the window is still full");
        held.offer(false, true, 15);
        assert_eq!(held.lasts(20), 0);
    }
}
