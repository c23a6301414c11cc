//! Why a request got no answer, and what that says about whether it was executed.

use std::error::Error;

use crate::forward::ForwardError;
use crate::forward::http1;

/// How hyper tells that a connection's task was dropped, which it counts as a fault of ours.
const TASK_GONE: &str = "dispatch task is gone";

/// A request that got no answer.
#[derive(Debug)]
pub struct SendError {
    /// Why.
    pub error: ForwardError,
    /// What is known of the request.
    pub sent: Sent,
}

/// What is known of a request that got no answer: it decides whether it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// There was no connection to send it on; another attempt would fare no better.
    Unconnected,
    /// Not executed, for sure: it was never written, or the upstream said so (RFC 9113 §8.7: REFUSED_STREAM, GOAWAY
    /// with a lower stream; §7: HTTP_1_1_REQUIRED). Whatever its method, it may be sent again.
    NotExecuted,
    /// A kept connection closed instead of answering, as it does when the upstream was about to close it. A request that
    /// is idempotent may be sent again (RFC 9110 §9.2.2).
    Unanswered,
    /// It may have been executed: it is not sent again.
    Unknown,
}

/// What a connection was to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Kept from an earlier request: the upstream may have closed it at any moment.
    Kept,
    /// Dialled for this one.
    New,
}

impl SendError {
    /// No connection came about.
    pub(super) fn unconnected(error: ForwardError) -> Self {
        Self { error, sent: Sent::Unconnected }
    }

    /// An answer came, and it is none that can be used.
    pub(super) fn unusable(error: ForwardError) -> Self {
        Self { error, sent: Sent::Unknown }
    }

    /// The exchange failed over HTTP/1.1.
    pub(super) fn of_http1(failure: http1::Failure, line: Line) -> Self {
        let sent = if failure.unanswered && line == Line::Kept { Sent::Unanswered } else { Sent::Unknown };
        Self { error: failure.error, sent }
    }

    /// hyper gave the request back: not a byte of it was written.
    pub(super) fn unsent(error: &hyper::Error) -> Self {
        Self { error: of_hyper(error), sent: Sent::NotExecuted }
    }

    /// The exchange failed over HTTP/2.
    pub(super) fn of(error: &hyper::Error, line: Line) -> Self {
        let sent = match of_http2(error) {
            Some(error) if error.is_remote() && error.is_go_away() => Sent::NotExecuted,
            Some(error) if error.is_remote() && is_refusal(error) => Sent::NotExecuted,
            Some(error) if line == Line::New || !error.is_io() => Sent::Unknown,
            _ if line == Line::New => Sent::Unknown,
            _ => Sent::Unanswered,
        };
        let error = of_hyper(error);
        match (&error, sent) {
            // Only a close is no answer at all.
            (ForwardError::Closed(_), _) | (_, Sent::NotExecuted) => Self { error, sent },
            _ => Self { error, sent: Sent::Unknown },
        }
    }
}

/// Whether an upstream asks for HTTP/1.1 (RFC 9113 §7), as some do for client certificates or NTLM.
pub(super) fn asks_for_http1(error: &hyper::Error) -> bool {
    let reason = of_http2(error).filter(|error| error.is_remote()).and_then(h2::Error::reason);
    reason == Some(h2::Reason::HTTP_1_1_REQUIRED)
}

fn is_refusal(error: &h2::Error) -> bool {
    matches!(error.reason(), Some(h2::Reason::REFUSED_STREAM | h2::Reason::HTTP_1_1_REQUIRED))
}

/// What hyper's error means; its text holds no header.
pub(super) fn of_hyper(error: &hyper::Error) -> ForwardError {
    if let Some(cause) = of_http2(error) {
        return of_h2(cause);
    }
    let text = described(error);
    if error.is_parse_too_large() {
        ForwardError::HeadTooLarge(text)
    } else if error.is_parse() {
        ForwardError::Invalid(text)
    } else if error.is_user() && !text.starts_with(TASK_GONE) {
        // The only thing of ours that can fail in a request is the caller's body.
        ForwardError::CallerGone
    } else {
        ForwardError::Closed(text)
    }
}

fn of_h2(error: &h2::Error) -> ForwardError {
    let text = error.to_string();
    if error.is_remote() || error.is_io() {
        ForwardError::Closed(text)
    } else if error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) {
        // What h2 calls an abuse by a server is a head that is far too large.
        ForwardError::HeadTooLarge(text)
    } else if error.is_reset() && !error.is_library() {
        // We reset it ourselves: the caller's body broke off.
        ForwardError::CallerGone
    } else {
        ForwardError::Invalid(text)
    }
}

fn of_http2(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

fn described(error: &hyper::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
