//! The two messages of an exchange: the request as it leaves, and the answer as it goes back.

use std::rc::Rc;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER};
use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use tokio::time::Instant;

use super::Answer;
use super::destination::RouteHost;
use super::route::Served;
use super::way::Way;
use crate::config::route::On401;
use crate::credential::Credential;
use crate::error::ProxyError;
use crate::forward::body::{Download, DownloadRules, Tail};
use crate::forward::expect::Gate;
use crate::forward::location::Rewrite;
use crate::forward::pool::Exchange;
use crate::forward::strip::{self, Asked};
use crate::forward::ticker::Ticker;
use crate::forward::trailers::TrailerRule;
use crate::forward::upgrade::Offer;
use crate::forward::upload::{Progress, Upload, UploadRules};
use crate::guard::{Guard, Host, Refusal};
use crate::metrics::InFlight;

/// What goes with the head of a request.
pub(super) struct Outgoing {
    pub(super) body: Upload,
    /// How the body goes, if there is one.
    pub(super) progress: Option<Rc<Progress>>,
    /// The protocol that it offers to switch to.
    pub(super) offer: Option<Offer>,
}

/// What a worker and a listener say about a request.
pub(super) struct Terms<'a> {
    pub(super) served: &'a Served,
    pub(super) guard: &'a Guard,
    pub(super) body_limit: u64,
    pub(super) ticker: &'a Rc<Ticker>,
}

/// What an answer needs to know of its request.
pub(super) struct Context<'a> {
    pub(super) host: &'a Host,
    pub(super) version: Version,
    pub(super) upload: Option<Rc<Progress>>,
    pub(super) until: Option<Instant>,
    pub(super) ticker: &'a Rc<Ticker>,
}

/// Makes of a request's head what will leave, but for its credential; the target that came is put aside.
pub(super) fn outgoing(
    terms: &Terms<'_>,
    way: &Way<'_>,
    head: &mut Parts,
    body: &mut Option<Incoming>,
    host: &Host,
    came: &mut Option<Uri>,
) -> Result<Outgoing, ProxyError> {
    let body = body.take().ok_or(ProxyError::Internal)?;
    let target = way.destination.rule.apply(&head.uri).ok_or(ProxyError::NoRoute)?;
    *came = Some(std::mem::replace(&mut head.uri, target));
    let received = std::mem::replace(&mut head.version, Version::HTTP_11);
    if terms.body_limit > 0 && body.size_hint().lower() > terms.body_limit {
        return Err(Refusal::BodyTooLarge.into());
    }
    let headers = &mut head.headers;
    let access = terms.guard.access_header();
    let asked = strip::strip_request(headers, &terms.served.managed, access);
    if let Some(via) = &terms.served.via {
        if asked.via && via.is_in(headers) {
            return Err(Refusal::Loop.into());
        }
        via.append(headers, received);
    }
    if asked.cookie && received == Version::HTTP_2 {
        strip::join_cookies(headers);
    }
    set_host(headers, &way.destination.host, host);
    if asked.trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if body.is_end_stream() {
        let offered = asked.upgrade.filter(|_| received == Version::HTTP_11);
        let offer = offered.and_then(|protocol| Offer::allowed(protocol, &way.upgrades));
        if let Some(offer) = &offer {
            offer.put(headers);
        }
        return Ok(Outgoing { body: Upload::Empty, progress: None, offer });
    }
    let (body, progress) = upload(terms, way, headers, (body, received), &asked);
    Ok(Outgoing { body, progress, offer: None })
}

/// The body of a request, and what its head must say of it: what the caller said to us, hop by hop, is said again.
fn upload(
    terms: &Terms<'_>,
    way: &Way<'_>,
    headers: &mut HeaderMap,
    (body, received): (Incoming, Version),
    asked: &Asked,
) -> (Upload, Option<Rc<Progress>>) {
    let access = terms.guard.access_header();
    let trailers = may_trail(&body, received)
        .then(|| TrailerRule::Request(terms.served.managed.clone(), access.cloned()));
    if let Some(trailer) = trailers.as_ref().and_then(|rule| rule.announce(&asked.announced)) {
        headers.insert(TRAILER, trailer);
    }
    let keep = match (&way.route.credential, way.on_401) {
        (Credential::Shared(_) | Credential::PerSubject(_), On401::Replay) => way.replay_buffer,
        // A write whose CSRF token is old (a look at the method is not worth it), a proof that lacks a nonce.
        _ if way.destination.csrf.is_some() || way.dpop => way.replay_buffer,
        // A stream may be refused when its body is gone already.
        _ if way.destination.upstream.may_speak_http2() => way.replay_buffer,
        _ => 0,
    };
    let rules = UploadRules { keep, limit: terms.body_limit, trailers };
    let (mut body, progress) = Upload::of(body, rules, terms.ticker);
    body.announce(headers);
    // hyper's server says 100 by itself, over HTTP/1.1, when the body is first asked for.
    if asked.continues && received == Version::HTTP_11 {
        headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        body.hold(Gate::default());
    }
    (body, progress)
}

