//! The grant of a profile as written.

use std::time::Duration;

use super::super::form::{self, Kind};
use super::super::profile::{AuthorizationCode, Grant, RefreshToken};
use super::super::reader::{At, Broken, Fields, Read, fold_value};
use super::super::url::Scheme;
use super::super::{HttpUrl, SecretSource};
use super::keys::Type;
use super::{assertion, exchange, saml};

/// Reads the grant of an OAuth2 type.
pub(super) fn grant(fields: &Fields<'_>, kind: Type) -> Read<Grant> {
    match kind {
        Type::ClientCredentials => grant_type(fields),
        Type::Password => {
            let username = fields.required("username", |at| form::source(at, Kind::Plain));
            let password = fields.required("password", |at| form::source(at, Kind::Secret));
            Ok(Grant::Password { username: username?, password: password? })
        }
        Type::RefreshToken => {
            let token = fields.required("refresh_token", |at| form::source(at, Kind::Secret));
            let state_file = fields.optional("state_file", |at| form::relative(at, &at.text()?));
            Ok(Grant::RefreshToken(RefreshToken { token: token?, state_file: state_file? }))
        }
        Type::AuthorizationCode => authorization_code(fields),
        Type::JwtBearer => {
            Ok(Grant::JwtBearer(Box::new(assertion::assertion(fields, Duration::from_secs(300))?)))
        }
        Type::SamlBearer => Ok(Grant::SamlBearer(Box::new(saml::saml(fields)?))),
        Type::TokenExchange => Ok(Grant::TokenExchange(Box::new(exchange::exchange(fields)?))),
        Type::HttpLogin | Type::SelfSignedJwt | Type::StaticToken | Type::UserCredentials => Err(Broken),
    }
}

/// `grant_type` of a profile with client credentials: that, or a word of the provider's own.
fn grant_type(fields: &Fields<'_>) -> Read<Grant> {
    let Some(at) = fields.get("grant_type") else { return Ok(Grant::ClientCredentials) };
    let text = at.text()?;
    let other = |kind: &str| {
        Err(at.error_hint(
            format!("{} is a grant that has a type of its own", at.quoted()),
            format!("write `type: {kind}` and leave grant_type out"),
        ))
    };
    match fold_value(&text).as_str() {
        "clientcredentials" => Ok(Grant::ClientCredentials),
        // CPI's field "Grant Type" holds the placement.
        place @ ("body" | "url") => Err(at.error_hint(
            "this says where the grant type stands, not what it is",
            format!("write `grant_type_in: {place}`"),
        )),
        "password" => other("oauth2_password"),
        "refreshtoken" => other("oauth2_refresh_token"),
        "authorizationcode" => other("oauth2_authorization_code"),
        "urn:ietf:params:oauth:granttype:jwtbearer" | "jwtbearer" => other("oauth2_jwt_bearer"),
        "urn:ietf:params:oauth:granttype:saml2bearer" | "saml2bearer" => {
            other("oauth2_saml_bearer_assertion")
        }
        "urn:ietf:params:oauth:granttype:tokenexchange" | "tokenexchange" => other("oauth2_token_exchange"),
        "" => Err(at.error_hint("the grant type is empty", "leave `grant_type` out for client_credentials")),
        _ if text.contains(char::is_whitespace) || text.len() > 200 => {
            Err(at.error_hint("this is no grant type", "a grant type is one word or a URI"))
        }
        _ => Ok(Grant::Custom(text)),
    }
}

/// Where a person signs in: never in clear text.
fn page_url(at: &At<'_>) -> Read<SecretSource> {
    let source = form::source(at, Kind::Plain)?;
    let text = source.read().map_err(|error| at.error(error.0))?;
    let url = HttpUrl::parse(text.expose()).map_err(|error| at.error(format!("this {error}")))?;
    if url.scheme() == Scheme::Http && !url.is_loopback() {
        return Err(at.error_hint("a person would sign in over http:// in clear text", "write https://"));
    }
    Ok(source)
}

fn authorization_code(fields: &Fields<'_>) -> Read<Grant> {
    let authorization_url = match fields.get("issuer") {
        // Its metadata name the page.
        Some(_) => fields.optional("authorization_url", page_url),
        None => fields.required("authorization_url", page_url).map(Some),
    };
    let state_file = fields.required("state_file", |at| form::relative(at, &at.text()?));
    let port = fields.or("redirect_port", 0, |at: &At<'_>| at.count(0, 65535));
    Ok(Grant::AuthorizationCode(AuthorizationCode {
        authorization_url: authorization_url?,
        state_file: state_file?,
        redirect_port: u16::try_from(port?).map_err(|_| Broken)?,
    }))
}
