//! The presets: what providers want of a profile, from one embedded file; documentation is made from the same.
//!
//! A preset fills in settings at the level of the YAML tree (`profile_file/preset.rs`), so that nothing of it is special
//! once a profile has been read.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::node::{Map, Node, Value};
use super::yaml;

/// The embedded file.
const SOURCE: &str = include_str!("presets.yaml");

/// A provider's settings.
#[derive(Clone)]
pub struct Preset {
    /// What stands behind `preset:`.
    pub name: String,
    /// The provider, for people.
    pub title: String,
    /// Where the provider documents it.
    pub page: String,
    /// What a user has to say, or may.
    pub parameters: Vec<Parameter>,
    /// Settings of a profile that a user writes besides: the credentials, mostly.
    pub yours: Vec<String>,
    /// Headers that routes to the provider need, as they stand under `headers`.
    pub route: Vec<(String, String)>,
    /// What is filled in.
    pub(crate) settings: Map,
    /// What is filled in over that where a user has set this key.
    pub(crate) with: Vec<(String, Map)>,
}

/// Something that a preset is told.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its key in the profile.
    pub name: String,
    /// What it is.
    pub about: String,
    /// A value that may stand there.
    pub example: String,
    /// What it is if nothing is said.
    pub default: Option<String>,
    /// Which texts fit.
    pub shape: Shape,
    /// Whether it may be left out; what needs it is then left out too.
    pub optional: bool,
}

/// Which texts fit a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A host name, perhaps with a port.
    Host,
    /// Letters, digits and `-_.~`: one part of a host or a path.
    Word,
    /// Anything, in any form that a secret may have too.
    Any,
}

impl Shape {
    /// Whether a text fits.
    pub fn fits(self, text: &str) -> bool {
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        match self {
            Self::Host => !text.is_empty() && text.chars().all(|c| word(c) || c == ':'),
            Self::Word => !text.is_empty() && text.chars().all(word),
            Self::Any => true,
        }
    }

    /// What to write, for a message.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Host => "a bare host name (without https://, without a path)",
            Self::Word => "one word of letters, digits and -_.~",
            Self::Any => "a text",
        }
    }
}

/// All presets, in the order of the file.
pub fn all() -> &'static [Preset] {
    static ALL: LazyLock<Vec<Preset>> = LazyLock::new(read);
    &ALL
}

impl Preset {
    /// Whether it fills in something of its own where a user has set this key.
    pub fn fills(&self, key: &str) -> bool {
        self.with.iter().any(|(known, _)| known == key)
    }

    /// A profile with this preset, as it would stand in proxy.yaml below its name: examples for what must be said.
    pub fn example(&self) -> String {
        let mut text = format!("preset: {}\n", self.name);
        for parameter in self.parameters.iter().filter(|parameter| !parameter.optional) {
            text.push_str(&format!("{}: {}\n", parameter.name, parameter.example));
        }
        for key in &self.yours {
            let value = match key.as_str() {
                "key_pair" => "{ certificate: { file: tls.crt }, private_key: { file: tls.key } }".to_owned(),
                "state_file" => "state.json".to_owned(),
                "scope" => "SCOPE".to_owned(),
                "profile" => "OTHER_PROFILE".to_owned(),
                key => format!("{{ env: {} }}", key.to_uppercase()),
            };
            text.push_str(&format!("{key}: {value}\n"));
        }
        text
    }
}

impl std::fmt::Debug for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preset").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the embedded file; what is broken in it is left out, and a test says so.
fn read() -> Vec<Preset> {
    let file: Arc<Path> = Arc::from(Path::new("presets.yaml"));
    let root = yaml::parse(SOURCE, &file, &mut Vec::new()).ok().flatten();
    let Some(Node { value: Value::Map(map), .. }) = root else { return Vec::new() };
    map.entries.iter().filter_map(|entry| preset(&entry.key, &entry.value)).collect()
}

fn preset(name: &str, node: &Node) -> Option<Preset> {
    let map = |key: &str| match node.get(key).map(|node| &node.value) {
        Some(Value::Map(map)) => map.clone(),
        _ => Map::default(),
    };
    let yours = match node.get("yours").map(|node| &node.value) {
        Some(Value::List(items)) => items.iter().filter_map(text).collect(),
        _ => vec!["client_id".to_owned(), "client_secret".to_owned()],
    };
    let with = map("with").entries.into_iter().filter_map(|entry| match entry.value.value {
        Value::Map(map) => Some((entry.key, map)),
        _ => None,
    });
    let route = map("route").entries.into_iter().filter_map(|entry| Some((entry.key, text(&entry.value)?)));
    Some(Preset {
        name: name.to_owned(),
        title: node.get("title").and_then(text)?,
        page: node.get("page").and_then(text)?,
        parameters: map("parameters")
            .entries
            .iter()
            .map(|entry| parameter(&entry.key, &entry.value))
            .collect::<Option<_>>()?,
        yours,
        route: route.collect(),
        settings: map("settings"),
        with: with.collect(),
    })
}

fn parameter(name: &str, node: &Node) -> Option<Parameter> {
    let of = |key: &str| node.get(key).and_then(text);
    Some(Parameter {
        name: name.to_owned(),
        about: of("about")?,
        example: of("example")?,
        default: of("default"),
        shape: match of("is").as_deref() {
            Some("host") => Shape::Host,
            Some("word") => Shape::Word,
            None => Shape::Any,
            Some(_) => return None,
        },
        optional: of("optional").is_some_and(|text| text == "true") || of("default").is_some(),
    })
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar(scalar) => Some(scalar.text()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_embedded_file_is_lost() {
        let names: Vec<_> = SOURCE
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
            .map(|line| line.trim_end_matches(':'))
            .collect();
        assert_eq!(all().iter().map(|preset| preset.name.as_str()).collect::<Vec<_>>(), names);
        let file: Arc<Path> = Arc::from(Path::new("presets.yaml"));
        let mut problems = Vec::new();
        let root = yaml::parse(SOURCE, &file, &mut problems).ok().flatten().unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        let keys = |node: &Node, known: &[&str]| {
            let Value::Map(map) = &node.value else { panic!("no map") };
            for entry in &map.entries {
                assert!(known.contains(&entry.key.as_str()), "{}", entry.place);
            }
        };
        for name in names {
            let node = root.get(name).unwrap();
            keys(node, &["title", "page", "parameters", "yours", "settings", "with", "route"]);
            let Some(Value::Map(parameters)) = node.get("parameters").map(|node| &node.value) else {
                continue;
            };
            for entry in &parameters.entries {
                keys(&entry.value, &["about", "example", "default", "is", "optional"]);
            }
        }
    }

    #[test]
    fn every_example_and_default_fits() {
        for preset in all() {
            assert!(preset.page.starts_with("https://"), "{preset:?}");
            for parameter in &preset.parameters {
                let texts = parameter.default.iter().chain([&parameter.example]);
                assert!(texts.into_iter().all(|text| parameter.shape.fits(text)), "{preset:?} {parameter:?}");
            }
        }
        assert!(!Shape::Host.fits("https://h") && !Shape::Host.fits("h/p") && !Shape::Word.fits("a@b"));
    }
}
