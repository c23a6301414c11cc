//! From the configuration to what the request path holds: routes, injections, and a worker's handler.

use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;

use super::StartError;
use crate::clock::Clock;
use crate::config::route::{HostHeader, PathMatch};
use crate::config::server::{Limits, Via};
use crate::config::url::{HttpUrl, Scheme};
use crate::config::{Config, RouteConfig};
use crate::credential::Credential;
use crate::error::{ProxyError, REASON_HEADER};
use crate::forward::dial::Upstream;
use crate::forward::pool::{HeadLimits, Pool};
use crate::forward::via::Pseudonym;
use crate::forward::{self, PathRule};
use crate::inject::{self, Injection, Injector, Managed};
use crate::metrics::Metrics;
use crate::profile::Profile;
use crate::proxy::{Answer, Live, Proxy, Route, RouteHost, Served};
use crate::route::RouteTable;
use crate::server::{Handler, Origin};
use crate::tls::{self, Trust};

/// What keeps the headers of a route prepared.
pub(super) struct NamedInjector {
    /// The route's name.
    pub(super) route: String,
    /// The writing half.
    pub(super) injector: Injector,
    /// The reading half.
    pub(super) injection: Injection,
}

/// The host names that are served besides loopback names.
pub(crate) fn hosts(config: &Config) -> HashSet<String> {
    let of_routes = config.routes.iter().filter_map(|route| route.matches.host.clone());
    config.proxy.hosts.iter().cloned().chain(of_routes).collect()
}

/// Everything that can be wrong with an upstream or a certificate file, without starting anything.
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    for route in &config.routes {
        upstream(route)?;
    }
    for profile in &config.profiles {
        let Some(path) = &profile.transport.ca_file else { continue };
        trust_in(path).map_err(|reason| StartError::Profile { profile: profile.name.to_string(), reason })?;
    }
    Ok(())
}

/// The routes and, for each that injects something, what keeps its headers prepared.
pub(super) fn build_routes(
    config: &Config,
    profiles: &[Profile],
    metrics: &Metrics,
) -> Result<(Served, Vec<NamedInjector>), StartError> {
    let parameters = Arc::new(config.secure_parameters.clone());
    let mut injectors = Vec::new();
    let mut routes = Vec::new();
    for route in &config.routes {
        let credential = if route.headers.is_empty() {
            Credential::None
        } else {
            let named = route.profile.as_ref();
            let profile = named.and_then(|name| profiles.iter().find(|profile| profile.name() == name));
            let uses_token = route.headers.iter().any(|header| header.value.uses_token());
            let cell = profile.filter(|_| uses_token).map(|profile| profile.cell().clone());
            let wait = profile.map(|profile| profile.config().token_wait).unwrap_or_default();
            let (injector, injection) =
                inject::injection(route.headers.clone(), Arc::clone(&parameters), cell.clone());
            let named =
                NamedInjector { route: route.name.to_string(), injector, injection: injection.clone() };
            injectors.push(named);
            Credential::shared(injection, cell, wait)
        };
        routes.push((route.matches.clone(), ready_route(route, credential, metrics)?));
    }
    let injected = config.routes.iter().flat_map(|route| &route.headers).map(|header| header.name.clone());
    let via = match config.proxy.via {
        Via::Add => Pseudonym::random(),
        Via::Omit => None,
    };
    let managed = Arc::new(Managed::new(injected));
    Ok((Served { routes: RouteTable::new(routes), managed, via }, injectors))
}

