//! What still has to happen before sidepass is ready, by name, so that `/readyz` can say what is missing.
//!
//! Invariant: a gate that was opened stays open; the data plane never asks here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The gates that are still closed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    pending: Arc<Mutex<BTreeSet<String>>>,
}

/// A gate: closed until it is opened, or dropped with its owner.
#[derive(Debug)]
pub struct ReadinessGate {
    name: String,
    readiness: Readiness,
}

impl Readiness {
    /// Closes a gate of this name.
    pub fn gate(&self, name: impl Into<String>) -> ReadinessGate {
        let name = name.into();
        self.with(|pending| pending.insert(name.clone()));
        ReadinessGate { name, readiness: self.clone() }
    }

    /// The names of the gates that are still closed, sorted.
    pub fn pending(&self) -> Vec<String> {
        self.with(|pending| pending.iter().cloned().collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        // A panic between two set operations leaves a set that is still a set.
        work(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ReadinessGate {
    /// Opens the gate; opening it again does nothing.
    pub fn open(&self) {
        self.readiness.with(|pending| pending.remove(&self.name));
    }
}

impl Drop for ReadinessGate {
    fn drop(&mut self) {
        self.open();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_gates_are_named_until_they_open() {
        let readiness = Readiness::default();
        let (a, b) = (readiness.gate("profile b"), readiness.gate("profile a"));
        assert_eq!(readiness.pending(), ["profile a", "profile b"]);
        a.open();
        a.open();
        assert_eq!(readiness.pending(), ["profile a"]);
        drop(b);
        assert!(readiness.pending().is_empty());
    }
}
