//! What a route injects: header values made ready on the control plane, and one atomic load on the request path.
//!
//! Invariant: what the request path sees is one snapshot of generation, expiry and values. It is replaced as a whole
//! whenever an input changes (the profile's token, a secure parameter's file); what cannot be prepared leaves the old
//! snapshot in place while it is valid. Token code knows no templates; the request path knows no templates either.

mod destination;
mod error;
mod managed;
mod recipe;
mod render;
pub mod subjects;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;

pub use self::destination::Destinations;
pub use self::error::{Item, Lack, PrepareError};
pub use self::managed::Managed;
pub use self::recipe::Recipe;
use crate::clock::Moment;
use crate::token::Generation;
use crate::token::cell::TokenCell;
use crate::token::dpop::Prover;

/// How often files of secure parameters are looked at. A kubelet syncs each minute; nobody waits longer for us than 2 s.
const FILE_POLL: Duration = Duration::from_secs(2);

/// Header values that are ready to be set on a request, and where it goes if the token says so.
#[derive(Debug)]
pub struct Prepared<D = ()> {
    generation: Option<Generation>,
    usable_until: Option<Moment>,
    values: Vec<(HeaderName, HeaderValue)>,
    destination: Option<Arc<D>>,
    prover: Option<Arc<Prover>>,
}

/// What was set on a request.
#[derive(Debug)]
pub struct Shown {
    /// The token that the values were made from, if they were made from one.
    pub generation: Option<Generation>,
    /// Makes the proof that goes with that token, where it is bound to a key (RFC 9449).
    pub prover: Option<Arc<Prover>>,
}

impl<D> Prepared<D> {
    /// The token that the values were made from, if they were made from one.
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// Whether they may go upstream now. Values without a token never expire.
    pub fn is_usable(&self, now: Moment) -> bool {
        self.usable_until.is_none_or(|until| !until.is_past(now))
    }

    /// Where the token leads; nothing where the upstream is fixed.
    pub fn destination(&self) -> Option<&Arc<D>> {
        self.destination.as_ref()
    }

    /// Sets every header, in place of whatever is there. Clones reference counts, not bytes.
    pub fn apply(&self, headers: &mut HeaderMap) -> Shown {
        for (name, value) in &self.values {
            headers.insert(name.clone(), value.clone());
        }
        Shown { generation: self.generation, prover: self.prover.clone() }
    }

    /// The headers as they would be set; values that hold a secret are marked sensitive, and their `Debug` hides them.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.values.iter().map(|(name, value)| (name, value))
    }
}

/// Where a route's snapshot is published.
#[derive(Debug)]
struct Slot<D> {
    prepared: ArcSwapOption<Prepared<D>>,
    /// Why the newest inputs could not be prepared; counts up at every change, so that waiters wake.
    changes: watch::Sender<Result<(), PrepareError>>,
}

/// The reading half: what the request path holds. Cheap to clone.
#[derive(Debug)]
pub struct Injection<D = ()>(Arc<Slot<D>>);

impl<D> Clone for Injection<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> Injection<D> {
    /// The snapshot: one atomic load. The guard must not live across an await.
    pub fn load(&self) -> Guard<Option<Arc<Prepared<D>>>> {
        self.0.prepared.load()
    }

    /// Why the newest inputs could not be prepared, if they could not.
    pub fn failure(&self) -> Option<PrepareError> {
        self.0.changes.borrow().as_ref().err().cloned()
    }

    /// Tells of every new snapshot, and of every failure to make one.
    pub fn subscribe(&self) -> watch::Receiver<Result<(), PrepareError>> {
        self.0.changes.subscribe()
    }
}

/// The writing half: knows the templates, and makes a snapshot whenever an input changes.
#[derive(Debug)]
pub struct Injector<D = ()> {
    recipe: Recipe<D>,
    cell: Option<TokenCell>,
    slot: Arc<Slot<D>>,
}

/// Both halves of a route's injection. `cell` is the route's profile's, if it has one.
pub fn injection<D>(recipe: Recipe<D>, cell: Option<TokenCell>) -> (Injector<D>, Injection<D>) {
    let slot = Arc::new(Slot { prepared: ArcSwapOption::empty(), changes: watch::channel(Ok(())).0 });
    (Injector { recipe, cell, slot: Arc::clone(&slot) }, Injection(slot))
}

impl<D> Injector<D> {
    /// Makes a snapshot from the inputs as they are now and publishes it; a failure leaves the old one in place.
    /// Without a token where one is needed there is nothing to do yet, which is no failure.
    pub fn prepare(&self) -> Result<(), PrepareError> {
        let state = self.cell.as_ref().map(TokenCell::state);
        let token = state.as_ref().and_then(|state| state.token.as_deref());
        let stale_for = state.as_ref().map_or(Duration::ZERO, |state| state.stale_for);
        let outcome = match self.recipe.make(token, stale_for) {
            Err(PrepareError::NoToken(_)) => return Ok(()),
            Ok(prepared) => {
                self.slot.prepared.store(Some(Arc::new(prepared)));
                Ok(())
            }
            Err(error) => Err(error),
        };
        // What was published before is of no interest; whoever waits is woken.
        drop(self.slot.changes.send_replace(outcome.clone()));
        outcome
    }

    /// Prepares anew whenever an input changes; runs until it is dropped. `failed` hears of every failure.
    pub async fn run(self, failed: impl Fn(&PrepareError)) {
        let mut states = self.cell.as_ref().map(TokenCell::subscribe);
        let mut seen = self.recipe.read_files();
        loop {
            if let Err(error) = self.prepare() {
                failed(&error);
            }
            // Wait for an input: a new token, or new bytes in a file.
            loop {
                let token = async {
                    match &mut states {
                        Some(states) => states.changed().await.is_ok(),
                        None => std::future::pending().await,
                    }
                };
                let files = async {
                    match seen.is_empty() {
                        true => std::future::pending().await,
                        false => tokio::time::sleep(FILE_POLL).await,
                    }
                };
                tokio::select! {
                    alive = token => if alive { break } else { states = None },
                    () = files => {
                        let now = self.recipe.read_files();
                        if now != seen {
                            seen = now;
                            break;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
