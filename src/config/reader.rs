//! Typed access to the tree: every reader says what is wrong at once and goes on.
//!
//! Invariant: [`Broken`] means that the reason has been reported; nobody who gets it reports again.

use std::cell::RefCell;
use std::time::Duration;

use super::diagnostic::{Diagnostic, Place};
use super::expand::join;
use super::node::{Entry, Extent, Flow, Map, Node, Scalar, Value};
use super::suggest::{did_you_mean, fold, nearest};
use super::{Environment, missing, units};

/// A mistake was found and reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// A value, or a mistake that was reported.
pub(crate) type Read<T> = Result<T, Broken>;

/// Everything that was said about a configuration so far, and the environment it is read in.
pub(crate) struct Context<'a> {
    pub(crate) env: &'a Environment,
    errors: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(env: &'a Environment) -> Self {
        Self { env, errors: RefCell::default(), warnings: RefCell::default() }
    }

    pub(crate) fn report(&self, diagnostic: Diagnostic) -> Broken {
        self.errors.borrow_mut().push(diagnostic);
        Broken
    }

    pub(crate) fn report_all(&self, diagnostics: Vec<Diagnostic>) {
        self.errors.borrow_mut().extend(diagnostics);
    }

    pub(crate) fn warn(&self, diagnostic: Diagnostic) {
        self.warnings.borrow_mut().push(diagnostic);
    }

    /// The mistakes and the warnings.
    pub(crate) fn into_parts(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        (self.errors.into_inner(), self.warnings.into_inner())
    }
}

/// A node, the keys that lead to it, and where to complain.
#[derive(Clone)]
pub(crate) struct At<'a> {
    pub(crate) cx: &'a Context<'a>,
    pub(crate) node: &'a Node,
    /// Where the key of this node stands; the node itself for a list item.
    pub(crate) key_place: &'a Place,
    /// The last key.
    pub(crate) key: &'a str,
    pub(crate) path: String,
}

/// The keys of a map.
pub(crate) struct Keys {
    /// Those that are known.
    pub(crate) known: &'static [&'static str],
    /// Words of other products, folded, and ours.
    pub(crate) aliases: &'static [(&'static str, &'static str)],
}

impl<'a> At<'a> {
    pub(crate) fn root(cx: &'a Context<'a>, node: &'a Node) -> Self {
        Self { cx, node, key_place: &node.place, key: "", path: String::new() }
    }

    fn below(&self, entry: &'a Entry) -> Self {
        let path = join(&self.path, &entry.key);
        Self { cx: self.cx, node: &entry.value, key_place: &entry.place, key: &entry.key, path }
    }

    /// Reports a mistake of the value.
    pub(crate) fn error(&self, message: impl Into<String>) -> Broken {
        self.report(&self.node.place, message.into(), None)
    }

    /// Reports a mistake of the value, and what to do.
    pub(crate) fn error_hint(&self, message: impl Into<String>, hint: impl Into<String>) -> Broken {
        self.report(&self.node.place, message.into(), Some(hint.into()))
    }

    /// Reports a mistake of the key, and what to do if that is known.
    pub(crate) fn key_error(&self, message: impl Into<String>, hint: Option<String>) -> Broken {
        self.report(self.key_place, message.into(), hint)
    }

    fn report(&self, place: &Place, message: String, hint: Option<String>) -> Broken {
        self.cx.report(Diagnostic { place: place.clone(), key: self.path.clone(), message, hint })
    }

    /// Says that something works but should not stay so.
    pub(crate) fn warn(&self, message: impl Into<String>, hint: impl Into<String>) {
        let place = self.node.place.clone();
        let (message, hint) = (message.into(), Some(hint.into()));
        self.cx.warn(Diagnostic { place, key: self.path.clone(), message, hint });
    }

