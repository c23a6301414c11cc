//! How a token request is written, as written in proxy.yaml.

use super::super::SecretSource;
use super::super::form::{self, Kind};
use super::super::parameters;
use super::super::profile::{ContentType, GrantTypePlace, RequestConfig, RequestMethod};
use super::super::reader::{At, Fields, Read, fold_value};
use super::super::scope;

/// Reads the request's fields.
pub(super) fn request(fields: &Fields<'_>) -> Read<RequestConfig> {
    let method = fields.or("method", RequestMethod::Post, |at| {
        at.choice(&[("post", RequestMethod::Post), ("get", RequestMethod::Get)], "`post` or `get`")
    });
    let grant_type_in = fields.or("grant_type_in", GrantTypePlace::Body, grant_type_in);
    let content_type = fields.or("content_type", ContentType::Form, content_type);
    let separator = fields.or("scope_separator", " ".to_owned(), separator);
    let scope = fields.optional("scope", |at| scope::scope(at, content_type, &separator.clone()?));
    let resource = fields.optional("resource", resource);
    let audience = fields.optional("audience", |at| form::source(at, Kind::Plain));
    let custom_parameters = fields.or("custom_parameters", Vec::new(), parameters::custom_parameters);
    Ok(RequestConfig {
        method: method?,
        grant_type_in: grant_type_in?,
        content_type: content_type?,
        scope: scope?.flatten(),
        resource: resource?,
        audience: audience?,
        custom_parameters: custom_parameters?,
    })
}

/// RFC 8707 §2 wants a URI without a fragment. That it is a URI is not asked: some services take the id of an app.
fn resource(at: &At<'_>) -> Read<SecretSource> {
    let source = form::source(at, Kind::Plain)?;
    if source.read().is_ok_and(|text| text.expose().contains('#')) {
        return Err(at.error_hint(
            "a resource has no fragment (`#…`; RFC 8707 §2)",
            "write the URI that the token service knows the API by",
        ));
    }
    Ok(source)
}

fn grant_type_in(at: &At<'_>) -> Read<GrantTypePlace> {
    use GrantTypePlace::{Body, Url};
    at.choice(&[("body", Body), ("url", Url), ("query", Url)], "`body` or `url`")
}

fn separator(at: &At<'_>) -> Read<String> {
    let text = at.text()?;
    match text.as_str() {
        " " | "," | "+" | ";" => Ok(text),
        _ => Err(
            at.error_hint("this cannot separate scopes", "write \" \" (the default), \",\", \"+\" or \";\"")
        ),
    }
}

pub(super) fn content_type(at: &At<'_>) -> Read<ContentType> {
    if at.is_null() {
        return Ok(ContentType::Form);
    }
    let text = at.text()?;
    // `application/json; charset=utf-8`
    let bare = text.split(';').next().unwrap_or_default();
    match fold_value(bare).as_str() {
        "" | "form" | "urlencoded" | "application/xwwwformurlencoded" | "xwwwformurlencoded" => {
            Ok(ContentType::Form)
        }
        "json" | "application/json" => Ok(ContentType::Json),
        _ => Err(at.error_hint(
            format!("{} is not known here", at.quoted()),
            "write `application/x-www-form-urlencoded` or `application/json`",
        )),
    }
}
