//! The body of an answer to a caller: the upstream's, streamed, or a problem document.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::forward::body::{BodyError, Download};
use crate::metrics::InFlight;

/// What a caller gets.
#[derive(Debug)]
pub enum Answer {
    /// The upstream's body; the request counts as in flight until it is gone.
    Upstream(Download, InFlight),
    /// No body, and a head that tells a length all the same (304): hyper writes it only for a body that claims to have it.
    Claim(u64),
    /// A text of our own.
    Own(Option<Bytes>),
}

impl Answer {
    /// A text of ours.
    pub fn own(text: Bytes) -> Self {
        Self::Own(Some(text).filter(|text| !text.is_empty()))
    }

    pub(super) fn upstream(body: Download, in_flight: InFlight) -> Self {
        Self::Upstream(body, in_flight)
    }

    pub(super) fn claim(length: u64) -> Self {
        Self::Claim(length)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Upstream(body, _) => Pin::new(body).poll_frame(context),
            Self::Claim(_) => Poll::Ready(None),
            Self::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body, _) => body.is_end_stream(),
            Self::Claim(_) => false,
            Self::Own(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body, _) => body.size_hint(),
            Self::Claim(length) => SizeHint::with_exact(*length),
            Self::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
