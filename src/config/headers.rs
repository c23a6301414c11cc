//! The `headers:` of a route as written.

use http::HeaderName;

use super::SecretSource;
use super::form::{self, Kind, placeholder};
use super::names::Names;
use super::node::{Flow, Map, Value};
use super::profile::AuthorizationScheme;
use super::reader::{At, Broken, Read};
use super::route::HeaderConfig;
use super::template::{Carrier, Part, Template};
use crate::secret::Secret;

/// Names that belong to the connection or to the framing of a message; RFC 9110 section 7.6.1, RFC 9112 section 6.
pub(crate) const OURS: [&str; 13] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "expect",
    "http2-settings",
];

/// Whether the route has a profile; a broken one counts as there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HasProfile {
    /// One whose credential goes by this word; a broken one's by the usual one.
    Yes(AuthorizationScheme),
    No,
}

/// A field name that sidepass may set.
pub(crate) fn name(at: &At<'_>) -> Read<HeaderName> {
    let name = HeaderName::from_bytes(at.key.as_bytes())
        .map_err(|_| at.key_error("this is not a valid header name", None))?;
    if OURS.contains(&name.as_str()) {
        return Err(at.key_error(
            format!("`{name}` cannot be set: it belongs to the connection, and sidepass makes it itself"),
            (name == "host").then(|| "the Host header is the upstream's name".to_owned()),
        ));
    }
    Ok(name)
}

/// Names of secrets that are parts of harmless ones.
const SECRET: [&str; 2] = ["pass", "pin"];

/// What the names of secrets are made of.
const SECRET_PARTS: [&str; 11] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "apikey",
    "api-key",
    "api_key",
    "assertion",
];

/// Whether a header's or parameter's name says that its value is a secret.
pub(crate) fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // `X-Snowflake-Authorization-Token-Type` tells what a secret is, and is none.
    if name.ends_with("type") {
        return false;
    }
    name == "cookie"
        || SECRET.contains(&&*name)
        || name.contains("authorization")
        || SECRET_PARTS.iter().any(|word| name.contains(word))
        || ["-key", "_key", "-auth"].iter().any(|end| name.ends_with(end))
}

/// The same of a member of a body, which goes by many names: `authorizationAudience` holds none, `clientSecret` does.
fn ends_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.contains(&&*name) || SECRET_PARTS.iter().any(|word| name.ends_with(word))
}

/// Reads the headers of a route, and adds `Authorization: Bearer {token}` where it is the profile's way (or with its own
/// word: `Basic`, `DPoP`).
pub(crate) fn headers(
    at: Option<&At<'_>>,
    profile: HasProfile,
    parameters: &Names,
) -> Read<Vec<HeaderConfig>> {
    let entries = at.map_or_else(|| Ok(Vec::new()), At::entries)?;
    let mut headers: Vec<HeaderConfig> = Vec::new();
    let mut cleared: Option<&At<'_>> = None;
    let mut sound = Ok(());
    let mut seen: Vec<(HeaderName, &At<'_>)> = Vec::new();
    for entry in &entries {
        let Ok(name) = name(entry) else {
            sound = Err(Broken);
            continue;
        };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == name) {
            let message =
                format!("the header stands twice (names ignore case); first at {}", first.key_place);
            sound = Err(entry.key_error(message, None));
            continue;
        }
        seen.push((name.clone(), entry));
        if entry.is_null() && name == http::header::AUTHORIZATION {
            cleared = Some(entry);
            continue;
        }
        match template(entry, Carrier::Header, parameters) {
            Ok(value) => headers.push(HeaderConfig { name, value }),
            Err(Broken) => sound = Err(Broken),
        }
    }
    sound?;
    settle_token(&mut headers, cleared, profile, &entries)?;
    Ok(headers)
}

