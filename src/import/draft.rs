//! The proxy.yaml in the making: three sections, the references to fill in, and what is to be said.
//!
//! Invariant: a secret of the input never comes here; [`Draft::variable`] and [`Draft::file`] make what stands in its place.

use super::name::Names;
use super::yaml::{self, Entry, Yaml};
use super::{ImportError, Imported, Kind, Origin};
use crate::config::placeholder;
use crate::config::source::clean;
use crate::config::{MAX_BYTES, MAX_NODES, Name};

/// A section of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Profiles,
    Parameters,
    Routes,
}

/// The whole of it.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) kind: Kind,
    pub(super) origin: Origin<'a>,
    profiles: Vec<Entry>,
    parameters: Vec<Entry>,
    routes: Vec<Entry>,
    names: [Names; 3],
    /// Names of variables and files together: one may stand in for the other.
    references: Names,
    variables: Vec<String>,
    files: Vec<String>,
    head: Vec<String>,
    tail: Vec<String>,
    warnings: Vec<String>,
    errors: Vec<String>,
}

/// A profile, a parameter's or a route's settings in the making.
#[derive(Debug)]
pub(super) struct Item {
    /// What messages call it.
    title: String,
    /// Comments above its name.
    head: Vec<String>,
    /// Comments above the next setting.
    pending: Vec<String>,
    entries: Vec<Entry>,
    warnings: Vec<String>,
    errors: Vec<String>,
}

impl Item {
    /// Something that messages call by this title; it may come from the input.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            head: Vec::new(),
            pending: Vec::new(),
            entries: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// A comment above the name.
    pub(super) fn about(&mut self, text: impl Into<String>) {
        self.head.push(text.into());
    }

