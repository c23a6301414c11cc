//! The names that a section defines, for those who refer to them.

use super::node::{Extent, Value};
use super::reader::{At, Fields};
use super::suggest::did_you_mean;

/// The names of a section, of sound and of broken things alike.
#[derive(Default)]
pub(crate) struct Names {
    names: Vec<String>,
    extent: Extent,
}

impl Names {
    /// Those of a section. If a part of it could not be read, every name may be one of them.
    pub(crate) fn of(fields: &Fields<'_>, section: &str) -> Self {
        let Some(at) = fields.get(section) else {
            let extent = if fields.meant(section) { Extent::Gaps } else { Extent::Whole };
            return Self { names: Vec::new(), extent };
        };
        match &at.node.value {
            Value::Map(map) => Self {
                names: map.entries.iter().map(|entry| entry.key.clone()).collect(),
                extent: map.extent,
            },
            Value::Scalar(scalar) if scalar.is_null() => Self::default(),
            _ => Self { names: Vec::new(), extent: Extent::Gaps },
        }
    }

    #[cfg(test)]
    pub(crate) fn just(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), extent: Extent::Whole }
    }

    /// Whether the section defines nothing, and nothing of it was lost.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.extent == Extent::Whole
    }

    /// Whether a name is one of them, or may be one that could not be read.
    pub(crate) fn may_hold(&self, name: &str) -> bool {
        self.extent == Extent::Gaps || self.names.iter().any(|known| known == name)
    }

    /// All that are known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// What to say about a name that is not there.
    pub(crate) fn hint(&self, word: &str, none: &str) -> String {
        if self.names.is_empty() {
            return none.to_owned();
        }
        did_you_mean(word, self.iter()).unwrap_or_else(|| format!("there are: {}", self.names.join(", ")))
    }
}

/// A reference to something by name.
pub(crate) fn refer(at: &At<'_>, names: &Names, what: &str, none: &str) -> super::reader::Read<super::Name> {
    let text = at.text()?;
    super::Name::new(&text)
        .filter(|_| names.may_hold(&text))
        .ok_or_else(|| at.error_hint(format!("no {what} is called {}", at.quoted()), names.hint(&text, none)))
}
