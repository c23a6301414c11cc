//! The request path, phase by phase: guard, route, credential, strip, inject, forward.
//!
//! Invariant: every early return is a [`ProxyError`]; what an upstream answers passes as it is. No lock, and nothing
//! shared but loads; the only wait before forwarding is for a token where there is none.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::route::On401;
use crate::error::{self, ProxyError};
use crate::forward::pool::{Exchange, Pool, Reuse, SendError, Sent};
use crate::forward::replay::Replay;
use crate::forward::ticker::Ticker;
use crate::forward::tunnel::{Tunnel, TunnelSlot};
use crate::forward::upgrade::{self, Offer};
use crate::forward::upload::{Progress, Upload};
use crate::guard::path;
use crate::guard::{Caller, Guard, Host, Refusal};
use crate::metrics::{InFlight, Metrics};
use crate::route::RouteTable;
use crate::token::Generation;

mod answer;
mod deadline;
mod message;
mod refusal;
mod route;

use message::{Context, Outgoing, Terms};

pub use answer::Answer;
pub use route::{Route, RouteHost, Served};

/// How often a request is sent again that was not executed: upstreams that restart refuse more than once.
const RETRIES: usize = 4;

/// Gives the routes in force: one atomic load.
pub type Live = Arc<dyn Fn() -> Arc<Served> + Send + Sync>;

/// One worker's request path.
pub struct Proxy {
    live: Live,
    pool: Rc<Pool>,
    clock: Clock,
    metrics: Arc<Metrics>,
    ticker: Rc<Ticker>,
    /// How many bytes a request body may have; zero is no limit.
    body_limit: u64,
}

/// What one request goes by, besides its route.
#[derive(Clone, Copy)]
struct Course {
    /// When the exchange must be over.
    until: Option<Instant>,
}

/// What is known of a request when it is over, for metrics and the log.
#[derive(Default)]
struct Trace<'a> {
    route: Option<&'a Route>,
    asked: refusal::Asked,
}

impl Proxy {
    /// A request path over a worker's own connections. A request body may have `body_limit` bytes (zero: any number).
    pub fn new(live: Live, pool: Rc<Pool>, clock: Clock, metrics: Arc<Metrics>, body_limit: u64) -> Self {
        Self { live, pool, clock, metrics, ticker: Ticker::new(), body_limit }
    }

    /// Moves the clock of timeouts; a worker calls it once a second.
    pub fn tick(&self) {
        self.ticker.tick();
    }

    /// Answers a request: the upstream's answer, or a problem document that says why there is none.
    ///
    /// No `async fn`, here and below: it would keep room for each argument twice, and futures are moved.
    pub fn handle(
        &self,
        request: Request<Incoming>,
        guard: &Guard,
        caller: &Caller,
        tunnel: &TunnelSlot,
    ) -> impl Future<Output = Response<Answer>> {
        let mut request = Some(request);
        async move {
            let served = (self.live)();
            let asks_grpc = |request: &Request<_>| error::is_grpc(request.version(), request.headers());
            let grpc = request.as_ref().is_some_and(asks_grpc);
            let mut trace = Trace::default();
            let outcome = self.pass(&mut request, &served, (guard, caller, tunnel), &mut trace).await;
            self.close(outcome, &trace, caller, grpc)
        }
    }

    /// Counts and logs what came of a request, and makes the answer of an error.
    fn close(
        &self,
        outcome: Result<Response<Answer>, ProxyError>,
        trace: &Trace<'_>,
        caller: &Caller,
        grpc: bool,
    ) -> Response<Answer> {
        let Trace { route, asked } = trace;
        let metrics = route.map_or(self.metrics.unrouted(), |route: &Route| &route.metrics);
        let name = route.map(|route| route.name.as_str());
        match outcome {
            Ok(response) => {
                metrics.answered(response.status().as_u16());
                tracing::debug!(route = name, method = %asked.method(), status = response.status().as_u16(), "answered");
                response
            }
            Err(error) => {
                metrics.refused(error.status().as_u16(), error.reason());
                let id = refusal::id();
                refusal::log(&error, name, asked, caller, &id);
                let response = if grpc { error.grpc_response(&id) } else { error.response(name, &id) };
                response.map(Answer::own)
            }
        }
    }

