//! One connection, as the watch sees it: what it waits for, since when, and what it has been told.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::framing;
use super::noise::Noise;
use super::state::{Cause, Order, Phase, Protocol};
use crate::forward::upload::Progress;

/// Without end.
pub(super) const NEVER: u32 = u32::MAX;

/// How many connections may be awake although nothing is asked on them.
const AWAKE: usize = 64;

/// How many connections are looked at to find one that could rest.
const LOOKS: usize = 8;

/// How long after the beginning of its answer a caller surely knows of it, in ticks: at least one whole second.
const SEEN: u32 = 2;

/// One connection, as the watch sees it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) phase: Cell<Phase>,
    pub(super) order: Cell<Order>,
    pub(super) protocol: Cell<Protocol>,
    cause: Cell<Option<Cause>>,
    pub(super) since: Cell<u32>,
    /// Since when the caller has taken nothing of what we want to write.
    pub(super) stuck: Cell<Option<u32>>,
    /// How long the tunnel may be silent.
    pub(super) tunnel: Cell<u32>,
    /// Requests being answered.
    open: Cell<u32>,
    /// The newest request had a body.
    body: Cell<bool>,
    /// The rest of the newest request, where its answer has come first.
    upload: RefCell<Weak<Progress>>,
    /// When the newest request's answer began.
    begun: Cell<Option<u32>>,
    /// The caller sends no more, but may still read.
    pub(super) half_closed: Cell<bool>,
    /// Bytes were written since then, or since its newest request: had it gone, TCP would say so by an error.
    pub(super) probed: Cell<bool>,
    /// An answer is done but may not have been written to its end.
    unflushed: Cell<bool>,
    /// The head that is being read, as it arrives; hyper bounds it.
    head: RefCell<Vec<u8>>,
    /// Frames since the last tick that ask for nothing.
    pub(super) noise: Noise,
    /// HTTP/2 answers that wait for the caller's window, and when one of them got on.
    offered: Cell<u32>,
    progress: Cell<u32>,
    /// Only the socket is left, until bytes arrive.
    at_rest: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    watch: Rc<Inner>,
}

/// What the connections of a server share.
#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) now: Cell<u32>,
    pub(super) connections: RefCell<Vec<Weak<Watched>>>,
    pub(super) open: Cell<usize>,
    /// Connections that are not at rest.
    pub(super) awake: Cell<usize>,
    /// Where the next search for one that could rest begins.
    hand: Cell<usize>,
    pub(super) emptied: Notify,
}

impl Inner {
    /// Where more connections are awake than need to be, one that waits for its next request rests before its time: a
    /// crowd that asks once each must not cost a read buffer each. The hand goes round, so that a look costs little.
    fn spare_one(&self, but: &Watched) {
        if self.awake.get() <= AWAKE {
            return;
        }
        let connections = self.connections.borrow();
        for _ in 0..LOOKS {
            let hand = (self.hand.get() + 1) % connections.len().max(1);
            self.hand.set(hand);
            let Some(other) = connections.get(hand).and_then(Weak::upgrade) else { continue };
            let waits = other.phase.get() == Phase::Idle && !other.at_rest.get();
            if waits && !std::ptr::eq(&*other, but) {
                other.rest();
                return;
            }
        }
    }
}

/// A span in whole ticks; zero is for ever.
pub(super) fn ticks(span: Duration) -> u32 {
    if span.is_zero() { NEVER } else { u32::try_from(span.as_secs()).unwrap_or(NEVER).max(1) }
}

impl Watched {
    /// One that was just accepted.
    pub(super) fn new(watch: Rc<Inner>) -> Self {
        Self {
            phase: Cell::new(Phase::Fresh),
            order: Cell::new(Order::Serve),
            protocol: Cell::new(Protocol::Http1),
            cause: Cell::new(None),
            since: Cell::new(watch.now.get()),
            stuck: Cell::new(None),
            tunnel: Cell::new(NEVER),
            open: Cell::new(0),
            body: Cell::new(false),
            upload: RefCell::default(),
            begun: Cell::new(None),
            half_closed: Cell::new(false),
            probed: Cell::new(false),
            unflushed: Cell::new(false),
            head: RefCell::default(),
            noise: Noise::default(),
            offered: Cell::new(0),
            progress: Cell::new(0),
            at_rest: Cell::new(true),
            waker: RefCell::default(),
            watch,
        }
    }

    /// Bytes have arrived. On HTTP/2 that says little: a caller can send PING for ever.
    pub(super) fn received(&self) {
        match self.phase.get() {
            Phase::Tunnel => self.since.set(self.now()),
            Phase::Idle if self.still_uploads() => self.since.set(self.now()),
            Phase::Fresh | Phase::Idle if self.protocol.get() == Protocol::Http1 => self.enter(Phase::Head),
            _ => {}
        }
    }

    /// How writing to the caller went.
    pub(super) fn told<T>(&self, written: &Poll<T>) {
        if written.is_ready() { self.sent() } else { self.blocked() }
    }

    /// The caller has taken bytes. What is left of an answer is still being written when its body is gone.
    fn sent(&self) {
        self.stuck.set(None);
        self.probed.set(true);
        let idle = self.phase.get() == Phase::Idle && self.protocol.get() == Protocol::Http1;
        if idle || self.phase.get() == Phase::Tunnel {
            self.since.set(self.now());
        }
    }

    /// The caller takes no bytes at the moment.
    fn blocked(&self) {
        if self.stuck.get().is_none() {
            self.stuck.set(Some(self.now()));
        }
    }

