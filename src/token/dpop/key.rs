//! The key that tokens are bound to, and the part of a proof that is the same in all of them: its head.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::proof::{self, Claims};
use crate::clock::Moment;
use crate::config::profile::Algorithm;
use crate::secret::Secret;

/// Bytes of `jti`: 128 bits, where RFC 9449 §4.2 wants 96.
const JTI: usize = 16;

/// A key pair for proofs.
pub struct DpopKey {
    pair: EcdsaKeyPair,
    /// `{"typ":"dpop+jwt","alg":…,"jwk":…}` in Base64url, and the dot behind it.
    head: String,
    thumbprint: String,
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block that holds a private key.
    #[error("`private_key` holds no private key in PEM (PKCS#8 or SEC 1)")]
    NoKey,
    /// A key of another kind.
    #[error("`private_key` does not fit {0}, which wants a P-256 key")]
    Unfit(&'static str),
    /// An algorithm that proofs are not made with.
    #[error("proofs are signed with ES256; `algorithm: {0}` is not supported")]
    Algorithm(&'static str),
    /// The system gives no randomness.
    #[error("no key can be made")]
    Generate,
}

impl DpopKey {
    /// A new key.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        only_es256(algorithm)?;
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::of).map_err(|_| KeyError::Generate)
    }

    /// The key in this text.
    pub fn from_pem(pem: &Secret, algorithm: Algorithm) -> Result<Self, KeyError> {
        only_es256(algorithm)?;
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| KeyError::NoKey)?;
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der())
            .map(Self::of)
            .map_err(|_| KeyError::Unfit(algorithm.as_str()))
    }

    fn of(pair: EcdsaKeyPair) -> Self {
        // An uncompressed point: 4, x, y.
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at((point.len() - 1) / 2);
        // The members that RFC 7638 §3.2 takes the thumbprint of, in its order.
        let jwk = format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(x),
            URL_SAFE_NO_PAD.encode(y)
        );
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
        let head = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#);
        let head = URL_SAFE_NO_PAD.encode(head) + ".";
        Self { pair, head, thumbprint }
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
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).ok()?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        let mut value = HeaderValue::try_from(text).ok()?;
        // Not for logs, nor for HPACK's table: no other request has it.
        value.set_sensitive(true);
        Some(value)
    }
}

fn only_es256(algorithm: Algorithm) -> Result<(), KeyError> {
    if algorithm == Algorithm::Es256 { Ok(()) } else { Err(KeyError::Algorithm(algorithm.as_str())) }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}
