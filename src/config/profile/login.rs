//! A login that is no OAuth: a request by template, and an answer with a token somewhere in it.

use std::sync::Arc;

use http::{HeaderName, Method};

use super::{ContentType, ProfileConfig};
use crate::config::{Name, SecretSource, Template};

/// A login request.
#[derive(Clone, Debug)]
pub struct HttpLogin {
    /// Where it goes.
    pub url: SecretSource,
    /// Its method.
    pub method: Method,
    /// Its headers.
    pub headers: Vec<(HeaderName, LoginTemplate)>,
    /// Its body.
    pub body: LoginBody,
    /// The profile whose token signs it (`{token}` in it).
    pub first: Option<FirstProfile>,
}

/// A text with placeholders: `{token}` of the profile that comes first, secure parameters, secrets.
pub type LoginTemplate = Template;

/// The body of a login request.
#[derive(Clone, Debug)]
pub enum LoginBody {
    /// None.
    Empty,
    /// A text as it is, with its media type.
    Text(String, LoginTemplate),
    /// Members, as a form or as a JSON object.
    Members(ContentType, Vec<(String, LoginTemplate)>),
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
    pub(super) fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        use crate::config::template::Part;
        into.push(&self.url);
        let of_body: Vec<&LoginTemplate> = match &self.body {
            LoginBody::Empty => Vec::new(),
            LoginBody::Text(_, text) => vec![text],
            LoginBody::Members(_, members) => members.iter().map(|(_, value)| value).collect(),
        };
        let templates = self.headers.iter().map(|(_, value)| value).chain(of_body);
        into.extend(templates.flat_map(|template| &template.0).filter_map(|part| match part {
            Part::Secret(source) => Some(source),
            _ => None,
        }));
        if let Some(first) = self.first.as_ref().and_then(|first| first.profile.as_deref()) {
            into.extend(first.sources());
        }
    }
}
