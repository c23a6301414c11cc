//! What holds for every path, whatever stands in it; the paths one by one are in `tests/fixtures/paths.txt`.

use proptest::prelude::*;

use super::*;

const ROUTES: [&str; 3] = ["/a", "/a/b", "/admin"];

/// The longest of the routes that a path begins with, by whole segments.
fn find(path: &str) -> Option<&'static &'static str> {
    let takes = |route: &&&str| {
        path.strip_prefix(**route).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ROUTES.iter().filter(takes).max_by_key(|route| route.len())
}

fn chosen(path: &str, rules: PathRules) -> Result<Option<&'static &'static str>, Ambiguous> {
    select(path, find, |_| Terms { cut: 0, rules })
}

const EVERYTHING: PathRules = PathRules {
    encoded_slash: true,
    backslash: true,
    double_encoding: true,
    dot_segments: true,
    invalid_utf8: true,
};

#[test]
fn ordinary_paths_are_plain() {
    for path in ["/", "/a/b", "/a/b/", "/v1.2/x", "/a.b/c..d", "/~me/-_!$&'()+,=:@", "*", "", "/a/x.tar.gz"] {
        assert!(is_plain(path.as_bytes()), "{path}");
    }
    for path in ["/a//b", "/.x", "/a%20b", "/a;b", "/a\\b", "/a/..", "/{", "/*", "/\u{fc}"] {
        assert!(!is_plain(path.as_bytes()), "{path}");
    }
}

#[test]
fn a_path_of_thousands_of_tricks_costs_a_bounded_number_of_look_ups() {
    for trick in ["%25", "/..", "/a/..", "%2F", "//", ";", "%C0%AF", "%252525", "/%2e%2e;x"] {
        for count in [20, 16_000 / trick.len()] {
            let path = format!("/a{}", trick.repeat(count));
            for rules in [PathRules::default(), EVERYTHING] {
                let asked = std::cell::Cell::new(0);
                let find = |path: &str| {
                    asked.set(asked.get() + 1);
                    find(path)
                };
                let _ = select(&path, find, |_| Terms { cut: 0, rules });
                assert!(asked.get() <= 2 + 32 * (MOST_DOT_SEGMENTS + 1), "{trick}: {}", asked.get());
            }
        }
    }
}

/// A backend that decodes often, cuts parameters, knows every separator, merges and resolves.
fn lenient(path: &str) -> Option<String> {
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..8 {
        let mut next = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((byte, after)) = rest.split_first() {
            let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(decoded) if *byte == b'%' => {
                    next.push(decoded);
                    rest = &after[2..];
                }
                _ => {
                    next.push(*byte);
                    rest = after;
                }
            }
        }
        bytes = next;
    }
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut names: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        match segment.split(';').next() {
            Some("" | ".") | None => {}
            Some("..") => {
                names.pop()?;
            }
            Some(name) => names.push(name),
        }
    }
    Some(format!("/{}", names.join("/")))
}

fn path() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/", "/", "/a", "/b", "/admin", "a", "b", "admin", ".", "..", "%2e", "%2F", "%5C", "\\", ";", "%3B",
        "%25", "%252e", "%252F", "%61", "x", "%C3%A4", "%FC", "%20", "//", ";x", "/..", "/.",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

#[test]
fn a_separator_that_a_parameter_may_swallow_is_read_both_ways() {
    let take = |path: &str| if path == "/a" { Some(&"exact") } else { Some(&"any") };
    let terms = |_: &&str| Terms { rules: EVERYTHING, ..Terms::default() };
    for path in ["/a;%2Fb", "/a;x%5Cb", "/a;x%C0%AFb"] {
        assert_eq!(select(path, take, terms), Err(Ambiguous), "{path}");
    }
    assert_eq!(select("/c;%2Fb", take, terms), Ok(Some(&"any")));
    // Who decodes twice and knows no overlong UTF-8 reads `//;...`, which is the root.
    let take = |path: &str| if path == "/" { Some(&"root") } else { Some(&"any") };
    for path in ["/%252f;x%e0%80%afy%255c", "/%252f;x%2Fy", "/b/%2e%2e/%252e", "/%5Cb;\\"] {
        assert_eq!(select(path, take, terms), Err(Ambiguous), "{path}");
    }
    assert_eq!(select("/files;path=a%2Fb%2Fc", take, terms), Ok(Some(&"any")), "spelled alike");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_passes_leads_a_lenient_backend_to_the_same_route(path in path(), relaxed in any::<bool>()) {
        let rules = if relaxed { EVERYTHING } else { PathRules::default() };
        if let Ok(found) = chosen(&path, rules) {
            prop_assert_eq!(found, find(&path), "the bytes as they were sent decide");
            let read = lenient(&path);
            prop_assert_eq!(found, read.as_deref().and_then(find), "{} is read as {:?}", path, read);
        }
    }

    #[test]
    fn what_a_route_lets_pass_is_never_less_than_the_default(path in path()) {
        if chosen(&path, PathRules::default()).is_ok() {
            prop_assert!(chosen(&path, EVERYTHING).is_ok(), "{}", path);
        }
    }

    #[test]
    fn nothing_panics(path in "[/%0-9a-fA-FcCeE.;\\\\ü]{0,40}") {
        let _ = chosen(&path, EVERYTHING);
    }
}
