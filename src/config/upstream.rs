//! Where a route leads: a URL, or what the token answer says, within hosts that the configuration names.
//!
//! Invariant: a URL that came with a token is used only if its host stands in `upstream_hosts`; neither a caller nor a
//! token service picks any other.

use std::fmt;
use std::net::IpAddr;

use super::route_match::host_name;
use super::template::Part;
use super::url::{Scheme, UrlError};
use super::{HttpUrl, ListenAddress, Template};

/// The upstream of a route.
#[derive(Clone, Debug)]
pub enum RouteUpstream {
    /// This URL; may have a base path, never a query.
    Fixed(HttpUrl),
    /// What each token says, by a template.
    OfToken(Box<UpstreamTemplate>),
}

impl RouteUpstream {
    /// The URL, if it is known before there is a token.
    pub fn url(&self) -> Option<&HttpUrl> {
        match self {
            Self::Fixed(url) => Some(url),
            Self::OfToken(_) => None,
        }
    }
}

impl fmt::Display for RouteUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(url) => write!(f, "{url:?}"),
            Self::OfToken(template) => template.fmt(f),
        }
    }
}

/// An upstream with fields of the token answer or claims in it, and what may come of it.
#[derive(Clone, Debug)]
pub struct UpstreamTemplate {
    /// Literals, fields and claims only.
    pub template: Template,
    /// `upstream_hosts`; never empty.
    pub hosts: Vec<HostPattern>,
    /// Which `http://` URLs will do.
    pub(crate) cleartext: Cleartext,
    /// Our own listeners, which are no upstream.
    pub(crate) listeners: Vec<ListenAddress>,
}

/// Which `http://` URLs will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleartext {
    /// Those of this machine.
    Loopback,
    /// All: the network is trusted (`allow_cleartext`), or the bytes go to a `connect_to` on this machine.
    Anywhere,
}

/// Why a URL that came with a token is not used. Shows no more of it than its host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamFault {
    /// It is no URL.
    #[error("what comes of it {0}")]
    Url(#[from] UrlError),
    /// It holds a query, or climbs out of its path.
    #[error("what comes of it holds a query or a dot segment, which no upstream has")]
    Path,
    /// Its host is no name and no address.
    #[error("what comes of it has no usable host")]
    Host,
    /// Its host (and port) is none that is allowed.
    #[error("{0} is not on this route's upstream_hosts ({1})")]
    NotAllowed(String, String),
    /// It is `http://`, to another machine.
    #[error(
        "what comes of it is http://, which would show the credential; set allow_cleartext if the network is yours"
    )]
    Cleartext,
    /// It leads back here.
    #[error("what comes of it is sidepass itself")]
    Ourselves,
}

impl UpstreamTemplate {
    /// The URL that a filled template is, if a request may go there.
    pub fn check(&self, text: &str) -> Result<HttpUrl, UpstreamFault> {
        let url = HttpUrl::parse(text)?;
        if url.query().is_some() || has_dot_segment(url.path()) {
            return Err(UpstreamFault::Path);
        }
        if host_name(url.host()).is_err() {
            return Err(UpstreamFault::Host);
        }
        if !self.hosts.iter().any(|pattern| pattern.matches(&url)) {
            let allowed: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
            return Err(UpstreamFault::NotAllowed(shown(&url), allowed.join(", ")));
        }
        if url.scheme() == Scheme::Http && self.cleartext == Cleartext::Loopback && !url.is_loopback() {
            return Err(UpstreamFault::Cleartext);
        }
        if self.listeners.iter().any(|listener| listener.answers(&url)) {
            return Err(UpstreamFault::Ourselves);
        }
        Ok(url)
    }
}

impl fmt::Display for UpstreamTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.template.0 {
            match part {
                Part::Literal(text) => f.write_str(text)?,
                Part::Field(path) => write!(f, "{{token.{path}}}")?,
                Part::Claim(path) => write!(f, "{{claim.{path}}}")?,
                // Refused when the configuration was read.
                Part::Token | Part::Parameter(_) | Part::Secret(_) => f.write_str("{…}")?,
            }
        }
        Ok(())
    }
}

/// Plain or encoded, between slashes of any spelling, with a parameter behind it (`..;x`): some servers would leave the
/// base path by it.
fn has_dot_segment(path: &str) -> bool {
    let plain = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    let mut segments = plain.split(['/', '\\']).map(|segment| segment.split(';').next());
    segments.any(|segment| matches!(segment, Some("." | "..")))
}

/// A host for a message; one that looks like a token (a misdirected template) is not shown.
fn shown(url: &HttpUrl) -> String {
    let authority = url.authority();
    let plain = authority.len() <= 100 && authority.split('.').all(|label| label.len() <= 40);
    if plain { format!("`{authority}`") } else { "the host that comes of it".to_owned() }
}

/// One of `upstream_hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// This name or address, in lower case.
    Exact(String),
    /// Every name below this one, but not it itself.
    Below(String),
}

