//! A JWT that the client signs to prove who it is (RFC 7523 §2.2, OpenID Connect Core §9).

use serde_json::{Map, Value};

use super::certificate::Certificate;
use super::error::FetchError;
use super::keys::KeyPair;
use super::request::{Occasion, read, unfit};
use super::sign::{self, KeyError, SigningKey};
use crate::config::profile::{Algorithm, ClientAuthentication, JwtOptions, ProfileConfig, Thumbprint};
use crate::secret::Secret;

/// A JWT signed with the client's secret.
pub(super) fn with_secret(
    jwt: &JwtOptions,
    id: &Secret,
    secret: &Secret,
    occasion: &Occasion<'_>,
) -> Result<Secret, FetchError> {
    let key = SigningKey::hmac(secret, jwt.algorithm.unwrap_or(Algorithm::Hs256));
    let key = key.map_err(|error| unfit(format!("the client_secret {error}")))?;
    signed(header(jwt, None)?, &claims(jwt, id, occasion)?, &key)
}

/// Whether the secrets of a profile are long enough for what they are to sign.
pub fn check(profile: &ProfileConfig) -> Result<(), String> {
    let client = profile.oauth2().map(|oauth2| &oauth2.client.authentication);
    let Some(ClientAuthentication::SecretJwt { secret, jwt }) = client else { return Ok(()) };
    for (key, source) in
        [("client_secret", Some(&secret.current)), ("client_secret.next", secret.next.as_ref())]
    {
        let Some(source) = source else { continue };
        let text = source.read().map_err(|error| format!("{key}: {}", error.0))?;
        SigningKey::hmac(&text, jwt.algorithm.unwrap_or(Algorithm::Hs256))
            .map_err(|error| format!("the {key} {error}"))?;
    }
    Ok(())
}

/// A JWT signed with the client's private key.
pub(super) fn with_key(jwt: &JwtOptions, id: &Secret, occasion: &Occasion<'_>) -> Result<Secret, FetchError> {
    let pair = occasion.keys.current(occasion.now.wall())?;
    signed(header(jwt, pair.leaf())?, &claims(jwt, id, occasion)?, &signing_key(&pair, jwt)?)
}

/// The key of a pair, for the algorithm of a JWT.
pub(super) fn signing_key(pair: &KeyPair, jwt: &JwtOptions) -> Result<SigningKey, FetchError> {
    pair.signing_key(jwt.algorithm).map_err(|error| unfit(format!("key_pair: the private key {error}")))
}

/// Signs.
pub(super) fn signed(
    header: Map<String, Value>,
    claims: &Map<String, Value>,
    key: &SigningKey,
) -> Result<Secret, FetchError> {
    sign::jws(header, claims, key).map_err(|error| broken(&error))
}

/// What went wrong with a key that is sound.
pub(super) fn broken(error: &KeyError) -> FetchError {
    FetchError::new(super::error::FetchErrorCode::Internal, format!("a key {error}"))
}

/// `kid`, and the thumbprints of the certificate.
pub(super) fn header(
    jwt: &JwtOptions,
    certificate: Option<&Certificate>,
) -> Result<Map<String, Value>, FetchError> {
    let mut header = Map::new();
    if let Some(key_id) = &jwt.key_id {
        header.insert("kid".to_owned(), read(key_id, "key_id")?.expose().into());
    }
    if jwt.thumbprint == Thumbprint::None {
        return Ok(header);
    }
    let certificate =
        certificate.ok_or_else(|| unfit("a thumbprint needs key_pair.certificate".to_owned()))?;
    if matches!(jwt.thumbprint, Thumbprint::X5t | Thumbprint::Both) {
        header.insert("x5t".to_owned(), certificate.x5t().into());
    }
    if matches!(jwt.thumbprint, Thumbprint::X5tS256 | Thumbprint::Both) {
        header.insert("x5t#S256".to_owned(), certificate.x5t_s256().into());
    }
    Ok(header)
}

/// `aud`: as configured, else the issuer where it is known (a token endpoint may have several names, an issuer has
/// one), else the token endpoint.
pub(super) fn audience(jwt: &JwtOptions, occasion: &Occasion<'_>) -> Result<Value, FetchError> {
    Ok(match (&jwt.audience, &occasion.endpoint.issuer) {
        (Some(audience), _) => read(audience, "audience")?.expose().into(),
        (None, Some(issuer)) => issuer.as_str().into(),
        (None, None) => occasion.endpoint.url.expose().into(),
    })
}

/// RFC 7523 §3. Entra wants `nbf`, and nobody minds it.
fn claims(jwt: &JwtOptions, id: &Secret, occasion: &Occasion<'_>) -> Result<Map<String, Value>, FetchError> {
    let now = occasion.now.wall_seconds();
    let claims = [
        ("iss", id.expose().into()),
        ("sub", id.expose().into()),
        ("aud", audience(jwt, occasion)?),
        ("jti", sign::fresh_id().map_err(|error| broken(&error))?.into()),
        ("iat", now.into()),
        ("nbf", now.into()),
        ("exp", (now + jwt.lifetime.as_secs()).into()),
    ];
    Ok(claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests;
