//! The request path, phase by phase: guard, route, credential, strip, inject, forward.
//!
//! Invariant: every early return is a [`ProxyError`]; what an upstream answers passes as it is. No lock, and nothing
//! shared but loads; the only wait before forwarding is for a token where there is none.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::error::{self, ProxyError};
use crate::forward::pool::{Exchange, Pool};
use crate::forward::sequel::Sequel;
use crate::forward::ticker::Ticker;
use crate::forward::tunnel::Tunnel;
use crate::forward::upgrade::{self, Offer};
use crate::guard::path;
use crate::guard::{Caller, Guard, Host};
use crate::metrics::{InFlight, Metrics};
use crate::route::RouteTable;

mod answer;
mod csrf;
mod deadline;
mod destination;
mod dpop;
mod exchange;
mod message;
mod refusal;
mod remedy;
mod route;
mod way;

use message::{Context, Terms};
use way::Way;

pub use answer::Answer;
pub use csrf::Csrf;
pub use destination::{Destination, Leads, RouteHost};
pub use route::{Route, Served};

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

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Inbound<'a> {
    guard: &'a Guard,
    caller: &'a Caller,
    sequel: &'a Sequel,
}

/// What is known of a request when it is over, for metrics and the log.
#[derive(Default)]
struct Trace<'a> {
    route: Option<&'a Route>,
    /// What it asked for, if that was turned into something else.
    target: Option<Uri>,
}

impl<'a> Trace<'a> {
    fn name(&self) -> Option<&'a str> {
        self.route.map(|route| route.name.as_str())
    }
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
    /// The request is taken apart here, stays where it is, and is lent to everybody below: what an async function takes
    /// by value, its future has room for twice, and futures are moved.
    pub fn handle(
        &self,
        request: Request<Incoming>,
        guard: &Guard,
        caller: &Caller,
        sequel: &Sequel,
    ) -> impl Future<Output = Response<Answer>> {
        let (mut head, body) = request.into_parts();
        let mut body = Some(body);
        async move {
            let served = (self.live)();
            let grpc = error::is_grpc(head.version, &head.headers);
            let mut trace = Trace::default();
            let inbound = Inbound { guard, caller, sequel };
            let outcome = self.pass(&mut head, &mut body, &served, inbound, &mut trace).await;
            match outcome {
                Ok(response) => {
                    self.answered(&response, &trace, &head.method);
                    self.pool.buffers().give_fields(head.headers);
                    response
                }
                Err(error) => self.failed(&error, &trace, &head, caller, grpc),
            }
        }
    }

    /// Counts and logs an answer.
    fn answered(&self, response: &Response<Answer>, trace: &Trace<'_>, method: &Method) {
        let status = response.status().as_u16();
        trace.route.map_or(self.metrics.unrouted(), |route| &route.metrics).answered(status);
        tracing::debug!(route = trace.name(), %method, status, "answered");
    }

    /// Counts and logs why there is no answer, and makes one that says so.
    fn failed(
        &self,
        error: &ProxyError,
        trace: &Trace<'_>,
        head: &Parts,
        caller: &Caller,
        grpc: bool,
    ) -> Response<Answer> {
        let metrics = trace.route.map_or(self.metrics.unrouted(), |route| &route.metrics);
        metrics.refused(error.status().as_u16(), error.reason());
        let id = refusal::id();
        let asked =
            refusal::Asked { method: &head.method, target: trace.target.as_ref().unwrap_or(&head.uri) };
        refusal::log(error, trace.name(), &asked, caller, &id);
        let response = if grpc { error.grpc_response(&id) } else { error.response(trace.name(), &id) };
        response.map(Answer::own)
    }

    /// Counts and logs a request that did not get this far, and gives the answer.
    pub fn refuse(&self, error: &ProxyError, caller: &Caller, detail: &str) -> Response<Bytes> {
        self.metrics.unrouted().refused(error.status().as_u16(), error.reason());
        let id = refusal::id();
        refusal::log_unread(error, caller, detail, &id);
        error.response(None, &id)
    }

    /// guard -> route -> credential -> strip -> inject -> forward.
    async fn pass<'a>(
        &self,
        head: &mut Parts,
        body: &mut Option<Incoming>,
        served: &'a Served,
        inbound: Inbound<'_>,
        trace: &mut Trace<'a>,
    ) -> Result<Response<Answer>, ProxyError> {
        let version = head.version;
        let host = inbound.guard.check(head, inbound.caller)?;
        let route = find(&served.routes, head, &host)?;
        trace.route = Some(route);
        let in_flight = route.metrics.start();
        let until = Ticker::due(self.ticker.now(), route.timeouts.total);
        let subject = route.credential.subject(&head.headers)?;
        let credential = route.credential.bind(subject.as_deref());
        let pinned = match &route.leads {
            Leads::To(_) => None,
            // What is rare is boxed: every request's future would carry room for it.
            Leads::WithToken => Box::pin(self.pin(&credential, until)).await?,
        };
        let way = Way::new(route, credential, &pinned)?;
        let terms = Terms { served, guard: inbound.guard, body_limit: self.body_limit, ticker: &self.ticker };
        let mut outgoing = message::outgoing(&terms, &way, head, body, &host, &mut trace.target)?;
        let mut worn = match way.destination.csrf.as_deref().filter(|csrf| csrf.concerns(&head.method)) {
            None => None,
            Some(csrf) => Some(Box::pin(self.wear(&way, csrf, &mut head.headers, until)).await?),
        };
        let used = self.inject(&way, head, until).await?;
        let going = (&mut outgoing.body, outgoing.progress.as_deref());
        let mut exchange = self.exchange(&way, head, going, used, worn.as_deref_mut(), until).await?;
        if let Some(worn) = worn {
            worn.take_off(exchange.response.headers_mut(), &self.clock);
        }
        if upgrade::is_switch(&exchange.response) {
            return switch(&way, exchange, outgoing.offer, &host, (inbound.sequel, in_flight));
        }
        if let Some(upload) = outgoing.progress.as_ref().filter(|upload| !upload.is_done()) {
            inbound.sequel.set_upload(upload);
        }
        let context =
            Context { host: &host, version, upload: outgoing.progress, until, ticker: &self.ticker };
        message::incoming(&way, exchange, context, in_flight)
    }
}

/// The route for a request; a path that some backend would read as a path of another route is refused.
fn find<'a>(routes: &'a RouteTable<Route>, request: &Parts, host: &Host) -> Result<&'a Route, ProxyError> {
    let find = |path: &str| routes.find(host.name(), path, &request.method);
    let route =
        path::select(request.uri.path(), find, |route| path::Terms { cut: route.cut, rules: route.paths })?;
    route.ok_or(ProxyError::NoRoute)
}

/// The upstream switches protocols: its connection becomes a tunnel, if that was asked for.
fn switch(
    way: &Way<'_>,
    exchange: Exchange,
    offer: Option<Offer>,
    host: &Host,
    (sequel, in_flight): (&Sequel, InFlight),
) -> Result<Response<Answer>, ProxyError> {
    let (head, upstream) = upgrade::switch(offer.as_ref(), exchange.response)?;
    let head = match &offer {
        Some(offer) => message::switching(way, offer, head, host),
        None => head,
    };
    sequel.set_tunnel(Tunnel {
        upstream: Box::new(upstream),
        idle: way.timeouts.upgrade_idle,
        held: Box::new(in_flight),
    });
    Ok(head.map(|()| Answer::own(Bytes::new())))
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}
