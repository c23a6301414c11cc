//! The sessions of a route: one for everybody, or one for each subject.
//!
//! Invariant: a session is bound to whose credential opened it: no request of one subject ever carries the cookies of
//! another's. At most 1000 subjects have one; the one that was not used for the longest time makes room.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::session::Session;

/// Subjects that have a session.
const MOST: usize = 1000;

/// The sessions of a route; a subject is known by `K`.
#[derive(Debug)]
pub(super) struct Sessions<K> {
    everybody: Arc<Session>,
    subjects: ArcSwap<HashMap<K, Arc<OfSubject>>>,
    /// Counts uses.
    uses: AtomicU64,
}

#[derive(Debug, Default)]
struct OfSubject {
    session: Arc<Session>,
    /// The count of its last use.
    used: AtomicU64,
}

impl<K> Default for Sessions<K> {
    fn default() -> Self {
        Self { everybody: Arc::default(), subjects: ArcSwap::default(), uses: AtomicU64::new(0) }
    }
}

impl<K: Copy + Eq + Hash> Sessions<K> {
    /// The session of a subject, or the one of everybody; a new one holds nothing.
    pub(super) fn of(&self, subject: Option<&K>) -> Arc<Session> {
        let Some(subject) = subject else { return Arc::clone(&self.everybody) };
        let known = self.subjects.load().get(subject).cloned();
        let own = known.unwrap_or_else(|| self.open(subject));
        own.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Arc::clone(&own.session)
    }

    fn open(&self, subject: &K) -> Arc<OfSubject> {
        let new = Arc::new(OfSubject::default());
        new.used.store(u64::MAX, Ordering::Relaxed);
        let before = self.subjects.rcu(|subjects| {
            if subjects.contains_key(subject) {
                return Arc::clone(subjects);
            }
            let mut subjects = HashMap::clone(subjects);
            let oldest = || subjects.iter().min_by_key(|(_, own)| own.used.load(Ordering::Relaxed));
            if subjects.len() >= MOST
                && let Some(oldest) = oldest().map(|(subject, _)| *subject)
            {
                subjects.remove(&oldest);
            }
            subjects.insert(*subject, Arc::clone(&new));
            Arc::new(subjects)
        });
        // Another request of the same subject may have been first.
        before.get(subject).cloned().unwrap_or(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_has_a_session_of_its_own() {
        let sessions = Sessions::<u32>::default();
        let (one, two, everybody) = (sessions.of(Some(&1)), sessions.of(Some(&2)), sessions.of(None));
        assert!(Arc::ptr_eq(&one, &sessions.of(Some(&1))) && Arc::ptr_eq(&everybody, &sessions.of(None)));
        assert!(!Arc::ptr_eq(&one, &two) && !Arc::ptr_eq(&one, &everybody));
    }

    #[test]
    fn the_subject_that_was_gone_longest_makes_room() {
        let sessions = Sessions::<usize>::default();
        let (first, second) = (sessions.of(Some(&0)), sessions.of(Some(&1)));
        for subject in 2..MOST {
            sessions.of(Some(&subject));
        }
        assert!(Arc::ptr_eq(&first, &sessions.of(Some(&0))), "there was room for it");
        sessions.of(Some(&MOST));
        assert_eq!(sessions.subjects.load().len(), MOST);
        assert!(Arc::ptr_eq(&first, &sessions.of(Some(&0))), "it was used after the second");
        assert!(!Arc::ptr_eq(&second, &sessions.of(Some(&1))));
    }
}
