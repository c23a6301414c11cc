//! The body of an answer, whatever protocol it came over.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::forward::http1::{self, BodyFault, Upgraded};
use crate::forward::ticker::Ticker;
use crate::forward::upload::Rest;

/// The body of an answer. Dropped before its end, it takes its connection (or stream) with it.
#[derive(Debug)]
pub enum AnswerBody {
    /// HTTP/1.1; the connection is in it.
    Http1(http1::Body),
    /// HTTP/2.
    Http2(Incoming),
}

/// Why it broke off.
#[derive(Debug, thiserror::Error)]
pub enum AnswerFault {
    /// HTTP/1.1
    #[error(transparent)]
    Http1(#[from] BodyFault),
    /// HTTP/2
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

impl AnswerBody {
    /// The answer is over: what holds from here on for a request that is still on its way. Over HTTP/2 it ends with its
    /// answer.
    pub fn limit_rest(&mut self, rest: impl FnOnce() -> Rest, ticker: &Rc<Ticker>) {
        if let Self::Http1(body) = self {
            body.limit_rest(rest, ticker);
        }
    }

    /// The connection after a 101; nothing if there can be none.
    pub fn into_upgraded(self) -> Option<Upgraded> {
        match self {
            Self::Http1(body) => body.into_upgraded(),
            Self::Http2(_) => None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerFault>>> {
        match self.get_mut() {
            Self::Http1(body) => {
                Pin::new(body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Http2(body) => {
                Pin::new(body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
