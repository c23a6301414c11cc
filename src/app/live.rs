//! From the configuration to what the request path holds: routes, injections, and a worker's handler.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use hyper::body::Incoming;

use super::identity::Presenter;
use super::subjects::Desks;
use super::{StartError, destination};
use crate::clock::Clock;
use crate::config::route::PathMatch;
use crate::config::server::{Limits, Via};
use crate::config::{Config, Name, RouteConfig, RouteUpstream, SecretSource};
use crate::credential::Credential;
use crate::error::{ProxyError, REASON_HEADER};
use crate::forward::PathRule;
use crate::forward::pool::{HeadLimits, Pool};
use crate::forward::via::Pseudonym;
use crate::inject::{self, Injection, Injector, Managed, Recipe};
use crate::metrics::Metrics;
use crate::profile::Profile;
use crate::proxy::{Answer, Destination, Leads, Live, Proxy, Route, Served};
use crate::route::RouteTable;
use crate::server::{Handler, Origin};
use crate::tls::Presented;
use crate::token::client_assertion;
use crate::token::dpop::{DPOP, DPOP_NONCE};
use crate::token::keys;
use crate::token::rotation;
use crate::token::state_file::StateFile;

/// What keeps the headers of a route prepared.
pub(super) struct NamedInjector {
    /// The route's name.
    pub(super) route: String,
    /// The writing half.
    pub(super) injector: Injector<Destination>,
    /// The reading half.
    pub(super) injection: Injection<Destination>,
}

/// The host names that are served besides loopback names.
pub(crate) fn hosts(config: &Config) -> HashSet<String> {
    let of_routes = config.routes.iter().filter_map(|route| route.matches.host.clone());
    config.proxy.hosts.iter().cloned().chain(of_routes).collect()
}

/// Everything that can be wrong with an upstream, a key or a certificate, without starting anything; what will be wrong
/// soon.
pub(super) fn check(config: &Config) -> Result<Vec<String>, StartError> {
    let mut soon = Vec::new();
    for route in &config.routes {
        let failed = |reason| StartError::Route { route: route.name.to_string(), reason };
        let presented = Presenter::of(route).map_err(failed)?.map(|presenter| presenter.presented());
        let presented = presented.as_ref();
        match &route.upstream {
            RouteUpstream::Fixed(url) => {
                let tls = destination::tls(route, url.scheme(), presented).map_err(failed)?;
                destination::destination(route, url, tls).map_err(failed)?;
            }
            RouteUpstream::OfToken(template) => {
                destination::destinations(route, (**template).clone(), presented).map_err(failed)?;
            }
        }
    }
    soon.extend(state_files(config)?);
    for profile in &config.profiles {
        let failed = |reason| StartError::Profile { profile: profile.name.to_string(), reason };
        let warning = keys::check(profile, SystemTime::now()).map_err(failed)?;
        client_assertion::check(profile).map_err(failed)?;
        soon.extend(warning.map(|warning| format!("profiles.{}: {warning}", profile.name)));
        let Some(path) = &profile.transport.ca_file else { continue };
        destination::trust_in(path).map_err(failed)?;
    }
    Ok(soon)
}

/// State files can be read and written, and no two profiles have the same one; what is left to do for them.
fn state_files(config: &Config) -> Result<Vec<String>, StartError> {
    let mut left = Vec::new();
    let mut seen: HashMap<&Path, &Name> = HashMap::new();
    for profile in &config.profiles {
        let Some(path) = profile.state_file() else { continue };
        let failed = |reason| StartError::Profile { profile: profile.name.to_string(), reason };
        if let Some(other) = seen.insert(path, &profile.name) {
            let path = path.display();
            return Err(failed(format!(
                "state_file {path} is that of profile {other} already; give each a file of its own"
            )));
        }
        let kept = StateFile::check(path).map_err(|error| failed(error.0))?;
        if rotation::needs_consent(profile, kept.as_ref()) {
            let name = &profile.name;
            left.push(format!(
                "profiles.{name}: nobody has authorized it yet: run `sidepass authorize {name}`"
            ));
        }
    }
    Ok(left)
}

/// The routes, and what is to be run for them.
pub(super) struct Built {
    /// What the request path holds.
    pub(super) served: Served,
    /// What keeps the headers of a route prepared, for each that injects the same for everybody.
    pub(super) injectors: Vec<NamedInjector>,
    /// What keeps our certificates for upstreams up to date.
    pub(super) presenters: Vec<Presenter>,
    /// What exchanges the tokens of callers.
    pub(super) desks: Desks,
}

