//! From a profile to its token request (RFC 6749 §4.4.2): URL, headers and body, made anew for each fetch, so that a
//! rotated secret is seen.
//!
//! Invariants: exactly one client authentication is sent, and no custom parameter touches it; `Debug` shows no value.

mod body;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use self::body::Body;
use super::error::{FetchError, FetchErrorCode};
use super::redact::Redactor;
use super::{client_auth, form};
use crate::config::profile::{
    ClientAuthentication, ContentType, CustomParameter, GrantTypePlace, ParameterPlace, ProfileConfig, Scope,
};
use crate::config::url::Scheme;
use crate::config::{HttpUrl, SecretSource};
use crate::secret::Secret;

const GRANT_TYPE: &str = "grant_type";
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Body and query parameters that are ours alone (CPI reserves the same).
const RESERVED: [&str; 3] = ["client_id", "client_secret", GRANT_TYPE];

/// A token request, ready to be POSTed.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The token service, without the query.
    pub service: HttpUrl,
    /// The whole URL; a secret, since parameters in it may be.
    pub url: Secret,
    /// The headers; every value that may be secret is marked sensitive.
    pub headers: HeaderMap,
    /// The body's bytes, which are UTF-8.
    pub body: Secret,
    /// Hides everything secret in here from what the answer may echo.
    pub redactor: Redactor,
}

