//! The caller's body on its way to the upstream: streamed, watched for silence, and kept where a replay may need it.
//!
//! Invariant: at most `replay_buffer` bytes are kept, counted in what the pieces that arrived cost; a body that is
//! longer, or that was not read to its end, is not kept at all. One that is too large, or ends too early, never ends
//! upstream: what arrives there is no complete request.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::expect::Gate;
use super::ticker::Ticker;
use super::trailers::TrailerRule;

mod kept;
mod progress;
mod rest;

pub use kept::Kept;
pub use progress::Progress;
pub use rest::Rest;

/// A request body as it goes upstream.
#[derive(Debug, Default)]
pub enum Upload {
    /// No body.
    #[default]
    Empty,
    /// No body, in a request that gives no length: over HTTP/2 none is made up for it.
    Bare,
    /// The caller's, as it arrives; a gate holds it back until the upstream wants it.
    Stream(Incoming, Rc<Progress>, Option<Box<Gate>>),
    /// One that was kept, sent again.
    Kept(Box<Kept>),
}

/// Why an upload was broken off; the connection it went out on ends with it.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The caller's body ended before its announced end.
    #[error("the request body ended too early: {0}")]
    Caller(#[from] hyper::Error),
    /// It is larger than `limits.body_bytes`.
    #[error("the request body is too large")]
    TooLarge,
    /// The upstream answered without it, and the answer is over: the reason is for its stream, over HTTP/2.
    #[error("the upstream did not want the request body")]
    NotWanted(#[source] h2::Error),
}

/// What holds for an upload.
#[derive(Debug)]
pub struct UploadRules {
    /// How many bytes are kept for a replay.
    pub keep: usize,
    /// How many bytes it may have; zero is no limit.
    pub limit: u64,
    /// Which trailers pass; none without a rule.
    pub trailers: Option<TrailerRule>,
}

impl Upload {
    /// A caller's body under these rules.
    pub fn of(body: Incoming, rules: UploadRules, ticker: &Rc<Ticker>) -> (Self, Option<Rc<Progress>>) {
        if body.is_end_stream() {
            return (Self::Empty, None);
        }
        let progress = Rc::new(Progress::new(rules, body.size_hint().lower(), ticker));
        (Self::Stream(body, Rc::clone(&progress), None), Some(progress))
    }

    /// A body that was kept.
    pub fn again(kept: Kept) -> Self {
        Self::Kept(Box::new(kept))
    }

    /// Holds a caller's body back until the gate opens.
    pub fn hold(&mut self, gate: Gate) {
        if let Self::Stream(_, _, held) = self {
            *held = Some(Box::new(gate));
        }
    }

    /// Opens the gate: the upstream wants the body, or cannot say so.
    pub fn go_ahead(&mut self) {
        if let Self::Stream(_, _, held) = self {
            *held = None;
        }
    }

    /// Whether a gate holds the body back.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Stream(_, _, Some(_)))
    }

    /// Goes up over HTTP/2: it ends with its answer. Over HTTP/1.1 its connection is not used again, and an upstream that
    /// has answered early may still read what comes.
    pub fn multiplex(&self) {
        if let Self::Stream(_, progress, _) = self {
            progress.multiplex();
        }
    }

    /// Announces a body of unknown length as chunked, whatever the method, and for every time that it is
    /// sent.
    pub fn announce(&self, headers: &mut HeaderMap) {
        if self.size_hint().exact().is_none() {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

impl UploadError {
    fn not_wanted() -> Self {
        Self::NotWanted(h2::Reason::NO_ERROR.into())
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Empty | Self::Bare => Poll::Ready(None),
            Self::Kept(kept) => Poll::Ready(kept.next().map(Ok)),
            Self::Stream(body, progress, gate) => {
                if let Some(held) = gate {
                    ready!(held.poll(context));
                    *gate = None;
                }
                poll_stream(body, progress, context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Bare => true,
            Self::Kept(kept) => kept.is_over(),
            Self::Stream(body, ..) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Bare => SizeHint::default(),
            Self::Kept(kept) => kept.size_hint(),
            Self::Stream(body, ..) => body.size_hint(),
        }
    }
}

fn poll_stream(
    body: &mut Incoming,
    progress: &Progress,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
    if progress.is_given_up() {
        return Poll::Ready(Some(Err(UploadError::not_wanted())));
    }
    let frame = match Pin::new(&mut *body).poll_frame(context) {
        Poll::Pending => {
            progress.waits(context.waker());
            return Poll::Pending;
        }
        Poll::Ready(frame) => frame,
    };
    progress.moves();
    Poll::Ready(match frame {
        Some(Ok(frame)) => match frame.into_data() {
            Ok(chunk) => {
                let arrived = progress.arrived(&chunk);
                if arrived.is_ok() && body.is_end_stream() {
                    progress.ended();
                }
                Some(arrived.map(|()| Frame::data(chunk)))
            }
            Err(frame) => frame
                .into_trailers()
                .ok()
                .and_then(|map| progress.trailed(map))
                .map(|map| Ok(Frame::trailers(map))),
        },
        Some(Err(error)) => {
            progress.broken.set(true);
            Some(Err(error.into()))
        }
        None => {
            progress.ended();
            None
        }
    })
}
