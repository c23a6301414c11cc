//! The answer corpus (`tests/fixtures/answers`): raw bytes from an upstream, and what of them reaches the caller.
//!
//! Checked for every entry: what the caller gets is one canonical answer, or visibly cut; the request was made once; the
//! next requests (one pipelined behind it, one on a new connection) get their own answers, and where framing was
//! unclear not over the same upstream connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::expected::{Expected, Next};
use super::received::{Got, status};
use super::recorder::{Recorded, Recorder};
use super::text::{Entry, Places, escape, folder};
use super::{Part, run_folder};
use crate::support::leaks;
use crate::support::patience::patience;
use crate::support::reply::Step;
use crate::support::rig::Rig;
use crate::support::setup::Setup;

/// Names that must not reach a caller unless the entry says so.
const HOP_BY_HOP: &[&str] = &[
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "upgrade",
    "authorization",
    "x-key",
];

/// The bytes that stand for the credential of the request, for an upstream that echoes it.
const ECHO: &[u8] = b"{credential}";

/// A proxy between a caller and an upstream that answers as the entry says.
struct Stage {
    /// Dropped first: it looks for leaks, and ends the connections.
    rig: Rig,
    recorder: Recorder,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    greeting: Option<Vec<u8>>,
    steps: Vec<Step>,
}

impl Stage {
    fn new() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let (greeter, handler) = (Arc::clone(&script), Arc::clone(&script));
        let recorder = Recorder::start(
            Box::new(move || greeter.lock().unwrap().greeting.take()),
            Box::new(move |seen| answer(&handler.lock().unwrap(), seen)),
        );
        let rig = Setup::new()
            .variable("UPSTREAM", recorder.url())
            .route("headers: { X-Key: ours }")
            .route("timeouts: { response_head: 1s, body_idle: 1s }")
            .start();
        Self { rig, recorder, script }
    }
}

fn answer(script: &Script, seen: &Recorded) -> Vec<Step> {
    if seen.target() != "/case" {
        // Closed afterwards: the next entry starts on a connection of its own.
        let body = seen.target();
        let whole =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        return vec![Step::Bytes(whole.into_bytes()), Step::Close];
    }
    let credential = seen.head.all("authorization").join(", ");
    let echo = |step: &Step| match step {
        Step::Bytes(bytes) => match bytes.windows(ECHO.len()).position(|part| part == ECHO) {
            Some(at) => {
                Step::Bytes([&bytes[..at], credential.as_bytes(), &bytes[at + ECHO.len()..]].concat())
            }
            None => step.clone(),
        },
        other => other.clone(),
    };
    script.steps.iter().map(echo).collect()
}

#[test]
fn raw_answers_become_one_canonical_answer_each_or_502() {
    run_folder("answers", Part::Held, Stage::new, check);
}

#[test]
#[ignore = "tells which pending answers hold by now"]
fn pending_answers() {
    run_folder("answers", Part::Pending, Stage::new, check);
}

#[test]
fn the_answer_corpus_is_complete() {
    let all = folder("answers");
    assert!(all.len() >= 100, "{} entries", all.len());
    for entry in &all {
        assert!(entry.get("source").is_some(), "{}: no source", entry.name);
        Expected::of(entry, &no_places());
    }
}

fn no_places() -> Places {
    Places { host: "h".to_owned(), upstream: "u".to_owned() }
}

fn script(entry: &Entry, places: &Places) -> Script {
    let step = |(key, value): &(String, String)| match (key.as_str(), value.as_str()) {
        ("answer", value) => Some(Step::Bytes(places.bytes(value))),
        ("endless", value) => Some(Step::Endless(places.bytes(value).repeat(100))),
        ("wait", _) => Some(Step::Pause(Duration::from_millis(50))),
        ("end", "close") => Some(Step::Close),
        ("end", "reset") => Some(Step::Reset),
        ("end", "stall") => Some(Step::Stall),
        ("end", other) => panic!("{}: {other}", entry.name),
        _ => None,
    };
    Script {
        greeting: entry.get("greet").map(|value| places.bytes(value)),
        steps: entry.lines.iter().filter_map(step).collect(),
    }
}

fn check(stage: &Stage, entry: &Entry) -> Result<(), String> {
    let places = Places { host: stage.rig.address.to_string(), upstream: stage.recorder.authority() };
    let expected = Expected::of(entry, &places);
    *stage.script.lock().unwrap() = script(entry, &places);
    let before = stage.recorder.count();
    let method = entry.get("request").unwrap_or("GET");
    let ask = entry.get("ask").map(|field| places.text(field)).unwrap_or_default();
    let got = exchange(stage, method, &ask);
    leaks::scan("answer", &got);
    stage.recorder.settle();
    let next = stage.rig.get("/next");
    let own = (next.status, next.text().as_str()) == (200, "/next");
    let outcome =
        if own { Ok(()) } else { Err(format!("the next request got {}: {}", next.status, next.text())) }
            .and_then(|()| check_answer(&got, method, &expected))
            .and_then(|()| {
                check_connections(&stage.recorder.since(before), expected.next, entry.get("greet").is_some())
            });
    outcome.map_err(|failure| {
        let seen = stage.recorder.since(before);
        let seen: Vec<_> =
            seen.iter().map(|one| format!("{} on {}", one.head.line, one.connection)).collect();
        let sent: Vec<_> =
            entry.lines.iter().filter(|line| line.0 == "answer").map(|line| line.1.as_str()).collect();
        format!(
            "{failure}\n    upstream sent: {}\n    caller got: {}\n    upstream saw: {}",
            sent.concat(),
            escape(&got),
            seen.join(", ")
        )
    })
}

