//! The caller's body on its way to the upstream: streamed, watched for silence, and kept where a replay may need it.
//!
//! Invariant: at most `replay_buffer` bytes are kept, counted in what the pieces that arrived cost; a body that is
//! longer, or that was not read to its end, is not kept at all. One that is too large, or ends too early, never ends
//! upstream: what arrives there is no complete request.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::expect::Gate;
use super::ticker::Ticker;
use super::trailers::TrailerRule;

/// What keeping a piece of a body costs at least, in bytes: many tiny ones must not cost many times their size.
const PIECE: usize = 64;

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

/// A body that was kept whole.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    chunks: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
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

/// What the sender of a body tells those who wait for an answer.
#[derive(Debug)]
pub struct Progress {
    kept: RefCell<Keep>,
    /// The whole body has been handed to the connection.
    done: Cell<bool>,
    /// It ended too early: the caller is gone.
    broken: Cell<bool>,
    /// How many bytes may still come.
    left: Cell<u64>,
    too_large: Cell<bool>,
    trailers: Option<TrailerRule>,
    /// The answer is over, and whoever waits for more of a body that goes up on a stream of many is to be woken.
    answered: Cell<bool>,
    /// It goes up on one stream of many, which stays open as long as it does.
    multiplexed: Cell<bool>,
    held: RefCell<Option<Waker>>,
    ticker: Rc<Ticker>,
    /// The connection asked for more and the caller has not sent it yet.
    waits_for_caller: Cell<bool>,
    last: Cell<Instant>,
}

/// The chunks so far, while there is room for them.
#[derive(Debug)]
enum Keep {
    Room(Kept, usize),
    Nothing,
}

impl Upload {
    /// A caller's body under these rules.
    pub fn of(body: Incoming, rules: UploadRules, ticker: &Rc<Ticker>) -> (Self, Option<Rc<Progress>>) {
        if body.is_end_stream() {
            return (Self::Empty, None);
        }
        let fits = rules.keep > 0 && body.size_hint().lower() <= rules.keep as u64;
        let kept = if fits { Keep::Room(Kept::default(), rules.keep) } else { Keep::Nothing };
        let progress = Rc::new(Progress {
            kept: RefCell::new(kept),
            done: Cell::new(false),
            broken: Cell::new(false),
            left: Cell::new(if rules.limit == 0 { u64::MAX } else { rules.limit }),
            too_large: Cell::new(false),
            trailers: rules.trailers,
            answered: Cell::new(false),
            multiplexed: Cell::new(false),
            held: RefCell::default(),
            waits_for_caller: Cell::new(false),
            last: Cell::new(ticker.now()),
            ticker: Rc::clone(ticker),
        });
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
            progress.multiplexed.set(true);
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

impl Progress {
    /// Whether the whole body has been handed over.
    pub fn is_done(&self) -> bool {
        self.done.get()
    }

    /// Whether the caller went away before the end.
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Whether it was broken off because it is larger than it may be.
    pub fn is_too_large(&self) -> bool {
        self.too_large.get()
    }

    /// The answer is over: a body that the upstream did not wait for is given up, and its connection with it.
    pub fn answer_is_over(&self) {
        self.answered.set(true);
        if let Some(held) = self.held.take() {
            held.wake();
        }
    }

    /// Whether it is the caller who keeps the upload waiting.
    pub fn waits_for_caller(&self) -> bool {
        self.waits_for_caller.get()
    }

    /// When the upload last moved, by its worker's clock.
    pub fn last(&self) -> Instant {
        self.last.get()
    }

    /// The whole body, if it was kept whole; its chunks are shared, not copied.
    pub fn kept(&self) -> Option<Kept> {
        match &*self.kept.borrow() {
            Keep::Room(kept, _) if self.done.get() => Some(kept.clone()),
            _ => None,
        }
    }

    fn arrived(&self, chunk: &Bytes) -> Result<(), UploadError> {
        self.last.set(self.ticker.now());
        let Some(left) = self.left.get().checked_sub(chunk.len() as u64) else {
            self.too_large.set(true);
            return Err(UploadError::TooLarge);
        };
        self.left.set(left);
        let mut keep = self.kept.borrow_mut();
        if let Keep::Room(kept, room) = &mut *keep {
            match room.checked_sub(chunk.len().max(PIECE)) {
                Some(left) => {
                    *room = left;
                    kept.chunks.push_back(chunk.clone());
                }
                None => *keep = Keep::Nothing,
            }
        }
        Ok(())
    }

    /// Trailers end a body; what may pass of them is kept with it.
    fn trailed(&self, trailers: HeaderMap) -> Option<HeaderMap> {
        self.ended();
        let trailers = self.trailers.as_ref()?.filter(trailers)?;
        if let Keep::Room(kept, _) = &mut *self.kept.borrow_mut() {
            kept.trailers = Some(trailers.clone());
        }
        Some(trailers)
    }

    fn ended(&self) {
        self.last.set(self.ticker.now());
        self.done.set(true);
        self.waits_for_caller.set(false);
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
            Self::Kept(kept) => kept.chunks.is_empty() && kept.trailers.is_none(),
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

impl Kept {
    /// These chunks.
    #[cfg(test)]
    pub(super) fn of(chunks: Vec<Bytes>) -> Self {
        Self { chunks: chunks.into(), trailers: None }
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        let chunk = self.chunks.pop_front().map(Frame::data);
        chunk.or_else(|| self.trailers.take().map(Frame::trailers))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.chunks.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

fn poll_stream(
    body: &mut Incoming,
    progress: &Progress,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
    if progress.answered.get() && progress.multiplexed.get() {
        return Poll::Ready(Some(Err(UploadError::not_wanted())));
    }
    let frame = match Pin::new(&mut *body).poll_frame(context) {
        Poll::Pending => {
            progress.waits_for_caller.set(true);
            if progress.multiplexed.get() {
                *progress.held.borrow_mut() = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(frame) => frame,
    };
    progress.waits_for_caller.set(false);
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