    pub(crate) fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// A text, whatever it looks like; `null` is none.
    pub(crate) fn scalar(&self) -> Read<&'a Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.is_null() => Err(self.error_hint(
                "a text is needed, but nothing is there",
                "a text that looks like null needs quotes: \"\", \"null\" or \"~\"",
            )),
            Value::Scalar(scalar) => Ok(scalar),
            Value::Map(map) if map.flow == Flow::Braces => Err(self.error_hint(
                "a text is needed, but braces without quotes are a YAML map",
                "put the value into quotes: \"{…}\"",
            )),
            Value::Map(_) => Err(self.error("a text is needed, but a map stands here")),
            Value::List(_) => Err(self.error_hint(
                "a text is needed, but a list stands here",
                "a text that begins with `[` needs quotes",
            )),
            Value::Broken => Err(Broken),
        }
    }

    pub(crate) fn text(&self) -> Read<String> {
        self.scalar().map(Scalar::text)
    }

    /// The value for a message, if it is a word that stands in the file (or in a variable of ours).
    pub(crate) fn quoted(&self) -> String {
        match &self.node.value {
            Value::Scalar(scalar) => match scalar.written_text() {
                Some(text) if !text.is_empty() && text.len() <= 60 && !text.contains(char::is_control) => {
                    format!("`{text}`")
                }
                _ => "this value".into(),
            },
            _ => "this value".into(),
        }
    }

    pub(crate) fn boolean(&self) -> Read<bool> {
        let text = self.text()?;
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            "yes" | "on" | "y" => Err(self.error_hint("this is not true or false", "write `true`")),
            "no" | "off" | "n" => Err(self.error_hint("this is not true or false", "write `false`")),
            _ => Err(self.error_hint("this is not true or false", "write `true` or `false`")),
        }
    }

    pub(crate) fn duration(&self) -> Read<Duration> {
        units::duration(&self.text()?).map_err(|(message, hint)| self.error_hint(message, hint))
    }

    /// A duration that must not be zero.
    pub(crate) fn some_time(&self) -> Read<Duration> {
        match self.duration()? {
            Duration::ZERO => Err(self.error("this duration must be more than zero")),
            duration => Ok(duration),
        }
    }

    /// A number of bytes.
    pub(crate) fn size(&self, min: usize, max: usize) -> Read<usize> {
        let size = units::size(&self.text()?).map_err(|(message, hint)| self.error_hint(message, hint))?;
        if (min..=max).contains(&size) {
            return Ok(size);
        }
        Err(self.error(format!("this size must be between {min} and {max} bytes")))
    }

    /// A whole number.
    pub(crate) fn count(&self, min: usize, max: usize) -> Read<usize> {
        let wrong = || self.error(format!("a whole number between {min} and {max} is needed"));
        let number: usize = self.text()?.trim().parse().map_err(|_| wrong())?;
        if (min..=max).contains(&number) { Ok(number) } else { Err(wrong()) }
    }

    /// One of some words, each given folded; the first of each value is what messages name.
    pub(crate) fn choice<T: Copy>(&self, words: &[(&'static str, T)], teach: &str) -> Read<T> {
        let text = self.text()?;
        let folded = fold_value(&text);
        if let Some((_, value)) = words.iter().find(|(word, _)| fold(word) == folded) {
            return Ok(*value);
        }
        let hint = did_you_mean(&text, words.iter().map(|(word, _)| *word));
        let hint = hint.unwrap_or_else(|| format!("write {teach}"));
        Err(self.error_hint(format!("{} is not known here", self.quoted()), hint))
    }

    /// The items of a list, or the one value that stands in its place; `null` is an empty list.
    pub(crate) fn items(&self) -> Vec<At<'a>> {
        match &self.node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| At {
                    cx: self.cx,
                    node,
                    key_place: &node.place,
                    key: self.key,
                    path: format!("{}[{index}]", self.path),
                })
                .collect(),
            Value::Scalar(scalar) if scalar.is_null() => Vec::new(),
            _ => vec![self.clone()],
        }
    }

    /// The entries of a map whose keys are free; `null` is an empty map.
    pub(crate) fn entries(&self) -> Read<Vec<At<'a>>> {
        match &self.node.value {
            Value::Map(map) => Ok(map.entries.iter().map(|entry| self.below(entry)).collect()),
            Value::Scalar(scalar) if scalar.is_null() => Ok(Vec::new()),
            Value::Broken => Err(Broken),
            Value::List(_) => Err(self
                .error_hint("a map is needed, but a list stands here", "write `name: …` instead of `- …`")),
            Value::Scalar(_) => Err(self.error("a map (`key: value`) is needed, but a text stands here")),
        }
    }

    /// The fields of a map whose keys are fixed; unknown ones are reported, and the rest is read.
    pub(crate) fn fields(&self, keys: &Keys) -> Read<Fields<'a>> {
        self.fields_of(keys, |_| true)
    }

    /// The same, where not every known key fits: only those that do are listed for an unknown one.
    pub(crate) fn fields_of(&self, keys: &Keys, fits: impl Fn(&str) -> bool) -> Read<Fields<'a>> {
        let entries = self.entries()?;
        let (fields, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| keys.known.contains(&entry.key));
        let meant = others.iter().filter_map(|entry| entry.unknown(keys, &fits)).collect();
        let gaps = !others.is_empty() || self.map().is_some_and(|map| map.extent == Extent::Gaps);
        let extent = if gaps { Extent::Gaps } else { Extent::Whole };
        Ok(Fields { at: self.clone(), fields, meant, extent })
    }

    /// Reports an unknown key; the known one that was most likely meant.
    fn unknown(&self, keys: &Keys, fits: impl Fn(&str) -> bool) -> Option<&'static str> {
        let folded = fold(self.key);
        let alias = keys.aliases.iter().find(|(alias, _)| fold(alias) == folded).map(|(_, ours)| *ours);
        let near = nearest(self.key, keys.known.iter().copied());
        let listed = || keys.known.iter().copied().filter(|key| fits(key)).collect::<Vec<_>>().join(", ");
        let hint = match alias {
            Some(ours) if ours.contains(' ') => Some(ours.to_owned()),
            Some(ours) => Some(format!("here it is called `{ours}`")),
            None => near
                .map(|near| format!("did you mean `{near}`?"))
                .or_else(|| Some(format!("known here: {}", listed()))),
        };
        let plain = self.key.len() <= 60 && !self.key.contains(char::is_control);
        let what = if plain { format!("`{}`", self.key) } else { "this".into() };
        self.key_error(format!("{what} is not a key that is known here"), hint);
        alias.or(near)
    }

    /// The map that this node is.
    pub(crate) fn map(&self) -> Option<&'a Map> {
        match &self.node.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }
}

