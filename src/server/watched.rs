//! One connection, as the watch sees it: what it does, since when, and the parts that know more of it.
//!
//! Invariant: what happens on a connection is told here once, by whoever sees it first, and costs a few stores; what
//! follows from it is decided where the parts are read, by the watch and by the connection's own task.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::answers::Answers;
use super::backpressure::Backpressure;
use super::busy::Busy;
use super::framing::RawHead;
use super::noise::Noise;
use super::orders::Orders;
use super::presence::Presence;
use super::state::{Cause, Order, Phase, Protocol};
use super::table::Table;

/// Without end.
pub(super) const NEVER: u32 = u32::MAX;

/// One connection, as the watch sees it.
#[derive(Debug)]
pub(super) struct Watched {
    phase: Cell<Phase>,
    since: Cell<u32>,
    protocol: Cell<Protocol>,
    /// Only the socket is left, until bytes arrive.
    at_rest: Cell<bool>,
    /// How long the tunnel may be silent.
    tunnel: Cell<u32>,
    pub(super) orders: Orders,
    pub(super) answers: Answers,
    pub(super) presence: Presence,
    pub(super) backpressure: Backpressure,
    /// The head that is being read.
    pub(super) head: RawHead,
    /// Frames since the last tick that ask for nothing.
    pub(super) noise: Noise,
    table: Rc<Table>,
}

/// A span in whole ticks; zero is for ever.
pub(super) fn ticks(span: Duration) -> u32 {
    if span.is_zero() { NEVER } else { u32::try_from(span.as_secs()).unwrap_or(NEVER).max(1) }
}

impl Watched {
    /// One that was just accepted.
    pub(super) fn new(table: Rc<Table>) -> Self {
        Self {
            phase: Cell::new(Phase::Fresh),
            since: Cell::new(table.now()),
            protocol: Cell::new(Protocol::Http1),
            at_rest: Cell::new(true),
            tunnel: Cell::new(NEVER),
            orders: Orders::default(),
            answers: Answers::default(),
            presence: Presence::default(),
            backpressure: Backpressure::default(),
            head: RawHead::default(),
            noise: Noise::default(),
            table,
        }
    }

    /// The table it stands in.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    fn now(&self) -> u32 {
        self.table.now()
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.stir();
    }

    /// Something has happened: the time that it has waited begins anew.
    fn stir(&self) {
        self.since.set(self.now());
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The tick since which it has waited in its phase.
    pub(super) fn since(&self) -> u32 {
        self.since.get()
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    /// From now on HTTP/2 is spoken.
    pub(super) fn is_http2(&self) {
        self.protocol.set(Protocol::Http2);
        self.enter(Phase::Idle);
    }

    /// From now on it is a tunnel, which may be silent for so long.
    pub(super) fn is_tunnel(&self, idle: Duration) {
        self.tunnel.set(ticks(idle));
        self.presence.forget_end();
        self.enter(Phase::Tunnel);
    }

    /// How long the tunnel may be silent, in ticks.
    pub(super) fn tunnel_idle(&self) -> u32 {
        self.tunnel.get()
    }

    /// Bytes have arrived. On HTTP/2 that says little: a caller can send PING for ever.
    pub(super) fn received(&self) {
        match self.phase.get() {
            Phase::Tunnel => self.stir(),
            Phase::Idle if self.answers.still_uploads() => self.stir(),
            Phase::Fresh | Phase::Idle if self.protocol.get() == Protocol::Http1 => self.enter(Phase::Head),
            _ => {}
        }
    }

    /// How writing to the caller went.
    pub(super) fn told<T>(&self, written: &Poll<T>) {
        if written.is_ready() { self.sent() } else { self.backpressure.blocked(self.now()) }
    }

    /// The caller has taken bytes. What is left of an answer is still being written when its body is gone.
    fn sent(&self) {
        self.backpressure.taken();
        self.presence.written();
        let idle = self.phase.get() == Phase::Idle && self.protocol.get() == Protocol::Http1;
        if idle || self.phase.get() == Phase::Tunnel {
            self.stir();
        }
    }

    /// An answer's bytes wait for the caller's window, or no longer (HTTP/2: the socket may take bytes all the while).
    pub(super) fn offer(&self, waits: bool, waited: bool) {
        self.backpressure.offer(waits, waited, self.now());
    }

    /// Counts frames that ask for nothing. True if there are too many, and it ends.
    pub(super) fn is_flooded_by(&self, frames: u32) -> bool {
        let flooded = self.noise.add(frames);
        if flooded {
            self.orders.close(Cause::Flood);
        }
        flooded
    }

    /// A request is being answered until the guard is dropped.
    pub(super) fn start(self: &Rc<Self>, has_body: bool) -> Busy {
        Busy::new(Rc::clone(self), has_body)
    }

    /// The newest request's answer begins.
    pub(super) fn begin(&self) {
        self.presence.answered(self.now());
    }

    /// The caller sends no more: gone (true), if its answer began a while ago; it may have ended before that otherwise.
    pub(super) fn end_of_input(&self) -> bool {
        self.stir();
        self.presence.end_of_input(self.now())
    }

    /// Whether nothing would be lost but a connection.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase.get(), Phase::Fresh | Phase::Idle | Phase::Head | Phase::Linger)
            && self.orders.given() != Order::Close
            && !self.answers.still_uploads()
    }

    /// Whether only the farewell of HTTP/2 is left.
    pub(super) fn is_leaving(&self) -> bool {
        self.protocol.get() == Protocol::Http2
            && self.orders.given() == Order::Drain
            && self.phase.get() == Phase::Idle
    }

    /// Only the socket is to be kept, if that is possible.
    pub(super) fn rest(&self) {
        let can = self.protocol.get() == Protocol::Http1
            && !self.backpressure.is_stuck()
            && !self.answers.still_uploads();
        if can && !self.at_rest.get() && self.orders.given() == Order::Serve {
            self.orders.give(Order::Rest);
        }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.at_rest.get()
    }

    /// Only the socket is left, or no longer.
    pub(super) fn set_at_rest(&self, at_rest: bool) {
        if self.at_rest.replace(at_rest) != at_rest {
            if at_rest { self.table.rested() } else { self.table.woke() }
        }
        if at_rest {
            self.head.free();
            self.answers.forget_upload();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.set_at_rest(true);
        self.table.remove();
    }
}