    /// Counts and logs a request that did not get this far, and gives the answer.
    pub fn refuse(&self, error: &ProxyError, caller: &Caller, detail: &str) -> Response<Bytes> {
        self.metrics.unrouted().refused(error.status().as_u16(), error.reason());
        let id = refusal::id();
        refusal::log_unread(error, caller, detail, &id);
        error.response(None, &id)
    }

    /// guard -> route -> strip -> credential -> inject -> forward.
    async fn pass<'a>(
        &self,
        request: &mut Option<Request<Incoming>>,
        served: &'a Served,
        (guard, caller, tunnel): (&Guard, &Caller, &TunnelSlot),
        trace: &mut Trace<'a>,
    ) -> Result<Response<Answer>, ProxyError> {
        let request = request.take().ok_or(ProxyError::Internal)?;
        let version = request.version();
        let (host, route, outgoing) = self.start(request, served, (guard, caller), trace)?;
        let Outgoing { mut request, upload, offer } = outgoing;
        let in_flight = route.metrics.start();
        let until = Ticker::due(self.ticker.now(), route.timeouts.total);
        let used = self.inject(route, request.headers_mut(), until).await?;
        let exchange = self.exchange(route, request, upload.clone(), used, Course { until }).await?;
        if upgrade::is_switch(&exchange.response) {
            return Box::pin(switch(route, exchange, offer, &host, (tunnel, in_flight))).await;
        }
        let context = Context { host: &host, version, upload, until, ticker: &self.ticker };
        Ok(message::incoming(route, exchange, context, in_flight)?)
    }

    /// Everything that needs no waiting: the request as it will leave, but for its credential.
    fn start<'a>(
        &self,
        request: Request<Incoming>,
        served: &'a Served,
        (guard, caller): (&Guard, &Caller),
        trace: &mut Trace<'a>,
    ) -> Result<(Host, &'a Route, Outgoing), ProxyError> {
        let (host, route) = match admit(&request, &served.routes, guard, caller) {
            Ok(admitted) => admitted,
            Err(error) => {
                trace.asked = refusal::Asked::of(&request);
                return Err(error);
            }
        };
        trace.route = Some(route);
        let terms = Terms { served, guard, body_limit: self.body_limit, ticker: &self.ticker };
        let outgoing = message::outgoing(&terms, route, request, &host, &mut trace.asked)?;
        Ok((host, route, outgoing))
    }

    /// Sets the route's headers; waits only where there is no usable token.
    async fn inject(
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
    async fn exchange(
        &self,
        route: &Route,
        request: Request<Upload>,
        upload: Option<Rc<Progress>>,
        used: Option<Generation>,
        course: Course,
    ) -> Result<Exchange, ProxyError> {
        let (head, body) = request.into_parts();
        let mut replay = Replay::of(head, upload);
        let progress = replay.progress();
        let sent = self.send(route, replay.head(), body, progress, Reuse::Kept, course).await;
        let (exchange, used) = match sent {
            Ok(exchange) => (exchange, used),
            Err(_) if progress.is_some_and(Progress::is_too_large) => {
                return Err(Refusal::BodyTooLarge.into());
            }
            // What is rare is boxed here: every request's future would carry room for it.
            Err(failed) => Box::pin(self.after_failure(route, &mut replay, failed, course)).await?,
        };
        match used.filter(|_| refuses_token(route, &exchange.response)) {
            None => {
                self.pool.buffers().give_fields(replay.into_headers());
                Ok(exchange)
            }
            Some(used) => Box::pin(self.after_rejection(route, &mut replay, exchange, (used, course))).await,
        }
    }

    /// A connection that closed or was about to: what was not executed, or may be executed twice, is sent again, with the
    /// credential of that time. Says which token was used.
    async fn after_failure(
        &self,
        route: &Route,
        replay: &mut Replay,
        mut failed: SendError,
        course: Course,
    ) -> Result<(Exchange, Option<Generation>), ProxyError> {
        for _ in 0..RETRIES {
            let Some(again) = replay.after(failed.sent) else { break };
            // The token of the first attempt may have expired while it waited for its answer.
            let Ok(used) = self.inject(route, replay.headers_mut(), course.until).await else { break };
            // Where one kept connection was gone, others are gone as well.
            let reuse = match failed.sent {
                Sent::NotExecuted => Reuse::Kept,
                _ => Reuse::NewerThan(Instant::now()),
            };
            route.metrics.replays_stale.inc();
            match self.send(route, replay.head(), again, None, reuse, course).await {
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
        replay: &mut Replay,
        exchange: Exchange,
        (used, course): (Generation, Course),
    ) -> Result<Exchange, ProxyError> {
        let Some(again) = replay.again() else {
            route.credential.suspect(used);
            return Ok(exchange);
        };
        if !deadline::until(course.until, route.credential.renewed(used)).await?
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
            .send(route, replay.head(), again, None, reuse, course)
            .await
            .map_err(|failed| failed.error)?)
    }

    async fn send(
        &self,
        route: &Route,
        head: &Parts,
        body: Upload,
        upload: Option<&Progress>,
        reuse: Reuse,
        course: Course,
    ) -> Result<Exchange, SendError> {
        let started = Instant::now();
        let sending = pin!(self.pool.send(&route.upstream, head, body, reuse));
        let outcome = deadline::watched(sending, upload, &route.timeouts, &self.ticker, course.until).await;
        if let Ok(exchange) = &outcome {
            route.metrics.latency.observe(started.elapsed().as_secs_f64());
            route.metrics.replays_stale.inc_by(u64::from(exchange.stale));
        }
        outcome
    }
}

/// The host and the route of a request that may be served.
fn admit<'a>(
    request: &Request<Incoming>,
    routes: &'a RouteTable<Route>,
    guard: &Guard,
    caller: &Caller,
) -> Result<(Host, &'a Route), ProxyError> {
    let host = guard.check(request, caller)?;
    let route = find(routes, request, &host)?;
    Ok((host, route))
}

