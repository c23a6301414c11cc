//! Destinations of SAP BTP: flat JSON objects of texts, alone, in a list, or as the answer of "find destination".
//!
//! A destination knows both the credential and the API, so it becomes a profile and a route.

mod authentication;
mod client;
mod properties;
pub(super) mod route;

use serde_json::{Map, Value};

use super::draft::{Draft, Item, Section};
use super::input::{folded, text};
use authentication::Credential;
use properties::Properties;

/// Reads all documents.
pub(super) fn read(draft: &mut Draft<'_>, documents: &[Value]) {
    let mut destinations = Vec::new();
    for document in documents {
        collect(draft, document, &mut destinations);
    }
    for destination in destinations {
        one(draft, destination);
    }
}

/// Finds the destinations of a document. serde_json bounds the depth.
fn collect<'v>(draft: &mut Draft<'_>, value: &'v Value, into: &mut Vec<&'v Map<String, Value>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(draft, item, into)),
        Value::Object(object) => {
            if object.get("authTokens").and_then(Value::as_array).is_some_and(|tokens| !tokens.is_empty()) {
                draft.note("The tokens and certificates in the answer are not carried over: tokens expire.");
            }
            let wrappers =
                ["destinationConfiguration", "init_data", "subaccount", "instance", "destinations"];
            let inner: Vec<_> = wrappers
                .iter()
                .filter_map(|wrapper| object.get(*wrapper))
                .filter(|inner| matches!(inner, Value::Object(_) | Value::Array(_)))
                .collect();
            if inner.is_empty() {
                into.push(object);
            }
            inner.into_iter().for_each(|inner| collect(draft, inner, into));
        }
        _ => draft.error("a destination is a JSON object; something else stands where one is expected"),
    }
}

fn one(draft: &mut Draft<'_>, object: &Map<String, Value>) {
    let Some(wanted) = text(object, "Name") else {
        return draft.error(match object.contains_key("d") {
            true => "this is OData of SAP Cloud Integration: use `sidepass import cpi`",
            false => "an object without `Name` is no destination",
        });
    };
    let mut item = Item::new(format!("destination `{}`", super::short(&wanted)));
    let mut properties = Properties::new(object);
    properties.skip(&["Name"]);
    let kind = properties.text("Type").unwrap_or_else(|| "HTTP".into());
    if !kind.eq_ignore_ascii_case("HTTP") {
        item.warn(format!("left out: its type is {}, and sidepass speaks HTTP", super::short(&kind)));
        return draft.drop_item(item);
    }
    let name = draft.name(Section::Profiles, &wanted, &mut item);
    if let Some(description) = properties.text("Description") {
        item.text("description", description);
    }
    let written = properties.text("Authentication").unwrap_or_else(|| "NoAuthentication".into());
    let credential = authentication::read(draft, &mut item, &name, &folded(&written), &mut properties);
    let credential = match credential {
        Ok(credential) => credential,
        Err(unknown) => {
            let written = super::short(&written);
            item.warn(format!("left out: its authentication is {written}: {unknown}"));
            return draft.drop_item(item);
        }
    };
    route::read(draft, &mut item, &name, credential, &mut properties);
    properties.report(&mut item);
    match credential {
        Credential::Profile => draft.add(Section::Profiles, name, item),
        Credential::None | Credential::Certificate => draft.drop_item(item),
    }
}
