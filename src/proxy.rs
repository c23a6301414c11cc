//! The request path, phase by phase: guard, route, credential, strip, inject, forward.
//!
//! Invariant: every early return is a [`ProxyError`]; what an upstream answers passes as it is. No lock, and nothing
//! shared but loads; the only wait before forwarding is for a token where there is none.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, request};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::Name;
use crate::config::route::{On401, Timeouts};
use crate::credential::Credential;
use crate::error::ProxyError;
use crate::forward::body::Download;
use crate::forward::dial::Upstream;
use crate::forward::location::Rewrite;
use crate::forward::pool::{Exchange, Pool, Reuse, SendError};
use crate::forward::replay::Replay;
use crate::forward::upload::{Progress, Upload};
use crate::forward::{self, ForwardError, PathRule};
use crate::guard::path;
use crate::guard::{Caller, Guard, Host};
use crate::inject::Managed;
use crate::metrics::{Metrics, RouteMetrics};
use crate::route::RouteTable;
use crate::token::Generation;

mod answer;
mod deadline;
mod refusal;

pub use answer::Answer;

/// Everything that a reload replaces at once.
#[derive(Debug)]
pub struct Served {
    /// The routes.
    pub routes: RouteTable<Route>,
    /// The header names that only we may set.
    pub managed: Managed,
}

/// A route, ready to be used.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Name,
    /// What is cut from the front of the caller's path; for locations on the way back.
    pub prefix: String,
    /// How paths are turned.
    pub rule: PathRule,
    /// Where requests go.
    pub upstream: Upstream,
    /// The Host that the upstream wants.
    pub host: HeaderValue,
    /// The upstream's origin, for locations.
    pub origin: String,
    /// What is added.
    pub credential: Credential,
    /// Names that never come back in an answer: what is added, and our own.
    pub hidden: Vec<HeaderName>,
    /// What a 401 does.
    pub on_401: On401,
    /// How many bytes of a body are kept for a replay.
    pub replay_buffer: usize,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Its counters.
    pub metrics: RouteMetrics,
}

/// Gives the routes in force: one atomic load.
pub type Live = Arc<dyn Fn() -> Arc<Served> + Send + Sync>;

/// One worker's request path.
pub struct Proxy {
    live: Live,
    pool: Rc<Pool>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Proxy {
    /// A request path over a worker's own connections.
    pub fn new(live: Live, pool: Rc<Pool>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { live, pool, clock, metrics }
    }

    /// Answers a request: the upstream's answer, or a problem document that says why there is none.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        guard: &Guard,
        caller: &Caller,
    ) -> Response<Answer> {
        let served = (self.live)();
        let asked = refusal::Asked::of(&request);
        let mut route = None;
        let outcome = self.pass(request, &served, guard, caller, &mut route).await;
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
                refusal::log(&error, name, &asked, caller, &id);
                error.response(name, &id).map(Answer::own)
            }
        }
    }

    /// guard -> route -> strip -> credential -> inject -> forward.
    async fn pass<'a>(
        &self,
        request: Request<Incoming>,
        served: &'a Served,
        guard: &Guard,
        caller: &Caller,
        found: &mut Option<&'a Route>,
    ) -> Result<Response<Answer>, ProxyError> {
        let host = guard.check(&request, caller)?;
        let route = find(&served.routes, &request, &host)?;
        *found = Some(route);
        let in_flight = route.metrics.start();
        let (mut parts, body, upload) = outgoing(route, request)?;
        forward::strip_request(&mut parts.headers, &served.managed, guard.access_header());
        body.announce(&mut parts.headers);
        parts.headers.insert(HOST, route.host.clone());
        let used = self.inject(route, &mut parts.headers).await?;
        let request = Request::from_parts(parts, body);
        let exchange = self.exchange(route, request, upload.clone(), used).await?;
        let download = incoming(route, exchange, upload, &host)?;
        Ok(download.map(|body| Answer::upstream(body, in_flight)))
    }

    /// Sets the route's headers; waits only where there is no usable token.
    async fn inject(&self, route: &Route, headers: &mut HeaderMap) -> Result<Option<Generation>, ProxyError> {
        if let Some(used) = route.credential.apply(headers, self.clock.now()) {
            return Ok(used);
        }
        Box::pin(route.credential.wait(&self.clock)).await?;
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
    ) -> Result<Exchange, ProxyError> {
        let replay = Replay::of(&request, upload.clone());
        let exchange = match self.send(route, request, upload.as_deref(), Reuse::Kept).await {
            Ok(exchange) => exchange,
            // What is rare is boxed here: every request's future would carry room for it.
            Err(failed) => Box::pin(self.after_failure(route, &replay, failed)).await?,
        };
        match used.filter(|_| refuses_token(route, &exchange.response)) {
            None => Ok(exchange),
            Some(used) => Box::pin(self.after_rejection(route, &replay, exchange, used)).await,
        }
    }

    /// A kept connection closed instead of answering: what may be repeated is sent on a new one.
    async fn after_failure(
        &self,
        route: &Route,
        replay: &Replay,
        failed: SendError,
    ) -> Result<Exchange, ProxyError> {
        if !failed.on_kept_connection || !replay.is_idempotent() {
            return Err(failed.error.into());
        }
        let again = replay.request().ok_or(failed.error)?;
        route.metrics.replays_stale.inc();
        Ok(self.send(route, again, None, Reuse::Never).await.map_err(|failed| failed.error)?)
    }

    /// A 401: if a different token comes in time and the body was kept, the request is sent once more; otherwise the
    /// answer, which is held until then, goes back unchanged.
    async fn after_rejection(
        &self,
        route: &Route,
        replay: &Replay,
        exchange: Exchange,
        used: Generation,
    ) -> Result<Exchange, ProxyError> {
        let Some(mut again) = replay.request() else {
            route.credential.suspect(used);
            return Ok(exchange);
        };
        if !route.credential.renewed(used).await
            || route.credential.apply(again.headers_mut(), self.clock.now()).is_none()
        {
            return Ok(exchange);
        }
        drop(exchange);
        route.metrics.replays_rejected.inc();
        Ok(self.send(route, again, None, Reuse::Never).await.map_err(|failed| failed.error)?)
    }

    async fn send(
        &self,
        route: &Route,
        request: Request<Upload>,
        upload: Option<&Progress>,
        reuse: Reuse,
    ) -> Result<Exchange, SendError> {
        let started = Instant::now();
        let sending = pin!(self.pool.send(&route.upstream, request, reuse));
        let outcome = deadline::watched(sending, upload, &route.timeouts).await;
        if let Ok(exchange) = &outcome {
            route.metrics.latency.observe(started.elapsed().as_secs_f64());
            route.metrics.replays_stale.inc_by(u64::from(exchange.stale));
        }
        outcome
    }
}

