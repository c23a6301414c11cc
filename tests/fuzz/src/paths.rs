//! Routes and paths as the fuzz targets write them, and every way in which a backend may read a path.

use http::Method;
use sidepass::config::route::{PathMatch, RouteMatch};
use sidepass::route::RouteTable;

/// A path, the routes it is held against, and a method.
#[derive(Debug)]
pub struct Case<'a> {
    pub asked: &'a str,
    pub routes: Vec<RouteMatch>,
    pub method: Method,
}

impl<'a> Case<'a> {
    /// The path stands on the first line, a route on each further one: `P /prefix`, `E /exact` or `*`, and methods behind it.
    pub fn read(text: &'a str) -> Self {
        let mut lines = text.split('\n');
        let asked = lines.next().unwrap_or_default();
        let mut routes: Vec<RouteMatch> = Vec::new();
        for route in lines.take(12).filter_map(route) {
            // Two equal routes are refused when the configuration is read.
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        let method = if text.len().is_multiple_of(2) { Method::GET } else { Method::POST };
        Self { asked, routes, method }
    }

    /// The table of these routes, numbered.
    pub fn table(&self) -> RouteTable<usize> {
        RouteTable::new(self.routes.iter().cloned().zip(0..))
    }

    /// Whether hyper would hand this path over: origin-form, without controls, spaces and fragments.
    pub fn is_target(&self) -> bool {
        let fits = |byte: u8| byte > b' ' && !matches!(byte, b'?' | b'#' | 0x7F);
        self.asked.starts_with('/') && self.asked.bytes().all(fits)
    }
}

/// What the table found, against the rules of DESIGN section 2 read one by one.
pub fn check_match(routes: &[RouteMatch], path: &str, method: &Method, found: Option<&usize>) {
    let takes = |route: &&RouteMatch| {
        let by_path = match &route.path {
            PathMatch::Any => true,
            PathMatch::Exact(exact) => path == exact,
            PathMatch::Prefix(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        };
        by_path && (route.methods.is_empty() || route.methods.contains(method))
    };
    let rank = |route: &&RouteMatch| {
        let path = match &route.path {
            PathMatch::Any => 0,
            PathMatch::Prefix(prefix) => prefix.len(),
            PathMatch::Exact(_) => usize::MAX,
        };
        (path, !route.methods.is_empty())
    };
    let best = routes.iter().filter(takes).map(|route| rank(&route)).max();
    let found = found.map(|index| &routes[*index]);
    assert!(found.is_none_or(|route| takes(&route)), "{path}: the route does not take it: {found:?}");
    assert_eq!(found.map(|route| rank(&route)), best, "{path}: not the most specific one: {found:?}");
}

/// Every combination of what backends do to a path before they look at it: resolve dot segments, merge slashes, cut path
/// parameters, take a backslash for a slash, decode once or twice, with overlong UTF-8 as what it stands for; in the two
/// orders that are met.
pub fn readings(path: &str) -> Vec<String> {
    let steps: [fn(&str) -> String; 7] =
        [shortest, decoded, decoded, backslashes, without_parameters, merged, resolved];
    let mut all = vec![path.to_owned()];
    for chosen in 1..1_u32 << steps.len() {
        let chosen: Vec<_> = steps
            .iter()
            .enumerate()
            .filter(|(bit, _)| chosen & (1 << bit) != 0)
            .map(|(_, step)| step)
            .collect();
        all.push(chosen.iter().fold(path.to_owned(), |path, step| step(&path)));
        // First split, then decode: what is in a segment stays in it, but its name may turn out to be dots.
        all.push(chosen.iter().rev().fold(path.to_owned(), |path, step| step(&path)));
    }
    all.sort();
    all.dedup();
    all
}

/// Overlong UTF-8 (RFC 3629 §3) of the characters that matter, as the escape of the character itself.
fn shortest(path: &str) -> String {
    const OVERLONG: [(&str, &str); 6] = [
        ("%c0%af", "%2f"),
        ("%c0%ae", "%2e"),
        ("%c1%9c", "%5c"),
        ("%e0%80%af", "%2f"),
        ("%e0%80%ae", "%2e"),
        ("%e0%81%9c", "%5c"),
    ];
    let mut out = path.to_owned();
    for (long, short) in OVERLONG {
        while let Some(at) = out.to_ascii_lowercase().find(long) {
            out.replace_range(at..at + long.len(), short);
        }
    }
    out
}

/// Decoded once; what is no escape stays.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn backslashes(path: &str) -> String {
    path.replace('\\', "/")
}

fn without_parameters(path: &str) -> String {
    let name = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

fn merged(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if !(character == '/' && out.ends_with('/')) {
            out.push(character);
        }
    }
    out
}

/// RFC 3986 §5.2.4.
fn resolved(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        match *segment {
            "." => {}
            ".." => {
                out.pop();
            }
            name => {
                out.push(name);
                continue;
            }
        }
        if last {
            out.push("");
        }
    }
    format!("/{}", out.join("/"))
}

/// A route as a configuration could have it: its path has one spelling only.
fn route(line: &str) -> Option<RouteMatch> {
    let mut words = line.split(' ');
    let path = match (words.next()?, words.next()) {
        ("*", _) => PathMatch::Any,
        ("P", Some(path)) => match valid(path)?.trim_end_matches('/') {
            "" => PathMatch::Any,
            prefix => PathMatch::Prefix(prefix.to_owned()),
        },
        ("E", Some(path)) => PathMatch::Exact(valid(path)?.to_owned()),
        _ => return None,
    };
    let methods = if words.next() == Some("POST") { vec![Method::POST] } else { Vec::new() };
    Some(RouteMatch { host: None, path, methods })
}

fn valid(path: &str) -> Option<&str> {
    let one_spelling = path.starts_with('/')
        && !path.contains("//")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte))
        && !path.split('/').any(|segment| matches!(segment, "." | ".."));
    one_spelling.then_some(path)
}
