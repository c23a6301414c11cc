//! The bytes of a connection, under the eyes of the watch.
//!
//! Everything that is read or written passes here, once, whoever speaks: hyper, a tunnel, or we ourselves. What was read
//! to find out the protocol, or was left over by hyper, is put back in front.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http2::PREFACE;
use super::listen::Stream;
use super::state::{Phase, Protocol};
use super::watched::Watched;
use crate::forward::frames::{FrameScan, Frames};

/// A connection's bytes.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    watched: Rc<Watched>,
    /// Boxed: a connection at rest has nothing aside.
    aside: Option<Box<Aside>>,
    protocol: Protocol,
    /// hyper waits for bytes, and so notices by itself when the caller is gone.
    reading: bool,
    /// Bytes have arrived that hyper does not take at the moment.
    waiting: bool,
    /// hyper has just read all that it had room for: there may be more.
    filled: bool,
}

/// What a wire keeps beside its socket, where there is anything.
#[derive(Debug, Default)]
struct Aside {
    /// To be read before anything else.
    ahead: Bytes,
    /// What hyper wanted to answer to a head that it could not read.
    refused: Vec<u8>,
    /// HTTP/2 only.
    frames: Option<FrameScan>,
}

impl Aside {
    fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.refused.is_empty() && self.frames.is_none()
    }
}

impl Wire {
    pub(super) fn new(stream: Stream, watched: Rc<Watched>) -> Self {
        let protocol = Protocol::Http1;
        Self { stream, watched, aside: None, protocol, reading: false, waiting: false, filled: false }
    }

    pub(super) fn watched(&self) -> &Watched {
        &self.watched
    }

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    fn ahead(&self) -> &[u8] {
        self.aside.as_ref().map_or(&[], |aside| &aside.ahead)
    }

    /// These bytes are read next.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.aside().ahead = bytes;
        }
    }

    /// These bytes are read after what was put back.
    pub(super) fn put_behind(&mut self, bytes: &[u8]) {
        let all = if self.has_ahead() { [self.ahead(), bytes].concat() } else { bytes.to_vec() };
        self.put_back(all.into());
    }

    /// Whether something was put back.
    pub(super) fn has_ahead(&self) -> bool {
        !self.ahead().is_empty()
    }

    /// Whether what was put back begins like this.
    pub(super) fn starts_with(&self, beginning: &[u8]) -> bool {
        self.ahead().starts_with(beginning)
    }

    /// Whether what was put back could be the first part of this.
    pub(super) fn may_begin(&self, whole: &[u8]) -> bool {
        self.ahead().len() < whole.len() && whole.starts_with(self.ahead())
    }

    /// From now on HTTP/2 is spoken, whose heads no one else reads.
    pub(super) fn is_http2(&mut self) {
        self.protocol = Protocol::Http2;
        self.aside().frames = Some(FrameScan::behind(PREFACE.len()));
        self.watched.is_http2();
    }

    /// Whether bytes have arrived that nobody took.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// hyper's own answer to a head that it could not read, which has not been sent; empty if there was none.
    pub(super) fn take_refused(&mut self) -> Vec<u8> {
        self.aside.as_mut().map(|aside| std::mem::take(&mut aside.refused)).unwrap_or_default()
    }

    /// Reads what was put back.
    fn read_ahead(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let ahead = &mut self.aside().ahead;
        let taken = ahead.split_to(ahead.len().min(buffer.remaining()));
        buffer.put_slice(&taken);
        if self.aside.as_ref().is_some_and(|aside| aside.is_empty()) {
            self.aside = None;
        }
        self.count_frames(&taken)
    }

    /// Reads what arrives, past what was put back.
    pub(super) fn poll_arrived(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        (self.reading, self.waiting) = (read.is_pending(), false);
        self.filled = buffer.remaining() == 0;
        ready!(read)?;
        let arrived = &buffer.filled()[before..];
        if arrived.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.watched.received();
        if self.watched.phase() == Phase::Head {
            self.watched.head.keep(arrived);
        }
        Poll::Ready(self.count_frames(arrived))
    }

    /// Keeps what hyper writes by itself: between answers that is only its answer to a head that it cannot read. While
    /// the tail of an answer may still wait (a head that was sent too early), the two cannot be told apart.
    fn holds_back(&mut self, bytes: &[u8]) -> bool {
        let own = self.protocol == Protocol::Http1
            && self.watched.answers.is_between()
            && matches!(self.watched.phase(), Phase::Fresh | Phase::Idle | Phase::Head);
        if own {
            self.aside().refused.extend_from_slice(bytes);
        }
        own
    }

    /// An error, if the caller sends too many frames that ask for nothing.
    fn count_frames(&mut self, bytes: &[u8]) -> io::Result<()> {
        let frames = self.aside.as_mut().and_then(|aside| aside.frames.as_mut());
        let Some(frames) = frames else { return Ok(()) };
        let Frames { noise, resets, .. } = frames.feed(bytes);
        let count = noise + resets;
        if count > 0 && self.watched.is_flooded_by(count) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// While an answer is awaited, hyper reads nothing (`half_close`): whether the caller is still there is asked here.
    fn poll_presence(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let reading = std::mem::take(&mut self.reading);
        if reading || self.waiting {
            return Ok(());
        }
        if std::mem::take(&mut self.filled) {
            // It was there a moment ago, and asking costs a system call. While a body flows hyper reads more before it
            // comes here again, for which it is woken anyway; where it stands still, it is asked then.
            context.waker().wake_by_ref();
            return Ok(());
        }
        let gone = || Err(io::ErrorKind::ConnectionAborted.into());
        if self.watched.presence.is_half_closed() {
            // What came after the end, the socket says only when asked.
            let error = self.stream.take_error()?;
            return error.map_or_else(|| if self.stream.is_gone() { gone() } else { Ok(()) }, Err);
        }
        match self.stream.poll_peek(context) {
            Poll::Ready(Ok(0)) if self.watched.end_of_input() || self.stream.is_gone() => gone(),
            Poll::Ready(Ok(0)) | Poll::Pending => Ok(()),
            Poll::Ready(Ok(_)) => {
                self.waiting = true;
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(error),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.has_ahead() {
            return Poll::Ready(this.read_ahead(buffer));
        }
        this.poll_arrived(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.holds_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watched.told(&written);
        written
    }

    /// Called by hyper whenever it has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.watched.answers.flushed();
        if this.protocol == Protocol::Http1 && this.watched.answers.is_open() {
            this.poll_presence(context)?;
        }
        // A socket has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.watched.answers.is_between() && this.protocol == Protocol::Http1 {
            let written = slices.iter().map(|slice| slice.len()).sum();
            if slices.iter().all(|slice| this.holds_back(slice)) {
                return Poll::Ready(Ok(written));
            }
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.watched.told(&written);
        written
    }
}
