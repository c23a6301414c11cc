//! A login that is no OAuth: a request by template, and an answer with a token somewhere in it.

use std::sync::Arc;

use http::{HeaderName, Method};
use serde_json::Value;

use super::ProfileConfig;
use crate::config::template::Part;
use crate::config::{Name, SecretSource, Template};

/// A login request.
#[derive(Clone, Debug)]
pub struct HttpLogin {
    /// Where it goes.
    pub url: SecretSource,
    /// Its method.
    pub method: Method,
    /// What is added to the URL's query.
    pub query: Vec<(String, LoginTemplate)>,
    /// Its headers.
    pub headers: Vec<(HeaderName, LoginTemplate)>,
    /// Its body.
    pub body: LoginBody,
    /// The profile whose token signs it (`{token}` in it).
    pub first: Option<FirstProfile>,
}

/// A text with placeholders: `{token}`, its fields and claims are those of the profile that comes first; a secure
/// parameter is its source ([`Part::Secret`]).
pub type LoginTemplate = Template;

/// The body of a login request.
#[derive(Clone, Debug)]
pub enum LoginBody {
    /// None.
    Empty,
    /// A text as it is, with its media type.
    Text(&'static str, LoginTemplate),
    /// A form.
    Form(Vec<(String, LoginTemplate)>),
    /// A JSON document.
    Json(LoginValue),
}

/// A value of a JSON document.
#[derive(Clone, Debug)]
pub enum LoginValue {
    /// A string.
    Text(LoginTemplate),
    /// A number, a boolean or `null`, as it stands in the file.
    Plain(Value),
    /// An array.
    List(Vec<LoginValue>),
    /// An object, in the order of the file.
    Map(Vec<(String, LoginValue)>),
}

/// The profile that comes first.
#[derive(Clone, Debug)]
pub struct FirstProfile {
    /// Its name.
    pub name: Name,
    /// What it is; filled in when all profiles have been read.
    pub profile: Option<Arc<ProfileConfig>>,
}

impl HttpLogin {
    /// Everything in it that is filled in for each request.
    pub fn templates(&self) -> Vec<&LoginTemplate> {
        let mut templates: Vec<&LoginTemplate> = self.headers.iter().map(|(_, value)| value).collect();
        templates.extend(self.query.iter().map(|(_, value)| value));
        match &self.body {
            LoginBody::Empty => {}
            LoginBody::Text(_, text) => templates.push(text),
            LoginBody::Form(members) => templates.extend(members.iter().map(|(_, value)| value)),
            LoginBody::Json(value) => value.templates(&mut templates),
        }
        templates
    }

    pub(super) fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        into.push(&self.url);
        let parts = self.templates().into_iter().flat_map(|template| &template.0);
        into.extend(parts.filter_map(|part| match part {
            Part::Secret(source) => Some(source),
            _ => None,
        }));
        if let Some(first) = self.first.as_ref().and_then(|first| first.profile.as_deref()) {
            into.extend(first.sources());
        }
    }
}

impl LoginValue {
    fn templates<'a>(&'a self, into: &mut Vec<&'a LoginTemplate>) {
        match self {
            Self::Text(template) => into.push(template),
            Self::Plain(_) => {}
            Self::List(items) => items.iter().for_each(|item| item.templates(into)),
            Self::Map(members) => members.iter().for_each(|(_, value)| value.templates(into)),
        }
    }
}
