//! What is injected for each subject: a map of snapshots, published as a whole.
//!
//! Invariants: the request path loads the map and writes nothing but two marks of an entry; the map never holds more
//! subjects than it may; it holds no token of a caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::{PrepareError, Prepared, Recipe};
use crate::clock::Moment;
use crate::secret::Secret;
use crate::token::Token;
use crate::token::subject::SubjectDigest;

/// What is known of each subject.
pub type Known<D> = HashMap<SubjectDigest, Arc<Entry<D>>>;

/// The share of a token's lifetime after which a request that uses it has it renewed.
const FRESH: f64 = 0.75;

/// How long it is remembered that an exchange failed.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);

/// What is known of a subject.
#[derive(Debug)]
pub struct Entry<D> {
    /// What came of its exchange.
    pub kept: Kept<D>,
    /// When it was last used, in seconds.
    used: AtomicU64,
    /// Whether a request has asked for its renewal.
    asked: AtomicBool,
}

/// What came of an exchange.
#[derive(Debug)]
pub enum Kept<D> {
    /// A token, and what each route of its profile makes of it.
    Ready(Ready<D>),
    /// None; nobody asks again for a while.
    Failed(Failed),
}

/// A subject's token in use.
#[derive(Debug)]
pub struct Ready<D> {
    token: Arc<Token>,
    routes: Vec<Result<Arc<Prepared<D>>, PrepareError>>,
    /// From when on it is renewed when it is used.
    pub renew_at: Moment,
    /// When an upstream last had it renewed.
    pub forced_at: Option<Moment>,
    /// How many renewals have failed in a row.
    pub failures: u32,
}

/// An exchange that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Whom the token service blames.
    pub blame: Blame,
    /// The code of the failure, for the log.
    pub cause: String,
    /// Until when it stands.
    pub until: Moment,
    /// How many exchanges have failed in a row.
    pub failures: u32,
}

/// Who is to blame for a failed exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The subject: its token is not taken.
    Subject,
    /// The token service, or us.
    Service,
}

impl<D> Entry<D> {
    fn new(kept: Kept<D>, now: Moment) -> Arc<Self> {
        Arc::new(Self { kept, used: AtomicU64::new(seconds(now)), asked: AtomicBool::new(false) })
    }

    /// What a route injects, if it may be used now.
    pub fn usable(&self, route: usize, now: Moment) -> Option<&Arc<Prepared<D>>> {
        let Kept::Ready(ready) = &self.kept else { return None };
        ready.routes.get(route)?.as_ref().ok().filter(|prepared| prepared.is_usable(now))
    }

    /// Why a route's headers cannot be made of a token that is there.
    pub fn unfit(&self, route: usize) -> Option<&PrepareError> {
        let Kept::Ready(ready) = &self.kept else { return None };
        ready.routes.get(route)?.as_ref().err()
    }

    /// Notes a use; whether the one who asks is to have it renewed, which is one request for each token.
    pub fn use_now(&self, now: Moment) -> bool {
        let second = seconds(now);
        // One write a second, however many requests there are.
        if self.used.load(Ordering::Relaxed) != second {
            self.used.store(second, Ordering::Relaxed);
        }
        let Kept::Ready(ready) = &self.kept else { return false };
        ready.renew_at.is_past(now) && !self.asked.swap(true, Ordering::Relaxed)
    }

    /// The renewal could not be asked for: the next request tries again.
    pub fn not_asked(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }

    /// Whether it says anything still.
    fn is_over(&self, now: Moment) -> bool {
        match &self.kept {
            Kept::Ready(ready) => ready.token.access.expires_at().is_past(now),
            // How often it failed is of interest to the next failure.
            Kept::Failed(failed) => failed.until.after(REMEMBERED).is_past(now),
        }
    }

    /// What goes first when there are too many: what is over, then failures, then what was not used for the longest time.
    fn worth(&self, now: Moment) -> (bool, bool, u64) {
        let ready = matches!(self.kept, Kept::Ready(_));
        (!self.is_over(now), ready, self.used.load(Ordering::Relaxed))
    }
}

impl<D> Ready<D> {
    /// The token.
    pub fn token(&self) -> &Token {
        &self.token
    }
}