/// Makes the token request of a profile. Every source is read just now.
pub fn build(profile: &ProfileConfig) -> Result<TokenRequest, FetchError> {
    let client = Client::read(profile)?;
    let mut redactor = Redactor::default();
    redactor.hide(&client.secret);
    let mut headers = custom_headers(profile, &mut redactor)?;
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    let media_type = match profile.content_type {
        ContentType::Form => "application/x-www-form-urlencoded",
        ContentType::Json => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if profile.client_authentication == ClientAuthentication::RequestHeader {
        let basic = client_auth::basic(&client.id, &client.secret, profile.basic_encoding);
        redactor.hide(&Secret::new(basic.value.expose().trim_start_matches("Basic ").to_owned()));
        headers.insert(AUTHORIZATION, header_value(basic.value.expose(), "the Basic credentials")?);
        if basic.encoded {
            headers.insert(client_auth::ENCODED_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
    let (service, url) = url(profile, &mut redactor)?;
    let body = body(profile, &client, &mut redactor)?;
    Ok(TokenRequest { service, url, headers, body, redactor })
}

struct Client {
    id: Secret,
    secret: Secret,
}

impl Client {
    fn read(profile: &ProfileConfig) -> Result<Self, FetchError> {
        Ok(Self {
            id: read(&profile.client_id, "client_id")?,
            secret: read(&profile.client_secret, "client_secret")?,
        })
    }
}

fn read(source: &SecretSource, what: &str) -> Result<Secret, FetchError> {
    source
        .read()
        .map_err(|error| FetchError::new(FetchErrorCode::SecretUnreadable, format!("{what}: {error}")))
}

fn unfit(message: String) -> FetchError {
    FetchError::new(FetchErrorCode::RequestInvalid, message)
}

fn header_value(text: &str, what: &str) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| unfit(format!("{what}: holds a character that a header cannot carry")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The custom parameters of one place, with their values read: (key, values).
fn custom<'a>(
    profile: &'a ProfileConfig,
    place: ParameterPlace,
    redactor: &mut Redactor,
) -> Result<Vec<(&'a str, Vec<Secret>)>, FetchError> {
    let read_all = |parameter: &'a CustomParameter, redactor: &mut Redactor| {
        let mut values = Vec::with_capacity(parameter.values.len());
        for source in &parameter.values {
            let value = read(source, &format!("custom parameter {}", parameter.key))?;
            if !matches!(source, SecretSource::Literal(_)) {
                redactor.hide(&value);
            }
            values.push(value);
        }
        Ok((parameter.key.as_str(), values))
    };
    let here = profile.custom_parameters.iter().filter(|parameter| parameter.place == place);
    here.map(|parameter| read_all(parameter, redactor)).collect()
}

fn custom_headers(profile: &ProfileConfig, redactor: &mut Redactor) -> Result<HeaderMap, FetchError> {
    let mut headers = HeaderMap::new();
    for (key, values) in custom(profile, ParameterPlace::Header, redactor)? {
        let name: HeaderName =
            key.parse().map_err(|_| unfit(format!("custom parameter {key}: is not a header name")))?;
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(unfit(format!("custom parameter {key}: this header is not yours to set")));
        }
        for value in values {
            let what = format!("custom parameter {key}");
            headers.append(name.clone(), header_value(value.expose(), &what)?);
        }
    }
    Ok(headers)
}

/// The URL with `grant_type` and the custom parameters that belong in it.
fn url(profile: &ProfileConfig, redactor: &mut Redactor) -> Result<(HttpUrl, Secret), FetchError> {
    let text = read(&profile.token_service_url, "token_service_url")?;
    let service = HttpUrl::parse(text.expose()).map_err(|error| {
        unfit(format!("token_service_url ({}) {error}", profile.token_service_url.describe()))
    })?;
    if service.scheme() == Scheme::Http && !service.is_loopback() && !profile.allow_cleartext {
        return Err(unfit(format!(
            "token_service_url is http:// to {}: the client secret would travel in clear text; \
             use https://, or set allow_cleartext: true",
            service.host()
        )));
    }
    let mut query = Query(service.query().unwrap_or_default().to_owned());
    let has_grant_type = form::pairs(&query.0).any(|(key, _)| key == GRANT_TYPE);
    if profile.grant_type_in == GrantTypePlace::Url && !has_grant_type {
        query.push(GRANT_TYPE, CLIENT_CREDENTIALS);
    }
    for (key, values) in custom(profile, ParameterPlace::Url, redactor)? {
        if !RESERVED.contains(&key) {
            values.iter().for_each(|value| query.push(key, value.expose()));
        }
    }
    let path = if service.path().is_empty() { "/" } else { service.path() };
    let mark = if query.0.is_empty() { "" } else { "?" };
    let url = [&service.origin(), path, mark, &query.0].concat();
    Ok((service, Secret::new(url)))
}

struct Query(String);

impl Query {
    fn push(&mut self, key: &str, value: &str) {
        if !self.0.is_empty() && !self.0.ends_with('&') {
            self.0.push('&');
        }
        form::encode_into(key, &mut self.0);
        self.0.push('=');
        form::encode_into(value, &mut self.0);
    }
}

fn body(profile: &ProfileConfig, client: &Client, redactor: &mut Redactor) -> Result<Secret, FetchError> {
    let mut body = Body::new(profile.content_type);
    if profile.grant_type_in == GrantTypePlace::Body {
        body.text(GRANT_TYPE, CLIENT_CREDENTIALS);
    }
    if profile.client_authentication == ClientAuthentication::BodyParameter {
        body.text("client_id", client.id.expose());
        body.text("client_secret", client.secret.expose());
    }
    match &profile.scope {
        Some(Scope::Text(source)) => body.optional("scope", &read(source, "scope")?),
        Some(Scope::Object(object)) if profile.content_type == ContentType::Json => {
            body.object("scope", object)
        }
        Some(Scope::Object(_)) => {
            return Err(unfit("scope is an object, which needs content_type: application/json".to_owned()));
        }
        None => {}
    }
    for (key, source) in [("resource", &profile.resource), ("audience", &profile.audience)] {
        if let Some(source) = source {
            body.optional(key, &read(source, key)?);
        }
    }
    for (key, values) in custom(profile, ParameterPlace::Body, redactor)? {
        // A form may repeat a key (RFC 8707 repeats `resource`); in a JSON object one of the two would be lost.
        let taken = match key {
            "scope" => profile.scope.is_some(),
            "resource" => profile.resource.is_some(),
            "audience" => profile.audience.is_some(),
            _ => false,
        };
        if taken && profile.content_type == ContentType::Json {
            return Err(unfit(format!("custom parameter {key}: the profile sets it already; write it once")));
        }
        if !RESERVED.contains(&key) {
            body.list(key, &values);
        }
    }
    Ok(body.finish())
}

#[cfg(test)]
mod tests;