    /// Whether bytes wait that the caller does not take.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.get().is_some()
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.now());
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// From now on HTTP/2 is spoken.
    pub(super) fn is_http2(&self) {
        self.protocol.set(Protocol::Http2);
        self.enter(Phase::Idle);
    }

    /// From now on it is a tunnel, which may be silent for so long.
    pub(super) fn is_tunnel(&self, idle: Duration) {
        self.tunnel.set(ticks(idle));
        self.half_closed.set(false);
        self.enter(Phase::Tunnel);
    }

    /// Only the socket is left, or no longer.
    pub(super) fn set_at_rest(&self, at_rest: bool) {
        if self.at_rest.replace(at_rest) != at_rest {
            let awake = &self.watch.awake;
            awake.set(if at_rest { awake.get().saturating_sub(1) } else { awake.get() + 1 });
        }
        if at_rest {
            self.head.take();
            self.upload.take();
        }
    }

    /// Counts frames that ask for nothing. True if there are too many, and it ends.
    pub(super) fn is_flooded_by(&self, frames: u32) -> bool {
        let flooded = self.noise.add(frames);
        if flooded {
            self.close(Cause::Flood);
        }
        flooded
    }

    /// An answer's bytes wait for the caller's window, or no longer (HTTP/2: the socket may take bytes all the while).
    pub(super) fn offer(&self, waits: bool, waited: bool) {
        let others = self.offered.get().saturating_sub(u32::from(waited));
        self.offered.set(others + u32::from(waits));
        self.progress.set(self.now());
    }

    /// For how many ticks no answer of those that wait for the caller's window has got on.
    pub(super) fn held_up(&self, now: u32) -> u32 {
        if self.offered.get() == 0 { 0 } else { now.saturating_sub(self.progress.get()) }
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    /// A request is being answered until the guard is dropped.
    pub(super) fn start(self: &Rc<Self>, has_body: bool) -> Busy {
        self.body.set(has_body);
        self.open.set(self.open.get() + 1);
        self.begun.set(None);
        self.probed.set(false);
        self.enter(Phase::Busy);
        Busy(Rc::clone(self))
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

    /// The newest request's answer begins.
    pub(super) fn begin(&self) {
        self.begun.set(Some(self.now()));
    }

    /// What hyper wants to write belongs to no answer of ours.
    pub(super) fn is_between_answers(&self) -> bool {
        self.open.get() == 0 && !self.unflushed.get()
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.open.get() > 0
    }

    /// hyper has nothing left to write.
    pub(super) fn flushed(&self) {
        self.unflushed.set(false);
    }

    /// The caller sends no more: gone (true), if its answer began a while ago; it may have ended before that otherwise.
    pub(super) fn end_of_input(&self) -> bool {
        self.half_closed.set(true);
        self.probed.set(false);
        self.since.set(self.now());
        self.begun.get().is_some_and(|begun| self.now().saturating_sub(begun) >= SEEN)
    }

    pub(super) fn is_half_closed(&self) -> bool {
        self.half_closed.get()
    }

    /// Keeps the raw bytes of a head until its request is there.
    pub(super) fn keep_head(&self, bytes: &[u8]) {
        self.head.borrow_mut().extend_from_slice(bytes);
    }

    /// Forgets the head of the newest request; says whether it had a Content-Length where `asks` wants to know.
    pub(super) fn forget_head(&self, asks: bool) -> bool {
        let mut head = self.head.borrow_mut();
        let found = asks && framing::has_length(&head);
        head.clear();
        found
    }

    /// Why the watch has closed it.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause.get()
    }

    fn now(&self) -> u32 {
        self.watch.now.get()
    }

    /// Whether nothing would be lost but a connection.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase.get(), Phase::Fresh | Phase::Idle | Phase::Head | Phase::Linger)
            && self.order.get() != Order::Close
            && !self.still_uploads()
    }

    /// Whether only the farewell of HTTP/2 is left.
    pub(super) fn is_leaving(&self) -> bool {
        self.protocol.get() == Protocol::Http2
            && self.order.get() == Order::Drain
            && self.phase.get() == Phase::Idle
    }

    /// What the connection has been told to do; the waker is woken when that changes.
    pub(super) fn order(&self, waker: &Waker) -> Order {
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
        self.order.get()
    }

    /// The order to rest is carried out, or came too late.
    pub(super) fn rested(&self) {
        if self.order.get() == Order::Rest {
            self.order.set(Order::Serve);
        }
    }

    /// Only the socket is to be kept, if that is possible.
    pub(super) fn rest(&self) {
        let can = self.protocol.get() == Protocol::Http1 && !self.is_stuck() && !self.still_uploads();
        if can && !self.at_rest.get() && self.order.get() == Order::Serve {
            self.give(Order::Rest);
        }
    }

    /// It ends now, and the reason is kept.
    pub(super) fn close(&self, cause: Cause) {
        self.cause.set(self.cause.get().or(Some(cause)));
        self.give(Order::Close);
    }

    /// Gives an order; the order to close is the last one.
    pub(super) fn give(&self, order: Order) {
        if self.order.get() != Order::Close {
            self.order.set(order);
            self.wake();
        }
    }

    /// Its task looks around.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let watch = &self.watch;
        self.set_at_rest(true);
        watch.open.set(watch.open.get().saturating_sub(1));
        if watch.open.get() == 0 {
            watch.emptied.notify_one();
        }
    }
}

/// A request being answered; dropped when its answer is handed over to the last byte, or nobody waits for it.
#[derive(Debug)]
pub(super) struct Busy(Rc<Watched>);

impl Busy {
    /// The connection it came on.
    pub(super) fn watched(&self) -> &Watched {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let watched = &self.0;
        watched.open.set(watched.open.get().saturating_sub(1));
        watched.unflushed.set(true);
        if watched.open.get() == 0 {
            watched.enter(Phase::Idle);
            watched.watch.spare_one(watched);
        }
    }
}
