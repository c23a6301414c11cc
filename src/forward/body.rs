//! The upstream's body on its way to the caller: streamed, watched for silence; at its end the connection is free again.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::pool::Ticket;
use super::upload::Progress;

/// A body that is cut off: the caller sees that it is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The upstream broke off.
    #[error("the upstream broke off its answer: {0}")]
    Upstream(#[from] hyper::Error),
    /// `timeouts.body_idle` ran out.
    #[error("the upstream fell silent within its answer")]
    Idle,
}

/// An answer's body, from the upstream.
#[derive(Debug)]
pub struct Download {
    body: Incoming,
    /// Gives the connection back at the end of the body; dropped before that, the connection is closed.
    ticket: Option<Ticket>,
    /// The request's body: the connection is free only when that was sent to its end as well.
    upload: Option<Rc<Progress>>,
    idle: Duration,
    /// Made only when a read has to wait.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Download {
    /// A body that may be silent for `idle` (zero: for ever).
    pub fn new(body: Incoming, ticket: Option<Ticket>, upload: Option<Rc<Progress>>, idle: Duration) -> Self {
        let mut download = Self { body, ticket, upload, idle, timer: None };
        download.finish_if_over();
        download
    }

    fn finish_if_over(&mut self) {
        if self.body.is_end_stream()
            && let Some(ticket) = self.ticket.take()
            && self.upload.as_ref().is_none_or(|upload| upload.is_done())
        {
            ticket.give_back();
        }
    }

    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.idle.is_zero() {
            return Poll::Pending;
        }
        let idle = self.idle;
        self.timer.get_or_insert_with(|| Box::pin(sleep(idle))).as_mut().poll(context)
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Pending => return this.poll_idle(context).map(|()| Some(Err(BodyError::Idle))),
                Poll::Ready(frame) => {
                    this.timer = None;
                    let frame = match frame {
                        // Trailers are dropped: hop-by-hop and managed names could stand in them.
                        Some(Ok(frame)) if !frame.is_data() => continue,
                        frame => frame.map(|frame| frame.map_err(BodyError::from)),
                    };
                    match &frame {
                        None | Some(Ok(_)) => this.finish_if_over(),
                        Some(Err(_)) => this.ticket = None,
                    }
                    return Poll::Ready(frame);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
