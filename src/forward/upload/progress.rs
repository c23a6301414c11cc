//! How far an upload is: what its sender tells those who wait for the answer, and whoever watches the connections.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::kept::{Keep, Kept};
use super::{UploadError, UploadRules};
use crate::forward::ticker::Ticker;
use crate::forward::trailers::TrailerRule;

/// What the sender of a body tells those who wait for an answer.
#[derive(Debug)]
pub struct Progress {
    kept: RefCell<Keep>,
    /// The whole body has been handed to the connection.
    done: Cell<bool>,
    /// It ended too early: the caller is gone.
    pub(super) broken: Cell<bool>,
    /// How many bytes may still come.
    left: Cell<u64>,
    too_large: Cell<bool>,
    trailers: Option<TrailerRule>,
    /// The answer is over, and whoever waits for more of a body that goes up on a stream of many is to be woken.
    answered: Cell<bool>,
    /// It goes up on one stream of many, which stays open as long as it does.
    multiplexed: Cell<bool>,
    held: RefCell<Option<Waker>>,
    ticker: Rc<Ticker>,
    /// The connection asked for more and the caller has not sent it yet.
    waits_for_caller: Cell<bool>,
    last: Cell<Instant>,
}

impl Progress {
    /// Nothing has been sent yet of a body that has at least `length` bytes.
    pub(super) fn new(rules: UploadRules, length: u64, ticker: &Rc<Ticker>) -> Self {
        Self {
            kept: RefCell::new(Keep::of(rules.keep, length)),
            done: Cell::new(false),
            broken: Cell::new(false),
            left: Cell::new(if rules.limit == 0 { u64::MAX } else { rules.limit }),
            too_large: Cell::new(false),
            trailers: rules.trailers,
            answered: Cell::new(false),
            multiplexed: Cell::new(false),
            held: RefCell::default(),
            waits_for_caller: Cell::new(false),
            last: Cell::new(ticker.now()),
            ticker: Rc::clone(ticker),
        }
    }

    /// Whether the whole body has been handed over.
    pub fn is_done(&self) -> bool {
        self.done.get()
    }

    /// Whether the caller went away before the end.
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Whether it was broken off because it is larger than it may be.
    pub fn is_too_large(&self) -> bool {
        self.too_large.get()
    }

    /// The answer is over: a body that goes up on one stream of many is given up, and its stream with it.
    pub fn answer_is_over(&self) {
        self.answered.set(true);
        if let Some(held) = self.held.take() {
            held.wake();
        }
    }

    /// Whether it is the caller who keeps the upload waiting.
    pub fn waits_for_caller(&self) -> bool {
        self.waits_for_caller.get()
    }

    /// When the upload last moved, by its worker's clock.
    pub fn last(&self) -> Instant {
        self.last.get()
    }

    /// The whole body, if it was kept whole; its chunks are shared, not copied.
    pub fn kept(&self) -> Option<Kept> {
        if self.done.get() { self.kept.borrow().kept() } else { None }
    }

    /// It goes up on one stream of many.
    pub(super) fn multiplex(&self) {
        self.multiplexed.set(true);
    }

    /// Whether nobody wants the rest any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.answered.get() && self.multiplexed.get()
    }

    /// The caller has not sent yet what the connection asks for.
    pub(super) fn waits(&self, waker: &Waker) {
        self.waits_for_caller.set(true);
        if self.multiplexed.get() {
            *self.held.borrow_mut() = Some(waker.clone());
        }
    }

    /// The caller has sent something, if only an end.
    pub(super) fn moves(&self) {
        self.waits_for_caller.set(false);
    }

    pub(super) fn arrived(&self, chunk: &Bytes) -> Result<(), UploadError> {
        self.last.set(self.ticker.now());
        let Some(left) = self.left.get().checked_sub(chunk.len() as u64) else {
            self.too_large.set(true);
            return Err(UploadError::TooLarge);
        };
        self.left.set(left);
        self.kept.borrow_mut().chunk(chunk);
        Ok(())
    }

    /// Trailers end a body; what may pass of them is kept with it.
    pub(super) fn trailed(&self, trailers: HeaderMap) -> Option<HeaderMap> {
        self.ended();
        let trailers = self.trailers.as_ref()?.filter(trailers)?;
        self.kept.borrow_mut().trailers(&trailers);
        Some(trailers)
    }

    pub(super) fn ended(&self) {
        self.last.set(self.ticker.now());
        self.done.set(true);
        self.waits_for_caller.set(false);
    }
}
