//! The sections that environment variables may override: proxy, admin and log.

use std::num::NonZeroUsize;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::{ListenAddress, SecretSource};

/// The listeners that callers use, and what holds for all of them.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Where callers connect; at least one.
    pub listen: Vec<Listener>,
    /// Host names, lower case without port, that are accepted besides loopback names and the routes' hosts.
    pub hosts: Vec<String>,
    /// How many worker threads serve requests.
    pub workers: Workers,
    /// What a caller may use up.
    pub limits: Limits,
    /// Whether requests say that they came through us.
    pub via: Via,
    /// How the process ends.
    pub shutdown: ShutdownConfig,
}

/// One listener of the proxy.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where it listens.
    pub address: ListenAddress,
    /// Who may use it.
    pub access: Access,
}

/// Who may use a listener.
#[derive(Clone, Debug)]
pub enum Access {
    /// Nothing was said: allowed only where just this machine can reach it (checked at load).
    Local,
    /// `access: open`, in so many words.
    Open,
    /// All of these must hold.
    Rules(AccessRules),
}

/// An access rule; every part that is there must hold.
#[derive(Clone, Debug)]
pub struct AccessRules {
    /// The caller's address is in one of these (empty: any). `private` stands for RFC 1918, RFC 4193, link-local and loopback.
    pub allow_from: Vec<IpNet>,
    /// The caller sends this header with this value; it is never forwarded.
    pub header: Option<(HeaderName, SecretSource)>,
}

/// How many worker threads serve requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// This many (1 is the default: best CPU and memory for a sidecar).
    Count(NonZeroUsize),
    /// As many as the cgroup allows cores.
    Auto,
}

/// Whether requests carry a `Via` of ours (RFC 9110 §7.6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// They do (the default), and one that comes back is a loop.
    Add,
    /// They do not, and no loop is noticed: for upstreams that treat proxies differently.
    Omit,
}

/// What a caller may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of callers at a time (10000).
    pub connections: usize,
    /// Connections of one caller address at a time; zero is no limit of its own (0: all apps of a pod share one).
    pub connections_per_caller: usize,
    /// Bytes of a request or response head (64 KiB).
    pub header_bytes: usize,
    /// Fields of a request or response head (100).
    pub headers: usize,
    /// Bytes of a request's path and query (16 KiB).
    pub uri_bytes: usize,
    /// Bytes of a request body; zero is no limit (0: bodies are streamed).
    pub body_bytes: u64,
    /// Requests at a time on one HTTP/2 connection of a caller (100).
    pub streams: usize,
    /// HTTP/2 streams that a caller has reset and we have not looked at yet, on one connection (50). More is an attack
    /// (CVE-2023-44487) and ends the connection.
    pub pending_resets: usize,
    /// From accept to the first byte (10 s).
    pub first_byte_timeout: Duration,
    /// From the first byte of a request head to its end (10 s).
    pub header_timeout: Duration,
    /// A kept-alive connection without a request (2 min).
    pub idle_timeout: Duration,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// After SIGTERM: how long to go on as if nothing had happened (0 s).
    pub delay: Duration,
    /// How long requests in flight may then take (25 s).
    pub deadline: Duration,
}

/// The listener for probes, metrics and status.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: Vec<ListenAddress>,
    /// Who may see more than probes and metrics from another machine.
    pub access: Access,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`.
    pub level: LogLevel,
    /// One line of text or one JSON object an event.
    pub format: LogFormat,
}

/// From the fewest lines to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// A request failed by our fault.
    Error,
    /// Something recovered, or will.
    Warn,
    /// Start, stop, state changes (the default).
    Info,
    /// One line a request.
    Debug,
    /// Everything of ours; other crates stay at debug.
    Trace,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}
