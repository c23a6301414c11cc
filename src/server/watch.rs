//! The connections of a server, looked at once a second.
//!
//! Timeouts are kept by one look at all connections a second instead of a timer per connection and request: exact to a
//! second, and the request path pays a few stores. Everything here belongs to one thread.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use super::state::{Cause, Order, Phase, Protocol};
use super::table::Table;
use super::watched::{NEVER, Watched, ticks};
use crate::config::server::Limits;

#[cfg(test)]
mod tests;

/// For how long an idle HTTP/1 connection keeps what it is served with, in ticks: at least one whole second.
const REST_AFTER: u32 = 2;

/// How long a connection may take to end once everything is said: its caller may still be sending.
const LINGER: u32 = 3;

/// How long a caller that has closed its side may wait for bytes of its answer. TCP cannot tell a caller that
/// only sends no more from one that is gone, and an upstream must not work for ever for nobody.
const HALF_CLOSED: u32 = 10;

/// From how many waiting connections one is chosen when there are too many.
const SAMPLE: usize = 64;

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Watch {
    table: Rc<Table>,
    first_byte: u32,
    header: u32,
    idle: u32,
    /// Where the next search for a connection to close begins.
    cursor: Cell<usize>,
    waiting: Cell<usize>,
}

impl Watch {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            table: Rc::default(),
            first_byte: ticks(limits.first_byte_timeout),
            header: ticks(limits.header_timeout),
            idle: ticks(limits.idle_timeout),
            cursor: Cell::new(0),
            waiting: Cell::new(0),
        }
    }

    /// A new connection; it counts until the handle is dropped.
    pub(super) fn add(&self) -> Rc<Watched> {
        self.table.add()
    }

    /// A second has passed: connections that have waited too long are closed.
    pub(super) fn tick(&self) {
        let mut waiting = 0;
        let now = self.table.tick();
        self.table.connections.borrow_mut().retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            self.look(&connection, now);
            waiting += usize::from(connection.is_waiting());
            true
        });
        self.waiting.set(waiting);
    }

    /// How many connections waited without a request when it was looked last: they could make room.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.get()
    }

    fn look(&self, connection: &Watched, now: u32) {
        connection.noise.forget();
        let waited = now.saturating_sub(connection.since());
        let (limit, cause) = match connection.phase() {
            Phase::Fresh => (self.first_byte, Cause::FirstByte),
            Phase::Head => (self.header, Cause::Head),
            Phase::Idle => (self.idle, Cause::Idle),
            Phase::Tunnel => (connection.tunnel_idle(), Cause::TunnelIdle),
            Phase::Linger => (LINGER, Cause::Lingered),
            Phase::Busy if connection.presence.is_doubtful() => (HALF_CLOSED, Cause::Gone),
            Phase::Busy => (NEVER, Cause::Stuck),
        };
        // A caller that reads nothing would hold its answer, and the upstream's connection, for ever.
        let stuck = connection.backpressure.lasts(now);
        let patience = if connection.phase() == Phase::Tunnel { connection.tunnel_idle() } else { self.idle };
        if stuck > patience {
            connection.orders.close(Cause::Stuck);
        } else if waited > limit {
            self.expire(connection, cause);
        } else if connection.is_leaving() && waited > LINGER {
            connection.orders.close(Cause::Idle);
        } else if connection.phase() == Phase::Idle && waited >= REST_AFTER {
            connection.rest();
        } else if connection.presence.is_half_closed() {
            // Whether it has gone meanwhile, the socket says only when asked.
            connection.orders.wake();
        }
    }

    /// An idle HTTP/2 connection is told first (GOAWAY): its caller may be about to open a stream.
    fn expire(&self, connection: &Watched, cause: Cause) {
        let first = connection.protocol() == Protocol::Http2 && connection.orders.given() == Order::Serve;
        if first && cause == Cause::Idle {
            connection.enter(Phase::Idle);
            connection.orders.give(Order::Drain);
        } else {
            connection.orders.close(cause);
        }
    }

    /// Every connection finishes what it is answering, to the last byte, and closes; at once, if that is nothing.
    pub(super) fn drain(&self) {
        for connection in self.table.connections.borrow().iter().filter_map(Weak::upgrade) {
            if connection.phase() == Phase::Idle {
                // From here on the time counts that an HTTP/2 caller has for its farewell.
                connection.enter(Phase::Idle);
            }
            connection.orders.give(Order::Drain);
        }
    }

    /// Makes room for a connection: of some, the one that has waited longest without a request is closed. False if all
    /// of them are busy.
    pub(super) fn evict(&self, newest: &Rc<Watched>) -> bool {
        let connections = self.table.connections.borrow();
        let (count, from) = (connections.len(), self.cursor.get());
        self.cursor.set((from + SAMPLE) % count.max(1));
        let all = (from..from + count).filter_map(|at| connections[at % count].upgrade());
        let waiting = all.filter(|one| one.is_waiting() && !Rc::ptr_eq(one, newest)).take(SAMPLE);
        let oldest = waiting.min_by_key(|one| one.since());
        if let Some(oldest) = &oldest {
            oldest.orders.close(Cause::Crowded);
        }
        oldest.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Waits until the last connection is gone.
    pub(super) async fn emptied(&self) {
        self.table.emptied().await;
    }
}
