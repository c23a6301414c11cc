//! From an `http_login` profile to its request, made anew for each login, so that a rotated secret is seen.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::config::profile::{HttpLogin, LoginBody, LoginTemplate, LoginValue, ProfileConfig};
use crate::config::template::Part;
use crate::config::{Template, looks_secret};
use crate::secret::Secret;
use crate::token::error::FetchError;
use crate::token::redact::Redactor;
use crate::token::request::body::{ROOM, push_json_string};
use crate::token::request::{self, TokenRequest, header_value, unfit};
use crate::token::{AccessToken, TokenFields, form, jwt};

/// Makes the login request of a profile. Every source is read just now; `first` is the token of the profile that signs in
/// first.
pub(super) fn build(
    profile: &ProfileConfig,
    login: &HttpLogin,
    first: Option<&AccessToken>,
) -> Result<TokenRequest, FetchError> {
    let mut pen = Pen { first, redactor: Redactor::default() };
    let url = request::read(&login.url, "token_service_url")?;
    let service = request::service(profile, &url, "token_service_url")?;
    let path = if service.path().is_empty() { "/" } else { service.path() };
    let query = service.query().map_or_else(String::new, |query| format!("?{query}"));
    let url = Secret::new([&service.origin(), path, &query].concat());
    let url = request::with_query(&url, &Secret::new(pen.form(&login.query)?));
    let mut headers = headers(login, &mut pen)?;
    let (media_type, body) = body(&login.body, &mut pen)?;
    if let Some(media_type) = media_type {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
    }
    // Some services (and every proxy before them) want a length where a body is usual.
    if body.expose().is_empty() && login.method != Method::GET {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let redactor = pen.redactor;
    Ok(TokenRequest { method: login.method.clone(), service, url, headers, body, redactor })
}

fn headers(login: &HttpLogin, pen: &mut Pen<'_>) -> Result<HeaderMap, FetchError> {
    let mut headers = HeaderMap::new();
    for (name, template) in &login.headers {
        let mut text = String::with_capacity(ROOM);
        pen.write(template, &format!("header {name}"), &mut text)?;
        headers.insert(name, header_value(Secret::new(text).expose(), &format!("header {name}"))?);
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    // As on a route: where nothing says how the token goes along, it goes the usual way.
    let scheme = login.first.as_ref().and_then(|first| first.profile.as_ref()).map(|first| first.scheme());
    if let (Some(token), Some(scheme)) = (pen.first, scheme)
        && !login.templates().into_iter().any(Template::depends_on_token)
    {
        pen.redactor.hide(&token.text);
        let value = Secret::new([scheme.as_str(), " ", token.text.expose()].concat());
        headers.insert(AUTHORIZATION, header_value(value.expose(), "the token of the first profile")?);
    }
    Ok(headers)
}

fn body(body: &LoginBody, pen: &mut Pen<'_>) -> Result<(Option<&'static str>, Secret), FetchError> {
    let mut text = String::new();
    let media_type = match body {
        LoginBody::Empty => None,
        LoginBody::Text(media_type, template) => {
            text.reserve(ROOM);
            pen.write(template, "body", &mut text)?;
            Some(*media_type)
        }
        LoginBody::Form(members) => {
            text = pen.form(members)?;
            Some("application/x-www-form-urlencoded")
        }
        LoginBody::Json(value) => {
            text.reserve(ROOM);
            pen.json(value, "body", &mut text)?;
            Some("application/json")
        }
    };
    Ok((media_type, Secret::new(text)))
}

/// Fills in templates, and remembers what must not be shown.
struct Pen<'a> {
    first: Option<&'a AccessToken>,
    redactor: Redactor,
}

/// What is shorter than this is no secret of itself, and would hide half of a message.
const SHORT: usize = 8;

impl<'a> Pen<'a> {
    fn hide(&mut self, text: &str) {
        self.redactor.hide(&Secret::new(text.to_owned()));
    }

    /// Adds what came with the first profile's token, which may be as secret as that.
    fn push(&mut self, value: String, out: &mut String) {
        let value = Secret::new(value);
        if value.expose().len() >= SHORT {
            self.redactor.hide(&value);
        }
        out.push_str(value.expose());
    }

    fn write(&mut self, template: &LoginTemplate, what: &str, out: &mut String) -> Result<(), FetchError> {
        for part in &template.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Secret(source) => {
                    let secret = request::read(source, what)?;
                    self.redactor.hide(&secret);
                    // An echo may leave out the scheme: `Basic …`.
                    let bare = secret.expose().split_once(' ').map(|(_, bare)| bare);
                    bare.filter(|bare| bare.len() >= SHORT).into_iter().for_each(|bare| self.hide(bare));
                    out.push_str(secret.expose());
                }
                Part::Token => {
                    let token = &self.first(what)?.text;
                    self.redactor.hide(token);
                    out.push_str(token.expose());
                }
                Part::Field(path) => {
                    let fields = &self.first(what)?.fields;
                    self.push(found(fields, path, &format!("{what}: {{token.{path}}}"))?, out);
                }
                Part::Claim(path) => {
                    let claims = jwt::claims(self.first(what)?.text.expose()).map(TokenFields::of);
                    let claims = claims.unwrap_or_default();
                    self.push(found(&claims, path, &format!("{what}: {{claim.{path}}}"))?, out);
                }
                Part::Parameter(name) => {
                    return Err(unfit(format!("{what}: the secure parameter {name} is not known here")));
                }
            }
        }
        Ok(())
    }

    fn first(&self, what: &str) -> Result<&'a AccessToken, FetchError> {
        self.first.ok_or_else(|| unfit(format!("{what}: no profile signs in first")))
    }

    fn form(&mut self, members: &[(String, LoginTemplate)]) -> Result<String, FetchError> {
        let mut out = String::with_capacity(if members.is_empty() { 0 } else { ROOM });
        for (key, template) in members {
            if !out.is_empty() {
                out.push('&');
            }
            let mut text = String::with_capacity(ROOM);
            self.write(template, key, &mut text)?;
            form::encode_into(key, &mut out);
            out.push('=');
            form::encode_into(Secret::new(text).expose(), &mut out);
        }
        Ok(out)
    }

    fn json(&mut self, value: &LoginValue, what: &str, out: &mut String) -> Result<(), FetchError> {
        match value {
            LoginValue::Plain(plain) => {
                let text = plain.to_string();
                if looks_secret(what) && plain.is_number() {
                    self.hide(&text);
                }
                out.push_str(&text);
            }
            LoginValue::Text(template) => {
                let mut text = String::with_capacity(ROOM);
                self.write(template, what, &mut text)?;
                push_json_string(Secret::new(text).expose(), out);
            }
            LoginValue::List(items) => {
                out.push('[');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    self.json(item, what, out)?;
                }
                out.push(']');
            }
            LoginValue::Map(members) => {
                out.push('{');
                for (number, (key, value)) in members.iter().enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    push_json_string(key, out);
                    out.push(':');
                    self.json(value, key, out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

fn found(fields: &TokenFields, path: &str, what: &str) -> Result<String, FetchError> {
    fields.get(path).ok_or_else(|| {
        unfit(format!("{what}: the token of the first profile has no such text (it has: {})", fields.names()))
    })
}