/// The route for a request; a path that some backend would read as a path of another route is refused.
fn find<'a>(
    routes: &'a RouteTable<Route>,
    request: &Request<Incoming>,
    host: &Host,
) -> Result<&'a Route, ProxyError> {
    let method = request.method();
    let find = |path: &str| routes.find(host.name(), path, method);
    let route = path::select(request.uri().path(), find, |route| path::Terms {
        cut: route.rule.cut_bare(),
        rules: route.paths,
    })?;
    route.ok_or(ProxyError::NoRoute)
}

/// The upstream switches protocols: its connection becomes a tunnel, if that was asked for.
async fn switch(
    route: &Route,
    exchange: Exchange,
    offer: Option<Offer>,
    host: &Host,
    (tunnel, in_flight): (&TunnelSlot, InFlight),
) -> Result<Response<Answer>, ProxyError> {
    let (head, upstream) = upgrade::switch(offer.as_ref(), exchange.response)?;
    let head = match &offer {
        Some(offer) => message::switching(route, offer, head, host),
        None => head,
    };
    tunnel.set(Tunnel {
        upstream: Box::new(upstream),
        idle: route.timeouts.upgrade_idle,
        held: Box::new(in_flight),
    });
    Ok(head.map(|()| Answer::own(Bytes::new())))
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

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

impl Answer {
    /// A text of ours.
    pub fn own(text: Bytes) -> Self {
        Self::Own(Some(text).filter(|text| !text.is_empty()))
    }
}
