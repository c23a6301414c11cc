//! A profile as meant: every field of CPI's "OAuth2 Client Credentials" artifact, and what a sidecar adds.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Name, SecretSource};

/// A named OAuth2 credential: how to get an access token.
#[derive(Clone, Debug)]
pub struct ProfileConfig {
    /// Its name: labels metrics and logs, and is what routes refer to.
    pub name: Name,
    /// Free text, for `/status`.
    pub description: Option<String>,
    /// The token endpoint. Checked at load with [`super::HttpUrl::parse`]; read again at each fetch (it may be a file).
    pub token_service_url: SecretSource,
    /// The client id.
    pub client_id: SecretSource,
    /// The client secret.
    pub client_secret: SecretSource,
    /// Where id and secret stand in the token request.
    pub client_authentication: ClientAuthentication,
    /// What is done to id and secret before Base64.
    pub basic_encoding: BasicEncoding,
    /// Where the `grant_type` parameter stands.
    pub grant_type_in: GrantTypePlace,
    /// The scope, if one is asked for.
    pub scope: Option<Scope>,
    /// `resource` parameter (RFC 8707).
    pub resource: Option<SecretSource>,
    /// `audience` parameter.
    pub audience: Option<SecretSource>,
    /// Media type of the token request's body.
    pub content_type: ContentType,
    /// CPI's custom parameter table, in the order of the file.
    pub custom_parameters: Vec<CustomParameter>,
    /// PEM file of the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the token service may be `http://` on another machine.
    pub allow_cleartext: bool,
    /// Whether `/startupz` and `/readyz` wait for this profile's first token.
    pub required: bool,
    /// Lifetime of a token whose answer names none.
    pub default_lifetime: Duration,
    /// How long after its expiry a token may still be used while the token service is down; zero is never.
    pub stale_if_error: Duration,
    /// How long a request may wait for a token when none is usable.
    pub token_wait: Duration,
}

/// CPI "Client Authentication" (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// "Send as Request Header": `Authorization: Basic …`.
    RequestHeader,
    /// "Send as Body Parameter": `client_id` and `client_secret` in the body, form or JSON.
    BodyParameter,
}

/// How id and secret are prepared for Basic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicEncoding {
    /// Form-encoded first (RFC 6749 §2.3.1); where that changes a byte, `X-CF-ENCODED-CREDENTIALS: true` goes with it.
    Form,
    /// As they are, and no such header.
    Raw,
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
    /// A text, sent as it is (a YAML list is joined with spaces at load, RFC 6749 §3.3).
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
