//! Named values that came with a token: the members of its answer, or the claims of a JWT.
//!
//! Invariant: the members that are tokens themselves are not kept at the top of it, `Debug` shows nothing but names, and
//! an error names members, never values.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Members of an answer that are secrets of their own; whoever needs one has it already.
const TOKENS: [&str; 6] =
    ["access_token", "refresh_token", "id_token", "accessToken", "refreshToken", "idToken"];

/// How many names are told at most, and how long one may be.
const NAMES: (usize, usize) = (20, 60);

/// The members of a token answer, or the claims of a JWT. Cheap to clone.
#[derive(Clone, Default, PartialEq)]
pub struct TokenFields(Option<Arc<Map<String, Value>>>);

/// Why there is no text at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    /// Nothing is there.
    Missing,
    /// An object, an array or null is there, which no header can carry.
    NoText,
}

impl TokenFields {
    /// The members of an answer, without its tokens.
    pub fn of_answer(mut members: Map<String, Value>) -> Self {
        for token in TOKENS {
            members.remove(token);
        }
        Self::of(members)
    }

    /// All of these members.
    pub fn of(members: Map<String, Value>) -> Self {
        Self((!members.is_empty()).then(|| Arc::new(members)))
    }

    /// The text, number or boolean at a path: names of members, joined with dots. A name may hold dots itself
    /// (`xs.user.attributes`). Nothing for an object, an array or null.
    pub fn get(&self, path: &str) -> Option<String> {
        self.read(path).ok()
    }

    /// The same, and why there is nothing.
    pub fn read(&self, path: &str) -> Result<String, FieldFault> {
        match self.0.as_ref().and_then(|members| find(members, path)) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(truth)) => Ok(truth.to_string()),
            Some(_) => Err(FieldFault::NoText),
            None => Err(FieldFault::Missing),
        }
    }

    /// The names at the top, for a message: those that look like names, at most twenty.
    pub fn names(&self) -> String {
        let names = self.0.iter().flat_map(|members| members.keys()).filter(|name| is_plain(name));
        let names: Vec<&str> = names.take(NAMES.0).map(String::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// The value at a path. A name that is there as a whole wins over a path of the same spelling.
fn find<'a>(members: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = members.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| match members.get(&path[..dot]) {
        Some(Value::Object(inner)) => find(inner, &path[dot + 1..]),
        _ => None,
    })
}

/// Whether a name may stand in a log: whoever wrote the answer also wrote the name.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-:/".contains(&b);
    !name.is_empty() && name.len() <= NAMES.1 && name.bytes().all(plain)
}

impl fmt::Debug for TokenFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenFields({})", self.names())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> TokenFields {
        match value {
            Value::Object(members) => TokenFields::of_answer(members),
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn finds_texts_numbers_and_booleans_by_path() {
        let fields = fields(json!({
            "instance_url": "https://x.example", "expires_in": 3600, "ok": true, "f": 1.5,
            "ext_attr": { "zdn": "acme", "deep": { "er": "x" } },
            "xs.user.attributes": { "costcenter.name": "y" },
        }));
        for (path, expected) in [
            ("instance_url", "https://x.example"),
            ("expires_in", "3600"),
            ("ok", "true"),
            ("f", "1.5"),
            ("ext_attr.zdn", "acme"),
            ("ext_attr.deep.er", "x"),
            ("xs.user.attributes.costcenter.name", "y"),
        ] {
            assert_eq!(fields.get(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_text_is_told_from_what_is_missing() {
        let fields = fields(json!({"list": ["a"], "object": {"a": 1}, "null": null}));
        for path in ["list", "object", "null"] {
            assert_eq!(fields.read(path), Err(FieldFault::NoText), "{path}");
        }
        for path in ["", ".", "a", "object.b", "object.a.b", "list.0"] {
            assert_eq!(fields.read(path), Err(FieldFault::Missing), "{path}");
        }
        assert_eq!(TokenFields::default().read("a"), Err(FieldFault::Missing));
    }

    #[test]
    fn tokens_of_the_answer_are_not_kept() {
        let fields = fields(json!({"access_token": "a", "refresh_token": "b", "id_token": "c", "d": "e"}));
        for path in TOKENS {
            assert_eq!(fields.get(path), None, "{path}");
        }
        assert_eq!(fields.names(), "d");
    }

    #[test]
    fn debug_and_names_show_no_value_and_no_strange_name() {
        let fields = fields(json!({"zone": "hunter2", "a b": 1, "x\u{1b}": 2, "": 3}));
        assert_eq!(format!("{fields:?}"), "TokenFields(zone)");
        assert_eq!(TokenFields::default().names(), "none");
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "[a-c.ü]{0,12}") {
            let fields = fields(json!({"a": {"b": {"c": "x"}, "a.b": 1}, "a.b": {"c": 2}, "ü": {"ü": 1}}));
            let _ = fields.read(&path);
        }
    }
}
