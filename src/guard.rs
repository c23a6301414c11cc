//! Who may ask: Host, browsers, access rules, methods.
//!
//! Invariant: everything here is decided from the listener and the request head, before any credential is touched and
//! before the body is read.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use ipnet::IpNet;

use crate::config::route::HeaderConfig;
use crate::config::server::Limits;
use crate::config::template::Part;
use crate::config::{Access, ListenAddress, Template};
use crate::inject::{self, Injection, Injector, Recipe};

mod head;
mod host;
pub mod path;

use head::{HeadLimits, Seen};
pub use host::Host;

/// `Sec-Fetch-Site` (Fetch Metadata): what a browser says of the page that sent a request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused before it is routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// CONNECT and TRACE: one makes a tunnel, the other would echo the credential.
    Method,
    /// No Host, more than one, or one that is no host (RFC 9112 §3.2).
    HostInvalid,
    /// A Host that this listener does not serve: a web page that rebinds its name must not get here. Holds the name for
    /// the log line that says which setting to add.
    HostNotAllowed(String),
    /// A request that a browser sent for a page of another origin.
    Browser,
    /// The caller's address or access header is not in the rule.
    Access,
    /// A transfer coding other than `chunked`.
    TransferCoding,
    /// An expectation other than `100-continue`.
    Expectation,
    /// `limits.uri_bytes`.
    UriTooLong,
    /// `limits.header_bytes`.
    HeadersTooLarge,
    /// `limits.headers`.
    TooManyHeaders,
    /// `limits.body_bytes`, by what the head announces or what arrived.
    BodyTooLarge,
    /// Bytes that are no HTTP (RFC 9112 §2.2).
    Malformed,
    /// The request has been here before: our own `Via` is on it (RFC 9110 §7.6.3).
    Loop,
}

/// Where a request came from.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The caller's address; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// The Host line of its last request, which was let in: it is nearly always the same again.
    known: RefCell<Option<Host>>,
}

impl Caller {
    /// A caller at an address; none on a Unix socket.
    pub fn new(peer: Option<SocketAddr>) -> Self {
        Self { peer, known: RefCell::default() }
    }

    /// Whether the caller is on this machine.
    pub fn is_local(&self) -> bool {
        self.peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback())
    }
}

/// The rules of one listener.
#[derive(Clone, Debug)]
pub struct Guard {
    local: bool,
    access: Rule,
    hosts: Arc<HashSet<String>>,
    limits: HeadLimits,
}

/// Who may use a listener, ready to be asked.
#[derive(Clone, Debug)]
enum Rule {
    /// Nothing was said: whoever can reach it.
    Unsaid,
    /// `access: open`
    Open,
    /// The caller's address is in one of these (none: any), and it sends this header as it is prepared.
    Rules { allow_from: Vec<IpNet>, key: Option<(HeaderName, Injection)> },
}

impl Guard {
    /// The rules for a listener; `hosts` are the names from `proxy.hosts` and the routes, in lower case. The injector,
    /// where there is one, keeps the value of the access header up to date and is to be run on the control plane.
    pub fn new(
        address: &ListenAddress,
        access: &Access,
        hosts: Arc<HashSet<String>>,
        limits: &Limits,
    ) -> (Self, Option<Injector>) {
        let (access, injector) = match access {
            Access::Local => (Rule::Unsaid, None),
            Access::Open => (Rule::Open, None),
            Access::Rules(rules) => {
                let key = rules.header.clone().map(|(name, source)| {
                    let header =
                        HeaderConfig { name: name.clone(), value: Template(vec![Part::Secret(source)]) };
                    let (injector, injection) =
                        inject::injection(Recipe::new(vec![header], Arc::default()), None);
                    (name, injector, injection)
                });
                let (key, injector) = match key {
                    Some((name, injector, injection)) => (Some((name, injection)), Some(injector)),
                    None => (None, None),
                };
                (Rule::Rules { allow_from: rules.allow_from.clone(), key }, injector)
            }
        };
        (Self { local: address.is_local(), access, hosts, limits: HeadLimits::new(limits) }, injector)
    }

    /// Lets a request pass, and says which host it is for (without port); or refuses it.
    pub fn check(&self, request: &Parts, caller: &Caller) -> Result<Host, Refusal> {
        if matches!(request.method, Method::CONNECT | Method::TRACE) {
            return Err(Refusal::Method);
        }
        let seen = self.limits.check(&request.uri, &request.headers)?;
        if request.version == Version::HTTP_2 {
            head::check_http2(&request.uri, &request.headers)?;
        }
        if seen.framing {
            check_framing(&request.headers)?;
        }
        let host = self.known_or_checked(request, &seen, caller)?;
        if seen.browser {
            check_browser(&request.headers, &host)?;
        }
        self.check_access(&request.headers, caller)?;
        Ok(host)
    }

