//! The upstream's body on its way to the caller: streamed, watched for silence; at its end the connection is free again.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::ForwardError;
use super::pool::{AnswerBody, AnswerFault, Ticket};
use super::ticker::{Alarm, Ticker};
use super::trailers::TrailerRule;
use super::upload::{Progress, Rest};

/// A body that is cut off: the caller sees that it is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The upstream broke off.
    #[error("the upstream broke off its answer: {0}")]
    Upstream(#[from] AnswerFault),
    /// `timeouts.body_idle` ran out.
    #[error("the upstream fell silent within its answer")]
    Idle,
    /// `timeouts.total` ran out.
    #[error("the exchange took too long")]
    Total,
}

/// An answer's body, from the upstream.
#[derive(Debug)]
pub struct Download {
    body: AnswerBody,
    /// Gives the connection back at the end of the body.
    ticket: Option<Ticket>,
    /// The request's body, which may still be on its way.
    upload: Option<Rc<Progress>>,
    rules: DownloadRules,
    alarm: Alarm,
    /// Since when the upstream has been silent, by the worker's clock.
    silent: Option<Instant>,
    /// Why it broke off, when whoever reads has not been told yet. Boxed: every answer is moved.
    broken: Option<Box<AnswerFault>>,
}

/// What holds for a download.
#[derive(Debug)]
pub struct DownloadRules {
    /// How long it may be silent; zero is for ever.
    pub idle: Duration,
    /// When it must be over.
    pub until: Option<Instant>,
    /// Of a body that may have trailers. Boxed: most answers have none, and every one is moved.
    pub tail: Option<Box<Tail>>,
}

/// What only bodies have whose length nobody knows beforehand.
#[derive(Debug)]
pub struct Tail {
    /// Which trailers pass.
    trailers: TrailerRule,
    /// What has been read of the body already.
    first: Option<Frame<Bytes>>,
}

impl Tail {
    /// Nothing has been read of the body.
    pub fn new(trailers: TrailerRule) -> Self {
        Self { trailers, first: None }
    }

    /// Looks at what has arrived with the head: a chunked body that is broken from the start is no answer, and there is
    /// still time to say so. Waits for nothing.
    pub fn peek(&mut self, body: &mut AnswerBody) -> Result<(), ForwardError> {
        let mut context = Context::from_waker(Waker::noop());
        // Whoever reads the body asks again, and is woken then.
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(Some(Err(error))) => Err(ForwardError::Invalid(format!("its body: {error}"))),
            Poll::Ready(Some(Ok(frame))) => {
                self.first = Some(frame);
                Ok(())
            }
            Poll::Ready(None) | Poll::Pending => Ok(()),
        }
    }
}

impl Download {
    /// A body under these rules.
    pub fn new(
        body: AnswerBody,
        ticket: Option<Ticket>,
        upload: Option<Rc<Progress>>,
        rules: DownloadRules,
        ticker: &Rc<Ticker>,
    ) -> Self {
        let mut download =
            Self { body, ticket, upload, rules, alarm: Alarm::new(ticker), silent: None, broken: None };
        if download.body.is_end_stream() {
            download.finish();
        }
        download
    }

    /// The answer is over: the connection may carry the next request, unless this one is still on its way.
    fn finish(&mut self) {
        if let Some(upload) = self.upload.as_ref().filter(|upload| !upload.is_done()) {
            upload.answer_is_over();
        }
        let (idle, until) = (self.rules.idle, self.rules.until);
        let rest = || Rest { upload: self.upload.clone(), idle, until };
        self.body.limit_rest(rest, self.alarm.ticker());
        if let Some(ticket) = self.ticket.take() {
            ticket.give_back(&mut self.body);
        }
    }

    /// What was read already comes first.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerFault>>> {
        match self.rules.tail.as_mut().and_then(|tail| tail.first.take()) {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.body).poll_frame(context),
        }
    }

    /// Whether the upstream was silent for too long, or the exchange took too long.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        let now = self.alarm.ticker().now();
        let idle = Ticker::due(*self.silent.get_or_insert(now), self.rules.idle);
        let Some(due) = idle.into_iter().chain(self.rules.until).min() else { return Poll::Pending };
        let total = self.rules.until.is_some_and(|until| until <= due);
        self.alarm.poll(due, context).map(|()| if total { BodyError::Total } else { BodyError::Idle })
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
        if let Some(fault) = this.broken.take() {
            return Poll::Ready(Some(Err((*fault).into())));
        }
        let Poll::Ready(frame) = this.poll_next(context) else {
            return this.poll_late(context).map(|late| Some(Err(late)));
        };
        this.silent = None;
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(fault)) => {
                this.ticket = None;
                // Told one turn later: hyper writes what it has, be it only the head, when it has to wait, and drops it
                // when a body fails.
                this.broken = Some(Box::new(fault));
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => {
                this.finish();
                return Poll::Ready(None);
            }
        };
        if frame.is_data() {
            if this.body.is_end_stream() {
                this.finish();
            } else if this.rules.until.is_some_and(|until| this.alarm.ticker().now() >= until) {
                // One that never pauses is not over in time either.
                this.ticket = None;
                return Poll::Ready(Some(Err(BodyError::Total)));
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        // Trailers end a body; whoever reads them does not ask again.
        this.finish();
        let tail = this.rules.tail.as_ref();
        let trailers = frame.into_trailers().ok().and_then(|trailers| tail?.trailers.filter(trailers));
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.rules.tail.as_ref().is_none_or(|tail| tail.first.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http::Request;
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::forward::dial::Transport;
    use crate::forward::http1::{self, Buffers, Connection, Lifetime, Limits};
    use crate::forward::upload::Upload;

    #[tokio::test]
    async fn a_body_that_breaks_off_leaves_time_to_write_what_came_before() {
        let (near, mut far) = tokio::io::duplex(1024);
        far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        far.shutdown().await.unwrap();
        let connection =
            Connection::new(Transport::pipe(near), &Rc::new(Buffers::default()), Lifetime::default());
        let head = Request::get("/").header("host", "h").body(()).unwrap().into_parts().0;
        let limits = Limits { bytes: 1000, fields: 10 };
        let answer = http1::send(connection, &head, &mut Upload::Empty, limits).await.unwrap();
        let body = AnswerBody::Http1(answer.into_body());
        let rules = DownloadRules { idle: Duration::ZERO, until: None, tail: None };
        let mut download = Download::new(body, None, None, rules, &Ticker::new());
        let mut said = Vec::new();
        let fault = poll_fn(|context| {
            loop {
                match Pin::new(&mut download).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => said.push(frame.into_data().ok()),
                    Poll::Ready(Some(Err(fault))) => return Poll::Ready(Some(fault)),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => {
                        said.push(None);
                        return Poll::Pending;
                    }
                }
            }
        });
        assert!(matches!(fault.await, Some(BodyError::Upstream(_))));
        assert_eq!(said, [Some(Bytes::from_static(b"half")), None]);
    }
}
