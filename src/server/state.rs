//! The words of the watch: what a connection does, what it is told, why it was closed.

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has arrived since it was accepted.
    Fresh,
    /// Nothing has arrived since its last answer; on HTTP/2, no stream is open.
    Idle,
    /// A request head has begun to arrive.
    Head,
    /// A request is being answered.
    Busy,
    /// It carries bytes that are no HTTP, both ways.
    Tunnel,
    /// Everything is said, and the caller may still be sending.
    Linger,
}

/// What a connection has been told to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    #[default]
    Serve,
    /// Keep only the socket until bytes arrive.
    Rest,
    /// Finish what is being answered, and close; at once, if that is nothing.
    Drain,
    /// Close now.
    Close,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.0 or 1.1, or nothing yet.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// Why a connection was closed although its caller did not ask for it: the labels of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// `limits.first_byte_timeout`
    FirstByte,
    /// `limits.header_timeout`
    Head,
    /// `limits.idle_timeout`
    Idle,
    /// The caller took nothing of its answer for `limits.idle_timeout`.
    Stuck,
    /// A tunnel was silent for too long.
    TunnelIdle,
    /// The caller had closed its side, and no byte of its answer came.
    Gone,
    /// There were too many connections, and it had waited longest without a request.
    Crowded,
    /// HTTP/2 frames that ask for nothing, in great numbers.
    Flood,
    /// The caller did not close its side after the last answer.
    Lingered,
}

impl Cause {
    /// The label; none for what is no news.
    pub(super) fn label(self) -> Option<&'static str> {
        match self {
            Self::FirstByte => Some("first_byte"),
            Self::Head => Some("head"),
            Self::Idle => Some("idle"),
            Self::Stuck => Some("stuck"),
            Self::TunnelIdle => Some("tunnel_idle"),
            Self::Gone => Some("gone"),
            Self::Crowded => Some("crowded"),
            Self::Flood => Some("flood"),
            Self::Lingered => None,
        }
    }
}
