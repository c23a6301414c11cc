//! What a token service has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// Tokens issued and requests refused by one token service since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tokens given out.
    pub issued: u64,
    /// Requests that got anything but a token, each kind of mistake counted alike.
    pub refused: u64,
}

/// The counting side of [`Counts`].
#[derive(Debug, Default)]
pub(super) struct Counter {
    issued: AtomicU64,
    refused: AtomicU64,
}

impl Counter {
    /// Counts one answer of the token service.
    pub(super) fn count(&self, status: StatusCode) {
        let counter = if status.is_success() { &self.issued } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures now.
    pub(super) fn read(&self) -> Counts {
        Counts { issued: self.issued.load(Ordering::Relaxed), refused: self.refused.load(Ordering::Relaxed) }
    }
}
