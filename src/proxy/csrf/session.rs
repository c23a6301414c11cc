//! One token for everybody: who needs one and finds none fetches it, and who comes meanwhile waits for that fetch.
//!
//! Invariant: one fetch at a time, without a lock. A fetch whose request is given up leaves its place to the next in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::sync::watch;

use super::Held;
use super::jar::Jar;
use crate::clock::Moment;
use crate::error::ProxyError;

/// What a fetch brings.
#[derive(Debug)]
pub(super) enum Fetched {
    /// A token, and the cookies of its session.
    Token(HeaderValue, Jar),
    /// The upstream refuses the credential itself.
    Unauthorized,
}

/// How the last fetch ended, for those who waited for it.
#[derive(Clone, Debug)]
enum Landing {
    /// There is a token, or the fetch was given up: look again.
    Look,
    Unauthorized,
    Failed(ProxyError),
}

/// The token that a route holds, and the fetch that is under way.
#[derive(Debug)]
pub(super) struct Session {
    held: ArcSwapOption<Held>,
    fetching: AtomicBool,
    fetches: AtomicU64,
    landings: watch::Sender<Landing>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            held: ArcSwapOption::empty(),
            fetching: AtomicBool::new(false),
            fetches: AtomicU64::new(0),
            landings: watch::Sender::new(Landing::Look),
        }
    }
}

impl Session {
    /// The token held, unless it is the `refused` one; else the one that `fetch` brings, or somebody else's fetch that is
    /// under way, whose failure is everybody's. Nothing, where the upstream refuses the credential.
    pub(super) async fn held(
        &self,
        refused: Option<u64>,
        fetch: impl Future<Output = Result<Fetched, ProxyError>>,
    ) -> Result<Option<Arc<Held>>, ProxyError> {
        let mut landings = self.landings.subscribe();
        loop {
            if let Some(held) = self.usable(refused) {
                return Ok(Some(held));
            }
            if !self.fetching.swap(true, Ordering::AcqRel) {
                return self.fetch(refused, fetch).await;
            }
            // The sender lives as long as `self`.
            let _ = landings.changed().await;
            match &*landings.borrow_and_update() {
                Landing::Look => {}
                Landing::Unauthorized => return Ok(None),
                Landing::Failed(error) => return Err(error.clone()),
            }
        }
    }

    async fn fetch(
        &self,
        refused: Option<u64>,
        fetch: impl Future<Output = Result<Fetched, ProxyError>>,
    ) -> Result<Option<Arc<Held>>, ProxyError> {
        let mut flight = Flight { session: self, landing: Landing::Look };
        // A whole fetch may have come and gone since the first look.
        if let Some(held) = self.usable(refused) {
            return Ok(Some(held));
        }
        match fetch.await {
            Ok(Fetched::Token(token, jar)) => {
                let number = self.fetches.fetch_add(1, Ordering::Relaxed) + 1;
                let held = Arc::new(Held { number, token, jar });
                self.held.store(Some(Arc::clone(&held)));
                Ok(Some(held))
            }
            Ok(Fetched::Unauthorized) => {
                flight.landing = Landing::Unauthorized;
                Ok(None)
            }
            Err(error) => {
                flight.landing = Landing::Failed(error.clone());
                Err(error)
            }
        }
    }

    /// The upstream wants another token than this one.
    pub(super) fn forget(&self, number: u64) {
        self.held.rcu(|held| held.clone().filter(|held| held.number != number));
    }

    /// The upstream has changed cookies of the session.
    pub(super) fn learn(&self, number: u64, lines: &[HeaderValue], now: Moment) {
        self.held.rcu(|held| {
            let mut held = held.clone()?;
            if held.number == number {
                Arc::make_mut(&mut held).jar.learn(lines, now);
            }
            Some(held)
        });
    }

    fn usable(&self, refused: Option<u64>) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| Some(held.number) != refused)
    }
}

/// A fetch that is under way; however it ends, its place is free again and everybody is told.
struct Flight<'a> {
    session: &'a Session,
    landing: Landing,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.session.fetching.store(false, Ordering::Release);
        drop(self.session.landings.send_replace(std::mem::replace(&mut self.landing, Landing::Look)));
    }
}
