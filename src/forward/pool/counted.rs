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

/// How many frames too many there may be in [`SPAN`].
const NOISE: u32 = 5000;

/// For so many bytes of ours one of them is excused: gRPC in Go answers each piece of a body with a PING, to learn how much
/// the line holds. The answer to a PING is half as long.
const EXCUSED: usize = 32;

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
    /// Bytes of ours that have not been set off.
    written: usize,
}

impl Counted {
    pub(super) fn new(transport: Transport, allowance: &Allowance) -> Self {
        Self {
            transport,
            frames: FrameScan::behind(0),
            allowance: allowance.clone(),
            noise: 0,
            since: Instant::now(),
            written: 0,
        }
    }

    /// Bytes are on their way to the upstream.
    fn told(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            let all = self.written + bytes;
            let excused = u32::try_from(all / EXCUSED).unwrap_or(u32::MAX);
            (self.written, self.noise) = (all % EXCUSED, self.noise.saturating_sub(excused));
        }
        written
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
        let this = self.get_mut();
        let written = Pin::new(&mut this.transport).poll_write(context, bytes);
        this.told(written)
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
        let this = self.get_mut();
        let written = Pin::new(&mut this.transport).poll_write_vectored(context, slices);
        this.told(written)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// A PING.
    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    /// Whether an upstream may ping so often, where so many bytes are written each time.
    async fn may_ping(times: usize, written: usize) -> bool {
        let (near, mut far) = duplex(1024);
        let mut counted = Counted::new(Transport::pipe(near), &Allowance::default());
        for _ in 0..times {
            far.write_all(&PING).await.unwrap();
            if counted.read_exact(&mut [0; 17]).await.is_err() {
                return false;
            }
            counted.write_all(&vec![0; written]).await.unwrap();
            far.read_exact(&mut vec![0; written]).await.unwrap();
        }
        true
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_for_each_piece_of_an_upload_is_no_flood() {
        // A small message and the answer to the PING.
        assert!(may_ping(50_000, 25 + 17).await);
        assert!(!may_ping(50_000, 17).await, "with nothing but the answer");
    }
}
