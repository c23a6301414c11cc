//! A proxy between a caller and a recorder, and what holds for every request that comes out of it.

use super::recorder::{Recorded, Recorder};
use super::text::Places;
use crate::support::reply::{Reply, Step};
use crate::support::rig::Rig;
use crate::support::setup::Setup;
use crate::support::tokens::Verdict;

/// Names that must not reach an upstream unless the entry says so.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// A proxy between a caller and a recorder.
pub(super) struct Stage {
    /// Dropped first: it looks for leaks, and ends the connections.
    pub(super) rig: Rig,
    pub(super) recorder: Recorder,
    pub(super) places: Places,
}

impl Stage {
    pub(super) fn new() -> Self {
        let recorder = Recorder::start(Box::new(|| None), Box::new(answer));
        let rig = Setup::new()
            .variable("UPSTREAM", recorder.url())
            .proxy("limits: { header_timeout: 1s }")
            .proxy("hosts: [a, foo, example.com, example.org, www.example.com, github.com]")
            .route("headers: { X-Key: ours }")
            .start();
        let places = Places { host: rig.address.to_string(), upstream: recorder.authority() };
        Self { rig, recorder, places }
    }

    /// What holds for every request that reaches the upstream.
    pub(super) fn check_common(
        &self,
        seen: &Recorded,
        asked_for: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let head = &seen.head;
        if let Some(fault) = &seen.fault {
            return Err(format!("not canonical: {fault}"));
        }
        if !head.line.ends_with(" HTTP/1.1") || head.line.matches(' ').count() != 2 {
            return Err(format!("not a request line of ours: {:?}", head.line));
        }
        if head.all("host") != [self.places.upstream.as_str()] {
            return Err(format!("Host is {:?}", head.all("host")));
        }
        match self.rig.idp.tokens().judge(&head.all("authorization"), None) {
            Verdict::Valid => (),
            other => return Err(format!("the credential is {other:?}")),
        }
        if head.all("x-key") != ["ours"] {
            return Err(format!("X-Key is {:?}", head.all("x-key")));
        }
        // Two offers may be made anew, and Connection then names them (RFC 9110 §7.8, §10.1.4).
        let offered = |name: &str| match name {
            "te" => head.all("te") == ["trailers"],
            "upgrade" => head.all("upgrade").iter().all(|value| value.eq_ignore_ascii_case("websocket")),
            _ => false,
        };
        let named = |value: &&str| {
            value
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
                .all(|name| offered(&name) && !head.all(&name).is_empty())
        };
        let fits = |name: &str| match name {
            "connection" => head.all("connection").iter().all(named),
            name => offered(name),
        };
        let hop = |name: &&&str| !head.all(name).is_empty() && !asked_for(name) && !fits(name);
        match HOP_BY_HOP.iter().find(hop) {
            Some(name) => Err(format!("{name} reached the upstream: {:?}", head.all(name))),
            None => Ok(()),
        }
    }

    /// An ordinary request on a connection of its own, after everything that was sent before it has been read.
    pub(super) fn next(&self) -> Result<(), String> {
        self.recorder.settle();
        let next = self.rig.get("/next");
        if next.status == 200 {
            Ok(())
        } else {
            Err(format!("the next request got {}: {}", next.status, next.text()))
        }
    }
}

fn answer(seen: &Recorded) -> Vec<Step> {
    let body = if seen.head.line.starts_with("HEAD ") { "" } else { "hello" };
    let mut reply = Reply::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}"));
    if seen.head.all("connection").iter().any(|value| value.contains("close")) {
        reply = reply.then(Step::Close);
    }
    reply.steps
}
