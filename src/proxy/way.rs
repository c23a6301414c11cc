//! A route as one request goes it: where to, and with which credential.
//!
//! Invariant: headers and destination come from one snapshot; whatever is sent again goes to the same destination.

use std::ops::Deref;
use std::sync::Arc;

use tokio::time::Instant;

use super::destination::{Destination, Leads};
use super::route::Route;
use super::{Proxy, deadline};
use crate::credential::Bound;
use crate::error::ProxyError;
use crate::inject::Prepared;

/// A route as one request goes it.
pub(super) struct Way<'a> {
    pub(super) route: &'a Route,
    pub(super) destination: &'a Destination,
    pub(super) credential: Bound<'a, Destination>,
}

impl Deref for Way<'_> {
    type Target = Route;

    fn deref(&self) -> &Route {
        self.route
    }
}

/// The snapshot that a request is pinned to; nothing where its route leads to a fixed upstream.
pub(super) type Pinned = Option<Arc<Prepared<Destination>>>;

impl<'a> Way<'a> {
    /// The way of a request with this credential; `pinned` comes from [`Proxy::pin`].
    pub(super) fn new(
        route: &'a Route,
        credential: Bound<'a, Destination>,
        pinned: &'a Pinned,
    ) -> Result<Self, ProxyError> {
        match (&route.leads, pinned) {
            (Leads::To(destination), _) => Ok(Self { route, destination, credential }),
            (Leads::WithToken, Some(snapshot)) => {
                // A snapshot of such a route always has one.
                let destination = snapshot.destination().ok_or(ProxyError::Internal)?;
                Ok(Self { route, destination, credential: credential.pinned_to(snapshot) })
            }
            (Leads::WithToken, None) => Err(ProxyError::Internal),
        }
    }
}

impl Proxy {
    /// The snapshot that says where a request goes, where its route leaves that to the token; waits only if there is no
    /// usable one.
    pub(super) async fn pin(
        &self,
        credential: &Bound<'_, Destination>,
        until: Option<Instant>,
    ) -> Result<Pinned, ProxyError> {
        if let Some(snapshot) = credential.snapshot(self.clock.now()) {
            return Ok(Some(snapshot));
        }
        deadline::until(until, credential.wait(&self.clock)).await??;
        let snapshot = credential.snapshot(self.clock.now());
        snapshot.map(Some).ok_or_else(|| ProxyError::Token(credential.unavailable(&self.clock)))
    }
}