impl HostPattern {
    /// Reads `api.example.com`, `api.example.com:8443`, `*.example.com` or an address; the error says what to write.
    pub(crate) fn parse(text: &str) -> Result<Self, (&'static str, &'static str)> {
        const WRITE: &str = "write api.example.com, api.example.com:8443 or \"*.example.com\"";
        if text.contains('/') {
            return Err(("a host is needed, not a URL", WRITE));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => {
                let number = port.parse().ok().filter(|number| *number > 0);
                let digits = port.bytes().all(|b| b.is_ascii_digit());
                let number = number.filter(|_| digits);
                (name, Some(number.ok_or(("the port is not a number from 1 to 65535", WRITE))?))
            }
            _ => (text, None),
        };
        let Some(suffix) = name.strip_prefix("*.") else {
            if name == "*" {
                return Err(("this would allow every host", WRITE));
            }
            if name.contains('*') {
                return Err(("a `*` stands for whole labels, at the beginning", WRITE));
            }
            let host = host_name(name).map_err(|(message, _)| (message, WRITE))?;
            return Ok(Self { host: Host::Exact(host), port });
        };
        let suffix =
            host_name(suffix).map_err(|_| ("a `*` stands for whole labels, at the beginning", WRITE))?;
        let (_, last) = suffix.rsplit_once('.').ok_or(("this would allow nearly every host", WRITE))?;
        if last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(("addresses have no wildcards", "write each address in full"));
        }
        Ok(Self { host: Host::Below(suffix), port })
    }

    /// Whether a URL's host and port are meant; without a port, the scheme's own is.
    fn matches(&self, url: &HttpUrl) -> bool {
        let own = if url.scheme() == Scheme::Https { 443 } else { 80 };
        let host = url.host();
        let meant = match &self.host {
            Host::Exact(name) => name == host,
            Host::Below(suffix) => {
                let above = host.strip_suffix(suffix.as_str()).and_then(|rest| rest.strip_suffix('.'));
                above.is_some_and(|label| !label.is_empty()) && url.bare_host().parse::<IpAddr>().is_err()
            }
        };
        meant && url.port() == self.port.unwrap_or(own)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Exact(name) => f.write_str(name)?,
            Host::Below(suffix) => write!(f, "*.{suffix}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(hosts: &[&str], cleartext: Cleartext) -> UpstreamTemplate {
        UpstreamTemplate {
            template: Template(vec![Part::Field("url".into())]),
            hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
            cleartext,
            listeners: vec![ListenAddress::parse("localhost:4080").unwrap()],
        }
    }

    #[test]
    fn only_hosts_on_the_list_will_do() {
        let template =
            template(&["*.my.example.com", "API.example.com:8443", "10.1.2.3"], Cleartext::Loopback);
        for good in [
            "https://a.my.example.com",
            "https://A.B.my.Example.com:443/base",
            "https://api.example.com:8443/",
            "https://10.1.2.3/x",
        ] {
            assert!(template.check(good).is_ok(), "{good}");
        }
        for bad in [
            "https://my.example.com",
            "https://evilmy.example.com",
            "https://a.my.example.com.evil.test",
            "https://a.my.example.com.",
            "https://.my.example.com",
            "https://a.my.example.com:8443",
            "https://api.example.com",
            "https://10.1.2.4",
            "https://evil.test/.my.example.com",
            "https://evil.test\\.my.example.com",
            "https://a%2emy.example.com",
            "https://[::1]",
        ] {
            assert!(template.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_allowed_host_alone_is_not_enough() {
        let hosts = ["a.test", "127.0.0.1", "localhost:4080"];
        let strict = template(&hosts, Cleartext::Loopback);
        for (text, fault) in [
            ("a.test", UpstreamFault::Url(UrlError::Scheme)),
            ("https://u:p@a.test", UpstreamFault::Url(UrlError::UserInfo)),
            ("https://a.test/#x", UpstreamFault::Url(UrlError::Fragment)),
            ("https://a.test/?x=y", UpstreamFault::Path),
            ("https://a.test/b/../c", UpstreamFault::Path),
            ("https://a.test/b%2f..%2Fc", UpstreamFault::Path),
            ("https://a.test/b%5C%2e%2e%5cc", UpstreamFault::Path),
            ("https://a.test/b/..;x=y/c", UpstreamFault::Path),
            ("https://a.test/b/%2E%2e", UpstreamFault::Path),
            ("http://a.test/", UpstreamFault::Cleartext),
            ("http://localhost:4080", UpstreamFault::Ourselves),
        ] {
            assert_eq!(strict.check(text), Err(fault), "{text}");
        }
        assert!(strict.check("http://127.0.0.1/x").is_ok());
        assert!(template(&hosts, Cleartext::Anywhere).check("http://a.test/").is_ok());
    }

    #[test]
    fn a_host_that_is_not_allowed_is_named_unless_it_looks_like_a_token() {
        let template = template(&["*.my.test"], Cleartext::Loopback);
        let error = template.check("https://other.test/secret-path").unwrap_err().to_string();
        assert_eq!(error, "`other.test` is not on this route's upstream_hosts (*.my.test)");
        let token = "e".repeat(50);
        let error = template.check(&format!("https://{token}.test")).unwrap_err().to_string();
        assert!(!error.contains(&token), "{error}");
    }

    #[test]
    fn wide_patterns_are_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.com",
            "a*.b.com",
            "*.*.b.com",
            "https://a.test",
            "a.test:0",
            "a:x",
            "*.1.2",
            "a b",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
        for text in ["a.test", "*.a.test", "*.a.test:8443", "[::1]:8443", "127.0.0.1:1"] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_on_the_list(text in "https?://[a.:@\\[%0-9]{0,6}(my.test)?[a.:/\\\\?#@]{0,6}(my.test)?") {
            let template = template(&["*.my.test"], Cleartext::Anywhere);
            if let Ok(url) = template.check(&text) {
                prop_assert!(url.host().ends_with(".my.test"), "{}", text);
            }
        }
    }
}