/// The route for a request; a path that some backend would read as a path of another route is refused.
fn find<'a>(
    routes: &'a RouteTable<Route>,
    request: &Request<Incoming>,
    host: &Host,
) -> Result<&'a Route, ProxyError> {
    let method = request.method();
    let find = |path: &str| routes.find(host.name(), path, method);
    let route = path::select(request.uri().path(), find, |route| route.rule.cut_bare())?;
    route.ok_or(ProxyError::NoRoute)
}

/// The request as it will leave, but for its headers.
fn outgoing(
    route: &Route,
    request: Request<Incoming>,
) -> Result<(request::Parts, Upload, Option<Rc<Progress>>), ProxyError> {
    let (mut parts, body) = request.into_parts();
    parts.uri = route.rule.apply(&parts.uri).ok_or(ProxyError::NoRoute)?;
    parts.version = Version::HTTP_11;
    let room = match (&route.credential, route.on_401) {
        (Credential::Shared(_), On401::Replay) => route.replay_buffer,
        _ => 0,
    };
    let (body, progress) = Upload::of(body, room);
    Ok((parts, body, progress))
}

/// The upstream's answer as it will leave.
fn incoming(
    route: &Route,
    exchange: Exchange,
    upload: Option<Rc<Progress>>,
    host: &Host,
) -> Result<Response<Download>, ProxyError> {
    let Exchange { response, ticket, .. } = exchange;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ForwardError::Invalid("101 without a request for it".to_owned()).into());
    }
    let (mut parts, body) = response.into_parts();
    let headers = &mut parts.headers;
    // With both, the length is a lie; and a connection whose framing was unclear is not used again (RFC 9112 §6.3).
    let unclear = headers.contains_key(TRANSFER_ENCODING) && headers.remove(CONTENT_LENGTH).is_some();
    forward::merge_lengths(headers);
    forward::strip_response(headers, &route.hidden);
    let rewrite =
        Rewrite { origin: &route.origin, rule: &route.rule, prefix: &route.prefix, host: host.as_sent() };
    rewrite.apply(headers);
    parts.version = Version::HTTP_11;
    let ticket = Some(ticket).filter(|_| !unclear);
    Ok(Response::from_parts(parts, Download::new(body, ticket, upload, route.timeouts.body_idle)))
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
    fn own(text: Bytes) -> Self {
        Self::Own(Some(text))
    }
}