fn seconds(now: Moment) -> u64 {
    now.wall().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Where the map is published: the reading half. Cheap to clone.
#[derive(Debug)]
pub struct Subjects<D>(Arc<ArcSwap<Known<D>>>);

impl<D> Clone for Subjects<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> Subjects<D> {
    /// The map: one atomic load. The guard must not live across an await.
    pub fn load(&self) -> Guard<Arc<Known<D>>> {
        self.0.load()
    }

    /// What is known of a subject.
    pub fn find(&self, digest: &SubjectDigest) -> Option<Arc<Entry<D>>> {
        self.load().get(digest).cloned()
    }
}

/// The writing half: the recipes of all routes of a profile, and the map.
#[derive(Debug)]
pub struct SubjectWriter<D> {
    recipes: Vec<Recipe<D>>,
    subjects: Subjects<D>,
    capacity: usize,
}

/// Both halves, for at most `capacity` subjects.
pub fn subjects<D>(capacity: usize) -> (SubjectWriter<D>, Subjects<D>) {
    let subjects = Subjects(Arc::new(ArcSwap::from_pointee(HashMap::new())));
    (SubjectWriter { recipes: Vec::new(), subjects: subjects.clone(), capacity: capacity.max(1) }, subjects)
}

impl<D> SubjectWriter<D> {
    /// Takes in a route; the number that it is known by.
    pub fn add(&mut self, recipe: Recipe<D>) -> usize {
        self.recipes.push(recipe);
        self.recipes.len() - 1
    }

    /// The reading half.
    pub fn subjects(&self) -> &Subjects<D> {
        &self.subjects
    }

    /// Publishes a subject's token.
    pub fn publish(&self, digest: SubjectDigest, token: Arc<Token>, forced_at: Option<Moment>, now: Moment) {
        let access = &token.access;
        let renew_at = access.issued_at.after(access.lifetime.mul_f64(FRESH));
        self.put(digest, Kept::Ready(self.ready(token, renew_at, forced_at, 0)), now);
    }

    /// A renewal failed and the token is good still: the next one is not before `renew_at`.
    pub fn put_off(
        &self,
        digest: SubjectDigest,
        ready: &Ready<D>,
        (renew_at, forced_at): (Moment, Option<Moment>),
        now: Moment,
    ) {
        let token = Arc::clone(&ready.token);
        let failures = ready.failures.saturating_add(1);
        self.put(digest, Kept::Ready(self.ready(token, renew_at, forced_at, failures)), now);
    }

    /// Publishes that there is no token for a subject.
    pub fn fail(&self, digest: SubjectDigest, failed: Failed, now: Moment) {
        self.put(digest, Kept::Failed(failed), now);
    }

    /// Takes out what says nothing any more.
    pub fn sweep(&self, now: Moment) {
        let known = self.subjects.load();
        if known.values().any(|entry| entry.is_over(now)) {
            let left = known.iter().filter(|(_, entry)| !entry.is_over(now));
            self.subjects
                .0
                .store(Arc::new(left.map(|(digest, entry)| (*digest, Arc::clone(entry))).collect()));
        }
    }

    /// The content of every file that a header comes from.
    pub fn read_files(&self) -> Vec<Option<Secret>> {
        self.recipes.iter().flat_map(Recipe::read_files).collect()
    }

    /// Makes all snapshots anew: a file has changed.
    pub fn prepare_again(&self, now: Moment) {
        let again = |(digest, entry): (&SubjectDigest, &Arc<Entry<D>>)| {
            let Kept::Ready(old) = &entry.kept else { return (*digest, Arc::clone(entry)) };
            let ready = self.ready(Arc::clone(&old.token), old.renew_at, old.forced_at, old.failures);
            let entry_now = Entry::new(Kept::Ready(ready), now);
            entry_now.used.store(entry.used.load(Ordering::Relaxed), Ordering::Relaxed);
            (*digest, entry_now)
        };
        let next: Known<D> = self.subjects.load().iter().map(again).collect();
        self.subjects.0.store(Arc::new(next));
    }

    fn ready(
        &self,
        token: Arc<Token>,
        renew_at: Moment,
        forced_at: Option<Moment>,
        failures: u32,
    ) -> Ready<D> {
        let make = |recipe: &Recipe<D>| recipe.make(Some(&token), Duration::ZERO).map(Arc::new);
        let routes = self.recipes.iter().map(make).collect();
        Ready { token, routes, renew_at, forced_at, failures }
    }

    fn put(&self, digest: SubjectDigest, kept: Kept<D>, now: Moment) {
        let mut next = Known::clone(&self.subjects.load());
        next.insert(digest, Entry::new(kept, now));
        while next.len() > self.capacity {
            let others = next.iter().filter(|(other, _)| **other != digest);
            let Some(least) = others.min_by_key(|(_, entry)| entry.worth(now)).map(|(least, _)| *least)
            else {
                break;
            };
            next.remove(&least);
        }
        self.subjects.0.store(Arc::new(next));
    }
}

#[cfg(test)]
mod tests;
