//! How many connections there may be: in all, and of one caller.
//!
//! Invariant: what was counted is counted off when the slot is dropped, on whichever thread that is. Places are given by
//! the one thread that accepts.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::state::Cause;
use crate::metrics::Metrics;

/// When callers who have left are forgotten for the first time, counted in callers.
const FIRST_SWEEP: usize = 256;

/// How many connections there may be, in all listeners and workers.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    open: AtomicUsize,
    limit: usize,
    /// So many more get in at the price of another that is waiting.
    crowd: usize,
    per_caller: usize,
    metrics: Option<Arc<Metrics>>,
}

/// Why a connection is refused: the labels of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `limits.connections`, and all of them are busy.
    Connections,
    /// `limits.connections_per_caller`
    PerCaller,
}

impl Refused {
    fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::PerCaller => "connections_per_caller",
        }
    }
}

impl Slots {
    /// At most `limit` connections.
    pub fn new(limit: usize) -> Self {
        Self::with(limit, 0, None)
    }

    /// At most `limit` connections, and `per_caller` of one address (zero: any number), shown by the metrics of callers'
    /// connections.
    pub fn counted(limit: usize, per_caller: usize, metrics: Arc<Metrics>) -> Self {
        Self::with(limit, per_caller, Some(metrics))
    }

    fn with(limit: usize, per_caller: usize, metrics: Option<Arc<Metrics>>) -> Self {
        let crowd = (limit / 8).clamp(1, 64);
        Self(Arc::new(Shared { open: AtomicUsize::new(0), limit, crowd, per_caller, metrics }))
    }

    /// Counts a connection that gets no place.
    pub(super) fn refuse(&self, cause: Refused) {
        if let Some(metrics) = &self.0.metrics {
            metrics.connection_refused(cause.label());
        }
    }
}

/// The thread that accepts, and what it knows of callers.
#[derive(Debug)]
pub(super) struct Door {
    slots: Slots,
    callers: RefCell<HashMap<IpAddr, Arc<AtomicUsize>>>,
    sweep_at: Cell<usize>,
}

impl Door {
    pub(super) fn new(slots: Slots) -> Self {
        Self { slots, callers: RefCell::default(), sweep_at: Cell::new(FIRST_SWEEP) }
    }

    /// A place for a connection from there, or why there is none.
    pub(super) fn let_in(&self, peer: Option<SocketAddr>) -> Result<Slot, Refused> {
        let shared = &self.slots.0;
        let caller = match peer {
            Some(peer) if shared.per_caller > 0 => Some(self.caller(neighbourhood(peer.ip()))),
            _ => None,
        };
        if caller.as_ref().is_some_and(|open| open.load(Ordering::Relaxed) >= shared.per_caller) {
            return Err(Refused::PerCaller);
        }
        let open = shared.open.load(Ordering::Relaxed);
        if open >= shared.limit + shared.crowd {
            return Err(Refused::Connections);
        }
        shared.open.fetch_add(1, Ordering::Relaxed);
        if let Some(metrics) = &shared.metrics {
            metrics.connections.inc();
        }
        if let Some(caller) = &caller {
            caller.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Slot { slots: self.slots.clone(), caller, crowds: open >= shared.limit })
    }

    /// Counts a connection that gets no place.
    pub(super) fn refuse(&self, cause: Refused) {
        self.slots.refuse(cause);
    }

    fn caller(&self, address: IpAddr) -> Arc<AtomicUsize> {
        let mut callers = self.callers.borrow_mut();
        if callers.len() >= self.sweep_at.get() {
            callers.retain(|_, open| open.load(Ordering::Relaxed) > 0);
            self.sweep_at.set(FIRST_SWEEP.max(callers.len() * 2));
        }
        Arc::clone(callers.entry(address).or_default())
    }
}

/// An IPv6 caller has a whole /64 to itself.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// One of the connections that there may be; counted until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    caller: Option<Arc<AtomicUsize>>,
    crowds: bool,
}

impl Slot {
    /// Whether it is one too many: it stays only if another one goes.
    pub(super) fn crowds(&self) -> bool {
        self.crowds
    }

    /// It was one too many, and no other one could go.
    pub(super) fn refuse(self) {
        self.slots.refuse(Refused::Connections);
    }

    /// Counts a connection that the watch has closed.
    pub(super) fn closed(&self, cause: Cause) {
        if let (Some(metrics), Some(label)) = (&self.slots.0.metrics, cause.label()) {
            metrics.connection_closed(label);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let shared = &self.slots.0;
        shared.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(caller) = &self.caller {
            caller.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(metrics) = &shared.metrics {
            metrics.connections.dec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Option<SocketAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn one_address_gets_so_many_connections_and_its_neighbours_their_own() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let door = Door::new(Slots::counted(100, 2, metrics));
        let first = door.let_in(peer("10.0.0.1:1")).unwrap();
        let _second = door.let_in(peer("10.0.0.1:2")).unwrap();
        assert_eq!(door.let_in(peer("10.0.0.1:3")).unwrap_err(), Refused::PerCaller);
        let _other = door.let_in(peer("10.0.0.2:1")).unwrap();
        let _unix: Vec<_> = (0..5).map(|_| door.let_in(None).unwrap()).collect();
        drop(first);
        let _again = door.let_in(peer("10.0.0.1:3")).unwrap();
        let _v6 = [door.let_in(peer("[2001:db8::1]:1")), door.let_in(peer("[2001:db8::2]:1"))];
        assert_eq!(door.let_in(peer("[2001:db8::3]:1")).unwrap_err(), Refused::PerCaller);
        assert!(door.let_in(peer("[2001:db8:0:1::3]:1")).is_ok());
        assert!(door.let_in(peer("[::ffff:10.0.0.1]:1")).is_err(), "IPv4 by another name");
    }

    #[test]
    fn callers_who_left_are_forgotten() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let door = Door::new(Slots::counted(10, 2, metrics));
        for n in 0..10_000_u32 {
            let address = SocketAddr::from((std::net::Ipv4Addr::from_bits(n), 1));
            drop(door.let_in(Some(address)).unwrap());
        }
        assert!(door.callers.borrow().len() <= FIRST_SWEEP);
    }

    #[test]
    fn a_few_too_many_get_in_and_are_marked() {
        let door = Door::new(Slots::new(8));
        let slots: Vec<_> = (0..9).map(|_| door.let_in(None).unwrap()).collect();
        assert_eq!(slots.iter().filter(|slot| slot.crowds()).count(), 1);
        assert_eq!(door.let_in(None).unwrap_err(), Refused::Connections);
        drop(slots);
        assert!(!door.let_in(None).unwrap().crowds());
    }
}
