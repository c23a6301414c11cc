//! The request corpus (`tests/fixtures/requests`): raw bytes from a caller, and what of them reaches the upstream.
//!
//! Checked for every entry: what reaches the upstream is canonical, carries our credential exactly once and nothing
//! hop-by-hop; nothing else reaches it; and the next ordinary request on a new connection works.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::Instant;

use super::expectation::{Kind, Outcome, outcomes};
use super::recorder::{Recorded, Recorder};
use super::stage::Stage;
use super::text::{Entry, Places, escape, folder};
use super::{Part, run_folder};
use crate::support::client::{Connection, Response};
use crate::support::patience::patience;

#[test]
fn raw_requests_are_refused_or_reach_the_upstream_as_one_canonical_request_each() {
    run_folder("requests", Part::Held, Stage::new, check);
}

#[test]
#[ignore = "tells which pending requests hold by now"]
fn pending_requests() {
    run_folder("requests", Part::Pending, Stage::new, check);
}

#[test]
fn the_request_corpus_is_complete() {
    let all = folder("requests");
    assert!(all.len() >= 200, "{} entries", all.len());
    let places = Places { host: "h".to_owned(), upstream: "u".to_owned() };
    for entry in &all {
        assert!(entry.get("source").is_some(), "{}: no source", entry.name);
        outcomes(entry, &places);
        bytes(entry, &places);
    }
}

/// The bytes of an entry: `send` as it is, `field` and `post` with an ordinary head around it.
fn bytes(entry: &Entry, places: &Places) -> Vec<u8> {
    let part = |(key, value): &(String, String)| match key.as_str() {
        "send" => places.bytes(value),
        "get" => [
            &b"GET / HTTP/1.1\r\nHost: "[..],
            places.host.as_bytes(),
            b"\r\n",
            &places.bytes(value),
            b"\r\n\r\n",
        ]
        .concat(),
        "post" => [&b"POST / HTTP/1.1\r\nHost: "[..], places.host.as_bytes(), b"\r\n", &places.bytes(value)]
            .concat(),
        _ => Vec::new(),
    };
    let bytes = entry.lines.iter().map(part).collect::<Vec<_>>().concat();
    assert!(!bytes.is_empty(), "{}: nothing to send", entry.name);
    bytes
}

fn check(stage: &Stage, entry: &Entry) -> Result<(), String> {
    let sent = bytes(entry, &stage.places);
    let expected = outcomes(entry, &stage.places);
    let before = stage.recorder.count();
    let mut caller = stage.rig.connect();
    caller.send(&sent);
    let mut got = Vec::new();
    let outcome = answers(stage, entry, &mut caller, &expected, &mut got)
        .and_then(|followed| stage.next().map(|()| followed))
        .and_then(|followed| upstream(stage, &expected, before, followed));
    outcome.map_err(|failure| {
        let seen = stage.recorder.since(before);
        let seen: Vec<_> = seen.iter().map(|one| format!("    upstream saw: {}", escape(&one.raw))).collect();
        let got: Vec<_> = got.iter().map(|one| format!("    caller got: {one}")).collect();
        format!("{failure}\n    sent: {}\n{}\n{}", escape(&sent), got.join("\n"), seen.join("\n"))
    })
}

/// Reads the answers; says how many ordinary requests followed on the same connection.
fn answers(
    stage: &Stage,
    entry: &Entry,
    caller: &mut Connection,
    expected: &[Outcome],
    got: &mut Vec<String>,
) -> Result<usize, String> {
    for one in expected {
        if one.kind == Kind::Closed {
            break;
        }
        let method = match &one.kind {
            Kind::Forwarded(line) | Kind::Broken(_, line) => line.split(' ').next().unwrap_or_default(),
            _ => "GET",
        };
        let answer =
            caller.try_read(method).map_err(|error| format!("no answer ({error}), not {:?}", one.kind))?;
        got.push(format!("{} {}", escape(&answer.head.raw), escape(&answer.body)));
        check_answer(&one.kind, &answer)?;
    }
    let last = expected.last().map(|one| &one.kind);
    let open = matches!(last, Some(Kind::Forwarded(_) | Kind::Declined(..)));
    if entry.get("ends").map_or(open, |ends| ends == "open") {
        caller.send(stage.rig.request("GET", "/follow", &[], b""));
        let follow =
            caller.try_read("GET").map_err(|error| format!("the connection did not go on: {error}"))?;
        got.push(escape(&follow.head.raw));
        return if follow.status == 200 { Ok(1) } else { Err("the connection is out of step".to_owned()) };
    }
    ends(caller).map(|()| 0)
}

