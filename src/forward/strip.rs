//! Header rules of a proxy: what concerns one connection only, and what a caller may not say.
//!
//! Invariant: hop-by-hop names never cross, in either direction; what they asked for is told to whoever re-creates it.
//! One pass over what is there decides everything: asking the map for each name that might be in it costs a hash each.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ForwardError;
use crate::inject::Managed;
use crate::sieve::Sieve;

/// What the fields of a message asked for before they were taken out.
#[derive(Debug, Default)]
pub struct Asked {
    /// `TE: trailers`: whoever sent it reads trailers (RFC 9110 §10.1.4).
    pub trailers: bool,
    /// The values of `Trailer`: which trailers follow the body.
    pub announced: Vec<HeaderValue>,
    /// `Expect: 100-continue`
    pub continues: bool,
    /// The only protocol that `Upgrade` offers, where `Connection` names it (RFC 9110 §7.8); several are none.
    pub upgrade: Option<HeaderValue>,
    /// There is a `Via`; it stays.
    pub via: bool,
    /// There is a `Cookie`; it stays.
    pub cookie: bool,
    /// What `Transfer-Encoding` said.
    pub coding: Coding,
    /// There is a `Content-Length`; it stays.
    pub length: bool,
    /// There is a `Location`; it stays.
    pub location: bool,
}

/// What `Transfer-Encoding` says of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// Nothing.
    #[default]
    None,
    /// Exactly `chunked`.
    Chunked,
    /// Anything else.
    Other,
}

impl Coding {
    fn of(headers: &HeaderMap) -> Self {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        match (codings.next(), codings.next()) {
            (None, _) => Self::None,
            (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Self::Chunked,
            _ => Self::Other,
        }
    }

    /// Whether an answer's body is chunked. Any other transfer coding was not asked for and is not undone here, and
    /// without it, which is hop-by-hop, the body would be garbage (RFC 9112 §6.1).
    pub fn is_chunked(self) -> Result<bool, ForwardError> {
        match self {
            Self::None => Ok(false),
            Self::Chunked => Ok(true),
            Self::Other => Err(ForwardError::Invalid("a transfer coding other than chunked".to_owned())),
        }
    }
}

/// Takes out what must not go upstream: hop-by-hop names and what `Connection` names, the caller's word on who it is
/// (`Forwarded` and its kin), managed headers and the key of the listener's access rule, both with their look-alikes.
pub fn strip_request(
    headers: &mut HeaderMap,
    managed: &Managed,
    access_header: Option<&HeaderName>,
) -> Asked {
    let opens = |name: &str| access_header.is_some_and(|access| is_twin(name, access.as_str()));
    strip(headers, |name| managed.takes(name) || is_forwarding(name) || opens(name))
}

/// Takes out what concerned the upstream's connection, and names that never come back: an upstream that echoes its
/// request must not show the credential.
pub fn strip_response(headers: &mut HeaderMap, hidden: &[HeaderName]) -> Asked {
    strip(headers, |name| hidden.iter().any(|hidden| name == hidden.as_str()))
}

/// What a name is to a proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Passed, as far as this file knows.
    EndToEnd,
    Connection,
    Te,
    Trailer,
    Upgrade,
    Expect,
    Via,
    Cookie,
    Length,
    Location,
    Coding,
    /// Taken out, and nothing follows from it.
    HopByHop,
}

impl Role {
    /// Whether such a field stays where it is.
    fn passes(self) -> bool {
        matches!(self, Self::EndToEnd | Self::Via | Self::Cookie | Self::Length | Self::Location)
    }
}

/// The names that have a role.
const CONCERNS: Sieve = Sieve::of(&[
    "te",
    "via",
    "cookie",
    "expect",
    "trailer",
    "upgrade",
    "location",
    "connection",
    "keep-alive",
    "content-length",
    "content_length",
    "http2-settings",
    "proxy-connection",
    "transfer-encoding",
    "transfer_encoding",
    "proxy-authenticate",
]);

fn role(name: &str) -> Role {
    if !CONCERNS.may_hold(name) {
        return Role::EndToEnd;
    }
    match name {
        "te" => Role::Te,
        "via" => Role::Via,
        "cookie" => Role::Cookie,
        "expect" => Role::Expect,
        "trailer" => Role::Trailer,
        "upgrade" => Role::Upgrade,
        "location" => Role::Location,
        "connection" => Role::Connection,
        "content-length" => Role::Length,
        "transfer-encoding" => Role::Coding,
        // Names with `_` are what a CGI-like backend reads as the field that frames the message.
        "keep-alive" | "http2-settings" | "content_length" | "proxy-connection" | "transfer_encoding"
        | "proxy-authenticate" => Role::HopByHop,
        _ => Role::EndToEnd,
    }
}

