//! A profile in full, for people: every setting as it holds, and whence it has come. Secrets are named, not shown.
//!
//! Invariant: every struct is taken apart by all its fields and every enum by all its variants, so that a setting that is
//! added and not described does not compile.

mod oauth2;

use std::fmt;
use std::time::Duration;

use super::written::Spot;
use super::{
    AnswerRules, HttpLogin, KeyPairConfig, LifetimeUnit, LoginBody, LoginValue, ProfileConfig, ProfileKind,
    Transport,
};
use crate::config::diagnostic::Place;
use crate::config::headers::looks_secret;
use crate::config::template::{Part, Template};
use crate::config::{HttpUrl, SecretSource};

/// One setting as it holds.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its path: `custom_parameters.body.tenant`.
    pub path: String,
    /// Its value, fit to be shown.
    pub value: String,
    /// Where it was written, or who filled it in; nothing for a default.
    pub place: Option<Place>,
}

impl Setting {
    /// Whether a shorthand (a preset) filled it in.
    pub fn is_filled(&self) -> bool {
        matches!(self.place, Some(Place::Filled { .. }))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{}: {}", self.path, self.value);
        match &self.place {
            None => write!(f, "{line:<70} # default"),
            Some(Place::Filled { by, .. }) => write!(f, "{line:<70} # {by}"),
            Some(place) => write!(f, "{line:<70} # {place}"),
        }
    }
}

/// Every setting of a profile that holds, in the order of the documentation.
pub fn settings(profile: &ProfileConfig) -> Vec<Setting> {
    let ProfileConfig {
        name: _,
        description,
        kind,
        transport,
        answer,
        required,
        default_lifetime,
        stale_if_error,
        token_wait,
        written: _,
    } = profile;
    let mut out = Out { profile, settings: Vec::new() };
    out.word("type", profile.type_name());
    if let Some(description) = description {
        out.text("description", description);
    }
    match kind {
        ProfileKind::OAuth2(oauth2) => out.oauth2(oauth2),
        ProfileKind::HttpLogin(login) => out.login(login),
        ProfileKind::SelfSignedJwt(assertion) => out.assertion(assertion),
        ProfileKind::StaticToken(token) => out.secret("token", token),
        ProfileKind::UserCredentials { user, password } => {
            out.plain("user", user);
            out.secret("password", password);
        }
    }
    out.transport(transport);
    out.answer(answer);
    out.word("required", if *required { "true" } else { "false" });
    out.duration("default_lifetime", *default_lifetime);
    out.duration("stale_if_error", *stale_if_error);
    out.duration("token_wait", *token_wait);
    out.settings
}

/// Collects settings.
struct Out<'a> {
    profile: &'a ProfileConfig,
    settings: Vec<Setting>,
}