/// Who carries the token: exactly one rule decides, and nothing is added silently to what the file says.
fn settle_token(
    headers: &mut Vec<HeaderConfig>,
    cleared: Option<&At<'_>>,
    profile: HasProfile,
    entries: &[At<'_>],
) -> Read<()> {
    let needs = headers.iter().find_map(|header| Some((header, header.value.needs_profile()?)));
    if let (Some((header, written)), HasProfile::No) = (needs, profile) {
        let entry = entries.iter().find(|entry| header.name.as_str().eq_ignore_ascii_case(entry.key));
        if let Some(entry) = entry {
            let message = format!("`{{{written}}}` needs a profile, and this route has none");
            return Err(entry.error_hint(message, "add `profile: NAME`"));
        }
    }
    let carried = headers.iter().any(|header| header.value.uses_token());
    if let Some(cleared) = cleared {
        return if carried {
            Ok(())
        } else {
            Err(cleared.error_hint(
                "`Authorization: null` is for routes where another header carries `{token}`",
                "remove it, or use {token} in another header",
            ))
        };
    }
    if let HasProfile::Yes(AuthorizationScheme::Dpop) = profile
        && let Some(entry) = entries.iter().find(|entry| entry.key.eq_ignore_ascii_case("dpop"))
    {
        return Err(
            entry.key_error("the profile has `dpop`, and sidepass makes a proof for each request", None)
        );
    }
    let HasProfile::Yes(scheme) = profile else { return Ok(()) };
    if carried {
        return Ok(());
    }
    let scheme = scheme.as_str();
    if let Some(entry) = entries.iter().find(|entry| entry.key.eq_ignore_ascii_case("authorization")) {
        return Err(entry.error_hint(
            "this header would take the place of the profile's token, which no header uses then",
            format!("write \"{scheme} {{token}}\", use {{token}} in another header, or remove `profile`"),
        ));
    }
    let value = Template(vec![Part::Literal(format!("{scheme} ")), Part::Token]);
    headers.push(HeaderConfig { name: http::header::AUTHORIZATION, value });
    Ok(())
}

/// Whether a map is a placeholder whose quotes are missing: `{token}`.
pub(crate) fn is_placeholder(map: &Map, parameters: &Names) -> bool {
    let (Flow::Braces, [only]) = (map.flow, map.entries.as_slice()) else { return false };
    let of_token = ["token.", "claim."].iter().any(|start| only.key.starts_with(start));
    let is_name = of_token || only.key == "token" || parameters.iter().any(|name| name == only.key);
    only.value.is_null() && is_name
}

/// A text with placeholders, or a secret form; the key says whether a literal seems to be a secret.
pub(crate) fn template(at: &At<'_>, carrier: Carrier, parameters: &Names) -> Read<Template> {
    if let Value::Map(map) = &at.node.value {
        if let (true, [only]) = (is_placeholder(map, parameters), map.entries.as_slice()) {
            let written = &only.key;
            return Err(at.error_hint(
                format!("`{{{written}}}` without quotes is a YAML map"),
                format!("write \"{{{written}}}\""),
            ));
        }
        return Ok(Template(vec![Part::Secret(form::source(at, Kind::Secret)?)]));
    }
    let scalar = at.scalar()?;
    if scalar.whole_variable().is_some() {
        return Ok(Template(vec![Part::Secret(form::source(at, Kind::Secret)?)]));
    }
    let template = Template::parse_for(carrier, scalar, parameters).map_err(|error| match error.hint {
        Some(hint) => at.error_hint(error.message, hint),
        None => at.error(error.message),
    })?;
    if template.0.is_empty() && carrier == Carrier::Header {
        return Err(at.error("a header's value must not be empty"));
    }
    if let Some(found) = scalar.written_text().as_deref().and_then(placeholder) {
        at.warn(
            format!(
                "`{found}` looks like a placeholder of a template, and goes out as text in single braces"
            ),
            "put your own value in its place",
        );
    }
    let secret = match carrier {
        Carrier::Header => looks_secret(at.key),
        Carrier::Body => ends_secret(at.key),
    };
    if !template.0.is_empty() && template.is_literal() && secret {
        at.warn(
            "a secret seems to stand in the file itself",
            "name it under secure_parameters and write {name}, or use { env: NAME } or { file: path }",
        );
        let text = template.0.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            _ => None,
        });
        return Ok(Template(vec![Part::Secret(SecretSource::Literal(Secret::new(text.collect())))]));
    }
    Ok(template)
}
