//! The bytes of an HTTP/2 connection to an upstream, whose frames are counted as they arrive.
//!
//! Invariant: an upstream that sends frames by the thousand which no request asked for loses its connection within a
//! second. Bodies have their windows; here is the rest (see [`crate::forward::frames`]).

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::forward::dial::Transport;
use crate::forward::frames::{FrameScan, Frames};

/// How many frames too many there may be in [`SPAN`]: an upstream that pings for every few kilobytes stays far below.
const NOISE: u32 = 5000;

/// See [`NOISE`].
const SPAN: Duration = Duration::from_secs(1);

/// What one stream may bring besides its body: a head, trailers, a reset, and interim answers.
const OF_STREAM: u32 = 8;

/// So many of them may be outstanding.
const OUTSTANDING: u32 = 8192;

/// What streams may still bring.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowance(Rc<Cell<u32>>);

impl Allowance {
    /// A stream is opened.
    pub(super) fn open(&self) {
        self.0.set((self.0.get() + OF_STREAM).min(OUTSTANDING));
    }

    /// So many frames have come on streams; how many of them are too many.
    fn take(&self, frames: u32) -> u32 {
        let left = self.0.get();
        self.0.set(left.saturating_sub(frames));
        frames.saturating_sub(left)
    }
}

/// A connection whose frames are counted.
#[derive(Debug)]
pub(super) struct Counted {
    transport: Transport,
    frames: FrameScan,
    allowance: Allowance,
    noise: u32,
    since: Instant,
}

impl Counted {
    pub(super) fn new(transport: Transport, allowance: &Allowance) -> Self {
        Self {
            transport,
            frames: FrameScan::behind(0),
            allowance: allowance.clone(),
            noise: 0,
            since: Instant::now(),
        }
    }

    fn count(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Frames { noise, heads, resets } = self.frames.feed(bytes);
        self.noise = self.noise.saturating_add(noise).saturating_add(self.allowance.take(heads + resets));
        // The time is asked only now and then.
        if self.noise <= NOISE {
            return Ok(());
        }
        let span = self.since.elapsed();
        (self.since, self.noise) = (Instant::now(), 0);
        if span < SPAN { Err(io::Error::other("thousands of frames that nobody asked for")) } else { Ok(()) }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(context, buffer))?;
        Poll::Ready(this.count(&buffer.filled()[before..]))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write_vectored(context, slices)
    }
}
