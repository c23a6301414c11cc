//! proxy, admin and log in layers: built-in defaults, the file, environment variables; the only file that knows figment.
//!
//! Figment decides which layer wins. It is handed texts only and asked for texts only, so it never guesses a type and
//! never words a message: the winner is turned back into our tree, with the place it came from.

use figment::value::{Dict, Map as FigmentMap, Value as Layered};
use figment::{Figment, Metadata, Profile, Provider};

use super::diagnostic::{Diagnostic, Place};
use super::node::{Entry, Map, Node, Origin, Piece, Scalar, Style, Value};
use super::reader::Context;
use super::suggest::nearest;

/// What may be set, whether as a list, and its default.
const SETTINGS: [(&str, Shape, Option<&str>); 25] = [
    ("proxy.listen", Shape::List, Some("localhost:4080")),
    ("proxy.hosts", Shape::List, None),
    ("proxy.access", Shape::Text, None),
    ("proxy.access.allow_from", Shape::List, None),
    ("proxy.workers", Shape::Text, Some("1")),
    ("proxy.limits.connections", Shape::Text, Some("10000")),
    ("proxy.limits.connections_per_caller", Shape::Text, Some("0")),
    ("proxy.limits.header_bytes", Shape::Text, Some("64KiB")),
    ("proxy.limits.headers", Shape::Text, Some("100")),
    ("proxy.limits.uri_bytes", Shape::Text, Some("16KiB")),
    ("proxy.limits.body_bytes", Shape::Text, Some("0")),
    ("proxy.limits.streams", Shape::Text, Some("100")),
    ("proxy.limits.pending_resets", Shape::Text, Some("50")),
    ("proxy.limits.first_byte_timeout", Shape::Text, Some("10s")),
    ("proxy.limits.header_timeout", Shape::Text, Some("10s")),
    ("proxy.limits.idle_timeout", Shape::Text, Some("2m")),
    ("proxy.via", Shape::Text, Some("true")),
    ("proxy.shutdown.delay", Shape::Text, Some("0s")),
    ("proxy.shutdown.deadline", Shape::Text, Some("25s")),
    ("admin.listen", Shape::List, Some("localhost:4090")),
    ("admin.access", Shape::Text, None),
    ("admin.access.allow_from", Shape::List, None),
    ("log.level", Shape::Text, Some("info")),
    ("log.format", Shape::Text, Some("auto")),
    ("log", Shape::Section, None),
];

/// How a variable's text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    /// Separated by commas.
    List,
    /// No value of its own.
    Section,
}

const PREFIX: &str = "SIDEPASS_";
const DEFAULTS: &str = "defaults";
const FILE: &str = "file";
const ENVIRONMENT: &str = "environment";

struct Layer {
    name: &'static str,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> figment::Result<FigmentMap<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The three sections as they hold, one map; `file` is the tree of the files.
pub(crate) fn settings(cx: &Context<'_>, file: &Node) -> Node {
    let mut defaults = Dict::new();
    for (path, shape, default) in &SETTINGS {
        if let Some(text) = default {
            insert(&mut defaults, path, value(text, *shape));
        }
    }
    let sections = ["proxy", "admin", "log"];
    let written = sections
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), from_node(file.get(key)?)?)))
        .collect::<Dict>();
    let figment = Figment::new()
        .merge(Layer { name: DEFAULTS, values: defaults })
        .merge(Layer { name: FILE, values: written })
        .merge(Layer { name: ENVIRONMENT, values: environment(cx) });
    let entries = sections.into_iter().filter_map(|key| {
        // Figment can only fail to find a section, and every section has a default.
        let layered = figment.find_value(key).ok()?;
        Some(entry(&figment, key, &layered, Some(file), key))
    });
    let value = Value::Map(Map { entries: entries.collect(), ..Map::default() });
    Node { place: file.place.clone(), value }
}

/// Our variables; one that sets nothing is a mistake.
fn environment(cx: &Context<'_>) -> Dict {
    let mut values = Dict::new();
    for (name, text) in cx.env {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| rest.contains("__")) else { continue };
        let path = rest.split("__").collect::<Vec<_>>().join(".").to_ascii_lowercase();
        let known = SETTINGS.iter().find(|(known, shape, _)| *known == path && *shape != Shape::Section);
        match known {
            Some(_) if text.is_empty() => {}
            Some((path, shape, _)) => insert(&mut values, path, value(text, *shape)),
            None => {
                cx.report(unknown(name, &path));
            }
        }
    }
    values
}

