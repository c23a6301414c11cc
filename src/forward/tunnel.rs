//! What a connection carries after a 101: bytes, both ways, that are nobody's business but the two ends'.
//!
//! Invariant: there is a tunnel only where a caller asked for a protocol that its route allows and the upstream answered
//! 101 with it; until then every byte is HTTP.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::upload::Progress;

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// What an HTTP/1.1 connection carries once its last answer, a 101, is written.
pub struct Tunnel {
    /// The upstream's side.
    pub upstream: Box<dyn Stream>,
    /// How long both sides may be silent; zero is for ever.
    pub idle: Duration,
    /// Dropped when the tunnel ends.
    pub held: Box<dyn Any>,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("idle", &self.idle).finish_non_exhaustive()
    }
}

/// Where the request path leaves what goes on behind an answer, for the connection that it goes out on.
#[derive(Debug, Default)]
pub struct TunnelSlot {
    tunnel: RefCell<Option<Tunnel>>,
    upload: RefCell<Weak<Progress>>,
}

impl TunnelSlot {
    /// Makes the connection a tunnel after the answer that is about to be given, which must be a 101.
    pub fn set(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// The tunnel, once.
    pub fn take(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }

    /// The answer that is about to be given has come before the end of its request.
    pub fn set_upload(&self, upload: &Rc<Progress>) {
        *self.upload.borrow_mut() = Rc::downgrade(upload);
    }

    /// The rest of that request, once.
    pub fn take_upload(&self) -> Weak<Progress> {
        self.upload.take()
    }
}
