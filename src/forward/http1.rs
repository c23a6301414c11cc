//! HTTP/1.1 as a client speaks it to an upstream (RFC 9112), one exchange at a time on a connection.
//!
//! Invariant: the future that waits for an answer writes and reads itself; no task and no channel stands between. Whether
//! a connection is used again is decided when both messages are over, and a byte too many decides against it.

mod blocks;
mod body;
mod buffers;
mod chunked;
mod connection;
mod decode;
mod encode;
mod exchange;
mod parse;
mod upgraded;
mod writer;

pub use body::Body;
pub use buffers::Buffers;
pub use connection::{Connection, Lifetime};
pub use exchange::{Failure, send};
pub use upgraded::Upgraded;

/// What the head of an answer, or its trailers, may use up; exact.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// The connection ended before the body did.
    #[error("closed before the end of the body")]
    Incomplete,
    /// What should be a chunk is none.
    #[error("invalid chunk")]
    Chunk,
    /// What follows the last chunk are no fields, or too many.
    #[error("invalid trailers")]
    Trailers,
    /// The request could not be sent to its end.
    #[error("the request broke off: {0}")]
    Upload(crate::forward::ForwardError),
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
