//! The kinds of entities, and the two simple ones: user credentials and secure parameters.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::import::draft::{Draft, Item};
use crate::import::input::{folded, text};
use crate::import::yaml::Yaml;

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// OAuth2 Client Credentials.
    OAuth2,
    /// User Credentials.
    User,
    /// Secure Parameter.
    Parameter,
}

impl Kind {
    /// The name of the OData collection.
    pub(super) fn collection(self) -> &'static str {
        match self {
            Self::OAuth2 => "OAuth2ClientCredentials",
            Self::User => "UserCredentials",
            Self::Parameter => "SecureParameters",
        }
    }
}

/// What `__metadata` says that an entity is, or else its members; the name of a type that is not known is the error.
pub(super) fn kind(object: &Map<String, Value>) -> Option<Result<Kind, String>> {
    let metadata = object.get("__metadata").and_then(Value::as_object);
    if let Some(kind) = metadata.and_then(|metadata| text(metadata, "type")) {
        let last = kind.rsplit('.').next().unwrap_or_default();
        let known = match last.trim_end_matches('s') {
            "OAuth2ClientCredential" => Kind::OAuth2,
            "UserCredential" => Kind::User,
            "SecureParameter" => Kind::Parameter,
            _ => return Some(Err(last.to_owned())),
        };
        return Some(Ok(known));
    }
    let has = |key: &str| object.contains_key(key);
    if has("TokenServiceUrl") || has("ClientAuthentication") {
        Some(Ok(Kind::OAuth2))
    } else if has("SecureParam") {
        Some(Ok(Kind::Parameter))
    } else if has("User") || has("Password") {
        Some(Ok(Kind::User))
    } else {
        None
    }
}

/// What CPI says of an artifact, as comments.
pub(super) fn describe(item: &mut Item, object: &Map<String, Value>) {
    let descriptor = object.get("SecurityArtifactDescriptor").and_then(Value::as_object).unwrap_or(object);
    let status = text(descriptor, "Status");
    let by = text(descriptor, "DeployedBy");
    let on = text(descriptor, "DeployedOn").map(|on| date(&on));
    if status.is_some() || by.is_some() || on.is_some() {
        let mut said = format!("In CPI: {}", status.unwrap_or_else(|| "deployed".into()));
        for (word, value) in [("by", by), ("on", on)] {
            if let Some(value) = value {
                said.push_str(&format!(" {word} {value}"));
            }
        }
        item.about(said + ".");
    }
}

/// `/Date(1689921881599)/` as a date; anything else as it is.
fn date(text: &str) -> String {
    let inside = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/"));
    // humantime knows years up to 9999.
    let millis = inside.and_then(|millis| millis.split(['+', '-']).next()?.parse::<u64>().ok());
    match millis.filter(|millis| *millis < 253_402_300_800_000) {
        Some(millis) => {
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
        }
        None => text.to_owned(),
    }
}

/// Adds a description, which may hold anything.
pub(super) fn description(item: &mut Item, object: &Map<String, Value>) {
    if let Some(description) = text(object, "Description") {
        item.text("description", description);
    }
}

/// User credentials: Basic.
pub(super) fn user(draft: &mut Draft<'_>, wanted: &str, object: &Map<String, Value>) {
    let mut item = Item::new(format!("UserCredentials `{}`", super::short(wanted)));
    describe(&mut item, object);
    let kind = text(object, "Kind").map(|kind| folded(&kind)).unwrap_or_default();
    match kind.as_str() {
        "" | "default" | "successfactors" => {}
        "openconnectors" => {
            item.warn(
                "left out: Open Connectors wants the header `Authorization: User …, Organization …, Element …`, and the API \
                 does not show organization and element. Name the secrets under `secure_parameters`, and write that \
                 header in the route",
            );
            return draft.drop_item(item);
        }
        _ => {
            item.error(format!(
                "`Kind` is `{}`; known are default, successfactors and openconnectors",
                super::short(&text(object, "Kind").unwrap_or_default())
            ));
            return draft.drop_item(item);
        }
    }
    let name = draft.name(Kind::User.section(), wanted, &mut item);
    item.word("type", "user_credentials");
    description(&mut item, object);
    let company = text(object, "CompanyId");
    let user = match (text(object, "User"), company) {
        (None, _) => {
            item.warn("the export has no `User`: put it into the variable");
            draft.variable(&name, "USER")
        }
        (Some(user), Some(company)) if !user.ends_with(&format!("@{company}")) => {
            item.note("SuccessFactors wants the company behind the user.");
            draft.value(&mut item, &name, "user", format!("{user}@{company}"))
        }
        (Some(user), _) => draft.value(&mut item, &name, "user", user),
    };
    if matches!(&user, Yaml::Text(user) if user.contains(':')) {
        item.error("`User` holds a colon, which does not fit into Basic (RFC 7617)");
    }
    item.put("user", user);
    let password = draft.variable(&name, "PASSWORD");
    item.put("password", password);
    draft.add(Kind::User.section(), name, item);
}

/// A secure parameter: a named secret.
pub(super) fn parameter(draft: &mut Draft<'_>, wanted: &str, object: &Map<String, Value>) {
    let mut item = Item::new(format!("SecureParameters `{}`", super::short(wanted)));
    describe(&mut item, object);
    if let Some(description) = text(object, "Description") {
        item.about(description);
    }
    let name = draft.name(Kind::Parameter.section(), wanted, &mut item);
    let value: Yaml = draft.variable(&name, "");
    draft.add_value(Kind::Parameter.section(), name, item, value);
}
