//! A route, ready to be used, and the table of them that a reload replaces at once.

use std::sync::Arc;

use http::HeaderName;

use super::destination::{Destination, Leads};
use crate::config::Name;
use crate::config::route::{On401, PathRules, Timeouts};
use crate::credential::Credential;
use crate::forward::via::Pseudonym;
use crate::inject::Managed;
use crate::metrics::RouteMetrics;
use crate::route::RouteTable;

/// Everything that a reload replaces at once.
#[derive(Debug)]
pub struct Served {
    /// The routes.
    pub routes: RouteTable<Route>,
    /// The header names that only we may set.
    pub managed: Arc<Managed>,
    /// Our name in `Via`; nothing where no `Via` is added.
    pub via: Option<Pseudonym>,
}

/// A route, ready to be used.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Name,
    /// What is cut from the front of the caller's path; for locations on the way back.
    pub prefix: String,
    /// Which paths pass although some backends read them in two ways.
    pub paths: PathRules,
    /// How many bytes are cut from the front of a path with nothing put in their place, or may be.
    pub cut: usize,
    /// Where requests go.
    pub leads: Leads,
    /// What is added.
    pub credential: Credential<Destination>,
    /// Whether its tokens are bound to a key (RFC 9449).
    pub dpop: bool,
    /// Names that never come back in an answer: what is added, and our own.
    pub hidden: Arc<[HeaderName]>,
    /// What a 401 does.
    pub on_401: On401,
    /// How many bytes of a body are kept for a replay.
    pub replay_buffer: usize,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Protocols that a caller may switch to, in lower case.
    pub upgrades: Vec<String>,
    /// Its counters.
    pub metrics: RouteMetrics,
}
