//! Header rules: which lines of a request go upstream and which of an answer go back, compared with the rules written a
//! second time.
//!
//! The input is a list of field lines, `name: value`, ended by LF; lines that are no field are left out.

#![no_main]

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sidepass::config::route::HeaderConfig;
use sidepass::config::template::{Part, Template};
use sidepass::forward::strip;
use sidepass::inject::{self, Injection, Managed, Recipe};
use sidepass_fuzz::rules::{self, Line, is_stripped_from_request, is_stripped_from_response};

/// What the route injects, in lower case.
const INJECTED: [(&str, &str); 2] = [("authorization", "Bearer ours"), ("x-token", "ours")];

/// The names that only we may set; another route injects the last one.
const MANAGED: [&str; 4] = ["authorization", "proxy-authorization", "x-token", "x-api-key"];

/// The key of the listener's access rule.
const ACCESS: &str = "x-sidepass-key";

fuzz_target!(|bytes: &[u8]| {
    let lines = lines(bytes);
    check_request(&lines);
    check_response(&lines);
});

fn check_request(lines: &[Line]) {
    let others = MANAGED.iter().map(|name| HeaderName::from_static(name));
    let mut headers = map(lines);
    strip::strip_request(&mut headers, &Managed::new(others), Some(&HeaderName::from_static(ACCESS)));
    let gone = |name: &[u8]| name == ACCESS.as_bytes() || is_stripped_from_request(lines, name, &MANAGED);
    expect(lines, &headers, gone);
    let prepared = injection().load();
    prepared.as_ref().expect("it was prepared").apply(&mut headers);
    for (name, value) in INJECTED {
        let sent: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(sent, [value], "{name} is injected once");
    }
    let twins = |name: &HeaderName| rules::folded(name.as_str().as_bytes()) == b"authorization";
    assert_eq!(headers.keys().filter(|name| twins(name)).count(), 1, "no look-alike beside ours");
}

fn check_response(lines: &[Line]) {
    let hidden = ["authorization", "x-token", "x-sidepass-reason"];
    let names: Vec<_> = hidden.iter().map(|name| HeaderName::from_static(name)).collect();
    let mut headers = map(lines);
    strip::strip_response(&mut headers, &names);
    expect(lines, &headers, |name| is_stripped_from_response(lines, name, &hidden));
    strip::merge_lengths(&mut headers);
}

/// Every line is where it was among those of its name, or gone if it has to be.
fn expect(lines: &[Line], headers: &HeaderMap, gone: impl Fn(&[u8]) -> bool) {
    for (name, _) in lines {
        let wanted = if gone(name) { Vec::new() } else { rules::values(lines, name) };
        let name = HeaderName::from_bytes(name).expect("it was a field");
        let left: Vec<_> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(left, wanted, "{name}");
    }
    assert!(headers.len() <= lines.len(), "nothing was added");
}

fn lines(bytes: &[u8]) -> Vec<Line> {
    let line = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        Some((name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
    };
    bytes.split(|byte| *byte == b'\n').filter_map(line).take(200).collect()
}

fn map(lines: &[Line]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name).expect("it was a field");
        headers.append(name, HeaderValue::from_bytes(value).expect("it was a field"));
    }
    headers
}

fn injection() -> &'static Injection {
    static INJECTION: OnceLock<Injection> = OnceLock::new();
    INJECTION.get_or_init(|| {
        let header = |(name, value): (&'static str, &str)| HeaderConfig {
            name: HeaderName::from_static(name),
            value: Template(vec![Part::Literal(value.to_owned())]),
        };
        let (injector, injection) =
            inject::injection(Recipe::new(INJECTED.map(header).into(), Arc::default()), None);
        injector.prepare().expect("literals can be prepared");
        injection
    })
}
