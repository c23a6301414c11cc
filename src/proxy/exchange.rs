//! An exchange with an upstream: the request is sent, and once more where that is safe.
//!
//! Invariant: what leaves has the credential of that moment; an answer that is not sent for again passes as it is.

use std::pin::pin;

use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use tokio::time::Instant;

use super::{Proxy, Route, deadline};
use crate::config::route::On401;
use crate::error::ProxyError;
use crate::forward::pool::{Exchange, Reuse, SendError, Sent};
use crate::forward::replay::Replay;
use crate::forward::upload::{Progress, Upload};
use crate::guard::Refusal;
use crate::token::Generation;

/// How often a request is sent again that was not executed: upstreams that restart refuse more than once.
const RETRIES: usize = 4;

impl Proxy {
    /// Sets the route's headers; waits only where there is no usable token.
    pub(super) async fn inject(
        &self,
        route: &Route,
        headers: &mut HeaderMap,
        until: Option<Instant>,
    ) -> Result<Option<Generation>, ProxyError> {
        if let Some(used) = route.credential.apply(headers, self.clock.now()) {
            return Ok(used);
        }
        // What is rare is boxed: every request's future would carry room for it.
        Box::pin(deadline::until(until, route.credential.wait(&self.clock))).await??;
        // A token that expired between the wait and here was not worth waiting for: as if there were none.
        let nothing = || ProxyError::Token(route.credential.unavailable(&self.clock));
        route.credential.apply(headers, self.clock.now()).ok_or_else(nothing)
    }

    /// Sends the request, and once more where that is safe: a kept connection that was gone, or a 401 that a different
    /// token may cure.
    pub(super) async fn exchange(
        &self,
        route: &Route,
        head: &mut Parts,
        (body, progress): (&mut Upload, Option<&Progress>),
        used: Option<Generation>,
        until: Option<Instant>,
    ) -> Result<Exchange, ProxyError> {
        let mut replay = Replay::of(head, progress);
        let sent = self.send(route, replay.head(), (body, progress), Reuse::Kept, until).await;
        let (exchange, used) = match sent {
            Ok(exchange) => (exchange, used),
            Err(_) if progress.is_some_and(Progress::is_too_large) => {
                return Err(Refusal::BodyTooLarge.into());
            }
            // What is rare is boxed here: every request's future would carry room for it.
            Err(failed) => Box::pin(self.after_failure(route, &mut replay, failed, until)).await?,
        };
        match used.filter(|_| refuses_token(route, &exchange.response)) {
            None => Ok(exchange),
            Some(used) => Box::pin(self.after_rejection(route, &mut replay, exchange, (used, until))).await,
        }
    }

    /// A connection that closed or was about to: what was not executed, or may be executed twice, is sent again, with the
    /// credential of that time. Says which token was used.
    async fn after_failure(
        &self,
        route: &Route,
        replay: &mut Replay<'_>,
        mut failed: SendError,
        until: Option<Instant>,
    ) -> Result<(Exchange, Option<Generation>), ProxyError> {
        for _ in 0..RETRIES {
            let Some(mut again) = replay.after(failed.sent) else { break };
            // The token of the first attempt may have expired while it waited for its answer.
            let Ok(used) = self.inject(route, replay.headers_mut(), until).await else { break };
            // Where one kept connection was gone, others are gone as well.
            let reuse = match failed.sent {
                Sent::NotExecuted => Reuse::Kept,
                _ => Reuse::NewerThan(Instant::now()),
            };
            route.metrics.replays_stale.inc();
            match self.send(route, replay.head(), (&mut again, None), reuse, until).await {
                Ok(exchange) => return Ok((exchange, used)),
                Err(next) => failed = next,
            }
        }
        Err(failed.error.into())
    }

    /// A 401: if a different token comes in time and the body was kept, the request is sent once more; otherwise the
    /// answer, which is held until then, goes back unchanged.
    async fn after_rejection(
        &self,
        route: &Route,
        replay: &mut Replay<'_>,
        exchange: Exchange,
        (used, until): (Generation, Option<Instant>),
    ) -> Result<Exchange, ProxyError> {
        let Some(mut again) = replay.again() else {
            route.credential.suspect(used);
            return Ok(exchange);
        };
        if !deadline::until(until, route.credential.renewed(used)).await?
            || route.credential.apply(replay.headers_mut(), self.clock.now()).is_none()
        {
            return Ok(exchange);
        }
        // An HTTP/2 connection that has just answered is alive; a kept HTTP/1.1 connection may be gone.
        let reuse = match exchange.response.version() {
            Version::HTTP_2 => Reuse::Kept,
            _ => Reuse::NewerThan(Instant::now()),
        };
        drop(exchange);
        route.metrics.replays_rejected.inc();
        Ok(self
            .send(route, replay.head(), (&mut again, None), reuse, until)
            .await
            .map_err(|failed| failed.error)?)
    }

    async fn send(
        &self,
        route: &Route,
        head: &Parts,
        (body, upload): (&mut Upload, Option<&Progress>),
        reuse: Reuse,
        until: Option<Instant>,
    ) -> Result<Exchange, SendError> {
        let started = Instant::now();
        let sending = pin!(self.pool.send(&route.upstream, head, body, reuse, started));
        let outcome = deadline::watched(sending, upload, &route.timeouts, &self.ticker, until).await;
        if let Ok(exchange) = &outcome {
            route.metrics.latency.observe(started.elapsed().as_secs_f64());
            route.metrics.replays_stale.inc_by(u64::from(exchange.stale));
        }
        outcome
    }
}

/// Whether the upstream says that the token is bad, rather than that it is not enough (RFC 6750 §3.1).
fn refuses_token<B>(route: &Route, response: &Response<B>) -> bool {
    let names_scope = |value: &HeaderValue| {
        value.as_bytes().windows(18).any(|part| part.eq_ignore_ascii_case(b"insufficient_scope"))
    };
    response.status() == StatusCode::UNAUTHORIZED
        && route.on_401 == On401::Replay
        && !response.headers().get_all(WWW_AUTHENTICATE).iter().any(names_scope)
}
