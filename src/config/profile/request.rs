//! How a token request is written, and what it asks for: the fields of CPI's "OAuth2 Client Credentials" artifact.

use std::fmt;

use crate::config::SecretSource;

/// How a token request is written, and what it asks for.
#[derive(Clone, Debug)]
pub struct RequestConfig {
    /// POST, but for services that want GET.
    pub method: RequestMethod,
    /// Where the `grant_type` parameter stands.
    pub grant_type_in: GrantTypePlace,
    /// Media type of the token request's body.
    pub content_type: ContentType,
    /// The scope, if one is asked for.
    pub scope: Option<Scope>,
    /// `resource` parameter (RFC 8707).
    pub resource: Option<SecretSource>,
    /// `audience` parameter.
    pub audience: Option<SecretSource>,
    /// CPI's custom parameter table, in the order of the file.
    pub custom_parameters: Vec<CustomParameter>,
}

impl Default for RequestConfig {
    fn default() -> Self {
        Self {
            method: RequestMethod::Post,
            grant_type_in: GrantTypePlace::Body,
            content_type: ContentType::Form,
            scope: None,
            resource: None,
            audience: None,
            custom_parameters: Vec::new(),
        }
    }
}

/// The method of a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestMethod {
    /// RFC 6749 §3.2 wants it.
    Post,
    /// Everything that would stand in the body stands in the URL.
    Get,
}

/// CPI "Grant Type": "Send as part of body" or "Send as part of URL".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantTypePlace {
    /// A member of the body.
    Body,
    /// `?grant_type=client_credentials` behind the token service URL.
    Url,
}

/// Media type of the token request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/x-www-form-urlencoded`; also CPI's blank.
    Form,
    /// `application/json`
    Json,
}

/// The `scope` parameter. Its `Debug` names the keys of an object only: a variable may have brought a value.
#[derive(Clone)]
pub enum Scope {
    /// A text, sent as it is (a YAML list is joined at load: with spaces, RFC 6749 §3.3, or `scope_separator`).
    Text(SecretSource),
    /// A JSON object, sent as a JSON object; only with [`ContentType::Json`].
    Object(serde_json::Map<String, serde_json::Value>),
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(source) => f.debug_tuple("Text").field(source).finish(),
            Self::Object(map) => f.debug_tuple("Object").field(&map.keys().collect::<Vec<_>>()).finish(),
        }
    }
}

/// One row of CPI's custom parameter table.
#[derive(Clone, Debug)]
pub struct CustomParameter {
    /// "Send as part of".
    pub place: ParameterPlace,
    /// The key; in a header, a valid field name.
    pub key: String,
    /// The values: more than one if written as a list (the key is repeated; a JSON body gets an array).
    pub values: Vec<SecretSource>,
}

/// CPI "Send as part of".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterPlace {
    /// A member of the body.
    Body,
    /// A header field of the token request.
    Header,
    /// A query parameter of the token service URL.
    Url,
}

impl RequestConfig {
    pub(super) fn sources<'a>(&'a self, into: &mut Vec<&'a SecretSource>) {
        if let Some(Scope::Text(scope)) = &self.scope {
            into.push(scope);
        }
        into.extend(self.resource.iter().chain(&self.audience));
        into.extend(self.custom_parameters.iter().flat_map(|parameter| &parameter.values));
    }
}
