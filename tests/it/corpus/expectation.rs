//! What an entry of the request corpus expects, outcome by outcome.

use super::canonical::Head;
use super::text::{Entry, Places};

/// What becomes of one request (or of what pretends to be one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It reaches the upstream as one canonical request with this request line; its answer comes back.
    Forwarded(String),
    /// Nothing reaches the upstream, one of these statuses with one of these reasons (none: any) comes back.
    Refused(Vec<u16>, Vec<String>),
    /// As refused, and framing is clear, so that the connection may go on.
    Declined(Vec<u16>, Vec<String>),
    /// Its head is fine and its body is not: the upstream sees at most one request, with this request line, that never ends.
    Broken(Vec<u16>, String),
    /// No answer, the connection ends.
    Closed,
}

/// One outcome and what the upstream must see of it.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) kind: Kind,
    /// Every value of each name here, in order.
    pub(super) has: Vec<(String, String)>,
    /// Names that must not be there.
    pub(super) lacks: Vec<String>,
    /// The body.
    pub(super) body: Vec<u8>,
    /// The trailers.
    pub(super) trailers: Vec<(String, String)>,
}

/// The outcomes of an entry, in the order of their answers.
pub(super) fn outcomes(entry: &Entry, places: &Places) -> Vec<Outcome> {
    let mut all: Vec<Outcome> = Vec::new();
    for (key, value) in &entry.lines {
        if key == "expect" {
            let kind = kind(value, places).unwrap_or_else(|| panic!("{}: {value}", entry.name));
            all.push(Outcome {
                kind,
                has: Vec::new(),
                lacks: Vec::new(),
                body: Vec::new(),
                trailers: Vec::new(),
            });
            continue;
        }
        let Some(last) = all.last_mut() else { continue };
        match key.as_str() {
            "has" => last.has.push(pair(value, places)),
            "lacks" => last.lacks.extend(value.split(',').map(|name| name.trim().to_owned())),
            "body" => last.body = places.bytes(value),
            "trailer" => last.trailers.push(pair(value, places)),
            "ends" | "pending" => (),
            other => panic!("{}: what is `{other}` after `expect`?", entry.name),
        }
    }
    assert!(!all.is_empty(), "{}: nothing is expected", entry.name);
    all
}

/// `Name: value`
pub(super) fn pair(value: &str, places: &Places) -> (String, String) {
    let (name, value) = value.split_once(':').unwrap_or((value, ""));
    (places.text(name), places.text(value.trim_start()))
}

fn kind(value: &str, places: &Places) -> Option<Kind> {
    let (word, rest) = value.split_once(' ').unwrap_or((value, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    let statuses = || first.split('|').map(str::parse).collect::<Result<Vec<u16>, _>>().ok();
    let reasons = || second.split('|').filter(|reason| !reason.is_empty()).map(str::to_owned).collect();
    Some(match word {
        "forwarded" => Kind::Forwarded(places.text(rest)),
        "refused" => Kind::Refused(statuses()?, reasons()),
        "declined" => Kind::Declined(statuses()?, reasons()),
        "broken" => Kind::Broken(statuses()?, places.text(second)),
        "closed" => Kind::Closed,
        _ => return None,
    })
}

impl Outcome {
    /// Compares the fields of a head with what is expected of them.
    pub(super) fn check_fields(&self, head: &Head) -> Result<(), String> {
        for (name, _) in &self.has {
            let same = |pair: &&(String, String)| pair.0.eq_ignore_ascii_case(name);
            let expected: Vec<&str> = self.has.iter().filter(same).map(|(_, value)| value.as_str()).collect();
            if head.all(name) != expected {
                return Err(format!("{name} is {:?}, not {expected:?}", head.all(name)));
            }
        }
        match self.lacks.iter().find(|name| !head.all(name).is_empty()) {
            Some(name) => Err(format!("{name} is there: {:?}", head.all(name))),
            None => Ok(()),
        }
    }

    /// Whether the entry asks for this name.
    pub(super) fn names(&self, name: &str) -> bool {
        self.has.iter().any(|(has, _)| has.eq_ignore_ascii_case(name))
    }
}
