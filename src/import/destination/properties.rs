//! The properties of one destination, and which of them nobody looked at.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::import::draft::Item;
use crate::import::input;

/// For SAP's own tools; nothing depends on them here.
const OF_TOOLS: [&str; 3] = ["WebIDE", "HTML5.", "sap.applicationdevelopment"];

/// Reads properties, and keeps in mind which.
pub(super) struct Properties<'v> {
    object: &'v Map<String, Value>,
    read: BTreeSet<&'v str>,
}

impl<'v> Properties<'v> {
    pub(super) fn new(object: &'v Map<String, Value>) -> Self {
        Self { object, read: BTreeSet::new() }
    }

    /// The value of a property; blank is none. Cases differ between tools (`tokenServiceURL`, `TokenServiceURL`).
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let exact = self.object.get_key_value(key);
        let (key, _) =
            exact.or_else(|| self.object.iter().find(|(other, _)| other.eq_ignore_ascii_case(key)))?;
        self.read.insert(key);
        input::text(self.object, key)
    }

    /// Whether a property says `true`, or nothing.
    pub(super) fn truth(&mut self, key: &str, default: bool) -> bool {
        self.text(key).map_or(default, |text| text.trim().eq_ignore_ascii_case("true"))
    }

    /// The properties that begin so, without that beginning.
    pub(super) fn group(&mut self, prefix: &str) -> Vec<(&'v str, String)> {
        let mut group = Vec::new();
        for (key, _) in self.object {
            let begins = key.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
            if begins {
                self.read.insert(key);
                group.extend(input::text(self.object, key).map(|value| (&key[prefix.len()..], value)));
            }
        }
        group
    }

    /// These say nothing that is needed.
    pub(super) fn skip(&mut self, keys: &[&str]) {
        for key in keys {
            let _ = self.text(key);
        }
    }

    /// Names what was not looked at.
    pub(super) fn report(self, item: &mut Item) {
        let left =
            self.object.iter().filter(|(key, value)| !self.read.contains(key.as_str()) && !value.is_null());
        let (tools, other): (Vec<_>, Vec<_>) = left
            .map(|(key, _)| crate::import::short(key))
            .partition(|key| OF_TOOLS.iter().any(|tool| key.starts_with(tool)));
        if !tools.is_empty() {
            item.about(format!("Of no meaning here: {}.", tools.join(", ")));
        }
        if !other.is_empty() {
            item.warn(format!("not carried over, there is no counterpart: {}", other.join(", ")));
        }
    }
}