/// The routes and, for each that injects something, what keeps its headers prepared.
pub(super) fn build_routes(
    config: &Config,
    profiles: &[Profile],
    metrics: &Metrics,
) -> Result<Built, StartError> {
    let parameters = Arc::new(config.secure_parameters.clone());
    let (mut injectors, mut desks) = (Vec::new(), Desks::default());
    let (mut routes, mut presenters) = (Vec::new(), Vec::new());
    for route in &config.routes {
        let failed = |reason| StartError::Route { route: route.name.to_string(), reason };
        let presenter = Presenter::of(route).map_err(failed)?;
        let presented = presenter.as_ref().map(Presenter::presented);
        let presented = presented.as_ref();
        presenters.extend(presenter);
        let named = route.profile.as_ref();
        let profile = named.and_then(|name| profiles.iter().find(|profile| profile.name() == name));
        let (credential, injector) = injected(route, profile, &parameters, (&mut desks, presented))?;
        injectors.extend(injector);
        routes.push((route.matches.clone(), ready_route(route, credential, metrics, presented)?));
    }
    // What callers show to us is not for an upstream.
    let shown = config.profiles.iter().filter_map(|profile| profile.subject_header().cloned());
    let names = config.routes.iter().flat_map(names).chain(shown);
    let via = match config.proxy.via {
        Via::Add => Pseudonym::random(),
        Via::Omit => None,
    };
    let managed = Arc::new(Managed::new(names));
    Ok(Built {
        served: Served { routes: RouteTable::new(routes), managed, via },
        injectors,
        presenters,
        desks,
    })
}

/// What a route adds, and what keeps that prepared.
fn injected(
    route: &RouteConfig,
    profile: Option<&Profile>,
    parameters: &Arc<BTreeMap<Name, SecretSource>>,
    (desks, presented): (&mut Desks, Option<&Presented>),
) -> Result<(Credential<Destination>, Option<NamedInjector>), StartError> {
    if route.headers.is_empty() {
        return Ok((Credential::None, None));
    }
    let recipe = Recipe::new(route.headers.clone(), Arc::clone(parameters));
    let recipe = match &route.upstream {
        RouteUpstream::Fixed(_) => recipe,
        RouteUpstream::OfToken(template) => {
            let failed = |reason| StartError::Route { route: route.name.to_string(), reason };
            let destinations = destination::destinations(route, (**template).clone(), presented);
            recipe.leading(destinations.map_err(failed)?)
        }
    };
    if let Some((profile, header)) = profile.and_then(|p| Some((p.config(), p.config().subject_header()?))) {
        return Ok((desks.credential(profile, header, recipe)?, None));
    }
    let depends = recipe.depends_on_token();
    let cell = profile.filter(|_| depends).map(|profile| profile.cell().clone());
    let wait = profile.map(|profile| profile.config().token_wait).unwrap_or_default();
    let (injector, injection) = inject::injection(recipe, cell.clone());
    let named = NamedInjector { route: route.name.to_string(), injector, injection: injection.clone() };
    Ok((Credential::shared(injection, cell, wait), Some(named)))
}

fn ready_route(
    route: &RouteConfig,
    credential: Credential<Destination>,
    metrics: &Metrics,
    presented: Option<&Presented>,
) -> Result<Route, StartError> {
    let failed = |reason: String| StartError::Route { route: route.name.to_string(), reason };
    let prefix = route.strip_prefix.clone().unwrap_or_default();
    let (leads, cut) = match &route.upstream {
        RouteUpstream::Fixed(url) => {
            let tls = destination::tls(route, url.scheme(), presented).map_err(failed)?;
            let destination = destination::destination(route, url, tls).map_err(failed)?;
            let cut = destination.rule.cut_bare();
            (Leads::To(destination), cut)
        }
        // Nobody knows yet whether there will be a base path: the path is judged as if there were none.
        RouteUpstream::OfToken(_) => (Leads::WithToken, PathRule::new(Some(&prefix), "").cut_bare()),
    };
    Ok(Route {
        name: route.name.clone(),
        paths: route.paths,
        cut,
        prefix,
        leads,
        credential,
        dpop: route.dpop,
        // Our own reason header too: what an upstream answers must not pass for what we say.
        hidden: names(route).chain([REASON_HEADER]).collect(),
        on_401: route.on_401,
        replay_buffer: route.replay_buffer,
        timeouts: route.timeouts,
        upgrades: route.upgrades.clone(),
        metrics: metrics.route(route.name.as_str()).map_err(|error| failed(error.to_string()))?,
    })
}

/// The names of what a route adds, and of what it hears from its upstream alone.
fn names(route: &RouteConfig) -> impl Iterator<Item = HeaderName> {
    let proof = [DPOP, DPOP_NONCE].into_iter().filter(|_| route.dpop);
    route.headers.iter().map(|header| header.name.clone()).chain(proof)
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
