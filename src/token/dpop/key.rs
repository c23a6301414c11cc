//! The key that tokens are bound to, and the part of a proof that is the same in all of them: its head.

use std::fmt;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde_json::json;

use super::proof::{self, Claims};
use crate::clock::Moment;
use crate::config::profile::Algorithm;
use crate::secret::Secret;
use crate::token::sign::{KeyError, SigningKey};

/// Bytes of `jti`: 128 bits, where RFC 9449 §4.2 wants 96.
const JTI: usize = 16;

/// A key pair for proofs.
pub struct DpopKey {
    key: SigningKey,
    /// `{"typ":"dpop+jwt","alg":…,"jwk":…}` in Base64url, and the dot behind it.
    head: String,
    thumbprint: String,
}

impl DpopKey {
    /// A new key, for ES256.
    pub fn generate() -> Result<Self, KeyError> {
        SigningKey::generate_es256().and_then(Self::of)
    }

    /// The key in this text, for this algorithm or the one that fits it.
    pub fn from_pem(pem: &Secret, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        SigningKey::from_pem(pem.expose(), algorithm).and_then(Self::of)
    }

    fn of(key: SigningKey) -> Result<Self, KeyError> {
        let (Some(jwk), Some(thumbprint)) = (key.public_jwk(), key.jwk_thumbprint()) else {
            return Err(KeyError::Unusable);
        };
        let head = json!({ "typ": "dpop+jwt", "alg": key.algorithm().as_str(), "jwk": jwk });
        let head = URL_SAFE_NO_PAD.encode(head.to_string()) + ".";
        Ok(Self { key, head, thumbprint })
    }

    /// The SHA-256 of the public key (RFC 7638), as in a bound token's `cnf.jkt`: no secret.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The proof for one request; nothing if it cannot be signed, which is a fault of ours.
    pub fn proof(&self, claims: &Claims<'_>, now: Moment) -> Option<HeaderValue> {
        let mut random = [0; JTI];
        rand::fill(&mut random).ok()?;
        let mut jti = [0; JTI.div_ceil(3) * 4];
        let length = URL_SAFE_NO_PAD.encode_slice(random, &mut jti).ok()?;
        let payload = proof::payload(claims, &jti[..length], now);
        let mut text = String::with_capacity(self.head.len() + payload.len().div_ceil(3) * 4 + 96);
        text.push_str(&self.head);
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let signature = self.key.sign(text.as_bytes()).ok()?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        let mut value = HeaderValue::try_from(text).ok()?;
        // Not for logs, nor for HPACK's table: no other request has it.
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}
