//! What an entry of the answer corpus expects a caller to get.

use super::expectation::pair;
use super::text::{Entry, Places};

/// What a caller must get.
pub(super) struct Expected {
    pub(super) statuses: Vec<u16>,
    /// Of our own answer; none: the answer is the upstream's.
    pub(super) reasons: Vec<String>,
    pub(super) line: Option<String>,
    pub(super) has: Vec<(String, String)>,
    pub(super) lacks: Vec<String>,
    /// Of the upstream's answer. Where it is cut, what arrived is a beginning of it.
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<(String, String)>,
    pub(super) cut: bool,
    /// Whether the next request may, must or must not use the same upstream connection.
    pub(super) next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Any,
    Same,
    New,
}

impl Expected {
    /// Reads it.
    pub(super) fn of(entry: &Entry, places: &Places) -> Self {
        let (statuses, reasons) =
            entry.get("expect").map_or(("", ""), |value| value.split_once(' ').unwrap_or((value, "")));
        let all = |key: &'static str| {
            entry.lines.iter().filter(move |line| line.0 == key).map(|line| line.1.as_str())
        };
        let known = [
            "source", "request", "ask", "greet", "answer", "wait", "endless", "end", "expect", "line", "has",
            "lacks", "body", "trailer", "cut", "next", "pending",
        ];
        if let Some((key, _)) = entry.lines.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            panic!("{}: what is `{key}`?", entry.name);
        }
        Self {
            statuses: statuses
                .split('|')
                .map(|status| status.parse().unwrap_or_else(|_| panic!("{}", entry.name)))
                .collect(),
            reasons: reasons.split('|').filter(|reason| !reason.is_empty()).map(str::to_owned).collect(),
            line: entry.get("line").map(|line| places.text(line)),
            has: all("has").map(|value| pair(value, places)).collect(),
            lacks: all("lacks")
                .flat_map(|names| names.split(','))
                .map(|name| name.trim().to_owned())
                .collect(),
            body: all("body").flat_map(|value| places.bytes(value)).collect(),
            trailers: all("trailer").map(|value| pair(value, places)).collect(),
            cut: entry.get("cut").is_some(),
            next: match entry.get("next") {
                None => Next::Any,
                Some("same") => Next::Same,
                Some("new") => Next::New,
                Some(other) => panic!("{}: {other}", entry.name),
            },
        }
    }
}
