//! Conformance corpora: data files under `tests/fixtures` that say what bytes go in and what must come out.
//!
//! `requests`: what callers send, and what of it reaches the upstream. `answers`: what upstreams send, and what of it
//! reaches the caller. `frames`: what callers send over HTTP/2. `llhttp`: the public request vectors of nodejs/llhttp. Each runner shares a few proxies between
//! many entries and tells every entry that failed, with the bytes. An entry marked `pending` is counted, not run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use text::Entry;

mod answers;
mod canonical;
mod expectation;
mod expected;
mod fates;
mod frames;
mod llhttp;
mod received;
mod recorder;
mod requests;
mod stage;
mod text;
mod vectors;
mod wire2;

/// How many proxies run entries side by side.
const STAGES: usize = 4;

/// Runs every entry on one of a few stages, each entry alone on its stage; fails with all that went wrong.
#[track_caller]
fn run_all<E: Sync, S>(
    entries: &[E],
    stage: impl Fn() -> S + Sync,
    check: impl Fn(&S, &E) -> Result<(), String> + Sync,
) {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..STAGES {
            scope.spawn(|| {
                let stage = stage();
                while let Some(entry) = entries.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(failure) = check(&stage, entry) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} entries failed:\n\n{}",
        failures.len(),
        entries.len(),
        failures.join("\n\n")
    );
}

/// The entries to run: those that are not pending, or, to see which of them hold by now, only the pending ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Held,
    Pending,
}

/// Runs a part of a folder. What is pending is told, and never a failure.
#[track_caller]
fn run_folder<S>(
    folder: &str,
    part: Part,
    stage: impl Fn() -> S + Sync,
    check: impl Fn(&S, &Entry) -> Result<(), String> + Sync,
) {
    let (pending, held): (Vec<_>, Vec<_>) =
        text::folder(folder).into_iter().partition(|entry| entry.pending().is_some());
    eprintln!("{folder}: {} entries, {} more are pending", held.len(), pending.len());
    let check = |stage: &S, entry: &Entry| {
        let source = entry.get("source").unwrap_or("?");
        check(stage, entry).map_err(|failure| format!("{} ({source}): {failure}", entry.name))
    };
    match part {
        Part::Held => run_all(&held, stage, check),
        Part::Pending => run_all(&pending, stage, |stage, entry| {
            match check(stage, entry) {
                Ok(()) => eprintln!("holds by now: {}", entry.name),
                Err(failure) => eprintln!("pending ({}): {failure}", entry.pending().unwrap_or_default()),
            }
            Ok(())
        }),
    }
}
