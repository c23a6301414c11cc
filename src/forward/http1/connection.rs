//! One connection: its bytes, and what of them is read and not used yet.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::Instant;

use super::blocks::BLOCK;
use super::buffers::{Buffers, LARGE, SMALL};
use super::upgraded::Upgraded;
use crate::forward::dial::Transport;

/// With less room than this, reading is not worth its system call.
const ROOM: usize = 1024;

/// For how long a connection may be kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lifetime {
    /// When it is not used any more; never, if there is nothing.
    pub dies: Option<Instant>,
    /// How long it may be idle; shorter than the setting if the upstream closes earlier.
    pub idle: Option<Duration>,
}

/// A connection to an upstream that speaks HTTP/1.1.
#[derive(Debug)]
pub struct Connection {
    pub(super) io: Transport,
    pub(super) buffer: BytesMut,
    /// Whether the buffer is a block.
    is_block: bool,
    pub(super) buffers: Rc<Buffers>,
    /// How much is read at once.
    step: usize,
    /// How long it may be kept.
    pub lifetime: Lifetime,
}

impl Connection {
    /// A connection that has carried nothing yet. In a box of its own: it is handed on with each exchange.
    pub fn new(mut io: Transport, buffers: &Rc<Buffers>, lifetime: Lifetime) -> Box<Self> {
        io.allow_pauses();
        let (buffer, buffers) = (BytesMut::new(), Rc::clone(buffers));
        Box::new(Self { io, buffer, is_block: false, buffers, step: SMALL, lifetime })
    }

    /// Whether an idle connection is still open. Nobody waits for its bytes: what has arrived unasked, be it an end, is
    /// seen here. Asks the system only if something has happened.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.io).poll_read(&mut context, &mut byte).is_pending()
    }

    pub(super) fn limit_idle(&mut self, limit: Duration) {
        let idle = &mut self.lifetime.idle;
        *idle = Some(idle.map_or(limit, |idle| idle.min(limit)));
    }

    /// Reads more; how much, of which 0 is the end. `wanted` is how much is known to come.
    pub(super) fn poll_fill(
        &mut self,
        wanted: Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let want =
            wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(self.step).clamp(ROOM, BLOCK);
        if self.buffer.capacity() - self.buffer.len() < (want / 2).max(ROOM) {
            self.make_room(want);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let polled = pin!(self.io.read_buf(&mut self.buffer)).poll(context);
        let Poll::Ready(read) = polled else {
            self.release();
            return Poll::Pending;
        };
        let read = read?;
        if read == room {
            self.step = (self.step * 2).min(BLOCK);
        }
        Poll::Ready(Ok(read))
    }

    /// Makes room for so many bytes, or for as many as there is memory for at the moment.
    fn make_room(&mut self, want: usize) {
        if self.buffer.is_empty() && (want > SMALL || self.is_block) {
            // If it is a block, this one may be free then.
            self.release();
            if want > SMALL
                && let Some(block) = self.buffers.take_block()
            {
                (self.buffer, self.is_block) = (block, true);
                return;
            }
        }
        if self.buffer.capacity() == 0 {
            self.buffer = self.buffers.take_read();
        }
        if self.buffer.capacity() - self.buffer.len() < want / 2 {
            self.buffer.reserve(want.clamp(SMALL, LARGE));
        }
    }

    /// Gives an empty buffer back.
    pub(super) fn release(&mut self) {
        if !self.buffer.is_empty() {
            return;
        }
        let buffer = std::mem::take(&mut self.buffer);
        if !std::mem::take(&mut self.is_block) {
            self.buffers.give_read(buffer);
        }
    }

    /// The exchange is over: the connection waits for the next one, unless something came that nobody asked for.
    pub(super) fn rest(mut self: Box<Self>) -> Option<Box<Self>> {
        self.step = SMALL;
        self.release();
        self.buffer.is_empty().then_some(self)
    }

    /// The connection, for another protocol.
    pub(super) fn into_upgraded(mut self) -> Upgraded {
        self.release();
        Upgraded::new(self.buffer, self.io)
    }
}
