//! HTTP/1.1 connections to upstreams: one exchange at a time, kept while they are idle, last in, first out.

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::allowance::{Allowance, Metered};
use super::failure::{Line, SendError, of_hyper};
use super::ticket::Ticket;
use super::{Exchange, HeadLimits, Pool, Reuse, dies, idle_limit};
use crate::forward::ForwardError;
use crate::forward::dial::{Target, Transport, Upstream};
use crate::forward::upload::Upload;

/// How long a kept connection may take to be ready for its next request.
const READY: Duration = Duration::from_millis(100);

/// Kept connections that a request may find gone before it goes out on a new one.
const STALE: u32 = 4;

/// How many fields hyper reads without allocating for it.
const CHEAP_FIELDS: usize = 100;

/// hyper's smallest read buffer.
const SMALLEST_BUFFER: usize = 8192;

/// A connection that carries one exchange at a time.
#[derive(Debug)]
pub(super) struct Http1 {
    sender: SendRequest<Upload>,
    /// What may arrive until the head of an answer is whole.
    allowance: Allowance,
    dies: Option<Instant>,
    /// How long it may be idle; shorter than the setting if the upstream closes earlier.
    idle: Option<Duration>,
}

/// A connection between two exchanges.
#[derive(Debug)]
pub(super) struct Idle {
    connection: Box<Http1>,
    until: Option<Instant>,
}

impl Idle {
    /// Whether the connection may be used (or kept) at this time.
    pub(super) fn is_good(&self, now: Instant) -> bool {
        let before = |end: Option<Instant>| end.is_none_or(|end| now < end);
        before(self.until) && before(self.connection.dies) && !self.connection.sender.is_closed()
    }
}

impl Pool {
    /// Sends a request over HTTP/1.1.
    pub(super) async fn send_http1(
        self: &Rc<Self>,
        upstream: &Upstream,
        mut request: Request<Upload>,
        reuse: Reuse,
    ) -> Result<Exchange, SendError> {
        let mut stale = 0;
        loop {
            let kept =
                if reuse == Reuse::Kept && stale < STALE { self.take(upstream.id).await } else { None };
            let (mut connection, line) = match kept {
                Some(connection) => (connection, Line::Kept),
                None => {
                    // Boxed: it is rare, and it is big; every request's future would carry room for it.
                    let new = Box::pin(self.connect(upstream)).await.map_err(SendError::unconnected)?;
                    (new, Line::New)
                }
            };
            connection.allowance.limit();
            let response = match connection.sender.try_send_request(request).await {
                Ok(response) => response,
                // Not a byte was written: it is as if the request had never been sent.
                Err(mut failed) => match (failed.take_message(), line) {
                    (Some(unsent), Line::Kept) => {
                        stale += 1;
                        request = unsent;
                        continue;
                    }
                    (Some(_), Line::New) => return Err(SendError::unsent(failed.error())),
                    (None, line) => {
                        let arrived = connection.allowance.used();
                        return Err(self.head.judge(SendError::of(failed.error(), line), arrived));
                    }
                },
            };
            connection.allowance.lift();
            self.head.check(&response)?;
            if line == Line::New
                && let Some(limit) = announced_idle(response.headers())
            {
                connection.idle = Some(connection.idle.map_or(limit, |idle| idle.min(limit)));
            }
            let ticket = match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => Ticket::upgraded(connection),
                _ => Ticket::http1(self, upstream.id, connection),
            };
            return Ok(Exchange { response, ticket, stale });
        }
    }

    async fn take(&self, upstream: u64) -> Option<Box<Http1>> {
        let now = Instant::now();
        loop {
            let idle = self.peers.borrow_mut().get_mut(&upstream)?.idle.pop()?;
            if !idle.is_good(now) {
                continue;
            }
            let mut connection = idle.connection;
            // Its exchange is over; its task may not have run since. Closed by the other side shows here too. One that
            // still cannot write what it was given (an upstream that answers and stops reading) is left to end alone.
            let sender = &mut connection.sender;
            if sender.is_ready() || matches!(timeout(READY, sender.ready()).await, Ok(Ok(()))) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next exchange, if it is good for one.
    pub(super) fn keep(&self, upstream: u64, connection: Box<Http1>) {
        // Without an entry the upstream is gone, after a reload.
        let mut peers = self.peers.borrow_mut();
        let Some(peer) = peers.get_mut(&upstream) else { return };
        let now = Instant::now();
        let idle = Idle { until: connection.idle.map(|idle| now + idle), connection };
        if idle.is_good(now) && peer.idle.len() < peer.config.size {
            peer.idle.push(idle);
        }
    }

    async fn connect(&self, upstream: &Upstream) -> Result<Box<Http1>, ForwardError> {
        let target = upstream.target();
        self.enter(upstream.id, target);
        let connecting = async { handshake(target.dial_http1().await?, self.head).await };
        Ok(Http1::new(target.in_time(connecting).await?, target))
    }
}

impl Http1 {
    /// In a box of its own: it is handed on with each exchange.
    fn new((sender, allowance): Speaking, target: &Target) -> Box<Self> {
        Box::new(Self { sender, allowance, dies: dies(&target.pool), idle: idle_limit(&target.pool) })
    }
}

/// A connection that turned out to speak HTTP/1.1, for whoever takes it first.
pub(super) async fn dialled(
    transport: Transport,
    head: HeadLimits,
    target: &Target,
) -> Result<Idle, ForwardError> {
    let connection = Http1::new(handshake(transport, head).await?, target);
    Ok(Idle { until: connection.idle.map(|idle| Instant::now() + idle), connection })
}

/// What requests are sent on, and what counts the bytes that come back.
type Speaking = (SendRequest<Upload>, Allowance);

/// Speaks HTTP/1.1 on a connection, which then runs by itself: it ends when the sender and the last body are gone, or
/// when the upstream closes; after a 101 it is handed to whoever waits for the upgrade.
async fn handshake(transport: Transport, head: HeadLimits) -> Result<Speaking, ForwardError> {
    let mut http = http1::Builder::new();
    // The buffer's limit alone can be overshot by what arrives in one read.
    http.max_buf_size(head.bytes.max(SMALLEST_BUFFER)).max_header_size(head.bytes);
    if head.fields > CHEAP_FIELDS {
        http.max_headers(head.fields);
    }
    let allowance = Allowance::new(head);
    let io = TokioIo::new(Metered::new(transport, allowance.clone()));
    let (sender, driver) = http.handshake(io).await.map_err(|error| of_hyper(&error))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = driver.with_upgrades().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok((sender, allowance))
}

/// For how long an upstream that says so keeps an idle connection (`Keep-Alive: timeout=5`), less what a request needs to
/// get there.
fn announced_idle(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive")?.to_str().ok()?;
    let timeout = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    let seconds: u32 = timeout.trim().parse().ok()?;
    let span = Duration::from_secs(seconds.into());
    Some(span.saturating_sub(Duration::from_secs(1)).max(span / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_idle_timeout_is_undercut() {
        let announced = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", http::HeaderValue::from_static(value));
            announced_idle(&headers)
        };
        assert_eq!(announced("timeout=5, max=100"), Some(Duration::from_secs(4)));
        assert_eq!(announced("max=1,timeout=1"), Some(Duration::from_millis(500)));
        assert_eq!(announced("timeout=0"), Some(Duration::ZERO));
        assert_eq!(announced("max=100"), None);
        assert_eq!(announced("timeout=-1"), None);
        assert_eq!(announced_idle(&HeaderMap::new()), None);
    }
}
