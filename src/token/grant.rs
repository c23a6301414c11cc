//! What a token request shows for the token it asks for: the members of the body that belong to the grant.

use super::error::FetchError;
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
