//! `preset: NAME` as written: the profile's tree, filled up with what the provider wants.
//!
//! Invariants: what a user wrote wins; what a preset filled in says so by its place, which names the user's `preset:` line.

use std::cell::{Cell, RefCell};

use super::super::diagnostic::Place;
use super::super::node::{Entry, Extent, Map, Node, Origin, Piece, Scalar, Style, Value};
use super::super::preset::{self, Parameter, Preset, Shape};
use super::super::reader::{At, Broken, Read};
use super::super::suggest::{did_you_mean, fold, nearest};
use super::keys::KEYS;

/// Why a parameter cannot be a map.
const PART: &str = "this becomes a part of a longer text, so only a text can stand here";
const VARIABLE: &str = "write ${NAME} for an environment variable";

/// The profile with its preset filled in; nothing, if it has none.
pub(super) fn expand(at: &At<'_>) -> Read<Option<(&'static Preset, Node)>> {
    let Some(own) = at.map() else { return Ok(None) };
    let entries = at.entries()?;
    let Some(named) = entries.iter().find(|entry| entry.key == "preset") else { return Ok(None) };
    let preset = find(named)?;
    let place =
        Place::Filled { by: format!("preset {}", preset.name), at: Box::new(named.node.place.clone()) };
    let filler = Filler {
        at,
        preset,
        given: &entries,
        place,
        silent: Cell::new(own.extent == Extent::Gaps),
        reported: RefCell::default(),
    };
    let parameters = filler.check();
    let mut rest = Map { entries: Vec::new(), ..*own };
    for entry in &own.entries {
        let is_parameter = preset.parameters.iter().any(|parameter| parameter.name == entry.key);
        if entry.key != "preset" && !is_parameter && !filler.misspelt(entry) {
            rest.entries.push(entry.clone());
        }
    }
    let entries = filler.merge(&filler.settings(&rest), &rest.entries);
    parameters?;
    if !filler.reported.borrow().is_empty() {
        return Err(Broken);
    }
    let value = Value::Map(Map { entries, ..rest });
    Ok(Some((preset, Node { place: at.node.place.clone(), value })))
}

fn find(at: &At<'_>) -> Read<&'static Preset> {
    let text = at.text()?;
    let folded = fold(&text);
    let all = preset::all();
    all.iter().find(|preset| fold(&preset.name) == folded).ok_or_else(|| {
        let names = || all.iter().map(|preset| preset.name.as_str());
        let hint = did_you_mean(&text, names())
            .unwrap_or_else(|| format!("there are: {}", names().collect::<Vec<_>>().join(", ")));
        at.error_hint(format!("{} is not a preset that is there", at.quoted()), hint)
    })
}

/// Fills a preset's placeholders from what a user wrote.
struct Filler<'a> {
    at: &'a At<'a>,
    preset: &'static Preset,
    given: &'a [At<'a>],
    place: Place,
    /// Whether nothing can be said to be missing.
    silent: Cell<bool>,
    /// The parameters that were said to be missing.
    reported: RefCell<Vec<String>>,
}

