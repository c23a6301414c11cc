//! A JWT that is a grant (RFC 7523 §2.1), or the token itself.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::client_assertion::{audience, broken, header, signed, signing_key};
use super::error::FetchError;
use super::keys::KeyPair;
use super::request::{Occasion, read};
use super::sign::{self, SigningKey};
use crate::clock::Moment;
use crate::config::SecretSource;
use crate::config::profile::AssertionConfig;
use crate::secret::Secret;

/// In `issuer` and `subject`: the SHA-256 of the public key, in base64, as Snowflake names keys.
const PUBLIC_KEY: &str = "{public_key_sha256}";

/// The grant: `iss` is the client unless configured, `aud` the service, and each has a `jti` of its own.
pub(super) fn grant(
    config: &AssertionConfig,
    client_id: Option<&SecretSource>,
    occasion: &Occasion<'_>,
) -> Result<Secret, FetchError> {
    let pair = occasion.keys.current(occasion.now.wall())?;
    let mut claims = Map::new();
    if let Some(id) = client_id {
        claims.insert("iss".to_owned(), read(id, "client_id")?.expose().into());
    }
    claims.insert("aud".to_owned(), audience(&config.jwt, occasion)?);
    claims.insert("jti".to_owned(), sign::fresh_id().map_err(|error| broken(&error))?.into());
    make(config, &pair, claims, occasion.now)
}

/// The token: nothing in it but what is configured, `iat` and `exp`. Apple refuses what it does not expect.
pub(super) fn token(config: &AssertionConfig, pair: &KeyPair, now: Moment) -> Result<Secret, FetchError> {
    let mut claims = Map::new();
    if let Some(audience) = &config.jwt.audience {
        claims.insert("aud".to_owned(), read(audience, "assertion.audience")?.expose().into());
    }
    make(config, pair, claims, now)
}

fn make(
    config: &AssertionConfig,
    pair: &KeyPair,
    mut claims: Map<String, Value>,
    now: Moment,
) -> Result<Secret, FetchError> {
    let key = signing_key(pair, &config.jwt)?;
    let texts = [("iss", "issuer", &config.issuer), ("sub", "subject", &config.subject)];
    for (claim, setting, source) in texts {
        if let Some(source) = source {
            let text = read(source, &format!("assertion.{setting}"))?;
            claims.insert(claim.to_owned(), with_public_key(text.expose(), &key).into());
        }
    }
    if let Some(scope) = &config.scope {
        claims.insert("scope".to_owned(), read(scope, "scope")?.expose().into());
    }
    let now = now.wall_seconds();
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), (now + config.jwt.lifetime.as_secs()).into());
    for (name, value) in &config.claims {
        match value {
            // Some services refuse a claim that they do not know.
            Value::Null => claims.remove(name),
            value => claims.insert(name.clone(), value.clone()),
        };
    }
    signed(header(&config.jwt, pair.leaf())?, &claims, &key)
}

fn with_public_key(text: &str, key: &SigningKey) -> String {
    match key.spki_der().filter(|_| text.contains(PUBLIC_KEY)) {
        Some(spki) => text.replace(PUBLIC_KEY, &STANDARD.encode(digest(&SHA256, spki))),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
