//! The bytes of a connection, under the eyes of the watch.
//!
//! Everything that is read or written passes here, once, whoever speaks: hyper, a tunnel, or we ourselves. What was read
//! to find out the protocol, or was left over by hyper, is put back in front.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::FrameScan;
use super::listen::Stream;
use super::state::{Phase, Protocol};
use super::watched::Watched;

/// A connection's bytes.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    watched: Rc<Watched>,
    /// To be read before anything else.
    ahead: Bytes,
    protocol: Protocol,
    frames: Option<Box<FrameScan>>,
    /// What hyper wanted to answer to a head that it could not read.
    refused: Vec<u8>,
    /// hyper waits for bytes, and so notices by itself when the caller is gone.
    reading: bool,
    /// Bytes have arrived that hyper does not take at the moment.
    waiting: bool,
}

impl Wire {
    pub(super) fn new(stream: Stream, watched: Rc<Watched>) -> Self {
        Self {
            stream,
            watched,
            ahead: Bytes::new(),
            protocol: Protocol::Http1,
            frames: None,
            refused: Vec::new(),
            reading: false,
            waiting: false,
        }
    }

    /// These bytes are read next.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    /// Whether something was put back.
    pub(super) fn has_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Whether what was put back begins like this.
    pub(super) fn starts_with(&self, beginning: &[u8]) -> bool {
        self.ahead.starts_with(beginning)
    }

    /// From now on HTTP/2 is spoken, whose heads no one else reads.
    pub(super) fn is_http2(&mut self) {
        self.protocol = Protocol::Http2;
        self.frames = Some(Box::default());
        self.watched.is_http2();
    }

    /// Whether bytes have arrived that nobody took.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// hyper's own answer to a head that it could not read, which has not been sent; empty if there was none.
    pub(super) fn take_refused(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.refused)
    }

    /// Keeps what hyper writes by itself: between answers that is only its answer to a head that it cannot read. While
    /// the tail of an answer may still wait (a head that was sent too early), the two cannot be told apart.
    fn holds_back(&mut self, bytes: &[u8]) -> bool {
        let own = self.protocol == Protocol::Http1
            && self.watched.is_between_answers()
            && matches!(self.watched.phase(), Phase::Fresh | Phase::Idle | Phase::Head);
        if own {
            self.refused.extend_from_slice(bytes);
        }
        own
    }

    /// An error, if the caller sends too many frames that ask for nothing.
    fn count_frames(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = self.frames.as_mut().map_or(0, |frames| frames.feed(bytes));
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
        let gone = || Err(io::ErrorKind::ConnectionAborted.into());
        if self.watched.is_half_closed() {
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
        let before = buffer.filled().len();
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(buffer.remaining());
            buffer.put_slice(&this.ahead[..length]);
            this.ahead.advance(length);
            return Poll::Ready(this.count_frames(&buffer.filled()[before..]));
        }
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        (this.reading, this.waiting) = (read.is_pending(), false);
        ready!(read)?;
        let arrived = &buffer.filled()[before..];
        if arrived.is_empty() {
            return Poll::Ready(Ok(()));
        }
        this.watched.received();
        if this.watched.phase() == Phase::Head {
            this.watched.keep_head(arrived);
        }
        Poll::Ready(this.count_frames(arrived))
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
        this.watched.flushed();
        if this.protocol == Protocol::Http1 && this.watched.is_busy() {
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
        if this.watched.is_between_answers() && this.protocol == Protocol::Http1 {
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
