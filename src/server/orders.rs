//! What a connection has been told to do, and why it was closed.
//!
//! Invariant: whoever looks for the latest order is woken by the next one; the order to close is the last, and its first
//! cause is kept.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use super::state::{Cause, Order};

/// The orders to one connection.
#[derive(Debug, Default)]
pub(super) struct Orders {
    order: Cell<Order>,
    cause: Cell<Option<Cause>>,
    waker: RefCell<Option<Waker>>,
}

impl Orders {
    /// The latest order, for the connection's task; the waker is woken when that changes.
    pub(super) fn latest(&self, waker: &Waker) -> Order {
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
        self.order.get()
    }

    /// The latest order, for everybody else.
    pub(super) fn given(&self) -> Order {
        self.order.get()
    }

    /// Gives an order; the order to close is the last one.
    pub(super) fn give(&self, order: Order) {
        if self.order.get() != Order::Close {
            self.order.set(order);
            self.wake();
        }
    }

    /// It ends now, and the reason is kept.
    pub(super) fn close(&self, cause: Cause) {
        self.cause.set(self.cause.get().or(Some(cause)));
        self.give(Order::Close);
    }

    /// Why the watch has closed it.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause.get()
    }

    /// The order to rest is carried out, or came too late.
    pub(super) fn rested(&self) {
        if self.order.get() == Order::Rest {
            self.order.set(Order::Serve);
        }
    }

    /// Its task looks around.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}
