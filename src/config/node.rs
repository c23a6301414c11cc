//! A configuration file as a tree: every scalar as it was written, with its place.
//!
//! Invariant: which part of a text came from where ([`Origin`]) is never lost, so that what a variable brought is not
//! read again as YAML, JSON or a template. No type here shows values by `Debug`: they may be secrets.

use super::diagnostic::Place;

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
    /// A mistake was reported for it already; whoever meets it stays silent.
    Broken,
}

/// Entries in the order of the file; no key stands twice.
#[derive(Clone, Default)]
pub(crate) struct Map {
    pub(crate) flow: Flow,
    pub(crate) extent: Extent,
    pub(crate) entries: Vec<Entry>,
}

/// How a map was written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    /// `{ a: b }`
    Braces,
    /// One line a key.
    #[default]
    Lines,
}

/// Whether a map has all that was written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    #[default]
    Whole,
    /// An entry was refused, and reported: nothing can be said to be missing.
    Gaps,
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

/// A text.
#[derive(Clone)]
pub(crate) struct Scalar {
    pub(crate) style: Style,
    pub(crate) pieces: Vec<Piece>,
}

/// Whether a text was quoted (or a block), which makes it a text whatever it looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
}

/// A part of a text.
#[derive(Clone)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Where a part of a text came from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It stands in the file; only this part is read as a template.
    Written,
    /// An escape (`$${`) made it.
    Escaped,
    /// The default of a variable that is not set.
    Default,
    /// The value of this variable.
    Variable(String),
}

impl Scalar {
    /// A text that stands in a file.
    pub(crate) fn written(text: impl Into<String>, style: Style) -> Self {
        Self { style, pieces: vec![Piece { text: text.into(), origin: Origin::Written }] }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    /// The text, if all of it stands in the file: only this may be quoted in a message.
    pub(crate) fn written_text(&self) -> Option<String> {
        self.pieces.iter().all(|piece| piece.origin == Origin::Written).then(|| self.text())
    }

    /// The variable that the whole text is, and its value.
    pub(crate) fn whole_variable(&self) -> Option<(&str, &str)> {
        match self.pieces.as_slice() {
            [Piece { text, origin: Origin::Variable(name) }] => Some((name, text)),
            _ => None,
        }
    }

    /// Whether a variable brought a part of it.
    pub(crate) fn has_variable(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.origin, Origin::Variable(_)))
    }

    /// `null`, `~` or nothing at all, as YAML sees it.
    pub(crate) fn is_null(&self) -> bool {
        self.style == Style::Plain
            && self
                .written_text()
                .is_some_and(|text| matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

impl Node {
    /// `null`, `~` or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(map) = &self.value else { return None };
        map.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }
}
