//! What a token request shows for the token it asks for: the members of the body that belong to the grant. And whether
//! what came of it is what was asked for.

use super::AccessToken;
use super::error::{FetchError, FetchErrorCode};
use super::request::{Member, Occasion, read, unfit};
use super::{assertion, saml};
use crate::config::profile::{Grant, OAuth2, SubjectToken, TokenExchange};
use crate::secret::Secret;

/// The grant's members. Every source is read just now.
pub fn members(oauth2: &OAuth2, occasion: &Occasion<'_>) -> Result<Vec<Member>, FetchError> {
    match &oauth2.grant {
        Grant::ClientCredentials | Grant::Custom(_) => Ok(Vec::new()),
        Grant::Password { username, password } => {
            Ok(vec![("username", read(username, "username")?), ("password", read(password, "password")?)])
        }
        Grant::RefreshToken(refresh) => Ok(vec![(
            "refresh_token",
            match occasion.shown {
                Some(token) => token.clone(),
                None => read(&refresh.token, "refresh_token")?,
            },
        )]),
        Grant::AuthorizationCode(_) => {
            let token = occasion.shown.ok_or_else(|| unfit("there is no refresh token".to_owned()))?;
            Ok(vec![("refresh_token", token.clone())])
        }
        Grant::TokenExchange(exchange) => token_exchange(exchange, occasion),
        Grant::JwtBearer(config) => {
            Ok(vec![("assertion", assertion::grant(config, oauth2.client.id.as_ref(), occasion)?)])
        }
        Grant::SamlBearer(config) => {
            let id = oauth2.client.id.as_ref().map(|id| read(id, "client_id")).transpose()?;
            saml::members(config, id.as_ref(), occasion)
        }
    }
}

/// RFC 8693 §2.1
fn token_exchange(exchange: &TokenExchange, occasion: &Occasion<'_>) -> Result<Vec<Member>, FetchError> {
    let text = |text: &str| Secret::new(text.to_owned());
    let subject = match (&exchange.subject, occasion.shown) {
        (_, Some(shown)) => shown.clone(),
        (SubjectToken::Source(source), None) => read(source, "subject_token")?,
        (SubjectToken::Header(name), None) => {
            return Err(unfit(format!("there is no subject: it comes with the header {name} of a request")));
        }
    };
    let mut members = vec![("subject_token", subject), ("subject_token_type", text(&exchange.subject_type))];
    if let Some(actor) = &exchange.actor {
        members.push(("actor_token", read(&actor.token, "actor_token")?));
        members.push(("actor_token_type", text(&actor.kind)));
    }
    members.extend(exchange.requested_type.iter().map(|kind| ("requested_token_type", text(kind))));
    Ok(members)
}

/// What no request can carry as an access token, whatever its answer calls it (RFC 8693 §3).
const OTHER_TOKENS: [&str; 4] = ["refresh_token", "id_token", "saml1", "saml2"];

/// Whether an exchange brought an access token, or what else was asked for (RFC 8693 §2.2.1). Many services leave
/// `issued_token_type` out, or have names of their own: `token_type` decides then.
pub fn check_issued(oauth2: &OAuth2, access: &AccessToken) -> Result<(), FetchError> {
    let Grant::TokenExchange(exchange) = &oauth2.grant else { return Ok(()) };
    let issued = access.fields.get("issued_token_type").unwrap_or_default();
    let kind = issued.strip_prefix("urn:ietf:params:oauth:token-type:");
    let other = OTHER_TOKENS.into_iter().find(|other| kind == Some(*other));
    match other.filter(|_| exchange.requested_type.as_ref() != Some(&issued)) {
        Some(other) => Err(FetchError::new(
            FetchErrorCode::TypeUnsupported,
            format!(
                "the token service issued a {other}, which is no access token; \
                 say what you want: requested_token_type: access_token"
            ),
        )),
        None => Ok(()),
    }
}
