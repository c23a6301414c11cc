//! A request being answered, as a guard.
//!
//! Invariant: a connection is busy as long as one of these is there; when the last is gone it is idle, and perhaps one
//! connection too many is awake.

use std::rc::Rc;

use super::state::Phase;
use super::watched::Watched;

/// A request being answered; dropped when its answer is handed over to the last byte, or nobody waits for it.
#[derive(Debug)]
pub(super) struct Busy(Rc<Watched>);

impl Busy {
    /// A request begins.
    pub(super) fn new(watched: Rc<Watched>, has_body: bool) -> Self {
        watched.answers.begin(has_body);
        watched.presence.asked();
        watched.enter(Phase::Busy);
        Self(watched)
    }

    /// The connection it came on.
    pub(super) fn watched(&self) -> &Watched {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let watched = &self.0;
        if watched.answers.end() {
            watched.enter(Phase::Idle);
            watched.table().spare_one(watched);
        }
    }
}