    /// A comment above the next setting.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.pending.push(text.into());
    }

    /// What cannot be carried over: a comment, and a line for the user.
    pub(super) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.pending.push(format!("warning: {text}"));
        self.warnings.push(text);
    }

    /// What makes the whole import fail.
    pub(super) fn error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    /// Adds a setting.
    pub(super) fn put(&mut self, key: impl Into<String>, value: Yaml) {
        let comments = std::mem::take(&mut self.pending);
        self.entries.push(Entry { comments, key: key.into(), value });
    }

    /// Adds a setting that we write ourselves, as it is.
    pub(super) fn word(&mut self, key: &str, word: &str) {
        self.put(key, Yaml::Ours(word.into()));
    }

    /// Adds a text of the input; control characters are fine only in descriptions.
    pub(super) fn text(&mut self, key: &str, text: impl Into<String>) {
        self.put(key, Yaml::Text(text.into()));
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(kind: Kind, origin: Origin<'a>) -> Self {
        Self {
            kind,
            origin,
            profiles: Vec::new(),
            parameters: Vec::new(),
            routes: Vec::new(),
            names: Default::default(),
            references: Names::default(),
            variables: Vec::new(),
            files: Vec::new(),
            head: Vec::new(),
            tail: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Something to say at the top.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.head.push(text.into());
    }

    /// Something to say at the end; lines are printed as they are.
    pub(super) fn closing(&mut self, lines: impl IntoIterator<Item = String>) {
        self.tail.extend(lines);
    }

    /// What cannot be carried over at all: a comment at the top, and a line for the user.
    pub(super) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.head.push(format!("warning: {text}"));
        self.warnings.push(text);
    }

    /// What makes the import fail.
    pub(super) fn error(&mut self, text: impl std::fmt::Display) {
        self.errors.push(format!("{}: {text}", self.origin));
    }

    /// Takes a name in a section; says so if it had to be another than the source's.
    pub(super) fn name(&mut self, section: Section, wanted: &str, item: &mut Item) -> String {
        let name = self.names[section as usize].name(wanted);
        if name != wanted {
            let why = if Name::new(wanted).is_some() {
                "that name is taken, or reserved"
            } else {
                "a name has only letters, digits, `_` and `-`, at most 150"
            };
            item.head.push(format!("warning: `{}` is called `{name}` here: {why}", super::short(wanted)));
            item.warnings.push(format!("is called `{name}` here: {why}"));
        }
        name
    }

    /// Adds an item under its name.
    pub(super) fn add(&mut self, section: Section, name: String, mut item: Item) {
        let value = Yaml::Map(std::mem::take(&mut item.entries));
        self.add_value(section, name, item, value);
    }

    /// Adds an item that is one value.
    pub(super) fn add_value(&mut self, section: Section, name: String, item: Item, value: Yaml) {
        let Item { title, head, pending, warnings, errors, .. } = item;
        self.warnings.extend(warnings.into_iter().map(|text| format!("{title}: {text}")));
        self.errors.extend(errors.into_iter().map(|text| format!("{title}: {text}")));
        let comments = head.into_iter().chain(pending).collect();
        let entry = Entry { comments, key: name, value };
        match section {
            Section::Profiles => self.profiles.push(entry),
            Section::Parameters => self.parameters.push(entry),
            Section::Routes => self.routes.push(entry),
        }
    }

    /// What an item said, where nothing came of it.
    pub(super) fn drop_item(&mut self, item: Item) {
        let Item { title, warnings, errors, .. } = item;
        for text in warnings {
            self.warn(format!("{title}: {text}"));
        }
        self.errors.extend(errors.into_iter().map(|text| format!("{title}: {text}")));
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.profiles.is_empty() && self.parameters.is_empty() && self.routes.is_empty()
    }

    /// A variable to fill in: `{ env: CRM_CLIENT_SECRET }`.
    pub(super) fn variable(&mut self, name: &str, what: &str) -> Yaml {
        Yaml::Ours(format!("{{ env: {} }}", self.variable_name(name, what)))
    }

    /// The name of a variable to fill in.
    pub(super) fn variable_name(&mut self, name: &str, what: &str) -> String {
        let variable = self.references.variable(name, what);
        self.variables.push(variable.clone());
        variable
    }

    /// The name of a file to write: a PEM text has lines, which a variable holds badly.
    pub(super) fn file(&mut self, name: &str, extension: &str) -> String {
        let file = self.references.file(name, extension);
        self.files.push(file.clone());
        file
    }

    /// `{ certificate: { file: crm.crt }, private_key: { file: crm.key } }`, and the two names.
    pub(super) fn key_pair(&mut self, name: &str) -> (Yaml, String, String) {
        let (certificate, key) = (self.file(name, ".crt"), self.file(name, ".key"));
        let text = format!("{{ certificate: {{ file: {certificate} }}, private_key: {{ file: {key} }} }}");
        (Yaml::Ours(text), certificate, key)
    }

    /// A text of the input as a value that the configuration takes as it is. One that it would refuse becomes a variable
    /// to fill in.
    pub(super) fn value(&mut self, item: &mut Item, name: &str, key: &str, text: String) -> Yaml {
        let why = if clean(&text) != Ok(text.as_str()) {
            "holds a line break, a byte order mark or a control character"
        } else if placeholder(&text).is_some() {
            "holds a placeholder of a template (`{{…}}`)"
        } else if key == "resource" && text.contains('#') {
            "has a fragment (`#…`), which no resource has (RFC 8707 §2)"
        } else {
            return Yaml::Text(text);
        };
        item.warn(format!("the {key} in the export {why}: put the real one into the variable"));
        self.variable(name, key)
    }

    /// The text of it all; every mistake, if there is one.
    pub(super) fn finish(self) -> Result<Imported, ImportError> {
        if !self.errors.is_empty() {
            return Err(ImportError(self.errors));
        }
        if self.is_empty() {
            let mut lines = vec![format!("{}: nothing in it can be imported", self.origin)];
            lines.extend(self.warnings);
            return Err(ImportError(lines));
        }
        let mut out = String::new();
        let mut head = vec![format!(
            "Made by `sidepass import {}` from {}. Secrets are references, to be filled in.",
            self.kind.word(),
            self.origin
        )];
        if !self.variables.is_empty() {
            head.push(format!("Set before `sidepass check`: {}.", self.variables.join(", ")));
        }
        if !self.files.is_empty() {
            head.push(format!(
                "Write beside this file, readable by sidepass only: {}.",
                self.files.join(", ")
            ));
        }
        yaml::comments(&head, 0, &mut out);
        yaml::comments(&self.head, 0, &mut out);
        let sections =
            [("profiles", self.profiles), ("secure_parameters", self.parameters), ("routes", self.routes)];
        let sections: Vec<Entry> = sections
            .into_iter()
            .filter(|(_, entries)| !entries.is_empty())
            .map(|(key, entries)| Entry::new(key, Yaml::Map(entries)))
            .collect();
        let nodes: usize = sections.iter().map(|section| 2 + yaml::nodes(&section.value)).sum();
        for section in sections {
            out.push('\n');
            yaml::entries(&[section], 0, &mut out);
        }
        if !self.tail.is_empty() {
            out.push('\n');
            for line in &self.tail {
                out.push_str(&format!("# {line}\n"));
            }
        }
        if out.len() > MAX_BYTES || nodes >= MAX_NODES {
            let why =
                "more comes of it than one configuration may hold: import it in parts, into several files";
            return Err(ImportError(vec![format!("{}: {why}", self.origin)]));
        }
        Ok(Imported { yaml: out, warnings: self.warnings })
    }
}
