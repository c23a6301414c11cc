//! The right to give a connection back when its exchange is over.

use std::rc::{Rc, Weak};

use super::Pool;
use super::http1::Http1;
use super::http2::Stream;

/// Holds what an exchange runs on. Given back, an HTTP/1.1 connection carries the next one; dropped, it is closed, and an
/// HTTP/2 connection loses no more than a stream.
#[derive(Debug)]
pub struct Ticket(Held);

#[derive(Debug)]
enum Held {
    Http1 {
        pool: Weak<Pool>,
        upstream: u64,
        connection: Box<Http1>,
    },
    Http2(#[expect(dead_code, reason = "its drop is what counts")] Stream),
    /// HTTP/1.1 no more: never given back.
    Upgraded(#[expect(dead_code, reason = "kept until the exchange is over")] Box<Http1>),
}

impl Ticket {
    pub(super) fn http1(pool: &Rc<Pool>, upstream: u64, connection: Box<Http1>) -> Self {
        Self(Held::Http1 { pool: Rc::downgrade(pool), upstream, connection })
    }

    pub(super) fn http2(stream: Stream) -> Self {
        Self(Held::Http2(stream))
    }

    pub(super) fn upgraded(connection: Box<Http1>) -> Self {
        Self(Held::Upgraded(connection))
    }

    /// The exchange is over: the connection may carry the next one.
    pub fn give_back(self) {
        if let Held::Http1 { pool, upstream, connection } = self.0
            && let Some(pool) = pool.upgrade()
        {
            pool.keep(upstream, connection);
        }
    }
}
