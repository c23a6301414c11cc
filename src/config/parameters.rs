//! `custom_parameters:` as written, with CPI's limits.

use http::HeaderName;

use super::SecretSource;
use super::form::{self, Kind};
use super::headers::{self, looks_secret};
use super::node::Value;
use super::profile::{CustomParameter, ParameterPlace};
use super::reader::{At, Broken, Keys, Read};

/// CPI's table has this many rows; a list counts once a value.
pub(crate) const MAX_ROWS: usize = 20;
/// CPI's limit for a key and for a value.
pub(crate) const MAX_LENGTH: usize = 1024;
/// What the profile itself sends.
pub(crate) const RESERVED: [&str; 3] = ["client_id", "client_secret", "grant_type"];

const KEYS: Keys = Keys {
    known: &["body", "header", "url"],
    aliases: &[
        ("headers", "header"),
        ("query", "url"),
        ("form", "body"),
        ("params", "body"),
        ("json", "body"),
    ],
};

/// Reads the three groups.
pub(crate) fn custom_parameters(at: &At<'_>) -> Read<Vec<CustomParameter>> {
    let fields = at.fields(&KEYS)?;
    let mut rows = Vec::new();
    let mut sound = Ok(());
    let places =
        [("body", ParameterPlace::Body), ("header", ParameterPlace::Header), ("url", ParameterPlace::Url)];
    for (key, place) in places {
        let Some(group) = fields.get(key) else { continue };
        match group.entries() {
            Ok(entries) => {
                for entry in entries {
                    match parameter(&entry, place) {
                        Ok(row) => rows.push(row),
                        Err(Broken) => sound = Err(Broken),
                    }
                }
            }
            Err(Broken) => sound = Err(Broken),
        }
    }
    let count: usize = rows.iter().map(|row| row.values.len()).sum();
    if count > MAX_ROWS {
        return Err(
            at.key_error(format!("{count} custom parameters: no more than {MAX_ROWS} are allowed"), None)
        );
    }
    sound.map(|()| rows)
}

fn parameter(at: &At<'_>, place: ParameterPlace) -> Read<CustomParameter> {
    if RESERVED.contains(&at.key) {
        return Err(at.key_error(
            format!("`{}` is a field of the profile, and no custom parameter", at.key),
            Some(match at.key {
                "grant_type" => {
                    "set `grant_type` of the profile (or its `type`), and `grant_type_in` where it goes into the URL"
                        .to_owned()
                }
                key => format!("set `{key}` of the profile"),
            }),
        ));
    }
    if at.key.trim().is_empty() || at.key.chars().count() > MAX_LENGTH || at.key.contains(char::is_control) {
        return Err(
            at.key_error(format!("the key must not be blank, nor longer than {MAX_LENGTH} characters"), None)
        );
    }
    if place == ParameterPlace::Header {
        header(at)?;
    }
    let kind = if looks_secret(at.key) { Kind::Secret } else { Kind::Plain };
    let items = match &at.node.value {
        Value::List(items) if items.is_empty() => return Err(at.error("the list is empty")),
        Value::List(_) => at.items(),
        _ => vec![at.clone()],
    };
    let values: Vec<Read<SecretSource>> = items.iter().map(|item| value(item, kind)).collect();
    Ok(CustomParameter { place, key: at.key.to_owned(), values: values.into_iter().collect::<Read<_>>()? })
}

fn header(at: &At<'_>) -> Read<()> {
    let name: HeaderName = headers::name(at)?;
    match refused_header(&name) {
        Some(why) => Err(at.key_error(format!("`{name}` cannot be set here: {why}"), None)),
        None => Ok(()),
    }
}

/// Why a header is not for the table: it is the token request's own, or the connection's.
pub(crate) fn refused_header(name: &HeaderName) -> Option<&'static str> {
    match name.as_str() {
        "authorization" | "proxy-authorization" => Some("client_authentication decides it"),
        "content-type" => Some("content_type decides it"),
        "accept" | "accept-encoding" | "user-agent" => Some("sidepass sets it itself"),
        "x-cf-encoded-credentials" => Some("basic_encoding decides it"),
        name if headers::OURS.contains(&name) => Some("it belongs to the connection"),
        _ => None,
    }
}

fn value(at: &At<'_>, kind: Kind) -> Read<SecretSource> {
    let source = form::source(at, kind)?;
    let secret = source.read().map_err(|error| at.error(error.0))?;
    if secret.expose().trim().is_empty() {
        return Err(at.error("the value must not be blank"));
    }
    if secret.expose().chars().count() > MAX_LENGTH {
        return Err(at.error(format!("the value is longer than {MAX_LENGTH} characters")));
    }
    Ok(source)
}
