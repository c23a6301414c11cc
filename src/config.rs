//! The configuration as meant: URLs, header names, durations, templates. Nothing is validated again after start.
//!
//! [`load`] is the only way in, for `run`, `check`, `token`, `explain`, `healthcheck` and the demo alike: what passes
//! `check` starts. It reads proxy.yaml with positions ([`mod@file`]), fills in variables, and reports every mistake at once.

pub mod address;
pub mod diagnostic;
mod expand;
pub mod file;
mod first_profiles;
mod form;
mod headers;
mod layers;
mod limits_file;
mod missing;
pub mod name;
mod names;
mod node;
pub(crate) mod parameters;
pub mod preset;
pub mod profile;
mod profile_file;
mod reader;
pub mod route;
mod route_certificate;
mod route_csrf;
mod route_file;
mod route_match;
mod route_transport;
mod route_upstream;
mod scope;
pub mod server;
mod server_file;
pub mod service_key;
pub mod source;
mod suggest;
pub mod template;
mod units;
pub mod upstream;
mod upstream_template;
pub mod url;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use address::ListenAddress;
pub use diagnostic::{ConfigErrors, Diagnostic, Place};
pub use file::ConfigFile;
pub(crate) use form::placeholder;
pub(crate) use headers::{OURS, looks_secret};
pub use name::Name;
pub use profile::ProfileConfig;
pub use route::RouteConfig;
pub use server::{Access, AdminConfig, LogConfig, ProxyConfig};
pub use source::SecretSource;
pub use template::Template;
pub use upstream::RouteUpstream;
pub use url::HttpUrl;
pub(crate) use yaml::{MAX_BYTES, MAX_NODES};

/// Everything that one run of sidepass goes by.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listeners that callers use, and what holds for all of them.
    pub proxy: ProxyConfig,
    /// The listener for probes, metrics and status.
    pub admin: AdminConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The named OAuth2 credentials, in the order of the file.
    pub profiles: Vec<ProfileConfig>,
    /// The named secret strings (CPI's Secure Parameters).
    pub secure_parameters: BTreeMap<Name, SecretSource>,
    /// The routes, in the order of the file, which decides nothing.
    pub routes: Vec<RouteConfig>,
}

/// The whole process environment as main read it, or a test's map.
pub type Environment = BTreeMap<String, String>;

/// A configuration that starts, and what to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works but should not stay so: a secret in the file, clear text.
    pub warnings: Vec<Diagnostic>,
}

/// Reads only where the admin listener is, whatever may be wrong with the rest: a secret file that is missing for a
/// moment says nothing of the process that runs.
pub fn load_admin_addresses(
    files: &[ConfigFile],
    env: &Environment,
) -> Result<Vec<ListenAddress>, ConfigErrors> {
    let paths: Vec<Arc<Path>> = files.iter().map(|file| Arc::from(file.path.as_path())).collect();
    let cx = reader::Context::new(env);
    let addresses = file::tree(files, &paths, &cx).and_then(|root| file::admin_addresses(&cx, &root));
    addresses.map_err(|_| ConfigErrors::new(cx.into_parts().0, &paths))
}

/// Reads a configuration. Several files are united: a profile, a parameter, a route or a setting may stand in one only.
///
/// Every mistake is in the error, in the order of the files. Secret files and certificates are read once, so that one
/// that cannot be read is a mistake now; the environment is only looked up in `env`.
pub fn load(files: &[ConfigFile], env: &Environment) -> Result<Loaded, ConfigErrors> {
    let paths: Vec<Arc<Path>> = files.iter().map(|file| Arc::from(file.path.as_path())).collect();
    let cx = reader::Context::new(env);
    let config = file::tree(files, &paths, &cx).and_then(|root| file::config(&cx, &root));
    let (errors, mut warnings) = cx.into_parts();
    diagnostic::sort(&mut warnings, &paths);
    match config {
        Ok(config) if errors.is_empty() => Ok(Loaded { config, warnings }),
        _ => Err(ConfigErrors::new(errors, &paths)),
    }
}
