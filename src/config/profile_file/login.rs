//! `http_login` as written.

use http::{HeaderName, Method};

use super::super::SecretSource;
use super::super::headers;
use super::super::names;
use super::super::node::{Extent, Style, Value};
use super::super::profile::{FirstProfile, HttpLogin, LoginBody, LoginTemplate, LoginValue};
use super::super::reader::{At, Broken, Fields, Keys, Read};
use super::super::scope::{is_form, json_scalar};
use super::super::template::{Carrier, Part, Template};
use super::Around;

const KEYS: Keys = Keys {
    known: &["method", "query", "headers", "body", "content_type"],
    aliases: &[
        ("header", "headers"),
        ("verb", "method"),
        ("params", "query"),
        ("parameters", "query"),
        ("data", "body"),
        ("json", "body"),
        ("form", "body"),
        ("payload", "body"),
        ("url", "it is the `token_service_url` of the profile"),
    ],
};

/// How the members of a body are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Json,
    Form,
}

impl Syntax {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// Reads the login request.
pub(super) fn login(fields: &Fields<'_>, url: Read<SecretSource>, around: &Around<'_>) -> Read<HttpLogin> {
    let first = fields.optional("profile", |at| {
        let name = names::refer(at, around.profiles, "profile", "there is no other profile")?;
        Ok(FirstProfile { name, profile: None })
    });
    let request = fields.optional("request", |at| request(at, around));
    let (first, request) = (first?, request?.unwrap_or_default());
    let Request { method, query, headers, body } = request;
    let login = HttpLogin { url: url?, method: method.unwrap_or(Method::POST), query, headers, body, first };
    carried(fields, &login)?;
    Ok(login)
}

/// `{token}` stands for the token of another profile, and for nothing where there is none.
fn carried(fields: &Fields<'_>, login: &HttpLogin) -> Read<()> {
    let needs = login.templates().into_iter().find_map(Template::needs_profile);
    match (needs, &login.first, fields.get("request")) {
        (Some(written), None, Some(at)) => Err(at.key_error(
            format!("`{{{written}}}` is of the profile that signs in first, and there is none"),
            Some("add `profile: NAME` beside `request`".to_owned()),
        )),
        (None, Some(_), Some(at))
            if login.headers.iter().any(|(name, _)| *name == http::header::AUTHORIZATION) =>
        {
            Err(at.key_error(
                "nothing in it uses the token of the profile that signs in first",
                Some("write \"Bearer {token}\" where it belongs, or remove `profile`".to_owned()),
            ))
        }
        _ => Ok(()),
    }
}

/// `request:` as written.
struct Request {
    method: Option<Method>,
    query: Vec<(String, LoginTemplate)>,
    headers: Vec<(HeaderName, LoginTemplate)>,
    body: LoginBody,
}

impl Default for Request {
    fn default() -> Self {
        Self { method: None, query: Vec::new(), headers: Vec::new(), body: LoginBody::Empty }
    }
}

fn request(at: &At<'_>, around: &Around<'_>) -> Read<Request> {
    let fields = at.fields(&KEYS)?;
    let method = fields.optional("method", method);
    let query = fields.or("query", Vec::new(), |at| members(at, around));
    let headers = fields.or("headers", Vec::new(), |at| login_headers(at, around));
    let syntax = fields.or("content_type", Syntax::Json, syntax);
    let body = fields.or("body", LoginBody::Empty, |at| body(at, syntax?, around));
    let (method, headers, body) = (method?, headers?, body?);
    if let (Some(at), Some(Method::GET)) = (fields.get("body"), &method) {
        return Err(at.key_error(
            "a GET has no body",
            Some("write `method: POST`, or put it into `query`".to_owned()),
        ));
    }
    let named = headers.iter().any(|(name, _)| *name == http::header::CONTENT_TYPE);
    if let (Some(at), true) = (fields.get("content_type"), named) {
        return Err(at.key_error("`headers` say it too", Some("keep one of them".to_owned())));
    }
    Ok(Request { method, query: query?, headers, body })
}

fn method(at: &At<'_>) -> Read<Method> {
    let text = at.text()?.to_ascii_uppercase();
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE | Method::HEAD) | Err(_) => Err(
            at.error_hint(format!("{} is no method to sign in with", at.quoted()), "write POST, GET or PUT")
        ),
        Ok(method) => Ok(method),
    }
}