fn ready_route(route: &RouteConfig, credential: Credential, metrics: &Metrics) -> Result<Route, StartError> {
    let failed = |reason: String| StartError::Route { route: route.name.to_string(), reason };
    let url = &route.upstream;
    let own = forward::host_value(&url.authority());
    let own = own.ok_or_else(|| failed("the upstream has no usable host".to_owned()))?;
    let (host, named) = match &route.host {
        HostHeader::Upstream => (RouteHost::Fixed(own), None),
        HostHeader::Preserve => (RouteHost::Preserved(own), None),
        HostHeader::Fixed(name) => {
            let value = forward::host_value(name);
            let value = value.ok_or_else(|| failed("`host` does not fit a header".to_owned()))?;
            (RouteHost::Fixed(value), Some(origin_of(url, name)))
        }
    };
    let prefix = route.strip_prefix.clone().unwrap_or_default();
    Ok(Route {
        name: route.name.clone(),
        paths: route.paths,
        rule: PathRule::new(Some(&prefix), url.path()),
        prefix,
        upstream: upstream(route)?,
        host,
        origins: [url.origin()].into_iter().chain(named).collect(),
        credential,
        // Our own reason header too: what an upstream answers must not pass for what we say.
        hidden: route.headers.iter().map(|header| header.name.clone()).chain([REASON_HEADER]).collect(),
        on_401: route.on_401,
        replay_buffer: route.replay_buffer,
        timeouts: route.timeouts,
        upgrades: route.upgrades.clone(),
        metrics: metrics.route(route.name.as_str()).map_err(|error| failed(error.to_string()))?,
    })
}

/// The origin that an upstream has by another name, as locations spell it: without the scheme's own port.
fn origin_of(url: &HttpUrl, name: &str) -> String {
    let (scheme, own_port) = match url.scheme() {
        Scheme::Http => ("http", ":80"),
        Scheme::Https => ("https", ":443"),
    };
    format!("{scheme}://{}", name.strip_suffix(own_port).unwrap_or(name))
}

/// Where a route leads, and how it is known that it is the right one there. The system's certificate authorities are
/// read only if some route needs them.
fn upstream(route: &RouteConfig) -> Result<Upstream, StartError> {
    let failed = |reason: String| StartError::Route { route: route.name.to_string(), reason };
    let tls = match (route.upstream.scheme(), &route.ca_file) {
        (Scheme::Http, _) => None,
        (Scheme::Https, None) => {
            Some(tls::client_config(Trust::System).map_err(|error| failed(error.to_string()))?)
        }
        (Scheme::Https, Some(path)) => Some(trust_in(path).map_err(failed)?),
    };
    Upstream::new(route, tls).map_err(|error| failed(error.to_string()))
}

/// TLS that trusts the certificate authorities of a file and no others.
fn trust_in(path: &Path) -> Result<Arc<rustls::ClientConfig>, String> {
    let named = |error: &dyn std::fmt::Display| format!("ca_file {}: {error}", path.display());
    let pem = std::fs::read(path).map_err(|error| named(&error))?;
    tls::client_config(Trust::Pem(&pem)).map_err(|error| named(&error))
}

/// What a route matches, in words.
pub(super) fn matches(route: &RouteConfig) -> String {
    let methods: Vec<_> = route.matches.methods.iter().map(|method| method.as_str()).collect();
    let methods = if methods.is_empty() { "*".to_owned() } else { methods.join(",") };
    let host = route.matches.host.as_deref().unwrap_or("*");
    let path = match &route.matches.path {
        PathMatch::Any => "/**".to_owned(),
        PathMatch::Exact(path) => path.clone(),
        PathMatch::Prefix(prefix) => format!("{prefix}/**"),
    };
    format!("{methods} {host} {path}")
}

/// What a worker answers callers with: the request path over connections of its own.
pub(super) struct Worker {
    proxy: Proxy,
    pool: Rc<Pool>,
}

impl Worker {
    pub(super) fn new(live: Live, clock: Clock, metrics: Arc<Metrics>, limits: &Limits) -> Self {
        let pool = Pool::new(HeadLimits { bytes: limits.header_bytes, fields: limits.headers });
        let proxy = Proxy::new(live, Rc::clone(&pool), clock, metrics, limits.body_bytes);
        Self { proxy, pool }
    }
}

impl Handler for Worker {
    type Body = Answer;

    fn handle(&self, request: Request<Incoming>, origin: &Origin) -> impl Future<Output = Response<Answer>> {
        self.proxy.handle(request, &origin.guard, &origin.caller, &origin.sequel)
    }

    fn refuse(&self, error: &ProxyError, origin: &Origin, detail: &str) -> Response<Bytes> {
        self.proxy.refuse(error, &origin.caller, detail)
    }

    fn body(text: Bytes) -> Answer {
        Answer::own(text)
    }

    fn tick(&self) {
        self.proxy.tick();
        self.pool.sweep();
    }
}
