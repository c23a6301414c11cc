//! File descriptors: as many as the system allows, and some kept back.
//!
//! Every caller's connection may need one to an upstream; tokens, probes and files need some too. Where the system allows
//! few, callers get fewer places, so that a flood of them never keeps a token from being renewed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for everything that is no caller's connection and no upstream's: listeners, runtimes, token fetches, the admin
/// listener, files.
const KEPT: usize = 40;

/// Raises the soft limit to the hard one. Many systems start programs with 1024 for the sake of select(2).
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// How many callers' connections there may be: as configured, or fewer where the system allows fewer descriptors.
pub fn places(configured: usize) -> usize {
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return configured };
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    let places = places_of(configured, allowed);
    if places < configured {
        tracing::warn!(
            places,
            open_files = allowed,
            "fewer connections than limits.connections: raise the limit of open files (ulimit -n)"
        );
    }
    places
}

/// Up to twice as many descriptors as places where there are few; where there are many, most connections are idle and
/// need no upstream.
fn places_of(configured: usize, allowed: usize) -> usize {
    let free = allowed.saturating_sub(KEPT);
    configured.min((free / 2).max(free.saturating_sub(2000)).max(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_descriptors_are_scarce_callers_get_fewer_places() {
        let table = [
            (10_000, 1_048_576, 10_000),
            (10_000, 20_000, 10_000),
            (10_000, 4096, 2056),
            (10_000, 64, 12),
            (10_000, 10, 4),
            (3, 64, 3),
        ];
        for (configured, allowed, expected) in table {
            assert_eq!(places_of(configured, allowed), expected, "{configured} of {allowed}");
        }
    }
}
