//! Where requests go: an upstream, and what follows from its URL for paths, Host and locations.

use http::HeaderValue;

use super::csrf::Csrf;
use crate::forward::PathRule;
use crate::forward::dial::Upstream;

/// An upstream, ready to be sent to.
#[derive(Debug)]
pub struct Destination {
    /// How it is reached.
    pub upstream: Upstream,
    /// How paths are turned.
    pub rule: PathRule,
    /// The Host that it sees.
    pub host: RouteHost,
    /// The origins that it may call its own, for locations.
    pub origins: Vec<String>,
    /// The companion of writes there, if they need a CSRF token: a session is one host's.
    pub csrf: Option<Box<Csrf>>,
}

/// Which Host an upstream sees.
#[derive(Clone, Debug)]
pub enum RouteHost {
    /// This one.
    Fixed(HeaderValue),
    /// The caller's; this one where an HTTP/1.0 caller sent none.
    Preserved(HeaderValue),
}

/// Where a route leads.
#[derive(Debug)]
pub enum Leads {
    /// There.
    To(Destination),
    /// Where its token leads: each snapshot of its headers has a destination of its own.
    WithToken,
}
