//! What readers tell the refresh task, in atomics: a storm of 401s must be answered without a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Generation, Rejection};

/// One forced refresh per profile in this time.
const COOLDOWN: Duration = Duration::from_secs(30);

/// No token has this generation: they count from 1.
const NONE: u64 = 0;

#[derive(Debug)]
pub(super) struct Signals {
    notify: Notify,
    /// The newest generation published.
    newest: AtomicU64,
    /// The generation whose forced refresh is promised or in flight.
    forced: AtomicU64,
    /// When a refresh was last forced, in milliseconds since `start`, plus one; 0 is never.
    last_forced: AtomicU64,
    fetching: AtomicBool,
    backing_off: AtomicBool,
    start: Instant,
}

impl Signals {
    pub(super) fn new() -> Self {
        Self {
            notify: Notify::new(),
            newest: AtomicU64::new(NONE),
            forced: AtomicU64::new(NONE),
            last_forced: AtomicU64::new(0),
            fetching: AtomicBool::new(true),
            backing_off: AtomicBool::new(false),
            start: Instant::now(),
        }
    }

    pub(super) fn wake(&self) {
        self.notify.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }

    pub(super) fn reject(&self, Generation(refused): Generation) -> Rejection {
        if let Some(decided) = self.decided(refused) {
            return decided;
        }
        let now = self.now();
        if self.forced.compare_exchange(NONE, refused, SeqCst, SeqCst).is_err() {
            return Rejection::Renewing;
        }
        // The claim is ours. Look again: a whole refresh may have come and gone since the first look.
        if self.newest.load(SeqCst) != refused || self.backing_off.load(SeqCst) || self.cooling_down(now) {
            self.decline();
            let replaced = self.newest.load(SeqCst) > refused;
            return if replaced { Rejection::Replaced } else { Rejection::Declined };
        }
        self.last_forced.store(now, SeqCst);
        self.notify.notify_one();
        Rejection::Renewing
    }

    /// The answer for all but the first to refuse a generation: loads only, in the opposite order of the stores. Who sees
    /// the pause that a claim began also sees the claim, and who sees a claim ended also sees the token that came of it.
    fn decided(&self, refused: u64) -> Option<Rejection> {
        let declined = self.backing_off.load(SeqCst) || self.cooling_down(self.now());
        // A routine refresh that is under way brings a newer token as well.
        let renewing = self.forced.load(SeqCst) == refused || self.fetching.load(SeqCst);
        if self.newest.load(SeqCst) > refused {
            return Some(Rejection::Replaced);
        }
        match (renewing, declined) {
            (true, _) => Some(Rejection::Renewing),
            (false, true) => Some(Rejection::Declined),
            (false, false) => None,
        }
    }

    fn cooling_down(&self, now: u64) -> bool {
        let last = self.last_forced.load(SeqCst);
        last != 0 && u128::from(now.saturating_sub(last)) < COOLDOWN.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    pub(super) fn is_renewing(&self, Generation(refused): Generation) -> bool {
        self.forced.load(SeqCst) == refused
    }

    pub(super) fn refresh_demanded(&self) -> bool {
        self.forced.load(SeqCst) != NONE
    }

    pub(super) fn decline(&self) {
        self.forced.store(NONE, SeqCst);
    }

    pub(super) fn fetching(&self) {
        self.fetching.store(true, SeqCst);
    }

    pub(super) fn succeeded(&self, Generation(newest): Generation) {
        self.newest.store(newest, SeqCst);
        self.backing_off.store(false, SeqCst);
        self.finished();
    }

    pub(super) fn failed(&self) {
        self.backing_off.store(true, SeqCst);
        self.finished();
    }

    fn finished(&self) {
        self.fetching.store(false, SeqCst);
        self.forced.store(NONE, SeqCst);
    }
}