/// Whether it is this name, or one that a CGI-like backend would read as it.
pub fn is_twin(name: &str, other: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() == other.len() && name.bytes().map(fold).eq(other.bytes().map(fold))
}

/// What concerns one connection only (RFC 9110 §7.6.1).
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    let role = role(name.as_str());
    !role.passes() && role != Role::Expect
}

/// Takes out hop-by-hop names, what `Connection` names, and `others`.
fn strip(headers: &mut HeaderMap, others: impl Fn(&str) -> bool) -> Asked {
    let mut asked = Asked::default();
    let (mut connection, mut upgrade) = (false, false);
    // Vectors that stay empty do not allocate; nearly every message has at most a `Connection`.
    let mut gone: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        let text = name.as_str();
        let role = role(text);
        match role {
            Role::EndToEnd => {
                if others(text) {
                    gone.push(name.clone());
                }
                continue;
            }
            Role::Connection => {
                connection = true;
                continue;
            }
            Role::Via => asked.via = true,
            Role::Cookie => asked.cookie = true,
            Role::Length => asked.length = true,
            Role::Location => asked.location = true,
            Role::Te => asked.trailers = lists(headers, &TE, b"trailers"),
            Role::Trailer => asked.announced.extend(headers.get_all(TRAILER).iter().cloned()),
            Role::Upgrade => upgrade = true,
            Role::Expect => asked.continues = true,
            Role::Coding => asked.coding = Coding::of(headers),
            Role::HopByHop => {}
        }
        // The only names that pass and may be injected as well.
        if !role.passes() || (matches!(role, Role::Cookie | Role::Location) && others(text)) {
            gone.push(name.clone());
        }
    }
    if connection {
        if upgrade && lists(headers, &CONNECTION, b"upgrade") {
            asked.upgrade = only_protocol(headers);
        }
        take_connection(headers, &mut gone);
    }
    for name in gone {
        headers.remove(name);
    }
    asked
}

/// Takes `Connection` out, and notes what it names.
fn take_connection(headers: &mut HeaderMap, gone: &mut Vec<HeaderName>) {
    if headers.len() > headers.keys_len() {
        // It may have several lines.
        gone.extend(headers.get_all(CONNECTION).iter().flat_map(named));
    }
    match headers.remove(CONNECTION) {
        Some(line) if !is_simple(&line) => gone.extend(named(&line)),
        _ => {}
    }
}

/// Whether a `Connection` line says only whether the connection is kept, as nearly all do.
pub(super) fn is_simple(line: &HeaderValue) -> bool {
    matches!(line.as_bytes(), b"keep-alive" | b"close")
}

/// The members of a field that is a list, over all its lines.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn lists(headers: &HeaderMap, name: &HeaderName, member: &[u8]) -> bool {
    members(headers, name).any(|one| one.eq_ignore_ascii_case(member))
}

fn only_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut offered = members(headers, &UPGRADE).filter(|protocol| !protocol.is_empty());
    match (offered.next(), offered.next()) {
        (Some(protocol), None) => HeaderValue::from_bytes(protocol).ok(),
        _ => None,
    }
}

/// The fields that a line of `Connection` names, but for what routes, frames and traces the message; `close` and
/// `keep-alive` are none.
fn named(line: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    line.as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH && *name != VIA)
}

/// Makes one length of a list of equal ones (`2, 2`), which must not be passed on (RFC 9110 §8.6). Lists of
/// different ones were refused when the head was read.
pub fn merge_lengths(headers: &mut HeaderMap) {
    let Some(length) = headers.get(CONTENT_LENGTH) else { return };
    let first = length.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if first.len() < length.len()
        && let Ok(first) = HeaderValue::from_bytes(first)
    {
        headers.insert(CONTENT_LENGTH, first);
    }
}

/// Makes one line of the `Cookie` crumbs that HTTP/2 allows (RFC 9113 §8.2.3): HTTP/1.1 servers read one.
pub fn join_cookies(headers: &mut HeaderMap) {
    let crumbs = headers.get_all(COOKIE);
    if crumbs.iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = crumbs.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(mut whole) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        whole.set_sensitive(true);
        headers.insert(COOKIE, whole);
    }
}

/// The names of [`is_forwarding`].
const FORWARDING: Sieve = Sieve::of(&["forwarded", "x-real-ip"]).and_beginning("x-forwarded-");

/// Headers in which a caller says who it is or asks for: nobody behind us may believe them.
pub(super) fn is_forwarding(name: &str) -> bool {
    // A CGI-like backend takes `_` for `-`.
    let begins = |prefix: &str| {
        let pairs = || name.bytes().zip(prefix.bytes());
        name.len() >= prefix.len()
            && pairs().all(|(byte, want)| byte == want || (byte == b'_' && want == b'-'))
    };
    FORWARDING.may_hold(name)
        && (name == "forwarded" || begins("x-forwarded-") || (name.len() == 9 && begins("x-real-ip")))
}
