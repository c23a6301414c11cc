//! A tunnel: what two ends say to each other after a 101, byte by byte, in bounded buffers.
//!
//! A half-close goes through; an error of one side ends both. Silence is counted by the watch, which sees every byte on
//! the caller's side.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use tokio::io::{AsyncWrite, copy_bidirectional_with_sizes};

use super::state::Order;
use super::watched::Watched;
use super::wire::Wire;
use crate::forward::tunnel::Tunnel;

/// Bytes that may wait, each way.
const BUFFER: usize = 8 * 1024;

/// Relays until both sides have ended, one has failed, or the connection is told to end: then both get an end.
pub(super) async fn run(wire: &mut Wire, tunnel: Tunnel, watched: &Rc<Watched>) {
    watched.is_tunnel(tunnel.idle);
    let Tunnel { mut upstream, held, .. } = tunnel;
    {
        let mut relay = pin!(copy_bidirectional_with_sizes(wire, &mut upstream, BUFFER, BUFFER));
        poll_fn(|context| match (watched.orders.latest(context.waker()), relay.as_mut().poll(context)) {
            (_, Poll::Ready(ended)) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a tunnel broke");
                }
                Poll::Ready(())
            }
            // At the end of the process a tunnel has no request to finish; its ends know how to begin anew.
            (Order::Drain | Order::Close, Poll::Pending) => Poll::Ready(()),
            (Order::Serve | Order::Rest, Poll::Pending) => Poll::Pending,
        })
        .await;
    }
    // An end rather than a reset, where the socket takes it at once.
    poll_fn(|context| {
        let _ = Pin::new(&mut upstream).poll_shutdown(context);
        Poll::Ready(())
    })
    .await;
    drop(held);
}
