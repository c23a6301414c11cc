//! The code for tokens (RFC 6749 §4.1.3): a token request like any other of this profile, with another grant.

use std::sync::Arc;
use std::time::Duration;

use super::AuthorizeError;
use super::callback::Issuer;
use crate::clock::Clock;
use crate::config::profile::{
    AuthorizationCode, CustomParameter, Grant, OAuth2, ParameterPlace, ProfileKind, TokenEndpoint,
};
use crate::config::{ProfileConfig, SecretSource};
use crate::secret::Secret;
use crate::token::discovery;
use crate::token::oauth2::OAuth2Source;
use crate::token::request::read;
use crate::token::response::Issued;

/// How long the metadata of an issuer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the person is sent, and who sends it back where that is known: as configured, or as the issuer's metadata say.
pub(super) async fn authorization_endpoint(
    profile: &Arc<ProfileConfig>,
    oauth2: &OAuth2,
    grant: &AuthorizationCode,
) -> Result<(Secret, Option<Issuer>), AuthorizeError> {
    if let Some(url) = &grant.authorization_url {
        let issuer = match &oauth2.endpoint {
            TokenEndpoint::Issuer(issuer) => {
                Some(Issuer { name: read(issuer, "issuer")?.expose().to_owned(), is_named: false })
            }
            TokenEndpoint::Url(_) => None,
        };
        return Ok((read(url, "authorization_url")?, issuer));
    }
    let nowhere = || {
        AuthorizeError(
            "the issuer names no authorization_endpoint that can be used: write authorization_url".to_owned(),
        )
    };
    let metadata = discovery::look_up(profile, PATIENCE).await?.ok_or_else(nowhere)?;
    let url = metadata.authorization_endpoint.ok_or_else(nowhere)?;
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    let issuer = Issuer { name: metadata.issuer, is_named: metadata.names_issuer };
    Ok((Secret::new([&url.origin(), url.path(), &query].concat()), Some(issuer)))
}

/// Gets the tokens for a code.
pub(super) async fn exchange(
    profile: &ProfileConfig,
    clock: Clock,
    code: &Secret,
    redirect_uri: &str,
    verifier: &Secret,
) -> Result<Issued, AuthorizeError> {
    let members = [
        ("code", code.clone()),
        ("redirect_uri", Secret::new(redirect_uri.to_owned())),
        ("code_verifier", verifier.clone()),
    ];
    let mut profile = profile.clone();
    if let ProfileKind::OAuth2(oauth2) = &mut profile.kind {
        oauth2.grant = Grant::Custom("authorization_code".to_owned());
        let parameters = &mut oauth2.request.custom_parameters;
        parameters.retain(|theirs| !members.iter().any(|(key, _)| *key == theirs.key));
        parameters.extend(members.map(|(key, value)| CustomParameter {
            place: ParameterPlace::Body,
            key: key.to_owned(),
            // As if from the environment: what is no literal is hidden from what the answer may echo.
            values: vec![SecretSource::Env { name: key.to_owned(), value }],
        }));
    }
    let source = OAuth2Source::new(Arc::new(profile), clock).map_err(|error| AuthorizeError(error.0))?;
    Ok(source.issue_once().await?)
}
