//! What crosses the proxy and what does not.

use proptest::prelude::*;

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName};

use super::strip::{is_hop_by_hop, merge_lengths, strip_request};
use super::*;
use crate::inject::Managed;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn strip(lines: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut map = headers(lines);
    strip_request(&mut map, &Managed::new([HeaderName::from_static("x-token")]), None);
    let mut left: Vec<_> = map.keys().map(|name| name.as_str().to_owned()).collect();
    left.sort();
    left
}

#[test]
fn a_cookie_is_managed_like_any_other_header_that_is_injected() {
    for lines in [&[("cookie", "mine")][..], &[("cookie", "mine"), ("cookie", "twice")]] {
        let mut map = headers(lines);
        strip_request(&mut map, &Managed::new([http::header::COOKIE]), None);
        assert!(map.is_empty());
        let mut map = headers(lines);
        strip_request(&mut map, &Managed::new([]), Some(&http::header::COOKIE));
        assert!(map.is_empty(), "the key of an access rule");
        let mut map = headers(lines);
        strip_request(&mut map, &Managed::new([]), None);
        assert!(map.contains_key("cookie"));
    }
}

#[test]
fn what_connection_names_goes_and_framing_stays() {
    let left = strip(&[
        ("connection", "x-foo, close , Host"),
        ("connection", "content-length,x-bar"),
        ("x-foo", "1"),
        ("x-bar", "1"),
        ("host", "h"),
        ("content-length", "3"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("accept", "*/*"),
    ]);
    assert_eq!(left, ["accept", "content-length", "host"]);
}

#[test]
fn credentials_and_claims_of_the_caller_go() {
    let left = strip(&[
        ("authorization", "Bearer mine"),
        ("proxy-authorization", "Basic x"),
        ("x-token", "mine"),
        ("x_token", "mine"),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "evil"),
        ("x-real-ip", "1.2.3.4"),
        ("x_forwarded_for", "1.2.3.4"),
        ("x-forwarded_for", "1.2.3.4"),
        ("x_real-ip", "1.2.3.4"),
        ("x-real-ipv6", "kept"),
        ("cookie", "a=b"),
        ("x-forward", "kept"),
    ]);
    assert_eq!(left, ["cookie", "x-forward", "x-real-ipv6"]);
}

fn apply(strip: Option<&str>, base: &str, target: &str) -> String {
    PathRule::new(strip, base).apply(&target.parse().unwrap()).unwrap().to_string()
}

#[test]
fn prefixes_are_cut_and_base_paths_joined_with_one_slash() {
    for (strip, base, target, expected) in [
        (Some("/api"), "", "/api", "/"),
        (Some("/api"), "", "/api/", "/"),
        (Some("/api"), "", "/api?x", "/?x"),
        (Some("/api"), "", "/api/a//b/?x=%2f&&", "/a//b/?x=%2f&&"),
        (None, "", "/a/b?", "/a/b?"),
        (None, "/base/", "/a", "/base/a"),
        (None, "/base", "/", "/base/"),
        (Some("/api"), "/base", "/api", "/base"),
        (Some("/api"), "/base/", "/api/", "/base/"),
        (Some("/api"), "/base", "/api?x=1", "/base?x=1"),
        (Some("/api/"), "/b/c", "/api/d", "/b/c/d"),
    ] {
        assert_eq!(apply(strip, base, target), expected, "{strip:?} {base} {target}");
    }
}

#[test]
fn an_absolute_target_with_a_query_and_no_path_asks_for_the_root() {
    let target: Uri = "http://localhost?x=1".parse().unwrap();
    assert_eq!(PathRule::default().apply(&target).unwrap(), "/?x=1");
}

#[test]
fn a_list_of_equal_lengths_becomes_one() {
    for sent in ["2", "2, 2", "2,2 ,2"] {
        let mut map = headers(&[("content-length", sent)]);
        merge_lengths(&mut map);
        assert_eq!(map.get_all(CONTENT_LENGTH).iter().collect::<Vec<_>>(), ["2"], "{sent}");
    }
}

#[test]
fn an_asterisk_has_nowhere_to_go() {
    assert_eq!(PathRule::default().apply(&"*".parse().unwrap()), None);
}

proptest! {
    #[test]
    fn path_and_query_bytes_are_kept(
        path in "(/[A-Za-z0-9._~!$&'()*+,;=:@%\\-]{0,8}){0,4}",
        query in proptest::option::of("[A-Za-z0-9._~!$&'()*+,;=:@/?%\\-]{0,16}"),
        base in "(/[a-z0-9]{1,4}){0,2}",
    ) {
        let rest = match &query { Some(query) => format!("{path}?{query}"), None => path.clone() };
        let target = format!("/api{rest}");
        prop_assume!(target.parse::<Uri>().is_ok());
        let sent = apply(Some("/api"), &base, &target);
        let lead = if base.is_empty() && !path.starts_with('/') { "/" } else { "" };
        prop_assert_eq!(sent, format!("{base}{lead}{rest}"));
    }

    #[test]
    fn no_managed_or_hop_by_hop_header_survives(
        names in proptest::collection::vec("[a-zA-Z_-]{1,20}|Authorization|X_Token|x-token|Connection|TE|Upgrade", 0..20),
        connection in "[a-zA-Z, -]{0,30}",
    ) {
        let mut map = HeaderMap::new();
        for name in &names {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                map.append(name, HeaderValue::from_static("v"));
            }
        }
        map.append(CONNECTION, HeaderValue::from_str(&connection).unwrap());
        let managed = Managed::new([HeaderName::from_static("x-token")]);
        strip_request(&mut map, &managed, None);
        for name in map.keys() {
            prop_assert!(!managed.takes(name.as_str()));
            prop_assert!(!is_hop_by_hop(name) && *name != CONNECTION);
            let named = connection.split(',').any(|named| named.trim().eq_ignore_ascii_case(name.as_str()));
            prop_assert!(!named);
        }
    }
}
