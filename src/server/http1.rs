//! HTTP/1 as we speak it to callers, by hyper.
//!
//! Invariant: hyper is taken away from a connection only when everything it was given is read or handed back, and
//! everything it had to write is written.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;

use super::Handler;
use super::request::{self, Shared};
use super::state::{Order, Phase};
use super::watched::Watched;
use super::wire::Wire;
use crate::config::server::Limits;

/// hyper's smallest read buffer.
const SMALLEST_BUFFER: usize = 8192;

/// As many fields as hyper has room for without allocating.
const INLINE_FIELDS: usize = 100;

/// HTTP/1 for callers on this machine, or on others. Timeouts are the watch's.
///
/// The exact limits are the guard's; hyper gets some slack, so that a head that is a little too large is refused with
/// the reason that fits. A caller on this machine may close its side as soon as it has sent its request (`nc`), and then
/// the wire asks whether it is still there; elsewhere hyper takes the end for a caller that is gone.
pub(super) fn protocol(limits: &Limits, is_local: bool) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.max_buf_size((limits.header_bytes + limits.uri_bytes).max(SMALLEST_BUFFER))
        .header_read_timeout(None)
        .half_close(is_local)
        .keep_alive(true);
    if limits.headers > INLINE_FIELDS {
        http.max_headers(limits.headers);
    }
    http
}

/// Why hyper is done with a connection.
pub(super) enum End {
    /// It was told to rest: the wire is to be served again when bytes arrive.
    Rest,
    /// It was told to end when nothing was being asked.
    Idle,
    /// It has said everything.
    Over,
    /// The watch has had enough.
    Closed,
    /// A head could not be read, or the bytes stopped.
    Failed(hyper::Error),
}

/// What is left when hyper is done.
pub(super) struct Left {
    pub(super) end: End,
    pub(super) wire: Wire,
    /// What hyper had read and not used.
    pub(super) unread: Bytes,
}

/// Serves a connection until it ends, rests, or is told to end.
pub(super) async fn serve<H: Handler>(wire: Wire, http: &http1::Builder, shared: &Rc<Shared<H>>) -> Left {
    let watched = &shared.watched;
    watched.set_at_rest(false);
    let connection = http.serve_connection(TokioIo::new(wire), request::service(Rc::clone(shared)));
    let mut serving = Serving { connection, watched, told: false };
    let end = poll_fn(|context| serving.poll(context)).await;
    watched.set_at_rest(true);
    let parts = serving.connection.into_parts();
    Left { end, wire: parts.io.into_inner(), unread: parts.read_buf }
}

struct Serving<'a, S: HttpService<Incoming>> {
    connection: http1::Connection<TokioIo<Wire>, S>,
    watched: &'a Watched,
    /// hyper knows that it is to end.
    told: bool,
}

impl<B, S> Serving<'_, S>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
    S: HttpService<Incoming, ResBody = B, Future: Unpin, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let order = self.watched.orders.latest(context.waker());
        if order == Order::Close {
            return Poll::Ready(End::Closed);
        }
        // First what has arrived: a request that was sent before an order is answered.
        if let Poll::Ready(end) = self.poll_hyper(context) {
            return Poll::Ready(end);
        }
        match order {
            Order::Drain if !self.told => self.end(context, || End::Idle),
            Order::Rest => {
                self.watched.orders.rested();
                if self.told || !self.is_idle() { Poll::Pending } else { self.end(context, || End::Rest) }
            }
            _ => Poll::Pending,
        }
    }

    fn is_idle(&self) -> bool {
        self.watched.phase() == Phase::Idle && !self.watched.backpressure.is_stuck()
    }

    /// Where nothing is being answered and no byte has arrived since the last answer, hyper, which has just read all
    /// there was, stands between two messages and ends at once. The half of a head that came too early is handed back.
    fn end(&mut self, context: &mut Context<'_>, idle: impl FnOnce() -> End) -> Poll<End> {
        let was_idle = self.is_idle();
        self.told = true;
        Pin::new(&mut self.connection).graceful_shutdown();
        match self.poll_hyper(context) {
            Poll::Ready(End::Over) if was_idle && self.is_idle() => Poll::Ready(idle()),
            end => end,
        }
    }

    /// hyper is also done when the caller does not take its last bytes at the moment: then it is asked again.
    fn poll_hyper(&mut self, context: &mut Context<'_>) -> Poll<End> {
        match self.connection.poll_without_shutdown(context) {
            Poll::Ready(Ok(())) if self.watched.backpressure.is_stuck() => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(End::Over),
            Poll::Ready(Err(error)) => Poll::Ready(End::Failed(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}
