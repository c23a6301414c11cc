//! CPI's "Security Content" API: `OAuth2ClientCredentials`, `UserCredentials`, `SecureParameters` as OData JSON.
//!
//! One entity (`{"d":{…}}`), a collection (`{"d":{"results":[…]}}`), OData V4's `value`, bare arrays and objects, and several
//! of them behind each other. Secrets are always `null` in this API.

mod entities;
mod oauth2;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::draft::{Draft, Section};
use super::input::text;
use super::short;
use entities::Kind;

/// An entity, and what it is.
struct Entity<'v> {
    kind: Kind,
    name: String,
    members: &'v Map<String, Value>,
}

/// Reads all documents.
pub(super) fn read(draft: &mut Draft<'_>, documents: &[Value]) {
    let mut entities = Vec::new();
    for document in documents {
        collect(draft, document, None, &mut entities);
    }
    let entities = distinct(draft, entities);
    let has = |kind: Kind| entities.iter().any(|entity| entity.kind == kind);
    if has(Kind::OAuth2) {
        draft.warn(
            "CPI's API does not tell where the grant type is sent (\"Send as part of URL\" or \"body\"). It goes into the \
             body here; where a token service wants the other, add `grant_type_in: url`",
        );
    }
    if has(Kind::OAuth2) || has(Kind::User) {
        draft.warn(
            "CPI's API does not show OAuth2 SAML Bearer Assertion artifacts and key pairs: if the tenant has some, write \
             a profile of `type: oauth2_saml_bearer_assertion`, and create a new key pair (private keys cannot be downloaded)",
        );
    }
    for entity in &entities {
        match entity.kind {
            Kind::OAuth2 => oauth2::profile(draft, &entity.name, entity.members),
            Kind::User => entities::user(draft, &entity.name, entity.members),
            Kind::Parameter => entities::parameter(draft, &entity.name, entity.members),
        }
    }
    if !draft.is_empty() {
        draft.closing(routes(&entities));
    }
}

/// CPI keeps addresses in integration flows, so the way of a route is shown, and no route made.
fn routes(entities: &[Entity<'_>]) -> Vec<String> {
    let profile = entities.iter().find(|entity| entity.kind != Kind::Parameter);
    let mut lines = vec![
        "CPI keeps the addresses of APIs in its integration flows, so there is no route yet. One is:".into(),
    ];
    lines.extend(
        [
            "routes:",
            "  my_api:",
            "    match: { path_prefix: /my_api }",
            "    strip_prefix: true",
            "    upstream: https://api.example.com",
        ]
        .map(str::to_owned),
    );
    if profile.is_some() {
        lines.push("    profile: NAME".into());
    } else {
        lines.push("    headers: { X-Token: \"{NAME}\" }".into());
    }
    lines
}

/// Names of collections, for documents that hold several by name.
const COLLECTIONS: [(&str, Kind); 3] = [
    ("OAuth2ClientCredentials", Kind::OAuth2),
    ("UserCredentials", Kind::User),
    ("SecureParameters", Kind::Parameter),
];

/// Finds the entities of a document. serde_json bounds the depth.
fn collect<'v>(draft: &mut Draft<'_>, value: &'v Value, hint: Option<Kind>, into: &mut Vec<Entity<'v>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(draft, item, hint, into)),
        Value::Object(object) => {
            for wrapper in ["d", "results", "value"] {
                if let Some(inner @ (Value::Object(_) | Value::Array(_))) = object.get(wrapper) {
                    return collect(draft, inner, hint, into);
                }
            }
            let named = |(key, _): &(&str, Kind)| {
                matches!(object.get(*key), Some(Value::Object(_) | Value::Array(_)))
            };
            let mut found = COLLECTIONS.iter().filter(|collection| named(collection)).peekable();
            if found.peek().is_some() {
                for (key, kind) in found {
                    collect(draft, &object[*key], Some(*kind), into);
                }
                return;
            }
            entity(draft, object, hint, into);
        }
        _ => draft.error("an entity is a JSON object; something else stands where one is expected"),
    }
}

fn entity<'v>(
    draft: &mut Draft<'_>,
    object: &'v Map<String, Value>,
    hint: Option<Kind>,
    into: &mut Vec<Entity<'v>>,
) {
    let name = text(object, "Name");
    let called = name
        .as_deref()
        .map_or_else(|| "an entity without `Name`".to_owned(), |name| format!("`{}`", short(name)));
    if object.contains_key("error") && name.is_none() {
        return draft
            .error("this is an error answer of the API, and no export: look at its message, and ask again");
    }
    let kind = match entities::kind(object).or(hint.map(Ok)) {
        Some(Ok(kind)) => kind,
        Some(Err(other)) => {
            return draft.error(format!(
                "{called} is a `{}`, which is not known here; export OAuth2ClientCredentials, UserCredentials and \
                 SecureParameters only",
                short(&other)
            ));
        }
        None if object.contains_key("Authentication") => {
            return draft.error(format!("{called} is a destination: use `sidepass import destination`"));
        }
        None => {
            return draft.error(format!(
                "{called} is of no kind that is known here: neither `TokenServiceUrl` nor `User` nor `SecureParam` is among \
                 its members"
            ));
        }
    };
    match name {
        Some(name) => into.push(Entity { kind, name, members: object }),
        None => draft.error(format!("an entity of {} has no `Name`", kind.collection())),
    }
}

/// CPI lists OAuth2 credentials a second time among `UserCredentials`, and exports may overlap.
fn distinct<'v>(draft: &mut Draft<'_>, entities: Vec<Entity<'v>>) -> Vec<Entity<'v>> {
    let mut kept: Vec<Entity<'v>> = Vec::new();
    let oauth2: BTreeSet<String> = entities
        .iter()
        .filter(|entity| entity.kind == Kind::OAuth2)
        .map(|entity| entity.name.clone())
        .collect();
    let mut seen: BTreeSet<(Kind, String)> = BTreeSet::new();
    for entity in entities {
        if entity.kind == Kind::User && oauth2.contains(&entity.name) {
            draft.note(format!(
                "`{}` stands in UserCredentials too, where CPI lists OAuth2 credentials again: left out there.",
                entity.name
            ));
            continue;
        }
        let whole = Value::Object(entity.members.clone()).to_string();
        if seen.insert((entity.kind, whole)) {
            kept.push(entity);
        } else {
            draft.note(format!("`{}` stood in the export twice, the same each time.", entity.name));
        }
    }
    kept
}

impl Kind {
    /// The section that an entity of this kind belongs to.
    pub(super) fn section(self) -> Section {
        match self {
            Self::OAuth2 | Self::User => Section::Profiles,
            Self::Parameter => Section::Parameters,
        }
    }
}
