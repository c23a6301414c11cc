//! The directory of a mounted binding: a file for each member.
//!
//! What a file holds, SAP's `.metadata` says; without it, a JSON document of members is known by its looks.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map as Json, Value as JsonValue};

use super::SecretSource;

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// A binding's directory as an object: a member for each file, texts and JSON documents.
pub(super) fn members(directory: &Path) -> std::io::Result<Json<String, JsonValue>> {
    let formats = metadata(directory);
    let mut members = Json::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // `..data` and its kin are Kubernetes' own.
        if name.starts_with('.') || !entry.path().is_file() {
            continue;
        }
        let format = formats.as_ref().map(|formats| formats.get(&name).copied());
        // What the metadata leave out, or call something else, is no credential.
        if format == Some(None) {
            continue;
        }
        let Ok(text) = SecretSource::File(entry.path()).read_text() else { continue };
        let plain = || JsonValue::from(text.expose().trim_end());
        let value = match format.flatten() {
            Some(Format::Text) => plain(),
            Some(Format::Json) | None => parse(text.expose()).unwrap_or_else(|_| plain()),
        };
        members.insert(name, value);
    }
    Ok(members)
}

/// The credentials that `.metadata` names, and what each holds; nothing where there is none, or none that can be read.
fn metadata(directory: &Path) -> Option<BTreeMap<String, Format>> {
    let text = SecretSource::File(directory.join(".metadata")).read_text().ok()?;
    let metadata = parse(text.expose()).ok()?;
    let properties = metadata.get("credentialProperties")?.as_array()?;
    let named = |property: &JsonValue| {
        let name = property.get("name")?.as_str()?.to_owned();
        let is_json = property.get("format").and_then(JsonValue::as_str) == Some("json");
        Some((name, if is_json { Format::Json } else { Format::Text }))
    };
    Some(properties.iter().filter_map(named).collect())
}

/// A JSON document of members; a text that merely looks like a number stays a text. Else the line that is at fault, if
/// one is.
pub(super) fn parse(text: &str) -> Result<JsonValue, Option<usize>> {
    let text = text.trim_start_matches('\u{feff}').trim_end();
    match text.trim_start().starts_with(['{', '[']) {
        true => serde_json::from_str(text).map_err(|error| Some(error.line())),
        false => Err(None),
    }
}
