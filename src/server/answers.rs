//! The answers under way on a connection, and what may still come of the newest request behind its answer.
//!
//! Invariant: bytes that we did not ask hyper to write are told from ours by these counts alone: an answer is open until
//! its body is gone, and unflushed until hyper has nothing left to write.

use std::cell::{Cell, RefCell};
use std::rc::Weak;

use crate::forward::upload::Progress;

/// The answers of one connection.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Requests being answered.
    open: Cell<u32>,
    /// An answer is done but may not have been written to its end.
    unflushed: Cell<bool>,
    /// The newest request had a body.
    body: Cell<bool>,
    /// The rest of the newest request, where its answer has come first.
    upload: RefCell<Weak<Progress>>,
}

impl Answers {
    /// A request is being answered.
    pub(super) fn begin(&self, has_body: bool) {
        self.body.set(has_body);
        self.open.set(self.open.get() + 1);
    }

    /// An answer is handed over to the last byte, or nobody waits for it. True if no other is open.
    pub(super) fn end(&self) -> bool {
        self.open.set(self.open.get().saturating_sub(1));
        self.unflushed.set(true);
        self.open.get() == 0
    }

    /// hyper has nothing left to write.
    pub(super) fn flushed(&self) {
        self.unflushed.set(false);
    }

    /// Whether a request is being answered.
    pub(super) fn is_open(&self) -> bool {
        self.open.get() > 0
    }

    /// What hyper wants to write belongs to no answer of ours.
    pub(super) fn is_between(&self) -> bool {
        self.open.get() == 0 && !self.unflushed.get()
    }

    /// Whether the newest request had a body, which may not have been read to its end.
    pub(super) fn had_body(&self) -> bool {
        self.body.get()
    }

    /// What may still come of the newest request's body when its answer is over.
    pub(super) fn goes_on(&self, upload: Weak<Progress>) {
        self.upload.replace(upload);
    }

    /// Whether bytes that arrive between two answers belong to the body of the last request, and not to the next head.
    pub(super) fn still_uploads(&self) -> bool {
        self.body.get() && self.upload.borrow().upgrade().is_some_and(|upload| !upload.is_done())
    }

    /// Nothing comes of the newest request any more.
    pub(super) fn forget_upload(&self) {
        self.upload.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_belongs_to_an_answer_until_it_is_flushed() {
        let answers = Answers::default();
        assert!(answers.is_between());
        answers.begin(false);
        answers.begin(true);
        assert!(!answers.end() && answers.is_open() && !answers.is_between(), "the other is open");
        assert!(answers.end() && !answers.is_open() && !answers.is_between(), "its tail may wait");
        answers.flushed();
        assert!(answers.is_between());
    }
}
