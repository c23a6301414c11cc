//! The control plane: profiles, prepared headers, admin, and the end of the process.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::live::NamedInjector;
use super::{Bound, live, workers};
use crate::admin::{Admin, RouteStatus};
use crate::clock::{Clock, Moment};
use crate::config::server::ShutdownConfig;
use crate::config::{Config, ProfileConfig, RouteConfig};
use crate::metrics::{Metrics, ProfileMetrics};
use crate::profile::Profile;
use crate::proxy::{Live, Served};
use crate::readiness::{Readiness, ReadinessGate};
use crate::server::{self, Intake, Slots};
use crate::shutdown::{self, Stop};
use crate::token::Token;
use crate::token::cell::Failure;
use crate::token::refresh::RefreshObserver;

/// Connections that the admin listener takes at a time: a few probes, a scraper, a person.
const ADMIN_CONNECTIONS: usize = 64;

/// Why sidepass cannot run although its configuration is fine.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that cannot be had.
    #[error("{setting}: cannot listen on {address}: {}", listen_hint(.source, .setting, .address))]
    Listen {
        /// The setting that names it.
        setting: &'static str,
        /// The address as configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A route that cannot be served.
    #[error("routes.{route}: {reason}")]
    Route {
        /// Its name.
        route: String,
        /// Why.
        reason: String,
    },
    /// A profile that cannot be used.
    #[error("profiles.{profile}: {reason}")]
    Profile {
        /// Its name.
        profile: String,
        /// Why.
        reason: String,
    },
    /// No thread or no runtime is to be had.
    #[error("cannot start a thread: {0}")]
    Runtime(#[source] io::Error),
    /// Two metrics of one name: a fault of sidepass itself.
    #[error("cannot set up metrics: {0}")]
    Metrics(String),
}

fn listen_hint(error: &io::Error, setting: &str, address: &str) -> String {
    let variable = format!("SIDEPASS_{}", setting.to_uppercase().replace('.', "__"));
    let other = format!("set `{setting}` in proxy.yaml (or {variable}) to another address");
    match (error.kind(), obstacle(error, address)) {
        (io::ErrorKind::AddrInUse, obstacle) => format!("{obstacle}; end that one, or {other}"),
        (_, obstacle) => format!("{obstacle}; {other}"),
    }
}

/// Why an address cannot be had, in words for whoever wrote it.
pub(crate) fn obstacle(error: &io::Error, address: &str) -> String {
    let unix = address.starts_with("unix:");
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses it".into(),
        io::ErrorKind::PermissionDenied if unix => {
            format!("uid {} may not make a file there", rustix::process::geteuid().as_raw())
        }
        io::ErrorKind::PermissionDenied => "not allowed (ports below 1024 need a privilege)".into(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        io::ErrorKind::NotFound if unix => "the directory does not exist".into(),
        io::ErrorKind::AlreadyExists if unix => "something that is no socket stands there".into(),
        _ => error.to_string(),
    }
}

/// What a profile's fetches mean for metrics and readiness.
struct Observer {
    metrics: ProfileMetrics,
    gate: Option<ReadinessGate>,
}

impl RefreshObserver for Observer {
    fn succeeded(&self, token: &Token, _next: Moment) {
        if let Some(gate) = &self.gate {
            gate.open();
        }
        let access = &token.access;
        self.metrics.fetched(access.issued_at.unix_seconds(), access.expires_at().unix_seconds());
    }

    fn failed(&self, failure: &Failure, _until: Moment) {
        self.metrics.failed(failure.code.as_str());
    }
}

/// Runs everything until the end. On the calling thread: profiles, prepared headers, admin.
pub(super) async fn control_plane(bound: Bound, stop: Stop) -> Result<(), StartError> {
    let Bound { config, proxy, admin, keys, clock, .. } = bound;
    let metrics = Arc::new(Metrics::new().map_err(|error| StartError::Metrics(error.to_string()))?);
    let started = Readiness::default();
    let profiles = start_profiles(&config, &metrics, &started, &clock)?;
    let live::Built { served, injectors, presenters, desks } =
        live::build_routes(&config, &profiles, &metrics)?;
    let routes = config.routes.iter().map(|route| route_status(route, &injectors)).collect();
    // Tasks end with this function: nothing is spawned and forgotten.
    let mut tasks = tokio::task::JoinSet::new();
    for injector in injectors {
        let live::NamedInjector { route, injector, .. } = injector;
        // What needs no token is ready before the first request; a failure is told by the task.
        let _ = injector.prepare();
        let failures = metrics.injection_failures(&route);
        tasks.spawn_local(injector.run(move |error| {
            failures.inc();
            tracing::warn!(route, "the headers of this route cannot be prepared: {error}");
        }));
    }
    for exchanges in desks.into_tasks(&metrics, &clock)? {
        tasks.spawn_local(exchanges.run());
    }
    presenters.into_iter().for_each(|presenter| {
        tasks.spawn_local(presenter.run());
    });
    for key in keys {
        let _ = key.prepare();
        tasks.spawn_local(
            key.run(|error| tracing::warn!("the key of an access rule cannot be read: {error}")),
        );
    }
    // The workers stop later than the process is told to, by `shutdown.delay`.
    let (workers, workers_stop) = shutdown::channel();
    let live = live_of(served);
    let ended = workers::start(proxy, &config, &live, &clock, &metrics, &workers_stop)?;
    let slots = Slots::new(ADMIN_CONNECTIONS);
    let resting: Vec<_> = profiles.iter().map(Profile::at_rest).collect();
    let answers = Admin { profiles, routes, started, metrics, stop: stop.clone(), clock };
    let (_admin_handle, admin_stop) = shutdown::channel();
    let intake = Intake::Listeners(admin, slots);
    tasks.spawn_local(server::serve(intake, Rc::new(answers), config.proxy.limits, admin_stop));
    let mut at_once = stop.clone();
    drain(config.proxy.shutdown, stop, &workers, ended).await;
    let rest = async {
        for profile in resting {
            profile.await
        }
    };
    tokio::select! {
        () = rest => {}
        () = at_once.now() => {}
    }
    tracing::info!("stopped");
    Ok(())
}

fn start_profiles(
    config: &Config,
    metrics: &Metrics,
    started: &Readiness,
    clock: &Clock,
) -> Result<Vec<Profile>, StartError> {
    let start = |profile: &ProfileConfig| {
        let name = profile.name.as_str();
        let awaited = profile.required && profile.subject_header().is_none();
        let gate = awaited.then(|| started.gate(format!("profile {name}")));
        let observer = Arc::new(Observer { metrics: metrics.profile(name), gate });
        Profile::start(Arc::new(profile.clone()), clock.clone(), observer)
            .map_err(|error| StartError::Profile { profile: name.to_owned(), reason: error.0 })
    };
    config.profiles.iter().map(start).collect()
}

/// The routes in force stand behind one swap, so that a reload is that one swap.
fn live_of(served: Served) -> Live {
    let served = ArcSwap::from_pointee(served);
    Arc::new(move || served.load_full())
}

fn route_status(route: &RouteConfig, injectors: &[NamedInjector]) -> RouteStatus {
    let own = injectors.iter().find(|injector| injector.route == route.name.as_str());
    RouteStatus {
        injection: own.map(|injector| injector.injection.clone()),
        name: route.name.to_string(),
        matches: live::matches(route),
        upstream: route.upstream.to_string(),
        profile: route.profile.as_ref().map(ToString::to_string),
        injects: route.headers.iter().map(|header| header.name.to_string()).collect(),
    }
}

/// Waits for the order to stop, then for the delay, then for the workers; never longer than the deadline, and not at
/// all when told to stop at once.
async fn drain(
    shutdown: ShutdownConfig,
    mut stop: Stop,
    workers: &shutdown::Handle,
    mut ended: mpsc::Receiver<()>,
) {
    stop.drain().await;
    let orderly = async {
        if !shutdown.delay.is_zero() {
            tracing::info!(delay = ?shutdown.delay, "serving on until the shutdown delay is over");
            tokio::time::sleep(shutdown.delay).await;
        }
        tracing::info!(deadline = ?shutdown.deadline, "draining");
        workers.drain();
        // Every thread drops its sender when it is done.
        let all = async { while ended.recv().await.is_some() {} };
        if tokio::time::timeout(shutdown.deadline, all).await.is_err() {
            tracing::warn!("requests were still in flight at the shutdown deadline");
        }
    };
    let mut at_once = stop.clone();
    tokio::select! {
        () = orderly => {}
        () = at_once.now() => tracing::warn!("stopped at once"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_the_setting_and_the_way_out() {
        let source = io::Error::from(io::ErrorKind::AddrInUse);
        let error = StartError::Listen { setting: "proxy.listen", address: "localhost:4080".into(), source };
        let text = error.to_string();
        for part in ["proxy.listen", "localhost:4080", "SIDEPASS_PROXY__LISTEN"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_hinders_a_unix_socket_is_told_in_its_own_words() {
        let told = |kind: io::ErrorKind| obstacle(&kind.into(), "unix:/run/x.sock");
        assert!(!told(io::ErrorKind::PermissionDenied).contains("1024"));
        assert!(told(io::ErrorKind::NotFound).contains("directory"));
        assert!(told(io::ErrorKind::AlreadyExists).contains("no socket"));
    }
}
