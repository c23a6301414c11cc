//! How much an HTTP/1.1 upstream may send before the head of its answer is there.
//!
//! hyper skips interim answers (1xx) as fast as they arrive, any number of them, all within one poll: an upstream that
//! never stops would hold its worker. Bytes are counted where they are read, and only while a head is awaited.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::HeadLimits;
use crate::forward::dial::Transport;

/// Bytes of interim answers: a `102 Processing` a second for five hours.
const INTERIM: usize = 1024 * 1024;

/// The beginning of the answer's body may be read before whoever waits for the head knows of it: a buffer for the head,
/// one for the body, and one that is handed on.
const BUFFERS: usize = 4;

/// Stands for "no head is awaited".
const UNLIMITED: usize = usize::MAX;

/// Too much came before the head of an answer.
#[derive(Debug, thiserror::Error)]
#[error("interim answers without end")]
pub(super) struct Exhausted;

/// What a connection may still bring, shared by its reader and by who waits for its answers. Both run on one thread;
/// atomic, because hyper wants connections that can be handed over.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    left: Arc<AtomicUsize>,
    whole: usize,
}

impl Allowance {
    /// None of it is in force.
    pub(super) fn new(head: HeadLimits) -> Self {
        let whole = head.bytes.saturating_mul(BUFFERS).saturating_add(INTERIM);
        Self { left: Arc::new(AtomicUsize::new(UNLIMITED)), whole }
    }

    /// From here on a head is awaited.
    pub(super) fn limit(&self) {
        self.left.store(self.whole, Ordering::Relaxed);
    }

    /// It is there.
    pub(super) fn lift(&self) {
        self.left.store(UNLIMITED, Ordering::Relaxed);
    }

    /// What has arrived since a head is awaited.
    pub(super) fn used(&self) -> usize {
        self.whole.saturating_sub(self.left.load(Ordering::Relaxed))
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let left = self.left.load(Ordering::Relaxed);
        if left != UNLIMITED {
            self.left.store(left.checked_sub(bytes).ok_or(Exhausted)?, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A connection whose bytes are counted.
#[derive(Debug)]
pub(super) struct Metered {
    transport: Transport,
    allowance: Allowance,
}

impl Metered {
    pub(super) fn new(transport: Transport, allowance: Allowance) -> Self {
        Self { transport, allowance }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(context, buffer))?;
        let arrived = buffer.filled().len() - before;
        Poll::Ready(this.allowance.take(arrived).map_err(std::io::Error::other))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write_vectored(context, slices)
    }
}
