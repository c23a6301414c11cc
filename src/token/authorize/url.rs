//! The page that a person opens: the authorization request (RFC 6749 §4.1.1).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::AuthorizeError;
use crate::config::ProfileConfig;
use crate::config::profile::{OAuth2, Scope};
use crate::secret::Secret;
use crate::token::form;
use crate::token::request::{read, service};

/// 256 bits that nobody can guess, in 43 characters that stand in a URL as they are.
pub(super) fn random() -> Result<Secret, AuthorizeError> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(|_| AuthorizeError("the system gives no random bytes".to_owned()))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// Proof that the code is ours, with method S256 (RFC 7636 §4).
#[derive(Debug)]
pub(super) struct Pkce {
    verifier: Secret,
    challenge: String,
}

impl Pkce {
    pub(super) fn new() -> Result<Self, AuthorizeError> {
        random().map(Self::of)
    }

    pub(super) fn of(verifier: Secret) -> Self {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()));
        Self { verifier, challenge }
    }

    pub(super) fn verifier(&self) -> &Secret {
        &self.verifier
    }

    pub(super) fn challenge(&self) -> &str {
        &self.challenge
    }
}

/// The authorization request: the endpoint's own query stays, but for what is ours.
pub(super) fn authorization(
    profile: &ProfileConfig,
    oauth2: &OAuth2,
    endpoint: &Secret,
    made: &[(&str, &str)],
) -> Result<String, AuthorizeError> {
    let url = service(profile, endpoint, "authorization_url")?;
    let id = oauth2.client.id.as_ref().ok_or_else(|| AuthorizeError("client_id is missing".to_owned()))?;
    let id = read(id, "client_id")?;
    let mut ours = vec![("response_type", "code"), ("client_id", id.expose())];
    let request = &oauth2.request;
    let scope = match &request.scope {
        Some(Scope::Text(scope)) => Some(read(scope, "scope")?),
        Some(Scope::Object(_)) => {
            return Err(AuthorizeError("scope is an object, which no URL can carry".to_owned()));
        }
        None => None,
    };
    let resource = request.resource.as_ref().map(|source| read(source, "resource")).transpose()?;
    let audience = request.audience.as_ref().map(|source| read(source, "audience")).transpose()?;
    let asked = [("scope", &scope), ("resource", &resource), ("audience", &audience)];
    ours.extend(asked.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?.expose()))));
    ours.extend_from_slice(made);
    ours.push(("code_challenge_method", "S256"));
    let theirs = url.query().unwrap_or_default().split('&').filter(|pair| {
        let key = form::decode(pair.split('=').next().unwrap_or_default());
        !key.is_empty() && !ours.iter().any(|(own, _)| *own == key)
    });
    let mut query: String = theirs.collect::<Vec<_>>().join("&");
    for (key, value) in &ours {
        if !query.is_empty() {
            query.push('&');
        }
        form::encode_into(key, &mut query);
        query.push('=');
        form::encode_into(value, &mut query);
    }
    let path = if url.path().is_empty() { "/" } else { url.path() };
    Ok([&url.origin(), path, "?", &query].concat())
}
