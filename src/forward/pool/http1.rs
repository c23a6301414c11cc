//! HTTP/1.1 connections to upstreams: one exchange at a time, kept while they are idle, last in, first out.

use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;
use tokio::time::Instant;

use super::answer::AnswerBody;
use super::failure::{Line, SendError};
use super::ticket::Ticket;
use super::{Exchange, Pool, Reuse, dies, idle_limit};
use crate::forward::ForwardError;
use crate::forward::dial::{Target, Transport, Upstream};
use crate::forward::http1::{self, Buffers, Connection, Lifetime};
use crate::forward::upload::Upload;

/// A connection between two exchanges.
#[derive(Debug)]
pub(super) struct Idle {
    connection: Box<Connection>,
    until: Option<Instant>,
}

impl Idle {
    fn new(connection: Box<Connection>, now: Instant) -> Self {
        Self { until: connection.lifetime.idle.map(|idle| now + idle), connection }
    }

    /// Whether the connection may be used (or kept) at this time.
    pub(super) fn is_good(&mut self, now: Instant) -> bool {
        self.is_young(now) && self.connection.is_quiet()
    }

    fn is_young(&self, now: Instant) -> bool {
        let before = |end: Option<Instant>| end.is_none_or(|end| now < end);
        before(self.until) && before(self.connection.lifetime.dies)
    }
}

impl Pool {
    /// Sends a request over HTTP/1.1.
    pub(super) async fn send_http1(
        self: &Rc<Self>,
        upstream: &Upstream,
        request: &Parts,
        upload: &mut Upload,
        reuse: Reuse,
    ) -> Result<Exchange, SendError> {
        let kept = if reuse == Reuse::Kept { self.take(upstream.id) } else { None };
        let (connection, line) = match kept {
            Some(connection) => (connection, Line::Kept),
            None => {
                // Boxed: it is rare, and it is big; every request's future would carry room for it.
                let new = Box::pin(self.connect(upstream)).await.map_err(SendError::unconnected)?;
                (new, Line::New)
            }
        };
        let limits = http1::Limits { bytes: self.head.bytes, fields: self.head.fields };
        let sent = http1::send(connection, request, upload, limits).await;
        let mut response = sent.map_err(|failure| SendError::of_http1(failure, line))?;
        if line == Line::New
            && let Some(limit) = announced_idle(response.headers())
        {
            response.body_mut().limit_idle(limit);
        }
        let response = response.map(AnswerBody::Http1);
        Ok(Exchange { response, ticket: Ticket::http1(self, upstream.id), stale: 0 })
    }

    fn take(&self, upstream: u64) -> Option<Box<Connection>> {
        let now = self.seen.get();
        let mut peers = self.peers.borrow_mut();
        let idle = &mut peers.get_mut(&upstream)?.idle;
        loop {
            let mut last = idle.pop()?;
            if last.is_good(now) {
                return Some(last.connection);
            }
        }
    }

    /// Keeps a connection for the next exchange, if it is good for one. It counts as idle from the last moment that
    /// anybody asked the clock for, which is at most a second ago: too early does no harm.
    pub(super) fn keep(&self, upstream: u64, connection: Box<Connection>) {
        // Without an entry the upstream is gone, after a reload.
        let mut peers = self.peers.borrow_mut();
        let Some(peer) = peers.get_mut(&upstream) else { return };
        let now = self.seen.get();
        let idle = Idle::new(connection, now);
        if idle.is_young(now) && peer.idle.len() < peer.config.size {
            peer.idle.push(idle);
        }
    }

    async fn connect(&self, upstream: &Upstream) -> Result<Box<Connection>, ForwardError> {
        let target = upstream.target();
        self.enter(upstream.id, target);
        let transport = target.in_time(target.dial_http1()).await?;
        Ok(connection(transport, &self.buffers, target))
    }
}

/// A connection that turned out to speak HTTP/1.1, for whoever takes it first.
pub(super) fn dialled(transport: Transport, buffers: &Rc<Buffers>, target: &Target) -> Idle {
    Idle::new(connection(transport, buffers, target), Instant::now())
}

fn connection(transport: Transport, buffers: &Rc<Buffers>, target: &Target) -> Box<Connection> {
    let lifetime = Lifetime { dies: dies(&target.pool), idle: idle_limit(&target.pool) };
    Connection::new(transport, buffers, lifetime)
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
