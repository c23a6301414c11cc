//! HTTP/2 as we speak it to callers, by hyper: by prior knowledge only (RFC 9113 §3.3).
//!
//! Invariant: what one connection can make us keep is bounded by the windows, buffers and counts below, whatever its
//! caller sends or does not read.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;

use super::Handler;
use super::request::{self, Shared};
use super::state::Order;
use super::wire::Wire;
use crate::config::server::Limits;

/// What a caller begins with when it speaks HTTP/2 (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a request body that may wait for a slow upstream: on one machine nothing is gained by more in flight.
const STREAM_WINDOW: u32 = 128 * 1024;

/// The same for all streams together: eight uploads may stall before the others of their connection do.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of an answer that may wait for a slow caller, a stream.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that we may have to reset for errors of the caller before it is taken for an attacker.
const LOCAL_RESETS: usize = 64;

/// What a head costs by HTTP/2's way of counting besides its fields' own bytes, for each field (RFC 9113 §6.5.2).
const OF_FIELD: usize = 32;

/// Runs a connection's streams as tasks of this thread. They end with their connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, stream: F) {
        // A panic while a body streams ends this task, and with it the stream.
        tokio::task::spawn_local(async move {
            stream.await;
        });
    }
}

/// HTTP/2 within the limits. CONNECT over it (RFC 8441) is not announced.
pub(super) fn protocol(limits: &Limits) -> http2::Builder<Here> {
    let mut http = http2::Builder::new(Here);
    let bounded = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    http.max_concurrent_streams(bounded(limits.streams))
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .max_header_list_size(bounded(header_list(limits)))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    http
}

/// How large a head h2 takes. The exact limits are the guard's; h2 counts otherwise, the target too, and refuses without a
/// reason: with so much slack, a head that is a little too large is refused with the one that fits.
fn header_list(limits: &Limits) -> usize {
    limits.header_bytes + 2 * limits.uri_bytes + 2 * limits.headers * OF_FIELD
}

/// Serves a connection until it ends, or is told to end.
pub(super) async fn serve<H: Handler>(
    mut wire: Wire,
    http: &http2::Builder<Here>,
    shared: &Rc<Shared<H>>,
) -> Result<(), hyper::Error> {
    wire.is_http2();
    let watched = &shared.watched;
    let mut connection = pin!(http.serve_connection(TokioIo::new(wire), request::service(Rc::clone(shared))));
    let mut told = false;
    poll_fn(|context| {
        let order = watched.orders.latest(context.waker());
        if order == Order::Close {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended);
        }
        if order != Order::Drain || told {
            return Poll::Pending;
        }
        // GOAWAY; the streams that are open go on.
        told = true;
        connection.as_mut().graceful_shutdown();
        connection.as_mut().poll(context)
    })
    .await
}
