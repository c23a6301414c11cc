//! From a profile to its token request (RFC 6749 §4.4.2): URL, headers and body, made anew for each fetch, so that a
//! rotated secret is seen.
//!
//! Invariants: exactly one client authentication is sent, and no custom parameter touches it; `Debug` shows no value.

pub(super) mod body;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use self::body::Body;
use super::error::{FetchError, FetchErrorCode};
use super::keys::HeldPair;
use super::redact::Redactor;
use super::{SecretSlot, client_auth, form, grant};
use crate::clock::Moment;
use crate::config::profile::{
    ContentType, CustomParameter, Grant, GrantTypePlace, OAuth2, ParameterPlace, ProfileConfig,
    RequestConfig, RequestMethod, Scope, TokenEndpoint,
};
use crate::config::url::Scheme;
use crate::config::{HttpUrl, SecretSource, looks_secret};
use crate::secret::Secret;

const GRANT_TYPE: &str = "grant_type";

/// Body and query parameters that are ours alone (CPI reserves the same).
const RESERVED: [&str; 3] = ["client_id", "client_secret", GRANT_TYPE];

/// A token request, ready to be sent.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// POST, but for services that want GET.
    pub method: http::Method,
    /// The service, without the query.
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

/// A member of a request's body.
pub type Member = (&'static str, Secret);

/// What a token request is made of besides its profile: this one fetch.
#[derive(Debug)]
pub struct Occasion<'a> {
    /// The token endpoint, as it was found.
    pub endpoint: &'a Endpoint,
    /// Which client secret is shown, where there are two.
    pub slot: SecretSlot,
    /// The refresh token or the subject token, where the grant shows one that changes.
    pub shown: Option<&'a Secret>,
    /// The key pair of the profile.
    pub keys: &'a HeldPair,
    /// When it is made.
    pub now: Moment,
}

/// A token endpoint, as configured or as its issuer's metadata say.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its URL, with its query; a secret, since parameters in it may be.
    pub url: Secret,
    /// The issuer, where it is known.
    pub issuer: Option<String>,
}

/// Makes the token request of a profile. Every source is read just now.
pub fn build(
    profile: &ProfileConfig,
    oauth2: &OAuth2,
    occasion: &Occasion<'_>,
) -> Result<TokenRequest, FetchError> {
    let proof = client_auth::prove(oauth2, occasion)?;
    let members = grant::members(oauth2, occasion)?;
    let mut redactor = Redactor::default();
    proof.hidden.iter().for_each(|secret| redactor.hide(secret));
    members.iter().filter(|(key, _)| *key != "username").for_each(|(_, secret)| redactor.hide(secret));
    let mut headers = custom_headers(&oauth2.request, &mut redactor)?;
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    if let Some(authorization) = &proof.authorization {
        headers.insert(AUTHORIZATION, header_value(authorization.expose(), "the client's credentials")?);
    }
    if proof.encoded {
        headers.insert(client_auth::ENCODED_CREDENTIALS, HeaderValue::from_static("true"));
    }
    let mut body = body(oauth2, &members, &proof.members, &mut redactor)?;
    let (service, mut url) = url(profile, oauth2, occasion, &mut redactor)?;
    let method = match oauth2.request.method {
        RequestMethod::Post => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(oauth2.request.content_type)));
            http::Method::POST
        }
        RequestMethod::Get => {
            url = with_query(&url, &std::mem::replace(&mut body, Secret::new(String::new())));
            http::Method::GET
        }
    };
    Ok(TokenRequest { method, service, url, headers, body, redactor })
}

/// The name of a media type, as a header says it.
pub fn media_type(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Form => "application/x-www-form-urlencoded",
        ContentType::Json => "application/json",
    }
}

/// The URL, with this behind its query.
pub(super) fn with_query(url: &Secret, query: &Secret) -> Secret {
    let url = url.expose();
    let joint = match (url.contains('?'), url.ends_with(['?', '&'])) {
        _ if query.expose().is_empty() => "",
        (false, _) => "?",
        (true, false) => "&",
        (true, true) => "",
    };
    Secret::new([url, joint, query.expose()].concat())
}

/// Reads a source for a request.
pub(super) fn read(source: &SecretSource, what: &str) -> Result<Secret, FetchError> {
    source
        .read()
        .map_err(|error| FetchError::new(FetchErrorCode::SecretUnreadable, format!("{what}: {error}")))
}

/// A request that cannot be made.
pub(super) fn unfit(message: String) -> FetchError {
    FetchError::new(FetchErrorCode::RequestInvalid, message)
}

