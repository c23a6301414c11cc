//! Route match and path policy: a path that is let through selects the same route however leniently a backend reads it.
//!
//! The input is text: the path on the first line, a route on each further one: `P /prefix`, `E /exact` or `*`, and methods
//! behind it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidepass::guard::path;
use sidepass_fuzz::paths::{self, Case};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let case = Case::read(&text);
    let (table, asked) = (case.table(), case.asked);
    let find = |path: &str| table.find("localhost", path, &case.method);
    paths::check_match(&case.routes, asked, &case.method, find(asked));
    if !case.is_target() {
        return;
    }
    let Ok(Some(found)) = path::select(asked, find, |_| path::Terms::default()) else { return };
    for reading in paths::readings(asked) {
        assert_eq!(find(&reading), Some(found), "{asked} is let through and can be read as {reading}");
    }
});
