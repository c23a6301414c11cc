//! Which requests may be sent a second time, and how.
//!
//! Invariant: a request is sent again only when the answer (401) or the protocol shows that it was not executed, and
//! only if its body was empty or kept whole.

use http::HeaderMap;
use http::header::EXPECT;
use http::request::Parts;

use super::pool::Sent;
use super::upload::{Progress, Upload};

/// A request as it is sent, and what is needed to send it once more.
#[derive(Debug)]
pub struct Replay<'a> {
    head: &'a mut Parts,
    body: Option<&'a Progress>,
}

impl<'a> Replay<'a> {
    /// A request that is about to be sent; `body` tells how its body goes, if it has one.
    pub fn of(head: &'a mut Parts, body: Option<&'a Progress>) -> Self {
        Self { head, body }
    }

    /// Its head.
    pub fn head(&self) -> &Parts {
        self.head
    }

    /// Its head, for another credential.
    pub fn head_mut(&mut self) -> &mut Parts {
        self.head
    }

    /// Its fields.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.head.headers
    }

    /// How its body goes, if it has one.
    pub fn progress(&self) -> Option<&'a Progress> {
        self.body
    }

    /// The body for sending it again after it got no answer, if that is allowed.
    pub fn after(&mut self, sent: Sent) -> Option<Upload> {
        match sent {
            Sent::NotExecuted => self.again(),
            // Twice has the same effect as once (RFC 9110 §9.2.2).
            Sent::Unanswered if self.head.method.is_idempotent() => self.again(),
            Sent::Unanswered | Sent::Unconnected | Sent::Unknown => None,
        }
    }

    /// The body for sending it again; nothing if it was not kept whole.
    pub fn again(&mut self) -> Option<Upload> {
        let body = match self.body {
            None => Upload::Empty,
            Some(progress) => Upload::again(progress.kept()?),
        };
        // A body that is here already need not be asked for.
        self.head.headers.remove(EXPECT);
        Some(body)
    }
}
