//! A route as meant: what it matches, where it leads, what it adds.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Method};

use super::{HttpUrl, Name, Template};

/// A match, an upstream, at most one profile, and the headers to inject.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Its name: labels metrics and logs.
    pub name: Name,
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// Where they go; may have a base path, never a query.
    pub upstream: HttpUrl,
    /// What is cut from the front of the path (`strip_prefix: true` is the matched prefix), without a trailing slash.
    pub strip_prefix: Option<String>,
    /// The profile whose token is injected.
    pub profile: Option<Name>,
    /// The headers to set, with the default `Authorization: Bearer {token}` already added.
    pub headers: Vec<HeaderConfig>,
    /// Whether a credential may go to an `http://` upstream on another machine.
    pub allow_cleartext: bool,
    /// What a 401 of the upstream does.
    pub on_401: On401,
    /// How many bytes of a request body are kept for the one replay after a 401.
    pub replay_buffer: usize,
    /// PEM file of the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

/// Which requests a route takes. Everything that is missing matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMatch {
    /// Lower case, without port.
    pub host: Option<String>,
    /// The path, exact or by prefix.
    pub path: PathMatch,
    /// The methods, sorted; empty is all.
    pub methods: Vec<Method>,
}

/// How a path matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathMatch {
    /// Every path.
    #[default]
    Any,
    /// This path and no other; always starts with `/`.
    Exact(String),
    /// This path and everything below it, by whole segments; starts with `/`, has no trailing slash, and is never `/`.
    Prefix(String),
}

/// One header to inject; it replaces whatever the caller sent under that name.
#[derive(Clone, Debug)]
pub struct HeaderConfig {
    /// The field name.
    pub name: HeaderName,
    /// Its value.
    pub value: Template,
}

/// What a 401 of the upstream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On401 {
    /// One refresh, one replay (DESIGN section 4).
    Replay,
    /// It goes back to the caller.
    Pass,
}

/// How long to wait for what; zero is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution, TCP and TLS to the upstream (5 s).
    pub connect: Duration,
    /// From the whole request sent until the head of the answer (60 s).
    pub response_head: Duration,
    /// Silence within a body, either way (5 min).
    pub body_idle: Duration,
}
