//! Route match where routes let pass by name what backends read in two ways (`allow_paths`): under every combination of
//! the five names, each route its own, a path that is let through selects the same route in every reading.
//!
//! The input: a byte that chooses the names, then the text of `route_path`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidepass::config::route::PathRules;
use sidepass::guard::path::{self, Terms};
use sidepass_fuzz::paths::{self, Case};

fuzz_target!(|bytes: &[u8]| {
    let Some((chosen, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let case = Case::read(&text);
    if !case.is_target() {
        return;
    }
    let (table, asked) = (case.table(), case.asked);
    let find = |path: &str| table.find("localhost", path, &case.method);
    let terms = |route: &usize| Terms { rules: rules(*chosen, *route), ..Terms::default() };
    let Ok(Some(found)) = path::select(asked, find, terms) else { return };
    for reading in paths::readings(asked) {
        let rules = rules(*chosen, *found);
        assert_eq!(find(&reading), Some(found), "{asked}, read as {reading}, is let through by {rules:?}");
    }
    check_names(asked, &rules(*chosen, *found));
});

/// What a route lets pass: neighbours differ.
fn rules(chosen: u8, route: usize) -> PathRules {
    let bits = usize::from(chosen) ^ route.wrapping_mul(11);
    let bit = |n: u32| bits & (1 << n) != 0;
    PathRules {
        encoded_slash: bit(0),
        backslash: bit(1),
        double_encoding: bit(2),
        dot_segments: bit(3),
        invalid_utf8: bit(4),
    }
}

/// What no route lets pass without its name, read off the spelling.
fn check_names(path: &str, rules: &PathRules) {
    let lower = path.to_ascii_lowercase();
    let has = |text: &str| lower.contains(text);
    assert!(!has("%00"), "{path}");
    // An escape may be the end of an overlong sequence: `%C0%2F`.
    assert!(rules.encoded_slash || rules.invalid_utf8 || !has("%2f"), "{path}: {rules:?}");
    assert!(rules.backslash || rules.invalid_utf8 || !(has("%5c") || has("\\")), "{path}: {rules:?}");
    let twice = ["%252f", "%255c", "%252e"].into_iter().any(has);
    assert!(rules.double_encoding || !twice, "{path}: {rules:?}");
    assert!(rules.invalid_utf8 || !has("%c0%af"), "{path}: {rules:?}");
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    assert!(rules.dot_segments || !dots, "{path}: {rules:?}");
}
