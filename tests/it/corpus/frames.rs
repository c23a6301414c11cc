//! The frame corpus (`tests/fixtures/frames`): what callers send over HTTP/2, right or wrong, and what becomes of it.
//!
//! Checked for every entry: each stream ends as it should; only what may reach the upstream does, as one canonical
//! request each; where the connection lives, the next stream on it works, and where it must not, it ends.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use super::expectation::Kind;
use super::fates::{Expected, Fate, expected};
use super::requests::{wait_for_close, whole};
use super::stage::Stage;
use super::text::{Entry, Places, escape, folder};
use super::wire2::{Caller, Frame, PREFACE, error, field, flags, frame, kind, status};
use super::{Part, run_folder};

/// What came back.
#[derive(Default)]
struct Got {
    statuses: BTreeMap<u32, Option<u16>>,
    resets: BTreeMap<u32, u32>,
    ended: Vec<u32>,
    goaway: Option<u32>,
    /// Why no more frames come.
    end: Option<ErrorKind>,
}

#[test]
fn raw_frames_are_refused_or_reach_the_upstream_as_one_canonical_request_each() {
    run_folder("frames", Part::Held, Stage::new, check);
}

#[test]
#[ignore = "tells which pending frames hold by now"]
fn pending_frames() {
    run_folder("frames", Part::Pending, Stage::new, check);
}

#[test]
fn the_frame_corpus_is_complete() {
    let all = folder("frames");
    assert!(all.len() >= 60, "{} entries", all.len());
    let places = Places { host: "h".to_owned(), upstream: "u".to_owned() };
    for entry in &all {
        assert!(entry.get("source").is_some(), "{}: no source", entry.name);
        assert!(!expected(entry, &places).is_empty(), "{}: nothing is expected", entry.name);
        bytes(entry, &places);
    }
}

/// The bytes of an entry: a preface and empty SETTINGS, unless it brings its own (`raw`), and then its frames.
fn bytes(entry: &Entry, places: &Places) -> Vec<u8> {
    let own = entry.lines.iter().any(|(key, _)| key == "raw");
    let mut out = if own { Vec::new() } else { [PREFACE, &frame(kind("SETTINGS"), 0, 0, b"")].concat() };
    // The frame whose header block is being written.
    let mut open: Option<(u8, u8, u32, Vec<u8>)> = None;
    let inputs = ["raw", "frame", "block", "get", "post", "field"];
    for (key, value) in entry.lines.iter().filter(|(key, _)| inputs.contains(&key.as_str())) {
        if key == "field" {
            let bytes = places.bytes(value);
            let colon = bytes.windows(2).skip(1).position(|two| two == b": ").map(|at| at + 1);
            let (name, text) = colon.map_or((&bytes[..bytes.len() - 1], &b""[..]), |colon| {
                (&bytes[..colon], &bytes[colon + 2..])
            });
            let (.., block) = open.as_mut().unwrap_or_else(|| panic!("{}: no block", entry.name));
            field(block, name, text);
            continue;
        }
        if let Some((kind, flags, stream, block)) = open.take() {
            out.extend(frame(kind, flags, stream, &block));
        }
        let mut words = value.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        match key.as_str() {
            "raw" => out.extend(places.bytes(value)),
            "frame" => {
                let (kind, flags, stream) = (kind(word()), flags(word()), word().parse().unwrap());
                out.extend(frame(kind, flags, stream, &places.bytes(word())));
            }
            "block" => open = Some((kind(word()), flags(word()), word().parse().unwrap(), Vec::new())),
            method => {
                let ends = if method == "get" { "END_STREAM|END_HEADERS" } else { "END_HEADERS" };
                open =
                    Some((kind("HEADERS"), flags(ends), word().parse().unwrap(), ordinary(method, places)));
            }
        }
    }
    if let Some((kind, flags, stream, block)) = open {
        out.extend(frame(kind, flags, stream, &block));
    }
    out
}

