//! `Location` of an answer, as the caller must see it.
//!
//! A redirect to the upstream's own origin would lead the caller past us, to where it has no credential; one to
//! anywhere else is the upstream's business and passes unchanged. Redirects are never followed here.

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue};

use super::PathRule;

/// What is needed to turn an upstream's URL into the caller's.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    /// The origins that the upstream may call its own, `scheme://authority`.
    pub origins: &'a [String],
    /// Whether the upstream sees the caller's Host, and so may take that for its own name.
    pub preserved: bool,
    /// How paths were turned on the way there.
    pub rule: &'a PathRule,
    /// What was cut from the front of the caller's path.
    pub prefix: &'a str,
    /// The Host that the caller used.
    pub host: &'a str,
}

impl Rewrite<'_> {
    /// Rewrites a `Location` whose origin is the upstream's, in place.
    pub fn apply(&self, headers: &mut HeaderMap) {
        let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else { return };
        let rewritten = self.rewrite(location).and_then(|location| HeaderValue::from_str(&location).ok());
        if let Some(value) = rewritten {
            headers.insert(LOCATION, value);
        }
    }

    fn rewrite(&self, location: &str) -> Option<String> {
        // A path on the same origin stays a path; what is relative to the page needs no help.
        if location.starts_with('/') && !location.starts_with("//") {
            return self.rule.revert(location, self.prefix);
        }
        let (origin, path) = split_origin(location)?;
        let own = self.origins.iter().any(|own| origin.eq_ignore_ascii_case(own)) || self.is_callers(&origin);
        if !own || self.host.is_empty() {
            return None;
        }
        let path = if path.is_empty() || path.starts_with(['?', '#']) {
            format!("/{path}")
        } else {
            path.to_owned()
        };
        let path = self.rule.revert(&path, self.prefix)?;
        Some(format!("http://{}{path}", self.host))
    }
}

impl Rewrite<'_> {
    fn is_callers(&self, origin: &str) -> bool {
        let authority = origin.split_once("://").map(|(_, authority)| authority).unwrap_or_default();
        self.preserved && authority.eq_ignore_ascii_case(self.host.strip_suffix(":80").unwrap_or(self.host))
    }
}

/// Scheme and authority, without the scheme's own port, and the rest.
fn split_origin(location: &str) -> Option<(String, &str)> {
    let (scheme, after) = location.split_once("://")?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, path) = after.split_at(end);
    let scheme = scheme.to_ascii_lowercase();
    let own_port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(own_port).unwrap_or(authority);
    Some((format!("{scheme}://{authority}"), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(location: &'static str) -> String {
        let rule = PathRule::new(Some("/cai"), "/base");
        let origins = ["https://api.test".to_owned(), "https://name.test".to_owned()];
        let rewrite = Rewrite {
            origins: &origins,
            preserved: location.contains("localhost"),
            rule: &rule,
            prefix: "/cai",
            host: "localhost:4080",
        };
        let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        rewrite.apply(&mut headers);
        headers[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_upstreams_own_locations_lead_back_through_us() {
        assert_eq!(rewrite("https://api.test/base/x?y=1#z"), "http://localhost:4080/cai/x?y=1#z");
        assert_eq!(rewrite("HTTPS://API.test:443/base"), "http://localhost:4080/cai");
        assert_eq!(rewrite("/base/x"), "/cai/x");
        assert_eq!(rewrite("https://name.test/base/x"), "http://localhost:4080/cai/x", "a Host of its own");
        assert_eq!(
            rewrite("https://localhost:4080/base/x"),
            "http://localhost:4080/cai/x",
            "the caller's Host"
        );
    }

    #[test]
    fn the_root_of_an_upstream_with_a_base_path_is_the_callers_root() {
        let rule = PathRule::new(None, "/base");
        for (location, expected) in [("/base", "/"), ("/base?x=1", "/?x=1"), ("/base/x", "/x")] {
            assert_eq!(rule.revert(location, "").unwrap(), expected);
        }
    }

    #[test]
    fn every_other_location_passes_unchanged() {
        for location in [
            "https://login.test/base/x",
            "http://api.test/base/x",
            "https://api.test:8443/base/x",
            "https://api.test/other",
            "https://api.test.evil/base/",
            "/basement",
            "//cdn.test/base",
            "x/y",
            "?page=2",
        ] {
            assert_eq!(rewrite(location), location);
        }
    }
}