    /// Only whom the request is for and whether a page of another origin sent it.
    pub fn check_origin(&self, request: &Parts) -> Result<Host, Refusal> {
        let host = self.check_host(request)?;
        check_browser(&request.headers, &host)?;
        Ok(host)
    }

    /// Asks about the host only where it is not the one of the request before.
    fn known_or_checked(&self, request: &Parts, seen: &Seen<'_>, caller: &Caller) -> Result<Host, Refusal> {
        let line = seen.host.filter(|_| request.uri.authority().is_none());
        let known = caller.known.borrow().as_ref().filter(|known| known.is_line(line)).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let host = self.check_host(request)?;
        if host.is_line(line) {
            *caller.known.borrow_mut() = Some(host.detached());
        }
        Ok(host)
    }

    fn check_host(&self, request: &Parts) -> Result<Host, Refusal> {
        let host = Host::of(request)?;
        if self.serves(&host) {
            return Ok(host);
        }
        Err(match host.name() {
            "" => Refusal::HostInvalid,
            name => Refusal::HostNotAllowed(name.to_owned()),
        })
    }

    /// The header of the access rule, which is never forwarded.
    pub fn access_header(&self) -> Option<&HeaderName> {
        match &self.access {
            Rule::Rules { key: Some((name, _)), .. } => Some(name),
            _ => None,
        }
    }

    fn serves(&self, host: &Host) -> bool {
        let name = host.name();
        // HTTP/1.0 callers on this machine may come without a Host.
        if name.is_empty() {
            return self.local;
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            // A page cannot rebind an address; but on loopback only loopback addresses make sense.
            return !self.local || ip.is_loopback() || self.hosts.contains(bare);
        }
        name.eq_ignore_ascii_case("localhost")
            || (!self.local && !name.contains('.'))
            || self.hosts.contains(name)
            || self.hosts.contains(&name.to_ascii_lowercase())
    }

    /// The access rule of the listener: every part that is there must hold.
    pub fn check_access(&self, headers: &HeaderMap, caller: &Caller) -> Result<(), Refusal> {
        let Rule::Rules { allow_from, key } = &self.access else { return Ok(()) };
        let from = allow_from.is_empty()
            || match caller.peer {
                Some(peer) => allow_from.iter().any(|net| net.contains(&peer.ip().to_canonical())),
                None => true,
            };
        let sent = key.as_ref().is_none_or(|(name, expected)| sends(headers, name, expected));
        if from && sent { Ok(()) } else { Err(Refusal::Access) }
    }

    /// Whether somebody who is not on this machine may see more than probes and metrics (admin listener).
    pub fn has_rules(&self) -> bool {
        !matches!(self.access, Rule::Unsaid)
    }
}

/// Whether a request carries the access header, once, with the expected value. A key that could never be read keeps
/// everybody out. Takes the same time wherever the values differ.
fn sends(headers: &HeaderMap, name: &HeaderName, expected: &Injection) -> bool {
    let mut sent = headers.get_all(name).iter();
    let (Some(sent), None) = (sent.next(), sent.next()) else { return false };
    let expected = expected.load();
    let expected = expected.as_deref().and_then(|prepared| prepared.headers().next());
    expected.is_some_and(|(_, value)| {
        aws_lc_rs::constant_time::verify_slices_are_equal(value.as_bytes(), sent.as_bytes()).is_ok()
    })
}

/// Anything but `chunked`, alone, would leave the length of the body to interpretation (RFC 9112 §6.1).
fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || codings.next().is_some() || headers.contains_key(http::header::CONTENT_LENGTH) {
            return Err(Refusal::TransferCoding);
        }
    }
    let continues = |expect: &HeaderValue| expect.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let met = headers.get_all(http::header::EXPECT).iter().all(continues);
    if met { Ok(()) } else { Err(Refusal::Expectation) }
}

/// A page of another origin can send simple requests to this machine without asking; their answers it cannot read, but
/// they would be executed with our credential.
fn check_browser(headers: &HeaderMap, host: &Host) -> Result<(), Refusal> {
    let own_origin = |origin: &[u8]| {
        let own = host.as_sent().as_bytes();
        let (scheme, rest) = origin.split_at_checked(7).unwrap_or((origin, b""));
        !own.is_empty() && scheme.eq_ignore_ascii_case(b"http://") && rest.eq_ignore_ascii_case(own)
    };
    let own_site = |site: &[u8]| matches!(site, b"none" | b"same-origin");
    let origins = headers.get_all(ORIGIN).iter().all(|origin| own_origin(origin.as_bytes()));
    let sites = headers.get_all(SEC_FETCH_SITE).iter().all(|site| own_site(site.as_bytes()));
    if origins && sites { Ok(()) } else { Err(Refusal::Browser) }
}

#[cfg(test)]
mod tests;
