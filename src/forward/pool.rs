//! A worker's connections to upstreams.
//!
//! Invariant: an HTTP/1.1 connection is given back only when request and answer were both complete, and a request is sent
//! a second time here only when not a byte of it was written. The pool belongs to one worker thread: nothing here is
//! shared.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::Response;
use http::header::UPGRADE;
use http::request::Parts;
use tokio::time::Instant;

use super::dial::{Protocol, Target, Upstream};
use super::http1::Buffers;
use super::upload::Upload;
use crate::config::route::PoolConfig;

mod answer;
mod counted;
mod failure;
mod head;
mod http1;
mod http2;
mod shared;
mod ticket;

pub use answer::{AnswerBody, AnswerFault};
pub use failure::{SendError, Sent};
pub use head::HeadLimits;
pub use ticket::Ticket;

/// The connections of one worker.
#[derive(Debug)]
pub struct Pool {
    peers: RefCell<HashMap<u64, Peer, BuildHasherDefault<Identity>>>,
    head: HeadLimits,
    buffers: Rc<Buffers>,
    /// The last moment that somebody asked the clock for.
    seen: Cell<Instant>,
}

/// What there is to one upstream. It exists as long as the upstream does.
#[derive(Debug)]
struct Peer {
    target: Weak<Target>,
    config: PoolConfig,
    idle: Vec<http1::Idle>,
    shared: Vec<Rc<http2::Http2>>,
    waiting: shared::Waiting,
}

/// Which connection a request may go out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Any.
    Kept,
    /// None that was there at that moment: a second attempt must not meet another connection that is gone as well.
    NewerThan(Instant),
}

/// An answer's head and body, and the connection it came on.
#[derive(Debug)]
pub struct Exchange {
    /// The answer, untouched.
    pub response: Response<AnswerBody>,
    /// For the end of the body.
    pub ticket: Ticket,
    /// How many kept connections turned out to be gone before one worked.
    pub stale: u32,
}

impl Pool {
    /// An empty pool.
    pub fn new(head: HeadLimits) -> Rc<Self> {
        Rc::new(Self {
            peers: RefCell::default(),
            head,
            buffers: Rc::default(),
            seen: Cell::new(Instant::now()),
        })
    }

    /// What the next exchanges may use again of one that is over.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Sends a request in the form of HTTP/1.1 (origin-form, Host) in whatever protocol the upstream speaks; the answer's
    /// head comes back, its body streams. The head is borrowed: it may have to be sent again; the body is taken. A request
    /// with `Upgrade` goes out as HTTP/1.1 wherever that is allowed. `now` is the time, for the age of connections.
    pub async fn send(
        self: &Rc<Self>,
        upstream: &Upstream,
        request: &Parts,
        upload: &mut Upload,
        reuse: Reuse,
        now: Instant,
    ) -> Result<Exchange, SendError> {
        self.seen.set(now);
        let target = upstream.target();
        let http1 = target.protocol() == Protocol::Http1
            || (target.speaks_http1() && request.headers.contains_key(UPGRADE));
        if http1 {
            self.send_http1(upstream, request, upload, reuse).await
        } else {
            // Boxed: requests over HTTP/1.1 would carry room for it.
            Box::pin(self.send_shared(upstream, request, std::mem::take(upload), reuse)).await
        }
    }

    /// Closes connections that have been idle or alive for too long, and all to upstreams that a reload has taken away; a
    /// worker calls it once a second.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.seen.set(now);
        self.peers.borrow_mut().retain(|_, peer| {
            peer.idle.retain_mut(|idle| idle.is_good(now));
            peer.shared.retain(|connection| connection.is_kept(now));
            peer.target.strong_count() > 0
        });
    }

    /// Makes room for an upstream.
    fn enter(&self, id: u64, target: &Arc<Target>) {
        self.peers.borrow_mut().entry(id).or_insert_with(|| Peer {
            target: Arc::downgrade(target),
            config: target.pool,
            idle: Vec::new(),
            shared: Vec::new(),
            waiting: Vec::new(),
        });
    }
}

/// When a connection that is new now is not used any more; ten percent more or less, so that connections that were
/// dialled together are not all dialled again together. Zero is for ever.
fn dies(config: &PoolConfig) -> Option<Instant> {
    let age = config.max_age.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
    (!age.is_zero()).then(|| Instant::now() + age)
}

/// How long a connection may be idle; zero is for ever.
fn idle_limit(config: &PoolConfig) -> Option<Duration> {
    (!config.idle_timeout.is_zero()).then_some(config.idle_timeout)
}

/// Upstreams are numbered: a number is its own hash.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
