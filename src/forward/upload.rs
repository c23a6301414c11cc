//! The caller's body on its way to the upstream: streamed, watched for silence, and kept where a replay may need it.
//!
//! Invariant: at most `replay_buffer` bytes are kept, counted in bytes that arrived; a body that is longer, or that was
//! not read to its end, is not kept at all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

/// A request body as it goes upstream.
#[derive(Debug)]
pub enum Upload {
    /// No body.
    Empty,
    /// The caller's, as it arrives.
    Stream(Incoming, Rc<Progress>),
    /// One that was kept, sent again.
    Kept(VecDeque<Bytes>),
}

/// What the sender of a body tells those who wait for an answer.
#[derive(Debug)]
pub struct Progress {
    kept: RefCell<Keep>,
    /// The whole body has been handed to the connection.
    done: Cell<bool>,
    /// It ended too early: the caller is gone.
    broken: Cell<bool>,
    /// The connection asked for more and the caller has not sent it yet.
    waits_for_caller: Cell<bool>,
    last: Cell<Instant>,
}

/// The chunks so far, while there is room for them.
#[derive(Debug)]
enum Keep {
    Chunks(VecDeque<Bytes>, usize),
    Nothing,
}

impl Upload {
    /// A caller's body; up to `room` bytes of it are kept for a replay.
    pub fn of(body: Incoming, room: usize) -> (Self, Option<Rc<Progress>>) {
        if body.is_end_stream() {
            return (Self::Empty, None);
        }
        let fits = room > 0 && body.size_hint().lower() <= room as u64;
        let kept = if fits { Keep::Chunks(VecDeque::new(), room) } else { Keep::Nothing };
        let progress = Rc::new(Progress {
            kept: RefCell::new(kept),
            done: Cell::new(false),
            broken: Cell::new(false),
            waits_for_caller: Cell::new(false),
            last: Cell::new(Instant::now()),
        });
        (Self::Stream(body, Rc::clone(&progress)), Some(progress))
    }

    /// Announces a body of unknown length as chunked, whatever the method: hyper sends the body of a GET or HEAD
    /// only if its head says that there is one.
    pub fn announce(&self, headers: &mut HeaderMap) {
        if self.size_hint().exact().is_none() {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
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

    /// Whether it is the caller who keeps the upload waiting.
    pub fn waits_for_caller(&self) -> bool {
        self.waits_for_caller.get()
    }

    /// When the upload last moved.
    pub fn last(&self) -> Instant {
        self.last.get()
    }

    /// The whole body, if it was kept whole; its chunks are shared, not copied.
    pub fn kept(&self) -> Option<VecDeque<Bytes>> {
        match &*self.kept.borrow() {
            Keep::Chunks(chunks, _) if self.done.get() => Some(chunks.clone()),
            _ => None,
        }
    }

    fn arrived(&self, chunk: &Bytes) {
        self.last.set(Instant::now());
        let mut kept = self.kept.borrow_mut();
        if let Keep::Chunks(chunks, room) = &mut *kept {
            match room.checked_sub(chunk.len()) {
                Some(left) => {
                    *room = left;
                    chunks.push_back(chunk.clone());
                }
                None => *kept = Keep::Nothing,
            }
        }
    }

    fn ended(&self) {
        self.last.set(Instant::now());
        self.done.set(true);
        self.waits_for_caller.set(false);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Kept(chunks) => Poll::Ready(chunks.pop_front().map(|chunk| Ok(Frame::data(chunk)))),
            Self::Stream(body, progress) => poll_stream(body, progress, context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Kept(chunks) => chunks.is_empty(),
            Self::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Kept(chunks) => SizeHint::with_exact(chunks.iter().map(|chunk| chunk.len() as u64).sum()),
            Self::Stream(body, _) => body.size_hint(),
        }
    }
}

fn poll_stream(
    body: &mut Incoming,
    progress: &Progress,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    loop {
        let frame = match Pin::new(&mut *body).poll_frame(context) {
            Poll::Pending => {
                progress.waits_for_caller.set(true);
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        progress.waits_for_caller.set(false);
        return Poll::Ready(match frame {
            Some(Ok(frame)) => {
                // Trailers of a request are dropped: they could carry managed names.
                let Ok(chunk) = frame.into_data() else { continue };
                progress.arrived(&chunk);
                if body.is_end_stream() {
                    progress.ended();
                }
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => {
                progress.broken.set(true);
                Some(Err(error))
            }
            None => {
                progress.ended();
                None
            }
        });
    }
}