fn syntax(at: &At<'_>) -> Read<Syntax> {
    at.choice(
        &[
            ("json", Syntax::Json),
            ("form", Syntax::Form),
            ("application/json", Syntax::Json),
            ("application/x-www-form-urlencoded", Syntax::Form),
            ("urlencoded", Syntax::Form),
        ],
        "`json` or `form`; for a text of another kind, a `Content-Type` in `headers`",
    )
}

fn login_headers(at: &At<'_>, around: &Around<'_>) -> Read<Vec<(HeaderName, LoginTemplate)>> {
    let mut headers: Vec<(HeaderName, LoginTemplate)> = Vec::new();
    let mut sound = Ok(());
    for entry in at.entries()? {
        let name = headers::name(&entry);
        let value = template(&entry, Carrier::Header, around);
        match (name, value) {
            (Ok(name), _) if headers.iter().any(|(other, _)| *other == name) => {
                sound = Err(entry.key_error("the header stands twice (names ignore case)", None));
            }
            (Ok(name), _) if name == http::header::ACCEPT_ENCODING => {
                sound = Err(entry.key_error("sidepass reads no compressed answers", None));
            }
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => sound = Err(Broken),
        }
    }
    sound.map(|()| headers)
}

fn body(at: &At<'_>, syntax: Syntax, around: &Around<'_>) -> Read<LoginBody> {
    match (&at.node.value, syntax) {
        (Value::Scalar(scalar), _) if !scalar.is_null() => {
            Ok(LoginBody::Text(syntax.media_type(), template(at, Carrier::Body, around)?))
        }
        (Value::Map(map), _) if is_form(map) => {
            Ok(LoginBody::Text(syntax.media_type(), template(at, Carrier::Body, around)?))
        }
        (_, Syntax::Form) => Ok(LoginBody::Form(members(at, around)?)),
        (_, Syntax::Json) => Ok(LoginBody::Json(value(at, around)?)),
    }
}

/// Names and texts, for a form or a query.
fn members(at: &At<'_>, around: &Around<'_>) -> Read<Vec<(String, LoginTemplate)>> {
    let entries = at.entries()?;
    let read = |entry: &At<'_>| Ok((entry.key.to_owned(), template(entry, Carrier::Body, around)?));
    let all: Vec<Read<_>> = entries.iter().map(read).collect();
    all.into_iter().collect()
}

/// A value of a JSON document, by the rules of a scope: what is written plain and JSON spells the same is that literal.
fn value(at: &At<'_>, around: &Around<'_>) -> Read<LoginValue> {
    match &at.node.value {
        Value::Scalar(scalar) if scalar.style == Style::Plain => match json_scalar(scalar) {
            serde_json::Value::String(_) => Ok(LoginValue::Text(template(at, Carrier::Body, around)?)),
            plain => Ok(LoginValue::Plain(plain)),
        },
        Value::Scalar(_) => Ok(LoginValue::Text(template(at, Carrier::Body, around)?)),
        Value::List(_) => {
            let items: Vec<Read<_>> = at.items().iter().map(|item| value(item, around)).collect();
            Ok(LoginValue::List(items.into_iter().collect::<Read<_>>()?))
        }
        Value::Map(map) if map.extent == Extent::Gaps => Err(Broken),
        Value::Map(map) if is_form(map) || headers::is_placeholder(map, around.parameters.0) => {
            Ok(LoginValue::Text(template(at, Carrier::Body, around)?))
        }
        Value::Map(_) => {
            let entries = at.entries()?;
            let read = |entry: &At<'_>| Ok((entry.key.to_owned(), value(entry, around)?));
            let members: Vec<Read<_>> = entries.iter().map(read).collect();
            Ok(LoginValue::Map(members.into_iter().collect::<Read<_>>()?))
        }
        Value::Broken => Err(Broken),
    }
}

/// A template whose secure parameters are sources already.
fn template(at: &At<'_>, carrier: Carrier, around: &Around<'_>) -> Read<LoginTemplate> {
    let (names, sources) = around.parameters;
    let template = headers::template(at, carrier, names)?;
    let parts = template.0.into_iter().map(|part| match part {
        // One that is not sound has been reported.
        Part::Parameter(name) => sources.get(&name).cloned().map(Part::Secret).ok_or(Broken),
        part => Ok(part),
    });
    Ok(Template(parts.collect::<Read<_>>()?))
}