impl Filler<'_> {
    /// Whether the texts of the parameters fit.
    fn check(&self) -> Read<()> {
        let mut sound = Ok(());
        for parameter in &self.preset.parameters {
            let Some(at) = self.given(&parameter.name) else { continue };
            if parameter.shape == Shape::Any {
                continue;
            }
            if at.map().is_some() {
                sound = Err(at.error_hint(PART, VARIABLE));
                continue;
            }
            match at.text() {
                Ok(text) if parameter.shape.fits(&text) => {}
                Ok(_) => {
                    sound = Err(at.error_hint(
                        format!("{} is not {}", at.quoted(), parameter.shape.describe()),
                        taught(parameter),
                    ));
                }
                Err(Broken) => sound = Err(Broken),
            }
        }
        sound
    }

    /// The settings that hold for what is there: the preset's, and what it has for keys that are set.
    fn settings(&self, own: &Map) -> Map {
        let mut settings = self.preset.settings.clone();
        for (key, more) in &self.preset.with {
            if own.entries.iter().any(|entry| entry.key == *key && !entry.value.is_null()) {
                overlay(&mut settings, more);
            }
        }
        // A service that the user names takes the place of the preset's, however it is named.
        let named = |key: &str| own.entries.iter().any(|entry| entry.key == key);
        if named("issuer") || named("token_service_url") {
            settings.entries.retain(|entry| !matches!(entry.key.as_str(), "issuer" | "token_service_url"));
        }
        settings
    }

    /// What the preset fills in, then what the user wrote; `null` takes a setting of the preset away.
    fn merge(&self, settings: &Map, own: &[Entry]) -> Vec<Entry> {
        let mut merged = Vec::new();
        for setting in &settings.entries {
            match own.iter().find(|entry| entry.key == setting.key) {
                Some(entry) => merged.extend(self.united(setting, entry)),
                None => merged.extend(self.entry(setting)),
            }
        }
        let added = own.iter().filter(|entry| !settings.entries.iter().any(|s| s.key == entry.key));
        merged.extend(added.cloned());
        merged
    }

    /// What both have: maps are merged, but for those that are one value.
    fn united(&self, setting: &Entry, own: &Entry) -> Option<Entry> {
        if own.value.is_null() {
            return None;
        }
        let (Value::Map(settings), Value::Map(map)) = (&setting.value.value, &own.value.value) else {
            return Some(own.clone());
        };
        let whole = own.key == "scope"
            || map
                .entries
                .iter()
                .any(|entry| matches!(entry.key.as_str(), "file" | "env" | "systemd_credential"));
        if whole {
            return Some(own.clone());
        }
        let entries = self.merge(settings, &map.entries);
        let value = Value::Map(Map { entries, ..*map });
        Some(Entry { value: Node { place: own.value.place.clone(), value }, ..own.clone() })
    }

    /// A setting of the preset; nothing, if it hangs on a parameter that is left out.
    fn entry(&self, setting: &Entry) -> Option<Entry> {
        if setting.value.is_null() {
            return None;
        }
        let value = self.filled(&setting.value)?;
        Some(Entry { key: setting.key.clone(), place: self.place.clone(), value })
    }

    fn filled(&self, node: &Node) -> Option<Node> {
        let value = match &node.value {
            Value::Scalar(scalar) => return self.scalar(scalar),
            Value::List(items) => {
                let items: Vec<Node> = items.iter().filter_map(|item| self.filled(item)).collect();
                (!items.is_empty()).then_some(Value::List(items))?
            }
            Value::Map(map) => {
                let entries: Vec<Entry> = map.entries.iter().filter_map(|entry| self.entry(entry)).collect();
                (!entries.is_empty()).then_some(Value::Map(Map { entries, ..*map }))?
            }
            Value::Broken => Value::Broken,
        };
        Some(Node { place: self.place.clone(), value })
    }

    /// A text with its `<placeholders>` filled in. One that is a placeholder as a whole becomes what the user wrote.
    fn scalar(&self, scalar: &Scalar) -> Option<Node> {
        let text = scalar.text();
        let written = |text: &str| Piece { text: text.to_owned(), origin: Origin::Written };
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, name, after)) = placeholder(rest) {
            let value = self.value(name)?;
            if before.is_empty() && after.is_empty() && pieces.is_empty() {
                return Some(value);
            }
            if !before.is_empty() {
                pieces.push(written(before));
            }
            match value.value {
                Value::Scalar(scalar) => pieces.extend(scalar.pieces),
                _ if self.is_shaped(name) => return None,
                _ => {
                    self.note(name, PART.to_owned(), VARIABLE.to_owned());
                    return None;
                }
            }
            rest = after;
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(written(rest));
        }
        let style = if pieces.len() > 1 { Style::Quoted } else { scalar.style };
        Some(Node { place: self.place.clone(), value: Value::Scalar(Scalar { style, pieces }) })
    }

    /// What a placeholder stands for.
    fn value(&self, name: &str) -> Option<Node> {
        if let Some(at) = self.given(name) {
            return Some(at.node.clone());
        }
        let parameter = self.preset.parameters.iter().find(|parameter| parameter.name == name);
        if let Some(default) = parameter.and_then(|parameter| parameter.default.as_ref()) {
            let value = Value::Scalar(Scalar::written(default, Style::Quoted));
            return Some(Node { place: self.place.clone(), value });
        }
        match parameter {
            Some(parameter) if parameter.optional => {}
            Some(parameter) => {
                self.note(name, format!("preset {} needs `{name}`", self.preset.name), taught(parameter));
            }
            None => self.note(
                name,
                format!("preset {} needs `{name}`", self.preset.name),
                format!("write `{name}`"),
            ),
        }
        None
    }

    /// Reports once what is wrong with a parameter, at the `preset:` line or where it stands.
    fn note(&self, name: &str, message: String, hint: String) {
        let mut reported = self.reported.borrow_mut();
        if reported.iter().any(|known| known == name) {
            return;
        }
        reported.push(name.to_owned());
        if !self.silent.get() {
            let at = self.given(name).or_else(|| self.given("preset"));
            at.unwrap_or(self.at).key_error(message, Some(hint));
        }
    }

    /// Whether [`Filler::check`] has looked at this parameter.
    fn is_shaped(&self, name: &str) -> bool {
        self.preset.parameters.iter().any(|parameter| parameter.name == name && parameter.shape != Shape::Any)
    }

    fn given(&self, name: &str) -> Option<&At<'_>> {
        self.given.iter().find(|at| at.key == name && !at.is_null())
    }

    /// Whether this key is no setting, but nearly a parameter that is not there: reported.
    fn misspelt(&self, entry: &Entry) -> bool {
        if KEYS.known.contains(&entry.key.as_str()) {
            return false;
        }
        let open = self.preset.parameters.iter().filter(|parameter| self.given(&parameter.name).is_none());
        let Some(near) = nearest(&entry.key, open.map(|parameter| parameter.name.as_str())) else {
            return false;
        };
        let Some(at) = self.given.iter().find(|at| at.key == entry.key) else { return false };
        self.silent.set(true);
        self.reported.borrow_mut().push(near.to_owned());
        at.key_error(
            format!("`{}` is not a parameter of preset {}", entry.key, self.preset.name),
            Some(format!("did you mean `{near}`?")),
        );
        true
    }
}

/// How a parameter is written.
fn taught(parameter: &Parameter) -> String {
    format!("{}, for example `{}: {}`", parameter.about, parameter.name, parameter.example)
}

/// Puts settings over others; maps are merged, `null` takes one away.
fn overlay(settings: &mut Map, more: &Map) {
    for entry in &more.entries {
        let there = settings.entries.iter_mut().find(|setting| setting.key == entry.key);
        match (there, &entry.value.value) {
            (Some(Entry { value: Node { value: Value::Map(below), .. }, .. }), Value::Map(more)) => {
                overlay(below, more);
            }
            (Some(setting), _) => *setting = entry.clone(),
            (None, _) => settings.entries.push(entry.clone()),
        }
    }
}

/// The text before the first `<name>`, the name, and the text behind it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('<')?;
    let (name, after) = rest.split_once('>')?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    plain.then_some((before, name, after))
}
