//! Which route takes a request: host, path, methods.
//!
//! The most specific match wins, never the order of the file: host, then exact path, then longer prefix, then methods.
//! A look-up costs a hash for each path segment at which some prefix could end, however many routes there are.

use std::borrow::Cow;

use http::Method;

use crate::config::route::{PathMatch, RouteMatch};

mod hash;

use hash::KnownMap;

/// Routes by what they match; `R` is what the caller keeps for a route.
#[derive(Debug)]
pub struct RouteTable<R> {
    routes: Vec<R>,
    by_host: KnownMap<HostRoutes>,
    any_host: HostRoutes,
}

/// The routes of one host, or of all hosts.
#[derive(Debug, Default)]
struct HostRoutes {
    exact: KnownMap<Candidates>,
    /// The empty prefix is every path.
    prefixes: KnownMap<Candidates>,
    longest_prefix: usize,
    /// One bit per length of a prefix: most places where one could end are ruled out by it.
    lengths: u64,
}

/// Routes with the same host and path; those that name methods come first.
#[derive(Debug, Default)]
struct Candidates(Vec<(Vec<Method>, usize)>);

impl<R> RouteTable<R> {
    /// Builds the table. Two routes that match the same were refused when the configuration was read.
    pub fn new(routes: impl IntoIterator<Item = (RouteMatch, R)>) -> Self {
        let mut table =
            Self { routes: Vec::new(), by_host: KnownMap::default(), any_host: HostRoutes::default() };
        for (matches, route) in routes {
            let index = table.routes.len();
            table.routes.push(route);
            let host = match matches.host {
                Some(host) => table.by_host.entry(host.into_boxed_str()).or_default(),
                None => &mut table.any_host,
            };
            host.add(matches.path, matches.methods, index);
        }
        table
    }

    /// The route for a request; `host` has no port, `path` no query.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Option<&R> {
        let of_host = if self.by_host.is_empty() { None } else { self.by_host.get(lower(host).as_ref()) };
        let index = of_host
            .and_then(|routes| routes.find(path, method))
            .or_else(|| self.any_host.find(path, method))?;
        self.routes.get(index)
    }

    /// All routes, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.routes.iter()
    }
}

/// Host names are compared without case; nearly all arrive in lower case, which costs nothing.
fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

impl HostRoutes {
    fn add(&mut self, path: PathMatch, methods: Vec<Method>, index: usize) {
        let prefix = match path {
            PathMatch::Exact(path) => {
                return self.exact.entry(path.into_boxed_str()).or_default().add(methods, index);
            }
            PathMatch::Prefix(prefix) => prefix,
            PathMatch::Any => String::new(),
        };
        self.longest_prefix = self.longest_prefix.max(prefix.len());
        self.lengths |= length_bit(prefix.len());
        self.prefixes.entry(prefix.into_boxed_str()).or_default().add(methods, index);
    }

    fn find(&self, path: &str, method: &Method) -> Option<usize> {
        if let Some(index) = self.exact.get(path).and_then(|found| found.pick(method)) {
            return Some(index);
        }
        let mut end = path.len();
        if end > self.longest_prefix {
            // What stands behind the longest prefix is not looked at; the slash that ends it may be.
            end = last_slash(path, self.longest_prefix + 1);
        }
        loop {
            // A prefix ends where a segment does.
            if self.lengths & length_bit(end) != 0 {
                let found = path.get(..end).and_then(|prefix| self.prefixes.get(prefix));
                if let Some(index) = found.and_then(|found| found.pick(method)) {
                    return Some(index);
                }
            }
            if end == 0 {
                return None;
            }
            end = last_slash(path, end);
        }
    }
}

/// Where the last slash of the first `end` bytes is; the beginning, if there is none.
fn last_slash(path: &str, end: usize) -> usize {
    let bytes = path.as_bytes();
    bytes.get(..end).unwrap_or(bytes).iter().rposition(|byte| *byte == b'/').unwrap_or(0)
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

impl Candidates {
    fn add(&mut self, methods: Vec<Method>, index: usize) {
        self.0.push((methods, index));
        self.0.sort_by_key(|(methods, _)| methods.is_empty());
    }

    fn pick(&self, method: &Method) -> Option<usize> {
        let takes = |methods: &[Method]| methods.is_empty() || methods.contains(method);
        self.0.iter().find(|(methods, _)| takes(methods)).map(|(_, index)| *index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(
        host: &str,
        path: PathMatch,
        methods: &[Method],
        name: &'static str,
    ) -> (RouteMatch, &'static str) {
        let host = (!host.is_empty()).then(|| host.to_owned());
        (RouteMatch { host, path, methods: methods.to_vec() }, name)
    }

    fn prefix(path: &str) -> PathMatch {
        PathMatch::Prefix(path.to_owned())
    }

    fn find<'a>(table: &RouteTable<&'a str>, host: &str, path: &str) -> Option<&'a str> {
        table.find(host, path, &Method::GET).copied()
    }

    #[test]
    fn a_prefix_matches_whole_segments() {
        let table = RouteTable::new([route("", prefix("/api"), &[], "api")]);
        for path in ["/api", "/api/", "/api/x/y"] {
            assert_eq!(find(&table, "h", path), Some("api"), "{path}");
        }
        for path in ["/apifoo", "/ap", "/", "/x/api", "*", ""] {
            assert_eq!(find(&table, "h", path), None, "{path}");
        }
    }

    #[test]
    fn the_most_specific_match_wins_in_both_orders_of_the_file() {
        let mut routes = vec![
            route("", PathMatch::Any, &[], "everything"),
            route("", prefix("/a"), &[], "short"),
            route("", prefix("/a/b"), &[], "long"),
            route("", PathMatch::Exact("/a/b".into()), &[], "exact"),
            route("", prefix("/a"), &[Method::POST], "posts"),
            route("crm.local", PathMatch::Any, &[], "host"),
        ];
        for _ in 0..2 {
            let table = RouteTable::new(routes.clone());
            assert_eq!(find(&table, "h", "/a/b"), Some("exact"));
            assert_eq!(find(&table, "h", "/a/b/"), Some("long"));
            assert_eq!(find(&table, "h", "/a/bc"), Some("short"));
            assert_eq!(find(&table, "h", "/z"), Some("everything"));
            assert_eq!(find(&table, "CRM.local", "/a/b"), Some("host"), "host comes before path");
            assert_eq!(table.find("h", "/a/x", &Method::POST), Some(&"posts"));
            routes.reverse();
        }
    }

    #[test]
    fn a_route_that_does_not_take_the_method_leaves_it_to_the_next() {
        let table = RouteTable::new([
            route("", prefix("/a"), &[], "all"),
            route("", prefix("/a/b"), &[Method::PUT], "puts"),
        ]);
        assert_eq!(find(&table, "h", "/a/b"), Some("all"));
        assert_eq!(table.find("h", "/a/b", &Method::PUT), Some(&"puts"));
    }

    #[test]
    fn nothing_matches_where_no_route_is() {
        let table = RouteTable::new([route("only.local", PathMatch::Any, &[], "one")]);
        assert_eq!(find(&table, "other", "/"), None);
    }
}
