//! For whom a refresh token is: what ties a stored one to its profile.

use zeroize::Zeroizing;

use crate::config::ProfileConfig;
use crate::config::profile::{Grant, OAuth2, TokenEndpoint};
use crate::secret::Secret;
use crate::token::error::FetchError;
use crate::token::request::read;
use crate::token::state_file::{Fingerprint, Kept};

/// For whom a refresh token of this profile is, and the one that is configured.
pub(super) fn identity(oauth2: &OAuth2) -> Result<(Fingerprint, Option<Secret>), FetchError> {
    let (TokenEndpoint::Url(service) | TokenEndpoint::Issuer(service)) = &oauth2.endpoint;
    let service = read(service, "token_service_url")?;
    let client = oauth2.client.id.as_ref().map(|id| read(id, "client_id")).transpose()?;
    let configured = match &oauth2.grant {
        Grant::RefreshToken(refresh) => Some(read(&refresh.token, "refresh_token")?),
        _ => None,
    };
    let text = |secret: &Option<Secret>| secret.as_ref().map_or_else(String::new, |s| s.expose().to_owned());
    let (client, first) = (text(&client), Zeroizing::new(text(&configured)));
    Ok((Fingerprint::of(&[service.expose(), &client, &first]), configured))
}

/// For whom a refresh token of this profile is.
pub fn fingerprint(oauth2: &OAuth2) -> Result<Fingerprint, FetchError> {
    identity(oauth2).map(|(fingerprint, _)| fingerprint)
}

/// Whether a person has to consent before a profile whose state file holds this can get a token.
pub fn needs_consent(profile: &ProfileConfig, kept: Option<&Kept>) -> bool {
    let Some(oauth2) = profile.oauth2() else { return false };
    let ours = |kept: &Kept| fingerprint(oauth2).is_ok_and(|fingerprint| fingerprint == kept.profile);
    matches!(oauth2.grant, Grant::AuthorizationCode(_)) && !kept.is_some_and(ours)
}
