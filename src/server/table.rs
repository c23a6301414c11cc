//! The table of a server's connections: what they share, and how many of them stay awake.
//!
//! Invariant: a connection is counted from the moment it is added until it is dropped, and as awake whenever it is not
//! at rest. The table does not keep a connection alive.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tokio::sync::Notify;

use super::state::Phase;
use super::watched::Watched;

/// How many connections may be awake although nothing is asked on them.
const AWAKE: usize = 64;

/// How many connections are looked at to find one that could rest.
const LOOKS: usize = 8;

/// What the connections of a server share.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Ticks since the server began.
    now: Cell<u32>,
    /// Those that are gone are taken out at the next tick.
    pub(super) connections: RefCell<Vec<Weak<Watched>>>,
    open: Cell<usize>,
    /// Connections that are not at rest.
    awake: Cell<usize>,
    /// Where the next search for one that could rest begins.
    hand: Cell<usize>,
    emptied: Notify,
}

impl Table {
    /// Ticks since the server began.
    pub(super) fn now(&self) -> u32 {
        self.now.get()
    }

    /// A second has passed; the tick that it is now.
    pub(super) fn tick(&self) -> u32 {
        self.now.set(self.now.get().saturating_add(1));
        self.now.get()
    }

    /// A new connection; it counts until it is dropped.
    pub(super) fn add(self: &Rc<Self>) -> Rc<Watched> {
        let watched = Rc::new(Watched::new(Rc::clone(self)));
        self.open.set(self.open.get() + 1);
        self.connections.borrow_mut().push(Rc::downgrade(&watched));
        watched
    }

    /// A connection is gone.
    pub(super) fn remove(&self) {
        self.open.set(self.open.get().saturating_sub(1));
        if self.is_empty() {
            self.emptied.notify_one();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.get() == 0
    }

    /// Waits until the last connection is gone.
    pub(super) async fn emptied(&self) {
        while !self.is_empty() {
            self.emptied.notified().await;
        }
    }

    /// A connection is no longer at rest.
    pub(super) fn woke(&self) {
        self.awake.set(self.awake.get() + 1);
    }

    /// A connection is at rest.
    pub(super) fn rested(&self) {
        self.awake.set(self.awake.get().saturating_sub(1));
    }

    /// Connections that are not at rest.
    #[cfg(test)]
    pub(super) fn awake(&self) -> usize {
        self.awake.get()
    }

    /// Where more connections are awake than need to be, one that waits for its next request rests before its time: a
    /// crowd that asks once each must not cost a read buffer each. The hand goes round, so that a look costs little.
    pub(super) fn spare_one(&self, but: &Watched) {
        if self.awake.get() <= AWAKE {
            return;
        }
        let connections = self.connections.borrow();
        for _ in 0..LOOKS {
            let hand = (self.hand.get() + 1) % connections.len().max(1);
            self.hand.set(hand);
            let Some(other) = connections.get(hand).and_then(Weak::upgrade) else { continue };
            let waits = other.phase() == Phase::Idle && !other.is_at_rest();
            if waits && !std::ptr::eq(&*other, but) {
                other.rest();
                return;
            }
        }
    }
}
