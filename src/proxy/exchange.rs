//! An exchange with an upstream: the request is sent, and once more where that is safe.
//!
//! Invariant: what leaves has the credential of that moment; an answer that is not sent for again passes as it is.

use std::pin::pin;

use http::request::Parts;
use tokio::time::Instant;

use super::csrf::Worn;
use super::way::Way;
use super::{Proxy, deadline, dpop, remedy};
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
        route: &Way<'_>,
        head: &mut Parts,
        until: Option<Instant>,
    ) -> Result<Option<Generation>, ProxyError> {
        if let Some(used) = self.show(route, head) {
            return Ok(used);
        }
        // What is rare is boxed: every request's future would carry room for it.
        Box::pin(deadline::until(until, route.credential.wait(&self.clock))).await??;
        // A token that expired between the wait and here was not worth waiting for: as if there were none.
        let nothing = || ProxyError::Token(route.credential.unavailable(&self.clock));
        self.show(route, head).ok_or_else(nothing)
    }

    /// Sets the route's headers, and a proof where the token is bound to a key; nothing where no token is usable. Says
    /// which token it was.
    pub(super) fn show(&self, route: &Way<'_>, head: &mut Parts) -> Option<Option<Generation>> {
        let now = self.clock.now();
        let shown = route.credential.apply(&mut head.headers, now)?;
        if let Some(prover) = &shown.prover {
            dpop::prove(prover, &route.destination.upstream, head, now)?;
        }
        Some(shown.generation)
    }

    /// Sends the request, and once more where that is safe: a kept connection that was gone, or an answer that another
    /// credential may cure.
    pub(super) async fn exchange(
        &self,
        route: &Way<'_>,
        head: &mut Parts,
        (body, progress): (&mut Upload, Option<&Progress>),
        used: Option<Generation>,
        worn: Option<&mut Worn<'_>>,
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
        match remedy::needed(route, &exchange.response, used, worn) {
            None => Ok(exchange),
            Some(remedy) => Box::pin(self.remedy(route, &mut replay, exchange, remedy, until)).await,
        }
    }

    /// A connection that closed or was about to: what was not executed, or may be executed twice, is sent again, with the
    /// credential of that time. Says which token was used.
    async fn after_failure(
        &self,
        route: &Way<'_>,
        replay: &mut Replay<'_>,
        mut failed: SendError,
        until: Option<Instant>,
    ) -> Result<(Exchange, Option<Generation>), ProxyError> {
        for _ in 0..RETRIES {
            let Some(mut again) = replay.after(failed.sent) else { break };
            // The token of the first attempt may have expired while it waited for its answer.
            let Ok(used) = self.inject(route, replay.head_mut(), until).await else { break };
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

    pub(super) async fn send(
        &self,
        route: &Way<'_>,
        head: &Parts,
        (body, upload): (&mut Upload, Option<&Progress>),
        reuse: Reuse,
        until: Option<Instant>,
    ) -> Result<Exchange, SendError> {
        let started = Instant::now();
        let sending = pin!(self.pool.send(&route.destination.upstream, head, body, reuse, started));
        let outcome = deadline::watched(sending, upload, &route.timeouts, &self.ticker, until).await;
        if let Ok(exchange) = &outcome {
            route.metrics.latency.observe(started.elapsed().as_secs_f64());
            route.metrics.replays_stale.inc_by(u64::from(exchange.stale));
            if route.dpop {
                dpop::heed(&route.destination.upstream, &exchange.response);
            }
        }
        outcome
    }
}