/// A body has trailers only where nothing tells its length, or in HTTP/2.
fn may_trail(body: &impl Body, version: Version) -> bool {
    !body.is_end_stream() && (version == Version::HTTP_2 || body.size_hint().exact().is_none())
}

fn set_host(headers: &mut HeaderMap, rule: &RouteHost, host: &Host) {
    let value = match rule {
        RouteHost::Fixed(value) => value.clone(),
        RouteHost::Preserved(fallback) => match host.as_sent() {
            "" => fallback.clone(),
            // The line is there already, unless an absolute target or HTTP/2 named the host.
            sent if headers.get(HOST).is_some_and(|line| line.as_bytes() == sent.as_bytes()) => return,
            sent => HeaderValue::from_str(sent).unwrap_or_else(|_| fallback.clone()),
        },
    };
    headers.insert(HOST, value);
}

/// The upstream's answer as it will go back; an error where its body has a coding that nobody undoes.
pub(super) fn incoming(
    way: &Way<'_>,
    exchange: Exchange,
    context: Context<'_>,
    in_flight: InFlight,
) -> Result<Response<Answer>, ProxyError> {
    let Exchange { response, ticket, .. } = exchange;
    let (mut parts, mut body) = response.into_parts();
    let headers = &mut parts.headers;
    let answered = std::mem::replace(&mut parts.version, Version::HTTP_11);
    let asked = strip::strip_response(headers, &way.hidden);
    // With both, the length is a lie; and a connection whose framing was unclear is not used again (RFC 9112 §6.3).
    let chunked = asked.coding.is_chunked()?;
    let unclear = chunked && asked.length;
    if unclear {
        headers.remove(CONTENT_LENGTH);
    } else if asked.length {
        strip::merge_lengths(headers);
    }
    if asked.location {
        rewrite(way, headers, context.host);
    }
    let trailers = may_trail(&body, answered).then(|| TrailerRule::Answer(way.hidden.clone()));
    if let Some(trailer) = trailers.as_ref().and_then(|rule| rule.announce(&asked.announced)) {
        headers.insert(TRAILER, trailer);
    }
    let claimed = match parts.status {
        // Over HTTP/2 the head goes out as it is.
        StatusCode::NOT_MODIFIED if context.version != Version::HTTP_2 => length(headers),
        StatusCode::NO_CONTENT => {
            headers.remove(CONTENT_LENGTH);
            None
        }
        _ => None,
    };
    let mut tail = trailers.map(|rule| Box::new(Tail::new(rule)));
    if let Some(tail) = tail.as_mut().filter(|_| chunked) {
        tail.peek(&mut body)?;
    }
    let rules = DownloadRules { idle: way.timeouts.body_idle, until: context.until, tail };
    let ticket = Some(ticket).filter(|_| !unclear);
    let download = Download::new(body, ticket, context.upload, rules, context.ticker);
    let body = match claimed {
        // Its body is over: the connection is free again.
        Some(length) => Answer::claim(length),
        None => Answer::upstream(download, in_flight),
    };
    Ok(Response::from_parts(parts, body))
}

/// The head of the upstream's 101 as it will go back.
pub(super) fn switching(way: &Way<'_>, offer: &Offer, head: Response<()>, host: &Host) -> Response<()> {
    let (mut parts, ()) = head.into_parts();
    strip::strip_response(&mut parts.headers, &way.hidden);
    rewrite(way, &mut parts.headers, host);
    offer.put(&mut parts.headers);
    Response::from_parts(parts, ())
}

fn rewrite(way: &Way<'_>, headers: &mut HeaderMap, host: &Host) {
    let destination = way.destination;
    let preserved = matches!(destination.host, RouteHost::Preserved(_));
    let rewrite = Rewrite {
        origins: &destination.origins,
        preserved,
        rule: &destination.rule,
        prefix: &way.prefix,
        host: host.as_sent(),
    };
    rewrite.apply(headers);
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