/// The pseudo-header fields of an ordinary request.
fn ordinary(method: &str, places: &Places) -> Vec<u8> {
    let mut block = Vec::new();
    let (method, host) = (method.to_uppercase(), places.host.as_str());
    for (name, value) in
        [(":method", method.as_str()), (":scheme", "http"), (":authority", host), (":path", "/")]
    {
        field(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

fn check(stage: &Stage, entry: &Entry) -> Result<(), String> {
    let expected = expected(entry, &stage.places);
    let sent = bytes(entry, &stage.places);
    let before = stage.recorder.count();
    let mut caller = Caller::connect(stage.rig.address);
    caller.send(&sent);
    let mut frames = Vec::new();
    let streams = |frames: &[Frame]| {
        let over = |one: &Expected| {
            one.fate == Fate::Any
                || frames.iter().any(|frame| frame.stream == one.stream && frame.ends_stream())
        };
        expected.iter().all(over)
    };
    let mut got = read(&mut caller, &mut frames, streams);
    let outcome = follow(stage, &mut caller, &expected, &mut got, &mut frames)
        .and_then(|followed| stage.next().map(|()| followed))
        .and_then(|followed| upstream(stage, &expected, before, followed));
    outcome.map_err(|failure| {
        let seen = stage.recorder.since(before);
        let seen: Vec<_> = seen.iter().map(|one| format!("    upstream saw: {}", escape(&one.raw))).collect();
        format!(
            "{failure}\n    sent: {}\n    caller got: statuses {:?}, resets {:?}, ended {:?}, goaway {:?}, {:?}\n{}",
            escape(&sent),
            got.statuses,
            got.resets,
            got.ended,
            got.goaway,
            got.end,
            seen.join("\n")
        )
    })
}

/// Reads until `enough`, or until no more comes.
fn read(caller: &mut Caller, frames: &mut Vec<Frame>, enough: impl Fn(&[Frame]) -> bool) -> Got {
    let mut got = Got::default();
    while !enough(frames) {
        match caller.next() {
            Ok(next) => {
                if next.kind == kind("SETTINGS") && next.flags == 0 {
                    caller.send(&frame(next.kind, flags("ACK"), 0, b""));
                }
                frames.push(next);
            }
            Err(error) => {
                got.end = Some(error.kind());
                break;
            }
        }
    }
    for frame in frames.iter() {
        if frame.kind == kind("HEADERS") {
            got.statuses.entry(frame.stream).or_insert_with(|| status(&frame.payload));
        } else if frame.kind == kind("RST_STREAM") {
            got.resets.entry(frame.stream).or_insert(frame.code());
        } else if frame.kind == kind("GOAWAY") && frame.code() != 0 {
            got.goaway = Some(frame.code());
        }
        if frame.ends_stream() {
            got.ended.push(frame.stream);
        }
    }
    got
}

/// Compares what came with what is expected; asks once more on the next stream, if the connection lives. True if so.
fn follow(
    stage: &Stage,
    caller: &mut Caller,
    expected: &[Expected],
    got: &mut Got,
    frames: &mut Vec<Frame>,
) -> Result<bool, String> {
    for one in expected {
        check_fate(one, got)?;
    }
    let ends = |one: &Expected| matches!(one.fate, Fate::Goaway(_) | Fate::Closed);
    let dead = got.goaway.is_some() || expected.iter().any(ends);
    if dead {
        // It has been read to its end.
        return match got.end {
            Some(ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err("the connection was not closed".to_owned())
            }
            _ => Ok(false),
        };
    }
    let next = frames.iter().map(|frame| frame.stream).chain(expected.iter().map(|one| one.stream)).max();
    let next = (next.unwrap_or_default() + 2) | 1;
    let mut block = ordinary("get", &stage.places);
    let path = block.len() - 1;
    block.truncate(path - 1);
    block.extend(b"\x07/follow");
    caller.send(&frame(kind("HEADERS"), flags("END_STREAM|END_HEADERS"), next, &block));
    let over = |frames: &[Frame]| frames.iter().any(|frame| frame.stream == next && frame.ends_stream());
    *got = read(caller, frames, over);
    // Its status may come from the dynamic table.
    let answered =
        matches!(got.statuses.get(&next), Some(None | Some(200))) && !got.resets.contains_key(&next);
    if answered { Ok(true) } else { Err(format!("the connection did not go on (stream {next})")) }
}

fn check_fate(expected: &Expected, got: &Got) -> Result<(), String> {
    let stream = expected.stream;
    let status = got.statuses.get(&stream).copied().flatten();
    let reset = got.resets.get(&stream).map(|code| error(*code));
    let goaway = got.goaway.map(error);
    let fits = match &expected.fate {
        Fate::Forwarded => status == Some(200) && got.ended.contains(&stream),
        Fate::Status(statuses) => status.is_some_and(|status| statuses.contains(&status)),
        Fate::Reset(codes) => status.is_none() && reset.as_ref().is_some_and(|code| codes.contains(code)),
        // The kernel resets a connection that is closed with bytes unread, and the last word may be lost.
        Fate::Goaway(codes) => {
            goaway.map_or(got.end == Some(ErrorKind::ConnectionReset), |code| codes.contains(&code))
        }
        Fate::Closed => got.statuses.is_empty(),
        Fate::Any => true,
        Fate::Broken => status != Some(200),
    };
    if fits { Ok(()) } else { Err(format!("stream {stream}: not {:?}", expected.fate)) }
}

fn upstream(stage: &Stage, expected: &[Expected], before: usize, followed: bool) -> Result<(), String> {
    let mut seen = stage.recorder.since(before);
    seen.retain(|one| !matches!(one.target(), "/next" | "/follow"));
    let follows = stage.recorder.since(before).iter().filter(|one| one.target() == "/follow").count();
    if follows != usize::from(followed) {
        return Err(format!("{follows} requests followed"));
    }
    for one in expected {
        let Kind::Forwarded(line) = &one.outcome.kind else { continue };
        let at = seen.iter().position(|found| found.head.line == *line);
        match (&one.fate, at) {
            (Fate::Forwarded, None) => return Err("it did not reach the upstream".to_owned()),
            (Fate::Forwarded, Some(at)) => {
                let found = seen.remove(at);
                stage.check_common(&found, |name| one.outcome.names(name))?;
                whole(&one.outcome, line, &found)?;
            }
            (Fate::Any, Some(at)) => drop(seen.remove(at)),
            (Fate::Broken, Some(at)) => {
                let found = seen.remove(at);
                wait_for_close(&stage.recorder, found.connection)?;
                let all = stage.recorder.since(before);
                if all.iter().any(|late| late.connection == found.connection && late.complete) {
                    return Err("a broken request reached the upstream whole".to_owned());
                }
            }
            _ => {}
        }
    }
    if seen.is_empty() { Ok(()) } else { Err("more reached the upstream than was expected".to_owned()) }
}
