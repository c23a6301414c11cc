//! Where the settings of a profile were written, so that `explain` can say whence each has come.

use std::collections::BTreeMap;

use crate::config::diagnostic::Place;
use crate::config::node::{Node, Origin, Scalar, Value};
use crate::config::preset::Preset;
use crate::secret::Secret;

/// Where each setting of a profile stands, by its path: `custom_parameters.body.tenant`.
#[derive(Clone, Default)]
pub struct Written {
    spots: BTreeMap<String, Spot>,
    preset: Option<&'static Preset>,
}

/// Where one setting stands.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The place, with the name of the shorthand that filled it in, if one did.
    pub place: Place,
    /// The text with names in place of what variables brought, if they brought a part of it.
    pub(super) masked: Option<Secret>,
    /// Whether it is a map of settings.
    is_map: bool,
}

impl Written {
    /// Everything below a profile's node.
    pub(crate) fn of(node: &Node, preset: Option<&'static Preset>) -> Self {
        let mut written = Self { spots: BTreeMap::new(), preset };
        written.add(node, "");
        written
    }

    fn add(&mut self, node: &Node, path: &str) {
        if !path.is_empty() {
            let masked = match &node.value {
                Value::Scalar(scalar) => masked(scalar),
                _ => None,
            };
            let is_map = matches!(node.value, Value::Map(_));
            self.spots.insert(path.to_owned(), Spot { place: node.place.clone(), masked, is_map });
        }
        if let Value::Map(map) = &node.value {
            let dot = if path.is_empty() { "" } else { "." };
            map.entries.iter().for_each(|entry| self.add(&entry.value, &format!("{path}{dot}{}", entry.key)));
        }
    }

    /// Where a setting stands, or what it is a part of; nothing for a default.
    pub fn spot(&self, path: &str) -> Option<&Spot> {
        self.nearest(path).map(|(_, spot)| spot)
    }

    /// The same for a setting with a default: a map around it does not mean that it was written.
    pub fn own_spot(&self, path: &str) -> Option<&Spot> {
        self.nearest(path).filter(|(at, spot)| *at == path || !spot.is_map).map(|(_, spot)| spot)
    }

    fn nearest<'p>(&self, path: &'p str) -> Option<(&'p str, &Spot)> {
        let mut path = path;
        loop {
            if let Some(spot) = self.spots.get(path) {
                return Some((path, spot));
            }
            path = path.rsplit_once('.')?.0;
        }
    }

    /// The preset that filled settings in.
    pub fn preset(&self) -> Option<&'static Preset> {
        self.preset
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.spots.keys()).finish()
    }
}

/// A text of which variables brought a part.
fn masked(scalar: &Scalar) -> Option<Secret> {
    if !scalar.has_variable() {
        return None;
    }
    let pieces = scalar.pieces.iter().map(|piece| match &piece.origin {
        Origin::Variable(name) => format!("${{{name}}}"),
        _ => piece.text.clone(),
    });
    Some(Secret::new(pieces.collect()))
}
