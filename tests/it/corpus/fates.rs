//! What an entry of the frame corpus expects, stream by stream.

use super::expectation::{Kind, Outcome, pair};
use super::text::{Entry, Places};

/// What becomes of a stream, or (0) of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Answered 200, and as described at the upstream.
    Forwarded,
    /// Answered by us, with one of these statuses.
    Status(Vec<u16>),
    /// Reset, with one of these codes.
    Reset(Vec<String>),
    /// The connection ends, with one of these codes.
    Goaway(Vec<String>),
    /// The connection ends, nobody is answered.
    Closed,
    /// The connection ends with it: it may have reached the upstream before.
    Any,
    /// Anything but an answer of the upstream's, which may have seen the beginning.
    Broken,
}

/// What becomes of one stream, and what the upstream must see of it.
pub(super) struct Expected {
    pub(super) stream: u32,
    pub(super) fate: Fate,
    pub(super) outcome: Outcome,
}

/// `expect: STREAM FATE ...`, and what the upstream must see of it.
pub(super) fn expected(entry: &Entry, places: &Places) -> Vec<Expected> {
    let mut all: Vec<Expected> = Vec::new();
    for (key, value) in &entry.lines {
        if key == "expect" {
            all.push(fate(value, places).unwrap_or_else(|| panic!("{}: {value}", entry.name)));
            continue;
        }
        let Some(last) = all.last_mut().map(|one| &mut one.outcome) else { continue };
        match key.as_str() {
            "has" => last.has.push(pair(value, places)),
            "lacks" => last.lacks.extend(value.split(',').map(|name| name.trim().to_owned())),
            "body" => last.body = places.bytes(value),
            "trailer" => last.trailers.push(pair(value, places)),
            "pending" => (),
            other => panic!("{}: what is `{other}` after `expect`?", entry.name),
        }
    }
    all
}

fn fate(value: &str, places: &Places) -> Option<Expected> {
    let mut words = value.splitn(3, ' ');
    let (stream, word, rest) = (words.next()?.parse().ok()?, words.next()?, words.next().unwrap_or_default());
    let codes = || rest.split('|').map(str::to_owned).collect();
    let fate = match word {
        "forwarded" => Fate::Forwarded,
        "status" => Fate::Status(rest.split('|').map(str::parse).collect::<Result<_, _>>().ok()?),
        "reset" => Fate::Reset(codes()),
        "goaway" => Fate::Goaway(codes()),
        "closed" => Fate::Closed,
        "any" => Fate::Any,
        "broken" => Fate::Broken,
        _ => return None,
    };
    let line = if matches!(fate, Fate::Forwarded | Fate::Any | Fate::Broken) {
        places.text(rest)
    } else {
        String::new()
    };
    let outcome = Outcome {
        kind: Kind::Forwarded(line),
        has: Vec::new(),
        lacks: Vec::new(),
        body: Vec::new(),
        trailers: Vec::new(),
    };
    Some(Expected { stream, fate, outcome })
}