fn unknown(name: &str, path: &str) -> Diagnostic {
    let near = nearest(path, SETTINGS.iter().filter(|s| s.1 != Shape::Section).map(|(known, _, _)| *known));
    let hint = match near {
        Some(near) => format!("did you mean {}?", variable(near)),
        None => "variables set proxy, admin and log only, as SIDEPASS_PROXY__LISTEN does; a profile or a route takes \
                 ${VAR} in the file"
            .into(),
    };
    Diagnostic {
        place: Place::Environment(name.to_owned()),
        key: path.to_owned(),
        message: "this variable sets nothing that is known".into(),
        hint: Some(hint),
    }
}

fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

fn value(text: &str, shape: Shape) -> Layered {
    match shape {
        Shape::List => Layered::from(text.split(',').map(str::trim).collect::<Vec<_>>()),
        Shape::Text | Shape::Section => Layered::from(text),
    }
}

fn insert(dict: &mut Dict, path: &str, value: Layered) {
    match path.split_once('.') {
        None => {
            // A map that is there already says more than a text.
            dict.entry(path.to_owned()).or_insert(value);
        }
        Some((key, rest)) => {
            let below = dict.entry(key.to_owned()).or_insert_with(|| Layered::from(Dict::new()));
            if below.as_dict().is_none() {
                *below = Layered::from(Dict::new());
            }
            if let Layered::Dict(_, below) = below {
                insert(below, rest, value);
            }
        }
    }
}

/// A file's value as texts; `null` leaves the default.
fn from_node(node: &Node) -> Option<Layered> {
    Some(match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => return None,
        // What a leaf holds is looked up in our tree again: figment only has to know that it is there.
        Value::Scalar(_) | Value::Broken => Layered::from(""),
        Value::List(_) => Layered::from(Vec::<String>::new()),
        Value::Map(map) => Layered::from(
            map.entries
                .iter()
                .filter_map(|entry| Some((entry.key.clone(), from_node(&entry.value)?)))
                .collect::<Dict>(),
        ),
    })
}

/// The winner as a node of ours; `parent` is the file's node above it, if the file has one.
fn entry(figment: &Figment, key: &str, layered: &Layered, parent: Option<&Node>, path: &str) -> Entry {
    let written = parent.and_then(|parent| match &parent.value {
        Value::Map(map) => map.entries.iter().find(|entry| entry.key == key),
        _ => None,
    });
    let node = node(figment, layered, written.map(|entry| &entry.value), path);
    let place = written.map_or_else(|| node.place.clone(), |entry| entry.place.clone());
    Entry { key: key.to_owned(), place, value: node }
}

fn node(figment: &Figment, layered: &Layered, written: Option<&Node>, path: &str) -> Node {
    let layer = figment.get_metadata(layered.tag()).map_or(DEFAULTS, |metadata| metadata.name.as_ref());
    match (layered, written) {
        (Layered::Dict(_, dict), _) => {
            let (flow, extent) = match written.map(|node| &node.value) {
                Some(Value::Map(map)) => (map.flow, map.extent),
                _ => Default::default(),
            };
            let entries = dict
                .iter()
                .map(|(key, value)| entry(figment, key, value, written, &format!("{path}.{key}")))
                .collect();
            let place = written.map_or(Place::Default, |node| node.place.clone());
            Node { place, value: Value::Map(Map { flow, extent, entries }) }
        }
        (_, Some(written)) if layer == FILE => written.clone(),
        _ => {
            let origin =
                if layer == ENVIRONMENT { Origin::Variable(variable(path)) } else { Origin::Written };
            let place =
                if layer == ENVIRONMENT { Place::Environment(variable(path)) } else { Place::Default };
            let text = |text: &str| Node {
                place: place.clone(),
                value: Value::Scalar(Scalar {
                    style: Style::Quoted,
                    pieces: vec![Piece { text: text.to_owned(), origin: origin.clone() }],
                }),
            };
            match layered {
                Layered::Array(_, items) => Node {
                    place: place.clone(),
                    value: Value::List(items.iter().filter_map(Layered::as_str).map(text).collect()),
                },
                layered => text(layered.as_str().unwrap_or_default()),
            }
        }
    }
}
