//! One connection: HTTP/1.1 over a stream, under the eyes of the watch.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;

use super::listen::Stream;
use super::watch::{Order, Phase, Watched};
use super::{Accepted, Handler};
use crate::config::server::Limits;
use crate::guard::{Caller, Guard};

/// hyper's smallest read buffer.
const SMALLEST_BUFFER: usize = 8192;

/// HTTP/1.1 as we speak it to callers. Timeouts are the watch's.
pub(super) fn protocol(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(SMALLEST_BUFFER))
        .header_read_timeout(None)
        .keep_alive(true);
    http
}

/// Serves a connection until it ends, or is told to end.
pub(super) async fn run<H: Handler>(
    accepted: Accepted,
    http: Rc<http1::Builder>,
    handler: Rc<H>,
    watched: Rc<Watched>,
) {
    let Accepted { stream, caller, guard, slot, load } = accepted;
    let io = Metered { io: TokioIo::new(stream), watched: Rc::clone(&watched) };
    let shared = Rc::new(Shared { caller, guard, handler, watched: Rc::clone(&watched) });
    let mut connection = pin!(http.serve_connection(io, PerRequest(shared)));
    let mut draining = false;
    let ended = poll_fn(|context| {
        match watched.order(context.waker()) {
            Order::Serve => {}
            Order::Close => return Poll::Ready(Ok(())),
            Order::Drain if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            Order::Drain => {}
        }
        connection.as_mut().poll(context)
    })
    .await;
    if let Err(error) = ended {
        // Requests that cannot be parsed are answered by hyper (400, 414, 431) before our code sees them.
        tracing::debug!(%error, "connection ended");
    }
    drop((slot, load));
}

/// What every request of a connection needs.
struct Shared<H> {
    caller: Caller,
    guard: std::sync::Arc<Guard>,
    handler: Rc<H>,
    watched: Rc<Watched>,
}

struct PerRequest<H>(Rc<Shared<H>>);

impl<H: Handler> Service<Request<Incoming>> for PerRequest<H> {
    type Response = Response<Answering<H::Body>>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Rc::clone(&self.0);
        shared.watched.enter(Phase::Busy);
        Box::pin(async move {
            let response = shared.handler.handle(request, &shared.guard, &shared.caller).await;
            Ok(response.map(|body| Answering { body, busy: Busy(Rc::clone(&shared.watched)) }))
        })
    }
}

/// An answer's body; the connection is busy until it is gone.
pub(super) struct Answering<B> {
    body: B,
    #[expect(dead_code, reason = "its drop is what counts")]
    busy: Busy,
}

struct Busy(Rc<Watched>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of a connection; tells the watch when some arrive, and whether the caller takes ours.
struct Metered {
    io: TokioIo<Stream>,
    watched: Rc<Watched>,
}

impl Read for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        if read.is_ready() {
            this.watched.received();
        }
        read
    }
}

impl Write for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        this.watched.told(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(context, slices);
        this.watched.told(&written);
        written
    }
}