/// A value of an enumeration without what people vary, and without CPI's `Send as` and `Send as part of`.
pub(crate) fn fold_value(text: &str) -> String {
    let folded = fold(text);
    let short = folded.strip_prefix("sendaspartof").or_else(|| folded.strip_prefix("sendas"));
    short.map_or_else(|| folded.clone(), str::to_owned)
}

/// The known fields of a map.
pub(crate) struct Fields<'a> {
    pub(crate) at: At<'a>,
    fields: Vec<At<'a>>,
    /// The keys that unknown ones were most likely meant for: they are not missing, only misspelt.
    meant: Vec<&'static str>,
    /// Whether something was written that could not be read.
    pub(crate) extent: Extent,
}

impl<'a> Fields<'a> {
    /// Whether an unknown key was most likely meant to be this one.
    pub(crate) fn meant(&self, key: &str) -> bool {
        self.meant.contains(&key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&At<'a>> {
        self.fields.iter().find(|at| at.key == key)
    }

    /// A field that must be there.
    pub(crate) fn required<T>(&self, key: &str, read: impl FnOnce(&At<'a>) -> Read<T>) -> Read<T> {
        match self.get(key) {
            Some(at) => read(at),
            None if self.meant.contains(&key) => Err(Broken),
            None if self.at.map().is_some_and(|map| map.extent == Extent::Gaps) => Err(Broken),
            None => Err(self.at.key_error(format!("`{key}` is missing"), missing::hint(key))),
        }
    }

    /// A field that may be missing.
    pub(crate) fn optional<T>(&self, key: &str, read: impl FnOnce(&At<'a>) -> Read<T>) -> Read<Option<T>> {
        self.get(key).map(read).transpose()
    }

    /// A field with a default.
    pub(crate) fn or<T>(&self, key: &str, default: T, read: impl FnOnce(&At<'a>) -> Read<T>) -> Read<T> {
        self.get(key).map_or(Ok(default), read)
    }
}
