//! The body of an answer as it arrives, and the connection under it.
//!
//! Invariant: whoever drops a body before its end closes the connection; whoever has read it to its end gets the
//! connection back, if the request was written to its end too.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::connection::Connection;
use super::decode::{Decoded, Decoder};
use super::parse::Head;
use super::upgraded::Upgraded;
use super::writer::Writer;
use super::{BodyFault, Limits};
use crate::forward::ForwardError;
use crate::forward::ticker::Ticker;
use crate::forward::upload::Rest;

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    decoder: Decoder,
    line: Line,
    keep: bool,
}

/// The connection that a body comes on.
#[derive(Debug)]
enum Line {
    Own(Box<Connection>),
    /// The request is still on its way.
    Shared(Busy),
    /// The request's body was not asked for, and is not sent any more.
    Unwanted(Box<Connection>, #[expect(dead_code, reason = "its caller is told at the end")] Box<Writer>),
    Gone,
}

/// A connection that a task writes to meanwhile, so that the upload does not depend on who reads the answer.
#[derive(Debug)]
struct Busy {
    shared: Rc<Shared>,
    /// Ends with the answer that nobody reads any more; not with one that is over.
    task: Option<JoinHandle<()>>,
    /// What holds for the request when the answer is over.
    rest: Option<(Rest, Rc<Ticker>)>,
}

struct Shared {
    /// Nothing when it was taken back.
    connection: RefCell<Option<Box<Connection>>>,
    outcome: RefCell<Option<Result<(), ForwardError>>>,
    reader: Cell<Option<Waker>>,
}

impl Body {
    /// The answer whose head has come on a connection.
    pub(super) fn answer(
        connection: Box<Connection>,
        writer: Writer,
        head: Head,
        limits: Limits,
    ) -> Response<Self> {
        let line = if writer.is_done() {
            Line::Own(connection)
        } else if writer.is_held() {
            Line::Unwanted(connection, Box::new(writer))
        } else {
            Line::Shared(Busy::start(connection, writer))
        };
        let body = Self { decoder: Decoder::of(head.length, limits), line, keep: head.keep };
        head.response.map(|()| body)
    }

    /// The upstream keeps the connection no longer than this when it is idle.
    pub fn limit_idle(&mut self, limit: Duration) {
        match &mut self.line {
            Line::Own(connection) | Line::Unwanted(connection, _) => connection.limit_idle(limit),
            Line::Shared(busy) => {
                if let Some(connection) = &mut *busy.shared.connection.borrow_mut() {
                    connection.limit_idle(limit);
                }
            }
            Line::Gone => {}
        }
    }

    /// The answer is over: what holds from here on for a request that is still on its way.
    pub fn limit_rest(&mut self, rest: impl FnOnce() -> Rest, ticker: &Rc<Ticker>) {
        if let Line::Shared(busy) = &mut self.line {
            busy.rest = Some((rest(), Rc::clone(ticker)));
        }
    }

    /// The connection, when both messages are over and it may carry another exchange. A request that is still on its way
    /// goes on, and the connection is closed behind it.
    pub fn take_rest(&mut self) -> Option<Box<Connection>> {
        if !self.decoder.is_over() {
            return None;
        }
        let connection = std::mem::replace(&mut self.line, Line::Gone).into_connection()?;
        if self.keep { connection.rest() } else { None }
    }

    /// The connection after a 101, with what has come behind it.
    pub fn into_upgraded(self) -> Option<Upgraded> {
        self.line.into_connection().map(|connection| connection.into_upgraded())
    }
}

impl Line {
    /// The connection, if the request was written to its end.
    fn into_connection(self) -> Option<Box<Connection>> {
        match self {
            Self::Own(connection) => Some(connection),
            Self::Shared(busy) => busy.end(),
            Self::Unwanted(..) | Self::Gone => None,
        }
    }
}

impl Busy {
    fn start(connection: Box<Connection>, mut writer: Writer) -> Self {
        let shared = Rc::new(Shared {
            connection: RefCell::new(Some(connection)),
            outcome: RefCell::new(None),
            reader: Cell::new(None),
        });
        let going = Rc::clone(&shared);
        let task = tokio::task::spawn_local(async move {
            let outcome = poll_fn(|context| match &mut *going.connection.borrow_mut() {
                Some(connection) => writer.poll(&mut connection.io, context),
                None => Poll::Ready(Ok(())),
            })
            .await;
            going.outcome.replace(Some(outcome));
            if let Some(reader) = going.reader.take() {
                reader.wake();
            }
        });
        Self { shared, task: Some(task), rest: None }
    }

    /// The connection, if the request is through. Otherwise, where the answer is over, the request goes on as long as its
    /// timeouts let it, and then the connection is closed.
    fn end(mut self) -> Option<Box<Connection>> {
        let through = matches!(&*self.shared.outcome.borrow(), Some(Ok(())));
        if through {
            return self.shared.connection.take();
        }
        let (mut task, (rest, ticker)) = self.task.take().zip(self.rest.take())?;
        tokio::task::spawn_local(async move {
            tokio::select! {
                _ = &mut task => {}
                () = rest.runs_out(&ticker) => {
                    tracing::debug!("an upload whose answer was over has been given up");
                    task.abort();
                }
            }
        });
        None
    }

    fn poll(
        &self,
        decoder: &mut Decoder,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, BodyFault>> {
        if let Some(Err(error)) = &*self.shared.outcome.borrow() {
            return Poll::Ready(Err(BodyFault::Upload(error.clone())));
        }
        self.shared.reader.set(Some(context.waker().clone()));
        match &mut *self.shared.connection.borrow_mut() {
            Some(connection) => poll_decoded(decoder, connection, context),
            None => Poll::Ready(Ok(None)),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        let frame = ready!(match &mut this.line {
            Line::Own(connection) | Line::Unwanted(connection, _) => {
                poll_decoded(&mut this.decoder, connection, context)
            }
            Line::Shared(busy) => busy.poll(&mut this.decoder, context),
            Line::Gone => Poll::Ready(Ok(None)),
        });
        if frame.is_err() {
            this.line = Line::Gone;
        }
        Poll::Ready(frame.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The next frame, from what is read already or is read now.
fn poll_decoded(
    decoder: &mut Decoder,
    connection: &mut Connection,
    context: &mut Context<'_>,
) -> Poll<Result<Option<Frame<Bytes>>, BodyFault>> {
    loop {
        match decoder.decode(&mut connection.buffer)? {
            Decoded::Data(data) => return Poll::Ready(Ok(Some(Frame::data(data)))),
            Decoded::Trailers(trailers) => return Poll::Ready(Ok(Some(Frame::trailers(trailers)))),
            Decoded::End => return Poll::Ready(Ok(None)),
            Decoded::More => {}
        }
        if ready!(connection.poll_fill(decoder.left(), context))? == 0 {
            decoder.close()?;
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
