//! The right to give a connection back when its exchange is over.

use std::rc::{Rc, Weak};

use super::Pool;
use super::answer::AnswerBody;
use super::http2::Stream;

/// Where the connection of an exchange belongs. Given back, an HTTP/1.1 connection carries the next one; dropped, an
/// HTTP/2 connection loses no more than a stream.
#[derive(Debug)]
pub struct Ticket(Held);

#[derive(Debug)]
enum Held {
    Http1 { pool: Weak<Pool>, upstream: u64 },
    Http2(#[expect(dead_code, reason = "its drop is what counts")] Stream),
}

impl Ticket {
    pub(super) fn http1(pool: &Rc<Pool>, upstream: u64) -> Self {
        Self(Held::Http1 { pool: Rc::downgrade(pool), upstream })
    }

    pub(super) fn http2(stream: Stream) -> Self {
        Self(Held::Http2(stream))
    }

    /// The body is over: its connection may carry the next exchange, if the request is through as well.
    pub fn give_back(self, body: &mut AnswerBody) {
        if let (Held::Http1 { pool, upstream }, AnswerBody::Http1(body)) = (self.0, body)
            && let Some(connection) = body.take_rest()
            && let Some(pool) = pool.upgrade()
        {
            pool.keep(upstream, connection);
        }
    }
}
