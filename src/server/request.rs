//! One request of a connection: handed to the handler, counted as busy, its panic caught.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};

use super::busy::Busy;
use super::state::Protocol;
use super::watched::Watched;
use super::{Handler, Origin};
use crate::error::ProxyError;
use crate::guard::Refusal;

/// What every request of a connection needs.
pub(super) struct Shared<H> {
    pub(super) origin: Origin,
    pub(super) handler: Rc<H>,
    pub(super) watched: Rc<Watched>,
}

/// hyper's word for an answer.
type Said<H> = Result<Response<Answering<<H as Handler>::Body>>, Infallible>;

/// A connection's requests.
pub(super) fn service<H: Handler>(
    shared: Rc<Shared<H>>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Answering<H::Body>>,
    Error = Infallible,
    Future = impl Future<Output = Said<H>> + Unpin,
> + Unpin {
    let home: Home<_> = Rc::new(Cell::new(None));
    service_fn(move |request: Request<Incoming>| {
        let shared = Rc::clone(&shared);
        let busy = shared.watched.start(!request.body().is_end_stream());
        let chunked = request.version() == Version::HTTP_11 && request.body().size_hint().exact().is_none();
        let ambiguous = shared.watched.head.forget(chunked);
        let mut place = home.take().unwrap_or_else(|| Box::pin(None));
        place.set(Some(async move {
            let response = if ambiguous {
                shared.ambiguous()
            } else {
                let mut handling = pin!(shared.handler.handle(request, &shared.origin));
                poll_fn(|context| shared.poll(handling.as_mut(), context)).await
            };
            shared.watched.begin();
            if shared.watched.answers.had_body() {
                shared.watched.answers.goes_on(shared.origin.sequel.take_upload());
            }
            Ok(response.map(|body| Answering::new(body, busy)))
        }));
        InPlace { place: Some(place), home: Rc::clone(&home) }
    })
}

/// A place for a future that is too large to be moved about.
type Place<F> = Pin<Box<Option<F>>>;

/// Where it waits for the next one.
type Home<F> = Rc<Cell<Option<Place<F>>>>;

/// A request on its way, in a place that the next request of the connection uses again.
struct InPlace<F> {
    place: Option<Place<F>>,
    home: Home<F>,
}

impl<F: Future> Future for InPlace<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.place.as_mut().and_then(|place| place.as_mut().as_pin_mut()) {
            Some(future) => future.poll(context),
            // There is one as long as this is not dropped.
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for InPlace<F> {
    fn drop(&mut self) {
        if let Some(mut place) = self.place.take() {
            place.set(None);
            self.home.set(Some(place));
        }
    }
}

impl<H: Handler> Shared<H> {
    /// A panic ends the request it happened in, and no other.
    fn poll(
        &self,
        handling: Pin<&mut impl Future<Output = Response<H::Body>>>,
        context: &mut Context<'_>,
    ) -> Poll<Response<H::Body>> {
        // What the panic left behind is dropped, never polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| handling.poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(self.refuse(&ProxyError::Internal, "a panic")))
    }

    /// Its length was given twice: nothing on this connection can be trusted any more (RFC 9112 §6.3).
    fn ambiguous(&self) -> Response<H::Body> {
        let error = ProxyError::Refused(Refusal::TransferCoding);
        let mut response = self.refuse(&error, "Content-Length beside Transfer-Encoding");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    fn refuse(&self, error: &ProxyError, detail: &str) -> Response<H::Body> {
        self.handler.refuse(error, &self.origin, detail).map(H::body)
    }
}

/// An answer's body; the request counts as being answered until it is gone.
pub(super) struct Answering<B> {
    body: B,
    busy: Busy,
    /// HTTP/2: it was asked for nothing since it gave its last frame, so the caller's window is full.
    waits: bool,
}

impl<B> Answering<B> {
    fn new(body: B, busy: Busy) -> Self {
        let waits = busy.watched().protocol() == Protocol::Http2;
        if waits {
            busy.watched().offer(true, false);
        }
        Self { body, busy, waits }
    }

    /// Asked: its caller takes bytes. It gave some, or has to wait for them itself.
    fn asked(&mut self, gave: bool) {
        let watched = self.busy.watched();
        if watched.protocol() == Protocol::Http2 {
            watched.offer(gave, self.waits);
            self.waits = gave;
            if gave {
                watched.noise.excuse();
            }
        }
    }
}

impl<B> Drop for Answering<B> {
    fn drop(&mut self) {
        if self.waits {
            self.busy.watched().offer(false, true);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        this.asked(matches!(frame, Poll::Ready(Some(Ok(_)))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
