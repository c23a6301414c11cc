//! The connections of a server, and what each is waiting for.
//!
//! Timeouts are kept by one look at all connections a second instead of a timer per connection and request: exact to a
//! second, and the request path pays two stores. Everything here belongs to one thread.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has arrived since it was accepted.
    Fresh,
    /// Nothing has arrived since its last answer.
    Idle,
    /// A request head has begun to arrive.
    Head,
    /// A request is being answered.
    Busy,
}

/// What a connection has been told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// Finish what is being answered, and close; hyper closes an idle connection at once.
    Drain,
    /// Close now.
    Close,
}

/// One connection, as the watch sees it.
#[derive(Debug)]
pub(super) struct Watched {
    phase: Cell<Phase>,
    since: Cell<u64>,
    /// Since when the caller has taken nothing of what we want to write.
    stuck: Cell<Option<u64>>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    watch: Weak<Inner>,
}

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Watch {
    inner: Rc<Inner>,
    header_ticks: u64,
    idle_ticks: u64,
}

#[derive(Debug, Default)]
struct Inner {
    now: Cell<u64>,
    connections: RefCell<Vec<Weak<Watched>>>,
    open: Cell<usize>,
    emptied: Notify,
}

impl Watch {
    pub(super) fn new(header_timeout: Duration, idle_timeout: Duration) -> Self {
        Self { inner: Rc::default(), header_ticks: ticks(header_timeout), idle_ticks: ticks(idle_timeout) }
    }

    /// A new connection; it counts until the handle is dropped.
    pub(super) fn add(&self) -> Rc<Watched> {
        let watched = Rc::new(Watched {
            phase: Cell::new(Phase::Fresh),
            since: Cell::new(self.inner.now.get()),
            stuck: Cell::new(None),
            order: Cell::new(Order::Serve),
            waker: RefCell::default(),
            watch: Rc::downgrade(&self.inner),
        });
        self.inner.open.set(self.inner.open.get() + 1);
        self.inner.connections.borrow_mut().push(Rc::downgrade(&watched));
        watched
    }

    /// A second has passed: connections that have waited too long are closed.
    pub(super) fn tick(&self) {
        let now = self.inner.now.get() + 1;
        self.inner.now.set(now);
        self.inner.connections.borrow_mut().retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            let limit = match connection.phase.get() {
                Phase::Busy => u64::MAX,
                Phase::Fresh | Phase::Head => self.header_ticks,
                Phase::Idle => self.idle_ticks,
            };
            // A caller that reads nothing would hold its answer, and the upstream's connection, for ever.
            let stuck = connection.stuck.get().unwrap_or(now);
            if now.saturating_sub(connection.since.get()) > limit
                || now.saturating_sub(stuck) > self.idle_ticks
            {
                connection.give(Order::Close);
            }
            true
        });
    }

    /// Every connection finishes what it is answering, to the last byte, and closes; at once, if that is nothing.
    pub(super) fn drain(&self) {
        for connection in self.inner.connections.borrow().iter().filter_map(Weak::upgrade) {
            connection.give(Order::Drain);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner.open.get() == 0
    }

    /// Waits until the last connection is gone.
    pub(super) async fn emptied(&self) {
        while !self.is_empty() {
            self.inner.emptied.notified().await;
        }
    }
}

/// A span in whole ticks; zero is for ever.
fn ticks(span: Duration) -> u64 {
    if span.is_zero() { u64::MAX } else { span.as_secs().max(1) }
}

impl Watched {
    /// Bytes have arrived.
    pub(super) fn received(&self) {
        if matches!(self.phase.get(), Phase::Fresh | Phase::Idle) {
            self.enter(Phase::Head);
        }
    }

    /// How writing to the caller went.
    pub(super) fn told<T>(&self, written: &Poll<T>) {
        if written.is_ready() { self.sent() } else { self.stuck() }
    }

    /// The caller has taken bytes. What is left of an answer is still being written when its body is gone.
    fn sent(&self) {
        self.stuck.set(None);
        if self.phase.get() == Phase::Idle {
            self.since.set(self.now());
        }
    }

    /// The caller takes no bytes at the moment.
    fn stuck(&self) {
        if self.stuck.get().is_none() {
            self.stuck.set(Some(self.now()));
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.now());
    }

    fn now(&self) -> u64 {
        self.watch.upgrade().map_or(0, |watch| watch.now.get())
    }

    /// What the connection has been told to do; the waker is woken when that changes.
    pub(super) fn order(&self, waker: &Waker) -> Order {
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
        self.order.get()
    }

    fn give(&self, order: Order) {
        self.order.set(order);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some(watch) = self.watch.upgrade() else { return };
        watch.open.set(watch.open.get().saturating_sub(1));
        if watch.open.get() == 0 {
            watch.emptied.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(connection: &Watched) -> Order {
        connection.order(Waker::noop())
    }

    #[test]
    fn connections_that_wait_too_long_are_closed_and_busy_ones_are_not() {
        let watch = Watch::new(Duration::from_secs(2), Duration::from_secs(5));
        let (silent, slow, idle, busy) = (watch.add(), watch.add(), watch.add(), watch.add());
        slow.received();
        idle.enter(Phase::Idle);
        busy.received();
        busy.enter(Phase::Busy);
        (0..3).for_each(|_| watch.tick());
        assert_eq!(order(&silent), Order::Close);
        assert_eq!(order(&slow), Order::Close);
        assert_eq!(order(&idle), Order::Serve);
        (0..3).for_each(|_| watch.tick());
        assert_eq!(order(&idle), Order::Close);
        assert_eq!(order(&busy), Order::Serve);
    }

    #[test]
    fn a_caller_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let watch = Watch::new(Duration::from_secs(1), Duration::from_secs(2));
        let (deaf, slow, tail) = (watch.add(), watch.add(), watch.add());
        deaf.enter(Phase::Busy);
        slow.enter(Phase::Busy);
        tail.enter(Phase::Idle);
        for _ in 0..4 {
            [&deaf, &slow, &tail].into_iter().for_each(|connection| connection.stuck());
            watch.tick();
            slow.sent();
            tail.sent();
        }
        assert_eq!(order(&deaf), Order::Close);
        assert_eq!((order(&slow), order(&tail)), (Order::Serve, Order::Serve));
    }

    #[test]
    fn a_drain_tells_every_connection_and_closes_none_by_force() {
        let watch = Watch::new(Duration::ZERO, Duration::ZERO);
        let (fresh, busy) = (watch.add(), watch.add());
        busy.enter(Phase::Busy);
        watch.drain();
        assert_eq!((order(&fresh), order(&busy)), (Order::Drain, Order::Drain));
        drop((fresh, busy));
        assert!(watch.is_empty());
    }
}
