//! Requests over HTTP/2: many share a connection, and all that need a new one wait for the same dial.
//!
//! Invariant: a dial belongs to no request. It runs on when whoever asked for it is gone, and its end, whatever it is,
//! reaches everybody who waits.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use http::request::Parts;
use http::{Request, StatusCode};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::answer::AnswerBody;
use super::failure::{Line, SendError, asks_for_http1};
use super::head;
use super::http1::{self, Idle};
use super::http2::{Http2, Stream};
use super::ticket::Ticket;
use super::{Exchange, Pool, Reuse};
use crate::forward::ForwardError;
use crate::forward::dial::{Protocol, Target, Upstream};
use crate::forward::upload::Upload;

/// Connections that a request may find gone before it is given up.
const STALE: u32 = 4;

/// Dials whose connection was over before anything could be sent on it, until a request is given up.
const STILLBORN: u32 = 4;

/// Who waits for a dial.
pub(super) type Waiting = Vec<oneshot::Sender<Result<(), ForwardError>>>;

/// What a dial brought.
enum Dialled {
    Http1(Idle),
    Http2(Rc<Http2>),
}

impl Pool {
    /// Sends a request over HTTP/2, or over HTTP/1.1 if that is what the upstream turns out to speak.
    pub(super) async fn send_shared(
        self: &Rc<Self>,
        upstream: &Upstream,
        head: &Parts,
        mut upload: Upload,
        reuse: Reuse,
    ) -> Result<Exchange, SendError> {
        let (mut stale, mut stillborn) = (0, 0);
        let mut line = Line::Kept;
        // hyper's HTTP/2 does not tell of a 100.
        upload.go_ahead();
        loop {
            let Some(stream) = self.stream(upstream.id, reuse) else {
                // Where others have taken the streams of the new connection, it is there all the same.
                if line == Line::New && !self.is_connected(upstream.id) {
                    stillborn += 1;
                    if stillborn == STILLBORN {
                        let text = "the upstream closes new connections at once".to_owned();
                        return Err(SendError::unconnected(ForwardError::Closed(text)));
                    }
                }
                self.dialled(upstream).await.map_err(SendError::unconnected)?;
                line = Line::New;
                if upstream.target().protocol() == Protocol::Http1 {
                    return self.send_http1(upstream, head, &mut upload, reuse).await;
                }
                continue;
            };
            let mut request = Request::from_parts(head.clone(), upload);
            head::to_http2(&mut request, upstream.target());
            request.body().multiplex();
            match stream.send(request).await {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let text = "101 over HTTP/2 (RFC 9113 §8.6)".to_owned();
                    return Err(SendError::unusable(ForwardError::Invalid(text)));
                }
                Ok(response) => {
                    self.head.check_whole(&response)?;
                    let response = response.map(AnswerBody::Http2);
                    return Ok(Exchange { response, ticket: Ticket::http2(stream), stale });
                }
                // Not a byte was written: it is as if the request had never been sent.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if stale < STALE => {
                        stale += 1;
                        upload = unsent.into_body();
                    }
                    Some(_) => return Err(SendError::unsent(failed.error())),
                    None if asks_for_http1(failed.error()) => {
                        upstream.target().avoid_http2();
                        return Err(SendError::of(failed.error(), line));
                    }
                    None => return Err(SendError::of(failed.error(), line)),
                },
            }
        }
    }

    /// A place on a connection that is there.
    fn stream(&self, upstream: u64, reuse: Reuse) -> Option<Stream> {
        let mut peers = self.peers.borrow_mut();
        let peer = peers.get_mut(&upstream)?;
        let now = Instant::now();
        peer.shared.retain(|connection| connection.is_good(now));
        let allowed = |connection: &&Rc<Http2>| match reuse {
            Reuse::Kept => true,
            Reuse::NewerThan(moment) => connection.is_newer_than(moment),
        };
        peer.shared.iter().filter(allowed).find_map(Http2::stream)
    }

    /// Whether there is a connection, whoever uses it.
    fn is_connected(&self, upstream: u64) -> bool {
        let now = Instant::now();
        let peers = self.peers.borrow();
        peers.get(&upstream).is_some_and(|peer| peer.shared.iter().any(|connection| connection.is_good(now)))
    }

    /// Waits for the dial that is under way, or starts one.
    async fn dialled(self: &Rc<Self>, upstream: &Upstream) -> Result<(), ForwardError> {
        let target = upstream.target();
        self.enter(upstream.id, target);
        let (tell, told) = oneshot::channel();
        let first = match self.peers.borrow_mut().get_mut(&upstream.id) {
            Some(peer) => {
                peer.waiting.push(tell);
                peer.waiting.len() == 1
            }
            None => false,
        };
        if first {
            let end = DialEnd { pool: Rc::downgrade(self), upstream: upstream.id, outcome: None };
            tokio::task::spawn_local(self.clone().dial(Arc::clone(target), end));
        }
        told.await.unwrap_or_else(|_| Err(interrupted()))
    }

    async fn dial(self: Rc<Self>, target: Arc<Target>, mut end: DialEnd) {
        let connecting = async {
            Ok(match target.dial().await? {
                (transport, Protocol::Http2) => {
                    Dialled::Http2(Http2::handshake(transport, self.head, &target.pool).await?)
                }
                (transport, _) => Dialled::Http1(http1::dialled(transport, &self.buffers, &target)),
            })
        };
        end.outcome = Some(target.in_time(connecting).await);
    }
}

/// Tells everybody who waits for a dial how it ended, even if it ended by a panic.
struct DialEnd {
    pool: Weak<Pool>,
    upstream: u64,
    outcome: Option<Result<Dialled, ForwardError>>,
}

impl Drop for DialEnd {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut peers = pool.peers.borrow_mut();
        let Some(peer) = peers.get_mut(&self.upstream) else { return };
        let outcome = match self.outcome.take() {
            Some(Ok(Dialled::Http1(idle))) => {
                peer.idle.push(idle);
                Ok(())
            }
            Some(Ok(Dialled::Http2(connection))) => {
                peer.shared.push(connection);
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Err(interrupted()),
        };
        for waiting in peer.waiting.drain(..) {
            // Whoever is gone needs no answer.
            let _ = waiting.send(outcome.clone());
        }
    }
}

fn interrupted() -> ForwardError {
    ForwardError::Connect("the dial was interrupted".to_owned())
}
