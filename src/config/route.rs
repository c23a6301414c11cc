//! A route as meant: what it matches, where it leads, what it adds.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Method};

use super::profile::KeyPairConfig;
pub use super::route_csrf::{CsrfConfig, X_CSRF_TOKEN};
use super::{Name, RouteUpstream, Template};

/// A match, an upstream, at most one profile, and the headers to inject.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Its name: labels metrics and logs.
    pub name: Name,
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// Where they go.
    pub upstream: RouteUpstream,
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
    /// Our certificate, for an upstream that asks for one.
    pub client_certificate: Option<KeyPairConfig>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Which protocol is spoken to the upstream.
    pub http2: Http2,
    /// Which Host the upstream sees.
    pub host: HostHeader,
    /// Where to connect instead of the upstream URL's host and port; Host, TLS name and everything else stay the URL's.
    pub connect_to: Option<HostPort>,
    /// The name in TLS (SNI, and what the certificate must be for) instead of the upstream URL's host.
    pub server_name: Option<String>,
    /// Upgrade tokens that a caller may switch to, in lower case (`websocket`); other offers are ignored.
    pub upgrades: Vec<String>,
    /// Which paths are let through although some backends read them in two ways.
    pub paths: PathRules,
    /// How connections to the upstream are kept.
    pub pool: PoolConfig,
    /// How its writes come by a CSRF token, if they need one.
    pub csrf: Option<CsrfConfig>,
    /// Whether the profile's tokens are bound to a key (RFC 9449).
    pub dpop: bool,
}

/// Which protocol is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// What the upstream chooses in TLS (ALPN); HTTP/1.1 in clear text. The default.
    Auto,
    /// HTTP/2 without asking, in TLS and in clear text (h2c, RFC 9113 §3.3).
    PriorKnowledge,
    /// HTTP/1.1 only.
    Off,
}

/// Which Host an upstream sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The upstream URL's (the default).
    Upstream,
    /// The caller's.
    Preserve,
    /// This one: a host with an optional port.
    Fixed(String),
}

/// A host and a port to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// Which paths pass although some backends would read them in two ways; each by its name in `allow_paths`. All false is
/// the default. A path that could mean a path of another route is refused all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathRules {
    /// `encoded_slash`: `%2F` (S3 keys, GitLab project ids).
    pub encoded_slash: bool,
    /// `backslash`: `\\` and `%5C`.
    pub backslash: bool,
    /// `double_encoding`: `%252F` and the like.
    pub double_encoding: bool,
    /// `dot_segments`: `/../` and `/./`, plain or encoded.
    pub dot_segments: bool,
    /// `invalid_utf8`: escapes that are not UTF-8, and overlong ones.
    pub invalid_utf8: bool,
}

/// How connections to an upstream are kept, on each worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Idle connections that are kept (256).
    pub size: usize,
    /// For how long an idle one is kept (15 s); most servers keep theirs for longer, so that they rarely close first.
    pub idle_timeout: Duration,
    /// After which a connection is not used again, so that a name that moved is resolved anew (5 min).
    pub max_age: Duration,
    /// Requests at a time on one HTTP/2 connection (100), where the upstream does not say less.
    pub streams: usize,
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
    /// The whole exchange, from the request's head to the answer's last byte (0: for ever).
    pub total: Duration,
    /// Silence in both directions after an upgrade (0: for ever).
    pub upgrade_idle: Duration,
}