/// A header value that may be secret.
pub(super) fn header_value(text: &str, what: &str) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| unfit(format!("{what}: holds a character that a header cannot carry")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The custom parameters of one place, with their values read: (key, values).
fn custom<'a>(
    request: &'a RequestConfig,
    place: ParameterPlace,
    redactor: &mut Redactor,
) -> Result<Vec<(&'a str, Vec<Secret>)>, FetchError> {
    let read_all = |parameter: &'a CustomParameter, redactor: &mut Redactor| {
        let mut values = Vec::with_capacity(parameter.values.len());
        for source in &parameter.values {
            let value = read(source, &format!("custom parameter {}", parameter.key))?;
            if !matches!(source, SecretSource::Literal(_)) || looks_secret(&parameter.key) {
                redactor.hide(&value);
            }
            values.push(value);
        }
        Ok((parameter.key.as_str(), values))
    };
    let here = request.custom_parameters.iter().filter(|parameter| parameter.place == place);
    here.map(|parameter| read_all(parameter, redactor)).collect()
}

fn custom_headers(request: &RequestConfig, redactor: &mut Redactor) -> Result<HeaderMap, FetchError> {
    let mut headers = HeaderMap::new();
    for (key, values) in custom(request, ParameterPlace::Header, redactor)? {
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

/// The URL of a service, if credentials may go there.
pub(super) fn service(profile: &ProfileConfig, url: &Secret, what: &str) -> Result<HttpUrl, FetchError> {
    let service = HttpUrl::parse(url.expose()).map_err(|error| unfit(format!("{what} {error}")))?;
    if service.scheme() == Scheme::Http && !service.is_loopback() && !profile.transport.allow_cleartext {
        return Err(unfit(format!(
            "{what} is http:// to {}: the client secret would travel in clear text; \
             use https://, or set allow_cleartext: true",
            service.host()
        )));
    }
    Ok(service)
}

/// The URL with `grant_type` and the custom parameters that belong in it.
fn url(
    profile: &ProfileConfig,
    oauth2: &OAuth2,
    occasion: &Occasion<'_>,
    redactor: &mut Redactor,
) -> Result<(HttpUrl, Secret), FetchError> {
    let what = match &oauth2.endpoint {
        TokenEndpoint::Url(source) => format!("token_service_url ({})", source.describe()),
        TokenEndpoint::Issuer(_) => "the token_endpoint of the issuer".to_owned(),
    };
    let service = service(profile, &occasion.endpoint.url, &what)?;
    let mut query = Query(service.query().unwrap_or_default().to_owned());
    let has_grant_type = form::pairs(&query.0).any(|(key, _)| key == GRANT_TYPE);
    if oauth2.request.grant_type_in == GrantTypePlace::Url && !has_grant_type {
        query.push(GRANT_TYPE, oauth2.grant.grant_type());
    }
    for (key, values) in custom(&oauth2.request, ParameterPlace::Url, redactor)? {
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

fn body(
    oauth2: &OAuth2,
    grant: &[Member],
    client: &[Member],
    redactor: &mut Redactor,
) -> Result<Secret, FetchError> {
    let request = &oauth2.request;
    // In a URL there is only one way to write it.
    let content_type = match request.method {
        RequestMethod::Post => request.content_type,
        RequestMethod::Get => ContentType::Form,
    };
    let mut body = Body::new(content_type);
    if request.grant_type_in == GrantTypePlace::Body {
        body.text(GRANT_TYPE, oauth2.grant.grant_type());
    }
    for (key, value) in client.iter().chain(grant) {
        body.text(key, value.expose());
    }
    // The service may have granted less than was asked for, and refuses a renewal that asks for more (RFC 6749 §6).
    let scope = request.scope.as_ref().filter(|_| !matches!(oauth2.grant, Grant::AuthorizationCode(_)));
    match scope {
        Some(Scope::Text(source)) => body.optional("scope", &read(source, "scope")?),
        Some(Scope::Object(object)) if content_type == ContentType::Json => body.object("scope", object),
        Some(Scope::Object(_)) => {
            return Err(unfit("scope is an object, which needs content_type: application/json".to_owned()));
        }
        None => {}
    }
    for (key, source) in [("resource", &request.resource), ("audience", &request.audience)] {
        if let Some(source) = source {
            body.optional(key, &read(source, key)?);
        }
    }
    for (key, values) in custom(request, ParameterPlace::Body, redactor)? {
        // A form may repeat a key (RFC 8707 repeats `resource`); in a JSON object one of the two would be lost.
        let taken = match key {
            "scope" => request.scope.is_some(),
            "resource" => request.resource.is_some(),
            "audience" => request.audience.is_some(),
            _ => false,
        };
        if taken && content_type == ContentType::Json {
            return Err(unfit(format!("custom parameter {key}: the profile sets it already; write it once")));
        }
        let ours = RESERVED.contains(&key) || client.iter().chain(grant).any(|(own, _)| *own == key);
        if !ours {
            body.list(key, &values);
        }
    }
    Ok(body.finish())
}

#[cfg(test)]
mod tests;
