//! Custom parameters of an export, within the limits that the configuration checks.

use http::HeaderName;

use super::draft::{Draft, Item};
use super::yaml::{Entry, Yaml};
use crate::config::{looks_secret, parameters};

/// "Send as part of".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Body,
    Header,
    Url,
}

impl Place {
    fn key(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Header => "header",
            Self::Url => "url",
        }
    }
}

/// The rows that were collected, in order.
#[derive(Debug, Default)]
pub(super) struct Custom {
    rows: Vec<(Place, String, Yaml)>,
}

impl Custom {
    /// Adds a row; a value whose key says that it is a secret becomes a variable to fill in.
    pub(super) fn add(
        &mut self,
        draft: &mut Draft<'_>,
        item: &mut Item,
        name: &str,
        (place, key, value): (Place, &str, String),
    ) {
        if !fits(item, place, key) {
            return;
        }
        if is_secret(key) {
            item.note(format!("The value of `{key}` looks like a secret: it goes into the variable."));
            self.secret(draft, item, name, place, key);
            return;
        }
        if value.trim().is_empty() || value.chars().count() > parameters::MAX_LENGTH {
            item.error(format!(
                "the value of the custom parameter `{key}` is blank or longer than {} characters",
                parameters::MAX_LENGTH
            ));
            return;
        }
        let value = draft.value(item, name, key, value);
        self.push(item, place, key, value);
    }

    /// Adds a row whose value is to be filled in.
    pub(super) fn secret(
        &mut self,
        draft: &mut Draft<'_>,
        item: &mut Item,
        name: &str,
        place: Place,
        key: &str,
    ) {
        if fits(item, place, key) {
            let value = draft.variable(name, key);
            self.push(item, place, key, value);
        }
    }

    fn push(&mut self, item: &mut Item, place: Place, key: &str, value: Yaml) {
        // One too many is enough to say so.
        if self.rows.len() > parameters::MAX_ROWS {
            return;
        }
        let same = |(p, k, v): &(Place, String, Yaml)| *p == place && k == key && *v == value;
        if self.rows.iter().any(same) {
            item.note(format!("The custom parameter `{key}` stood twice with the same value."));
            return;
        }
        self.rows.push((place, key.to_owned(), value));
    }

    /// Adds `custom_parameters`, if there are any.
    pub(super) fn put(self, item: &mut Item) {
        if self.rows.len() > parameters::MAX_ROWS {
            item.error(format!("more than {} custom parameters are not allowed", parameters::MAX_ROWS));
        }
        let mut groups = Vec::new();
        for place in [Place::Body, Place::Header, Place::Url] {
            let mut entries: Vec<Entry> = Vec::new();
            for (_, key, value) in self.rows.iter().filter(|(row, ..)| *row == place) {
                // Names of headers ignore case.
                let same = |entry: &&mut Entry| match place {
                    Place::Header => entry.key.eq_ignore_ascii_case(key),
                    Place::Body | Place::Url => entry.key == *key,
                };
                match entries.iter_mut().find(same) {
                    None => entries.push(Entry::new(key, value.clone())),
                    Some(Entry { value: Yaml::List(values), .. }) => values.push(value.clone()),
                    Some(entry) => entry.value = Yaml::List(vec![entry.value.clone(), value.clone()]),
                }
            }
            if !entries.is_empty() {
                groups.push(Entry::new(place.key(), Yaml::Map(entries)));
            }
        }
        if !groups.is_empty() {
            item.put("custom_parameters", Yaml::Map(groups));
        }
    }
}

/// Whether a name says that its value is a secret. Rather one too many: a value that is none is soon filled in.
pub(super) fn is_secret(key: &str) -> bool {
    let words = ["key", "code", "sig", "signature", "auth", "sid", "credential", "credentials"];
    looks_secret(key) || words.iter().any(|word| key.eq_ignore_ascii_case(word))
}

/// Whether the configuration takes the key there; what the profile sends itself is left out with a warning.
fn fits(item: &mut Item, place: Place, key: &str) -> bool {
    let length = key.chars().count();
    let broken = key.trim().is_empty() || length > parameters::MAX_LENGTH || key.contains(char::is_control);
    if broken || key.contains("${") || key == "<<" {
        let shown = if broken || length > 60 { "a custom parameter".into() } else { format!("`{key}`") };
        item.error(format!("{shown} has a key that cannot be written: give it another, or leave it out"));
        return false;
    }
    if parameters::RESERVED.contains(&key) {
        item.warn(format!("the custom parameter `{key}` is left out: the profile itself sends it"));
        return false;
    }
    if place != Place::Header {
        return true;
    }
    let taken = match HeaderName::from_bytes(key.as_bytes()) {
        Err(_) => Some("that is no name of a header"),
        Ok(name) => parameters::refused_header(&name),
    };
    if let Some(why) = taken {
        item.warn(format!("the header `{key}` of the token request is left out: {why}"));
    }
    taken.is_none()
}