/// The other side closes without another byte, and does not just fall silent.
pub(super) fn ends(caller: &mut Connection) -> Result<(), String> {
    caller.stream().set_read_timeout(Some(patience() / 2)).unwrap();
    match caller.read_bytes(1) {
        Ok(rest) => Err(format!("more than was expected: {}", escape(&rest))),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err("the connection was not closed".to_owned())
        }
        Err(_) => Ok(()),
    }
}

fn check_answer(kind: &Kind, answer: &Response) -> Result<(), String> {
    let (statuses, reasons): (&[u16], &[String]) = match kind {
        Kind::Forwarded(_) => (&[200], &[]),
        Kind::Refused(statuses, reasons) | Kind::Declined(statuses, reasons) => (statuses, reasons),
        Kind::Broken(statuses, _) => (statuses, &[]),
        Kind::Closed => (&[], &[]),
    };
    if !statuses.contains(&answer.status) {
        return Err(format!("answered {}, not {kind:?}", answer.status));
    }
    match answer.header("x-sidepass-reason") {
        None if answer.status == 200 => Ok(()),
        None => Err("a refusal without a reason".to_owned()),
        Some(reason) if reasons.is_empty() || reasons.iter().any(|one| one == reason) => Ok(()),
        Some(reason) => Err(format!("the reason is {reason}, not {kind:?}")),
    }
}

/// Compares what the upstream saw since `before` with what is expected, what followed, and the next request.
fn upstream(stage: &Stage, expected: &[Outcome], before: usize, followed: usize) -> Result<(), String> {
    let mut seen = stage.recorder.since(before);
    seen.pop().filter(|next| next.target() == "/next").ok_or("the next request did not come last")?;
    for _ in 0..followed {
        seen.pop().filter(|next| next.target() == "/follow").ok_or("the connection is out of step")?;
    }
    let mut seen = seen.into_iter().peekable();
    for one in expected {
        match &one.kind {
            Kind::Refused(..) | Kind::Declined(..) | Kind::Closed => {}
            Kind::Forwarded(line) => {
                let found = seen.next().ok_or("it did not reach the upstream")?;
                stage.check_common(&found, |name| one.names(name))?;
                whole(one, line, &found)?;
            }
            Kind::Broken(_, line) => {
                let Some(found) = seen.next() else { continue };
                wait_for_close(&stage.recorder, found.connection)?;
                let fate =
                    stage.recorder.since(before).into_iter().find(|one| one.connection == found.connection);
                if fate.is_some_and(|fate| fate.complete) || found.head.line != *line {
                    return Err("a broken request reached the upstream whole, or as another one".to_owned());
                }
            }
        }
    }
    if seen.peek().is_some() { Err("more reached the upstream than was expected".to_owned()) } else { Ok(()) }
}

/// Waits for the end of an upstream connection.
pub(super) fn wait_for_close(recorder: &Recorder, connection: usize) -> Result<(), String> {
    let start = Instant::now();
    while recorder.is_open(connection) {
        if start.elapsed() > patience() {
            return Err("the upstream connection of a broken request was not closed".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A request that arrived in full, as it should.
pub(super) fn whole(expected: &Outcome, line: &str, found: &Recorded) -> Result<(), String> {
    if found.head.line != line {
        return Err(format!("the request line is {:?}, not {line:?}", found.head.line));
    }
    expected.check_fields(&found.head)?;
    if !found.complete || found.body != expected.body {
        return Err(format!("the body is {:?} (complete: {})", escape(&found.body), found.complete));
    }
    if found.trailers != expected.trailers {
        return Err(format!("the trailers are {:?}, not {:?}", found.trailers, expected.trailers));
    }
    Ok(())
}
