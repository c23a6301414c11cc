//! A worker's connections to upstreams: kept while they are idle, last in, first out.
//!
//! Invariant: a connection is given back only when request and answer were both complete, and a request is sent a second
//! time only when the first connection shows that not a byte of it was processed. The pool belongs to one worker thread:
//! nothing here is shared.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::time::{Instant, timeout};

use super::ForwardError;
use super::dial::Upstream;
use super::upload::Upload;

/// An idle connection is closed after this; most servers keep theirs for longer, so that they rarely close first.
const IDLE: Duration = Duration::from_secs(15);

/// A connection is not used again after this, so that a name that moved is resolved anew.
const AGE: Duration = Duration::from_secs(300);

/// How long a kept connection may take to be ready for its next request.
const READY: Duration = Duration::from_millis(100);

/// Idle connections kept per upstream.
const IDLE_PER_UPSTREAM: usize = 256;

/// The connections of one worker.
#[derive(Debug)]
pub struct Pool {
    idle: RefCell<HashMap<u64, Vec<Idle>>>,
    head: HeadLimits,
}

/// What an upstream's answer head may use up.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// A connection that carries one exchange at a time. HTTP/2, which carries many, becomes another variant.
#[derive(Debug)]
enum Connection {
    Http1(SendRequest<Upload>),
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    born: Instant,
    since: Instant,
}

/// The right to give a connection back when its exchange is over.
#[derive(Debug)]
pub struct Ticket {
    pool: Weak<Pool>,
    upstream: u64,
    connection: Connection,
    born: Instant,
}

/// Which connection a request may go out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// A kept one, if there is any.
    Kept,
    /// A new one: a second attempt must not meet another kept connection that is gone as well.
    Never,
}

/// An answer's head and body, and the connection it came on.
#[derive(Debug)]
pub struct Exchange {
    /// The answer, untouched.
    pub response: Response<Incoming>,
    /// For the end of the body.
    pub ticket: Ticket,
    /// How many kept connections turned out to be gone before one worked.
    pub stale: u32,
}

/// A request that got no answer.
#[derive(Debug)]
pub struct SendError {
    /// Why.
    pub error: ForwardError,
    /// Whether a kept connection closed instead of answering: then a repeatable request may be sent once more.
    pub on_kept_connection: bool,
}

impl Pool {
    /// An empty pool.
    pub fn new(head: HeadLimits) -> Rc<Self> {
        Rc::new(Self { idle: RefCell::default(), head })
    }

    /// Sends a request on a kept connection or a new one; the answer's head comes back, its body streams.
    pub async fn send(
        self: &Rc<Self>,
        upstream: &Upstream,
        mut request: Request<Upload>,
        reuse: Reuse,
    ) -> Result<Exchange, SendError> {
        let mut stale = 0;
        loop {
            let (mut connection, born, kept) = match self.take(upstream.id, reuse).await {
                Some((connection, born)) => (connection, born, true),
                None => {
                    // Boxed: it is rare, and it is big; every request's future would carry room for it.
                    let new = Box::pin(self.connect(upstream)).await;
                    let new = new.map_err(|error| SendError { error, on_kept_connection: false })?;
                    (new, Instant::now(), false)
                }
            };
            let Connection::Http1(sender) = &mut connection;
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let ticket =
                        Ticket { pool: Rc::downgrade(self), upstream: upstream.id, connection, born };
                    return Ok(Exchange { response, ticket, stale });
                }
                // Not a byte was written: it is as if the request had never been sent.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if kept => {
                        stale += 1;
                        request = unsent;
                    }
                    _ => {
                        let error = classify(failed.error());
                        let on_kept_connection = kept && matches!(error, ForwardError::Closed(_));
                        return Err(SendError { error, on_kept_connection });
                    }
                },
            }
        }
    }

    /// Closes connections that have been idle or alive for too long; a worker calls it once a second.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|_, idle| {
            idle.retain(|kept| {
                let Connection::Http1(sender) = &kept.connection;
                now - kept.since < IDLE && now - kept.born < AGE && !sender.is_closed()
            });
            !idle.is_empty()
        });
    }

    async fn take(&self, upstream: u64, reuse: Reuse) -> Option<(Connection, Instant)> {
        if reuse == Reuse::Never {
            return None;
        }
        loop {
            let idle = self.idle.borrow_mut().get_mut(&upstream)?.pop()?;
            let Connection::Http1(mut sender) = idle.connection;
            // Its exchange is over; its task may not have run since. Closed by the other side shows here too. One that
            // still cannot write what it was given (an upstream that answers and stops reading) is left to end alone.
            let ready = sender.is_ready() || matches!(timeout(READY, sender.ready()).await, Ok(Ok(())));
            if ready {
                return Some((Connection::Http1(sender), idle.born));
            }
        }
    }

    async fn connect(&self, upstream: &Upstream) -> Result<Connection, ForwardError> {
        let transport = upstream.dial().await?;
        let handshake = http1::Builder::new()
            .max_headers(self.head.fields)
            .max_buf_size(self.head.bytes.max(8192))
            .handshake(transport)
            .await;
        let (sender, driver) = handshake.map_err(|error| ForwardError::Closed(error.to_string()))?;
        // The task ends with the connection: when the sender and the last body are gone, or the upstream closes.
        tokio::task::spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(Connection::Http1(sender))
    }
}

impl Ticket {
    /// The exchange is over: the connection may carry the next one.
    pub fn give_back(self) {
        let Connection::Http1(sender) = &self.connection;
        let Some(pool) = self.pool.upgrade() else { return };
        if sender.is_closed() || self.born.elapsed() >= AGE {
            return;
        }
        let mut idle = pool.idle.borrow_mut();
        let idle = idle.entry(self.upstream).or_default();
        if idle.len() < IDLE_PER_UPSTREAM {
            idle.push(Idle { connection: self.connection, born: self.born, since: Instant::now() });
        }
    }
}

fn classify(error: &hyper::Error) -> ForwardError {
    let text = error.to_string();
    if error.is_parse() || error.is_parse_too_large() {
        ForwardError::Invalid(text)
    } else if error.is_user() {
        // The only thing of ours that can fail in a request is the caller's body.
        ForwardError::CallerGone
    } else {
        ForwardError::Closed(text)
    }
}
