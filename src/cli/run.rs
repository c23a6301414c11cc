//! `sidepass run`: config -> bind -> say the addresses -> serve until a signal -> drain.

use super::{Config, Failure, start_logging};
use crate::app::App;
use crate::config::Environment;

pub(super) fn run(config: &Config, environment: &Environment) -> Result<(), Failure> {
    let loaded = config.load(environment)?;
    start_logging(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.one_line());
    }
    harden();
    let (profiles, routes) = (loaded.config.profiles.len(), loaded.config.routes.len());
    let bound = App::bind(loaded.config)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        proxy = ?bound.proxy_addresses(),
        admin = ?bound.admin_addresses(),
        profiles,
        routes,
        "listening"
    );
    Ok(bound.run_until_signal()?)
}

/// No core dump may hold a secret; and as many descriptors as we may have, since each connection takes two.
fn harden() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Neither is worth not starting for.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let files = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
}