/// Sends the request and another one behind it, and reads until the proxy closes.
fn exchange(stage: &Stage, method: &str, ask: &str) -> Vec<u8> {
    let host = stage.rig.address;
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    let both = format!(
        "{method} /case HTTP/1.1\r\nHost: {host}\r\n{ask}{length}\r\nGET /behind HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all(both.as_bytes());
    let (mut got, mut some) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut some) {
            Ok(read @ 1..) => got.extend_from_slice(&some[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Ok(_) | Err(_) => return got,
        }
    }
}

fn check_answer(bytes: &[u8], method: &str, expected: &Expected) -> Result<(), String> {
    // A body that breaks before the head is written takes the head with it: the caller sees that nothing came.
    if expected.cut && bytes.is_empty() {
        return Ok(());
    }
    let got = Got::read(bytes, method)?;
    let status = status(&got.head)?;
    if !expected.statuses.contains(&status) {
        return Err(format!("{status}, not {:?}", expected.statuses));
    }
    let reason = got.head.all("x-sidepass-reason");
    match (reason.as_slice(), expected.reasons.as_slice()) {
        ([], reasons) if reasons.is_empty() || status < 500 => check_passed(&got, status, expected)?,
        ([reason], reasons) if reasons.iter().any(|one| one == reason) && !got.cut => (),
        (reason, reasons) => return Err(format!("the reason is {reason:?}, not {reasons:?}")),
    }
    let connections = got.head.all("connection");
    if !connections.iter().all(|value| matches!(*value, "close" | "keep-alive")) {
        return Err(format!("Connection is {connections:?}"));
    }
    let rest = &bytes[got.end..];
    if rest.is_empty() {
        // Closed, which is always in order; but a well-framed answer of the upstream's leaves the connection open.
        return if got.cut || !reason.is_empty() || connections == ["close"] {
            Ok(())
        } else {
            Err("closed after a whole answer".to_owned())
        };
    }
    let behind = Got::read(rest, "GET").map_err(|error| format!("what follows is no answer ({error})"))?;
    let own = behind.body == b"/behind" && !behind.cut && behind.end == rest.len();
    if own { Ok(()) } else { Err("the request behind it did not get its own answer".to_owned()) }
}

fn check_passed(got: &Got, status: u16, expected: &Expected) -> Result<(), String> {
    let head = &got.head;
    if expected.line.as_ref().is_some_and(|line| *line != head.line) {
        return Err(format!("the status line is {:?}", head.line));
    }
    for (name, _) in &expected.has {
        let same = |pair: &&(String, String)| pair.0.eq_ignore_ascii_case(name);
        let values: Vec<&str> = expected.has.iter().filter(same).map(|pair| pair.1.as_str()).collect();
        if head.all(name) != values {
            return Err(format!("{name} is {:?}, not {values:?}", head.all(name)));
        }
    }
    let asked_for = |name: &str| expected.has.iter().any(|(has, _)| has.eq_ignore_ascii_case(name));
    let lacks = expected.lacks.iter().map(String::as_str);
    let unwanted = lacks.chain(HOP_BY_HOP.iter().copied().filter(|name| !asked_for(name)));
    if let Some(name) = unwanted.into_iter().find(|name| !head.all(name).is_empty()) {
        return Err(format!("{name} reached the caller: {:?}", head.all(name)));
    }
    if matches!(status, 204 | 304) && !head.all("transfer-encoding").is_empty() {
        return Err("a coding for no body".to_owned());
    }
    if got.cut != expected.cut {
        return Err(format!("cut: {}", got.cut));
    }
    let fits = if got.cut { expected.body.starts_with(&got.body) } else { got.body == expected.body };
    if !fits {
        return Err(format!("the body is {:?}", escape(&got.body)));
    }
    if got.trailers == expected.trailers {
        Ok(())
    } else {
        Err(format!("the trailers are {:?}", got.trailers))
    }
}

/// The request was made once; the one after it came on a connection that fits.
fn check_connections(seen: &[Recorded], next: Next, greeted: bool) -> Result<(), String> {
    if let Some(fault) = seen.iter().find_map(|one| one.fault.as_ref()) {
        return Err(format!("the upstream got {fault}"));
    }
    let cases: Vec<_> = seen.iter().filter(|one| one.target() == "/case").collect();
    // A connection that begins with an answer may be given up before anything was asked on it.
    if greeted && cases.is_empty() {
        return Ok(());
    }
    let [case] = cases.as_slice() else { return Err(format!("the request was made {} times", cases.len())) };
    let after = seen.iter().find(|one| one.target() != "/case").ok_or("no request after it")?;
    match (next, after.connection == case.connection) {
        (Next::Any, _) | (Next::Same, true) | (Next::New, false) => Ok(()),
        (next, _) => Err(format!("the next request had to use a connection that is {next:?}")),
    }
}
