//! `Expect: 100-continue` end to end (RFC 9110 §10.1.1): the body stays with the caller until the upstream wants it.
//!
//! Invariant: until the gate is open the caller's body is not asked for, and so the caller gets no 100 from the server
//! that we are. An upstream that says nothing gets the body after a while, as the RFC asks; one that answers at once
//! never gets it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

/// How long an upstream may take to say 100: one that does not know the expectation says nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What holds a body back.
#[derive(Debug)]
pub struct Gate {
    /// A message is the upstream's 100. The connection drops the other half when it has read a final answer, and at once
    /// if it cannot tell of a 100 (HTTP/2).
    continued: mpsc::Receiver<()>,
    patience: Pin<Box<Sleep>>,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The head is not on its way yet.
    Fresh,
    Waiting,
    Shut,
}

/// Whether the body may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Open,
    /// The upstream has answered without it: it never will.
    Shut,
}

impl Gate {
    /// A gate that opens at the 100 for this request.
    pub fn before<B>(request: &mut Request<B>) -> Self {
        let (tell, continued) = mpsc::channel(1);
        hyper::ext::on_informational(request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                // Full: it was told before.
                let _ = tell.try_send(());
            }
        });
        Self { continued, patience: Box::pin(sleep(PATIENCE)), state: State::Fresh }
    }

    /// Whether the body may go; pending while that is open.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Passage> {
        if self.state == State::Shut {
            return Poll::Ready(Passage::Shut);
        }
        match self.continued.poll_recv(context) {
            Poll::Ready(Some(())) => Poll::Ready(Passage::Open),
            Poll::Ready(None) if self.state == State::Fresh => Poll::Ready(Passage::Open),
            Poll::Ready(None) => {
                self.state = State::Shut;
                Poll::Ready(Passage::Shut)
            }
            Poll::Pending => {
                self.state = State::Waiting;
                self.patience.as_mut().poll(context).map(|()| Passage::Open)
            }
        }
    }
}
