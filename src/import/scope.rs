//! The scope of an export: a text, or a JSON object in a text.

use serde_json::Value;

use super::custom::{Custom, Place};
use super::draft::{Draft, Item};
use super::yaml::Yaml;

/// How the token request's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Form,
    Json,
}

/// Adds `scope`; what looks like an object but is sent as a text becomes a custom parameter, which is the same on the wire.
pub(super) fn put(
    draft: &mut Draft<'_>,
    item: &mut Item,
    name: &str,
    (scope, body): (String, Body),
    custom: &mut Custom,
) {
    if !scope.trim_start().starts_with('{') {
        let value = draft.value(item, name, "SCOPE", scope);
        return item.put("scope", value);
    }
    if body == Body::Form || !is_object(&scope) {
        item.note(
            "The scope begins like a JSON object, but goes out as a text: so it is a custom parameter.",
        );
        return custom.add(draft, item, name, (Place::Body, "scope", scope));
    }
    // A placeholder inside makes all of it a variable.
    let value = if crate::config::placeholder(&scope).is_some() {
        draft.value(item, name, "SCOPE", scope)
    } else {
        item.note("A JSON object, which goes out as one.");
        Yaml::Text(scope)
    };
    item.put("scope", value);
}

/// A JSON object that the configuration takes for one: it keeps some private characters to itself.
fn is_object(text: &str) -> bool {
    let private = |c: char| (0xF_0000..=0xF_FFFD).contains(&u32::from(c));
    !text.contains(private) && matches!(serde_json::from_str::<Value>(text), Ok(Value::Object(_)))
}