impl Out<'_> {
    fn push(&mut self, path: &str, value: String) {
        let place = self.spot(path).map(|spot| spot.place.clone());
        self.put(path, value, place);
    }

    fn put(&mut self, path: &str, value: String, place: Option<Place>) {
        if !self.settings.iter().any(|setting| setting.path == path) {
            self.settings.push(Setting { path: path.to_owned(), value, place });
        }
    }

    fn spot(&self, path: &str) -> Option<&Spot> {
        self.profile.written.spot(path)
    }

    /// A word of ours, which holds also where nobody wrote it: a map around it does not say where it comes from.
    fn word(&mut self, path: &str, word: &str) {
        let place = self.profile.written.own_spot(path).map(|spot| spot.place.clone());
        self.put(path, word.to_owned(), place);
    }

    fn duration(&mut self, path: &str, duration: Duration) {
        self.word(path, &humantime::format_duration(duration).to_string());
    }

    /// A text that may be seen, but for what variables brought.
    fn text(&mut self, path: &str, text: &str) {
        let masked = self.spot(path).and_then(|spot| spot.masked.as_ref());
        let shown = quoted(masked.map_or(text, |masked| masked.expose()));
        self.push(path, shown);
    }

    /// A source whose text may be seen if it stands in the file.
    fn plain(&mut self, path: &str, source: &SecretSource) {
        match source {
            SecretSource::Literal(text) => self.text(path, text.expose()),
            SecretSource::Env { .. }
            | SecretSource::File(_)
            | SecretSource::Member { .. }
            | SecretSource::Url { .. } => {
                self.push(path, named(source));
            }
        }
    }

    /// The same for a URL, whose query may hold a key.
    fn url(&mut self, path: &str, source: &SecretSource) {
        let masked = self.spot(path).is_some_and(|spot| spot.masked.is_some());
        let url = match source {
            SecretSource::Literal(text) if !masked => HttpUrl::parse(text.expose()).ok(),
            _ => None,
        };
        match url {
            Some(url) => self.push(path, format!("{url:?}")),
            None => self.plain(path, source),
        }
    }

    fn secret(&mut self, path: &str, source: &SecretSource) {
        self.push(path, named(source));
    }

    fn key_pair(&mut self, pair: &KeyPairConfig) {
        let KeyPairConfig { certificate, private_key } = pair;
        if let Some(certificate) = certificate {
            self.push("key_pair.certificate", named(certificate));
        }
        self.secret("key_pair.private_key", private_key);
    }

    fn transport(&mut self, transport: &Transport) {
        let Transport { ca_file, allow_cleartext, key_pair } = transport;
        if let Some(pair) = key_pair {
            self.key_pair(pair);
        }
        if let Some(path) = ca_file {
            self.push("ca_file", path.display().to_string());
        }
        self.word("allow_cleartext", if *allow_cleartext { "true" } else { "false" });
    }

    fn answer(&mut self, answer: &AnswerRules) {
        let AnswerRules { token, lifetime, lifetime_unit, success, refresh_token } = answer;
        let paths = [("token", token), ("lifetime", lifetime), ("refresh_token", refresh_token)];
        for (key, path) in paths {
            if let Some(path) = path {
                self.push(&format!("answer.{key}"), path.to_string());
            }
        }
        let unit = match lifetime_unit {
            LifetimeUnit::Seconds => "seconds",
            LifetimeUnit::Milliseconds => "milliseconds",
            LifetimeUnit::Minutes => "minutes",
            LifetimeUnit::Timestamp => "timestamp",
            LifetimeUnit::Clock => "clock",
        };
        if *lifetime_unit != LifetimeUnit::Seconds {
            self.word("answer.lifetime_unit", unit);
        }
        if let Some(success) = success {
            let value = match &success.value {
                Some(value) => format!("{{ {}: {} }}", success.path, quoted(value)),
                None => success.path.to_string(),
            };
            self.push("answer.success", value);
        }
    }

    fn login(&mut self, login: &HttpLogin) {
        let HttpLogin { url, method, query, headers, body, first } = login;
        self.url("token_service_url", url);
        if let Some(first) = first {
            self.word("profile", first.name.as_str());
        }
        self.word("request.method", method.as_str());
        for (name, value) in query {
            self.template(&format!("request.query.{name}"), name, value);
        }
        for (name, value) in headers {
            self.template(&format!("request.headers.{name}"), name.as_str(), value);
        }
        match body {
            LoginBody::Empty => {}
            LoginBody::Text(_, text) => {
                // Written by hand in any syntax: a word of it tells whether a secret is there.
                let name = match text.0.as_slice() {
                    [Part::Literal(literal)] if looks_secret(literal) => "secret",
                    _ => "",
                };
                self.template("request.body", name, text);
            }
            LoginBody::Form(members) => {
                for (name, value) in members {
                    self.template(&format!("request.body.{name}"), name, value);
                }
            }
            LoginBody::Json(value) => self.json("request.body", value),
        }
    }

    fn json(&mut self, path: &str, value: &LoginValue) {
        match value {
            LoginValue::Text(text) => self.template(path, path, text),
            LoginValue::Plain(_) if looks_secret(member(path)) => self.push(path, HIDDEN.to_owned()),
            LoginValue::Plain(value) => self.push(path, value.to_string()),
            LoginValue::List(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(index, item)| self.json(&format!("{path}.{index}"), item));
            }
            LoginValue::Map(members) => {
                members.iter().for_each(|(name, value)| self.json(&format!("{path}.{name}"), value));
            }
        }
    }

    /// A template of a member or header of this name.
    fn template(&mut self, path: &str, name: &str, template: &Template) {
        let name = member(name);
        let part = |part: &Part| match part {
            Part::Literal(_) if looks_secret(name) && template.is_literal() => HIDDEN.to_owned(),
            Part::Literal(text) => text.clone(),
            Part::Token => "{token}".to_owned(),
            Part::Field(path) => format!("{{token.{path}}}"),
            Part::Claim(path) => format!("{{claim.{path}}}"),
            Part::Parameter(name) => format!("{{{name}}}"),
            Part::Secret(source) => named(source),
        };
        let text: String = template.0.iter().map(part).collect();
        let whole = matches!(template.0.as_slice(), [Part::Secret(_)]);
        self.push(path, if whole { text } else { quoted(&text) });
    }
}

/// The member that a path leads to; that of the list, for an item of one.
fn member(path: &str) -> &str {
    let is_index = |name: &&str| name.bytes().all(|byte| byte.is_ascii_digit());
    path.rsplit('.').find(|name| !is_index(name)).unwrap_or(path)
}

/// What stands for a literal that must not be seen.
const HIDDEN: &str = "(hidden)";

/// A source by its name.
fn named(source: &SecretSource) -> String {
    match source {
        SecretSource::Literal(_) => HIDDEN.to_owned(),
        SecretSource::Env { name, .. } => format!("{{ env: {name} }}"),
        SecretSource::File(path) => format!("{{ file: {} }}", path.display()),
        SecretSource::Member { file, pointer } => {
            format!("{{ file: {}, pointer: {pointer} }}", file.display())
        }
        SecretSource::Url { base, path } => {
            let base = named(base);
            format!("{}, append: {path} }}", base.trim_end_matches([' ', '}']))
        }
    }
}

/// A text as YAML would have it; quoted where it does not stand for itself.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@+=~${}".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_alphanumeric() || c == '/')
        && text.chars().all(plain)
        && !text.contains(": ");
    if is_plain { text.to_owned() } else { serde_json::Value::String(text.to_owned()).to_string() }
}

#[cfg(test)]
mod tests;
