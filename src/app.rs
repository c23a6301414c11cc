//! Wiring: the only file that knows every part.
//!
//! [`App::bind`] takes every port before anything else happens, so that a wrong address is told at once; [`Bound::run`]
//! starts the control plane on the calling thread and the workers on threads of their own, and returns when both have
//! ended. Tests start the program through the same two calls.

mod destination;
mod identity;
mod live;
mod start;
mod subjects;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use crate::clock::Clock;
use crate::config::{Config, ListenAddress};
use crate::guard::Guard;
use crate::inject::Injector;
use crate::server::descriptors;
use crate::server::listen::{self, Socket};
use crate::shutdown::{self, Stop};

pub(crate) use live::hosts;
pub use start::StartError;
pub(crate) use start::obstacle;

/// The program, before it has taken its ports.
#[derive(Debug)]
pub struct App;

/// The program with its ports taken: callers that connect now are served as soon as it runs.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    proxy: Vec<(Socket, Arc<Guard>)>,
    admin: Vec<(Socket, Arc<Guard>)>,
    /// Keep the access headers of the listeners up to date.
    keys: Vec<Injector>,
    proxy_addresses: Vec<SocketAddr>,
    admin_addresses: Vec<SocketAddr>,
    clock: Clock,
}

impl App {
    /// Whatever can be wrong with a configuration beyond its own text: what is in the files it names. Says what will be
    /// wrong soon.
    pub fn check(config: &Config) -> Result<Vec<String>, StartError> {
        live::check(config)
    }

    /// Takes every port of the configuration.
    pub fn bind(config: Config) -> Result<Bound, StartError> {
        Self::check(&config)?;
        descriptors::raise_limit();
        let hosts = Arc::new(live::hosts(&config));
        let mut keys = Vec::new();
        let mut proxy = Vec::new();
        for listener in &config.proxy.listen {
            let hosts = Arc::clone(&hosts);
            let (guard, key) = Guard::new(&listener.address, &listener.access, hosts, &config.proxy.limits);
            proxy.extend(bind("proxy.listen", &listener.address, &Arc::new(guard))?);
            keys.extend(key);
        }
        let mut admin = Vec::new();
        for address in &config.admin.listen {
            let hosts = Arc::clone(&hosts);
            let (guard, key) = Guard::new(address, &config.admin.access, hosts, &config.proxy.limits);
            admin.extend(bind("admin.listen", address, &Arc::new(guard))?);
            keys.extend(key);
        }
        let addresses =
            |sockets: &[(Socket, Arc<Guard>)]| sockets.iter().filter_map(|(s, _)| s.address()).collect();
        let (proxy_addresses, admin_addresses) = (addresses(&proxy), addresses(&admin));
        Ok(Bound { config, proxy, admin, keys, proxy_addresses, admin_addresses, clock: Clock::system() })
    }
}

fn bind(
    setting: &'static str,
    address: &ListenAddress,
    guard: &Arc<Guard>,
) -> Result<Vec<(Socket, Arc<Guard>)>, StartError> {
    let sockets = listen::bind(address).map_err(|source| StartError::Listen {
        setting,
        address: address.to_string(),
        source,
    })?;
    Ok(sockets.into_iter().map(|socket| (socket, Arc::clone(guard))).collect())
}

impl Bound {
    /// Where callers connect (TCP; a Unix socket is where the configuration says).
    pub fn proxy_addresses(&self) -> &[SocketAddr] {
        &self.proxy_addresses
    }

    /// Where probes connect.
    pub fn admin_addresses(&self) -> &[SocketAddr] {
        &self.admin_addresses
    }

    /// Serves until told to stop: waits `shutdown.delay` as if nothing had happened, then drains for at most
    /// `shutdown.deadline`.
    pub fn run(self, stop: Stop) -> Result<(), StartError> {
        block_on(start::control_plane(self, stop))?
    }

    /// The same until SIGTERM or SIGINT; a second one ends it at once.
    pub fn run_until_signal(self) -> Result<(), StartError> {
        let (handle, stop) = shutdown::channel();
        block_on(async {
            let signals = tokio::task::spawn_local(shutdown::on_signals(handle));
            let outcome = start::control_plane(self, stop).await;
            signals.abort();
            outcome
        })?
    }
}

/// Runs something to its end on a runtime of its own. A name resolution that hangs must not hold the end up: dropping a
/// runtime waits for it.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, StartError> {
    let runtime = local_runtime()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(outcome)
}

/// A runtime for one thread. Two threads are plenty for its name resolutions; they end when idle.
fn local_runtime() -> Result<LocalRuntime, StartError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build_local(LocalOptions::default());
    runtime.map_err(StartError::Runtime)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_name_resolution_that_hangs_does_not_hold_up_the_end() {
        let started = Instant::now();
        let work = async {
            drop(tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(10))));
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        block_on(work).unwrap();
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
