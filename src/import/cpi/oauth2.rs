//! CPI's OAuth2 Client Credentials, field by field.

use serde_json::{Map, Value};

use super::entities::{Kind, describe, description};
use crate::import::custom::{Custom, Place};
use crate::import::draft::{Draft, Item};
use crate::import::input::{folded, text};
use crate::import::scope::{self, Body};
use crate::import::token_url;

/// Makes a profile of it.
pub(super) fn profile(draft: &mut Draft<'_>, wanted: &str, object: &Map<String, Value>) {
    let mut item = Item::new(format!("OAuth2ClientCredentials `{}`", super::short(wanted)));
    describe(&mut item, object);
    let section = Kind::OAuth2.section();
    let name = draft.name(section, wanted, &mut item);
    let mut custom = Custom::default();
    description(&mut item, object);
    match text(object, "TokenServiceUrl") {
        Some(url) => token_url::put(draft, &mut item, &name, "TokenServiceUrl", &url, &mut custom),
        None => item.error("`TokenServiceUrl` is missing or empty"),
    }
    match text(object, "ClientId") {
        Some(id) => {
            let id = draft.value(&mut item, &name, "CLIENT_ID", id);
            item.put("client_id", id);
        }
        None => {
            item.warn("the export has no `ClientId`: put it into the variable");
            let id = draft.variable(&name, "CLIENT_ID");
            item.put("client_id", id);
        }
    }
    let secret = draft.variable(&name, "CLIENT_SECRET");
    item.put("client_secret", secret);
    client_authentication(&mut item, object);
    let body = content_type(&mut item, object);
    parameters(draft, &mut item, &name, object, &mut custom);
    if let Some(text) = text(object, "Scope") {
        scope::put(draft, &mut item, &name, (text, body), &mut custom);
    }
    for (member, key) in [("Resource", "resource"), ("Audience", "audience")] {
        if let Some(value) = text(object, member) {
            let value = draft.value(&mut item, &name, key, value);
            item.put(key, value);
        }
    }
    custom.put(&mut item);
    draft.add(section, name, item);
}

fn client_authentication(item: &mut Item, object: &Map<String, Value>) {
    let Some(written) = text(object, "ClientAuthentication") else {
        item.note("The export does not say it; CPI's default is the body.");
        return item.word("client_authentication", "body_parameter");
    };
    match folded(&written).as_str() {
        "body" | "bodyparameter" => item.word("client_authentication", "body_parameter"),
        "header" | "requestheader" => item.word("client_authentication", "request_header"),
        _ => item.error(format!(
            "`ClientAuthentication` is `{}`; known are body and header",
            super::short(&written)
        )),
    }
}

fn content_type(item: &mut Item, object: &Map<String, Value>) -> Body {
    let written = text(object, "ScopeContentType").unwrap_or_default();
    let bare = written.split(';').next().unwrap_or_default();
    match folded(bare).as_str() {
        "" | "urlencoded" | "form" | "application/xwwwformurlencoded" => Body::Form,
        "json" | "application/json" => {
            item.word("content_type", "application/json");
            Body::Json
        }
        _ => {
            item.error(format!(
                "`ScopeContentType` is `{}`; known are urlencoded and json",
                super::short(&written)
            ));
            Body::Form
        }
    }
}

fn parameters(
    draft: &mut Draft<'_>,
    item: &mut Item,
    name: &str,
    object: &Map<String, Value>,
    custom: &mut Custom,
) {
    let rows = match object.get("CustomParameters") {
        None | Some(Value::Null) => return,
        Some(Value::Array(rows)) => rows,
        Some(Value::Object(wrapper)) => match wrapper.get("results") {
            Some(Value::Array(rows)) => rows,
            _ => {
                return item.warn(
                    "its custom parameters are not in the export: ask the API again with `$expand=CustomParameters`",
                );
            }
        },
        Some(_) => return item.error("`CustomParameters` is neither a list nor deferred"),
    };
    for row in rows {
        let Some(row) = row.as_object() else {
            item.error("a row of `CustomParameters` is no object");
            continue;
        };
        let key = text(row, "Key").unwrap_or_default();
        let written = text(row, "SendAsPartOf").unwrap_or_default();
        let place = match folded(&written).as_str() {
            "body" | "" => Place::Body,
            "header" => Place::Header,
            "url" | "query" => Place::Url,
            _ => {
                let shown = (super::short(&key), super::short(&written));
                item.error(format!(
                    "the custom parameter `{}` has `SendAsPartOf: {}`; known are body, header and url",
                    shown.0, shown.1
                ));
                continue;
            }
        };
        custom.add(draft, item, name, (place, key.trim(), text(row, "Value").unwrap_or_default()));
    }
}
