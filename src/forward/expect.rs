//! `Expect: 100-continue` end to end (RFC 9110 §10.1.1): the body stays with the caller until the upstream wants it.
//!
//! Invariant: until the gate is open the caller's body is not asked for, and so the caller gets no 100 from the server
//! that we are. An upstream that says nothing gets the body after a while, as the RFC asks; one that answers at once
//! never gets it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// How long an upstream may take to say 100: one that does not know the expectation says nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What holds a body back, until the upstream's 100 takes it away or its patience is over.
#[derive(Debug, Default)]
pub struct Gate {
    /// Runs from when the head is on its way.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Gate {
    /// Whether the body may go although nobody has said so; pending while that is open.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE))).as_mut().poll(context)
    }
}
