//! One connection, from its first byte to its last.
//!
//! ```text
//! waiting for bytes ──► HTTP/1 by hyper ──► idle for a second or two: back to waiting
//!   (the socket, and        │      └──► after a 101: a tunnel ──► end
//!    nothing else)          └──► end
//!             └────────► HTTP/2 by hyper ──► end
//! ```
//!
//! Invariant: while nothing is being asked a connection costs its socket and this small future; what is needed to answer
//! is made when bytes arrive and boxed, so that the future stays small.

use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::server::conn::{http1, http2};
use tokio::io::ReadBuf;

use super::http1::{End, Left};
use super::http2::PREFACE;
use super::request::Shared;
use super::state::Order;
use super::watched::Watched;
use super::wire::Wire;
use super::{Accepted, Handler, Origin, farewell, relay};
use crate::config::server::Limits;
use crate::error::ProxyError;

/// What a first read takes: most heads fit.
const FIRST_READ: usize = 2048;

/// How callers are served, made once.
pub(super) struct Protocols {
    local: http1::Builder,
    remote: http1::Builder,
    http2: http2::Builder<super::http2::Here>,
    limits: Limits,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            local: super::http1::protocol(limits, true),
            remote: super::http1::protocol(limits, false),
            http2: super::http2::protocol(limits),
            limits: *limits,
        }
    }
}

/// Serves a connection until it ends, or is told to end.
///
/// No `async fn`: that would keep room for its arguments beside what is made of them, for as long as the connection lives.
pub(super) fn run<H: Handler>(
    accepted: Accepted,
    protocols: Rc<Protocols>,
    handler: Rc<H>,
    watched: Rc<Watched>,
) -> impl Future<Output = ()> {
    let Accepted { stream, caller, guard, slot, load } = accepted;
    let wire = Wire::new(stream, Rc::clone(&watched));
    let shared = Rc::new(Shared { origin: Origin::new(guard, caller), handler, watched });
    let mut serving = Some(wire);
    let mut first = true;
    async move {
        while let Some(wire) = &mut serving {
            if !wire.has_ahead() && !poll_fn(|context| poll_bytes(wire, first, context)).await {
                break;
            }
            let http2 = std::mem::take(&mut first) && wire.starts_with(PREFACE);
            let Some(wire) = serving.take() else { break };
            // Boxed: this future would always have room for it.
            serving = match http2 {
                true => Box::pin(speak_http2(wire, &protocols, &shared)).await,
                false => Box::pin(speak_http1(wire, &protocols, &shared)).await,
            };
        }
        if let Some(cause) = shared.watched.orders.cause() {
            slot.closed(cause);
        }
        drop((slot, load));
    }
}

/// Waits for bytes; at first, for so many that it is clear which protocol they are. False is the end.
fn poll_bytes(wire: &mut Wire, first: bool, context: &mut Context<'_>) -> Poll<bool> {
    let order = wire.watched().orders.latest(context.waker());
    wire.watched().orders.rested();
    if order == Order::Close {
        return Poll::Ready(false);
    }
    loop {
        let mut some = [const { MaybeUninit::uninit() }; FIRST_READ];
        let mut some = ReadBuf::uninit(&mut some);
        match wire.poll_arrived(context, &mut some) {
            Poll::Pending if order == Order::Drain => return Poll::Ready(false),
            polled => match ready!(polled) {
                Ok(()) if !some.filled().is_empty() => wire.put_behind(some.filled()),
                _ => return Poll::Ready(false),
            },
        }
        if !(first && wire.may_begin(PREFACE)) {
            return Poll::Ready(true);
        }
    }
}

async fn speak_http2<H: Handler>(wire: Wire, protocols: &Protocols, shared: &Rc<Shared<H>>) -> Option<Wire> {
    if let Err(error) = super::http2::serve(wire, &protocols.http2, shared).await {
        tracing::debug!(%error, "connection ended");
    }
    None
}

/// Gives the wire back if the connection only rests.
async fn speak_http1<H: Handler>(wire: Wire, protocols: &Protocols, shared: &Rc<Shared<H>>) -> Option<Wire> {
    let http = if shared.origin.caller.is_local() { &protocols.local } else { &protocols.remote };
    let Left { end, mut wire, unread } = super::http1::serve(wire, http, shared).await;
    let watched = &shared.watched;
    if let Some(tunnel) = shared.origin.sequel.take_tunnel() {
        if matches!(end, End::Over) {
            wire.put_back(unread);
            relay::run(&mut wire, tunnel, watched).await;
            farewell::say(&mut wire, b"", watched).await;
        }
        return None;
    }
    match end {
        End::Rest => {
            if !unread.is_empty() {
                // The beginning of a head, which has come too early.
                wire.put_back(unread);
                watched.received();
            }
            return Some(wire);
        }
        // A caller that may still be sending gets time to read its answer.
        End::Over if watched.answers.had_body() || wire.is_waiting() || !unread.is_empty() => {
            farewell::say(&mut wire, b"", watched).await;
        }
        End::Over | End::Idle | End::Closed => {}
        End::Failed(error) => {
            let answer = wire.take_refused();
            tracing::debug!(%error, "connection ended");
            if !answer.is_empty() {
                let refusal = farewell::refusal(&answer, &unread, &protocols.limits);
                let refused = ProxyError::Refused(refusal);
                let response = shared.handler.refuse(&refused, &shared.origin, &error.to_string());
                farewell::say(&mut wire, &farewell::serialise(&response, &answer), watched).await;
            } else if error.is_parse() {
                // hyper's own answer went out with the one before it.
                farewell::say(&mut wire, b"", watched).await;
            }
        }
    }
    None
}
