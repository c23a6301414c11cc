//! What a connection carries after a 101: bytes, both ways, that are nobody's business but the two ends'.
//!
//! Invariant: there is a tunnel only where a caller asked for a protocol that its route allows and the upstream answered
//! 101 with it; until then every byte is HTTP.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

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
