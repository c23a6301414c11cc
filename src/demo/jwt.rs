//! JSON Web Tokens as XSUAA makes them: RS256, with `kid` and `typ` in the header (RFC 7515, RFC 7519).
//!
//! Invariant: only what this very key has signed and whose `exp` lies ahead is accepted. There is no leeway: the sandbox
//! exists to show that an expired token never arrives.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::random;

/// Why a token was not accepted; the texts are for a `WWW-Authenticate` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rejected {
    #[error("The token is malformed")]
    Malformed,
    #[error("The token was not signed by a known key")]
    BadSignature,
    #[error("The token expired")]
    Expired,
    #[error("The token was not issued for this service")]
    Foreign,
}

/// A signing key of one token service, made at its start and never stored.
pub(super) struct SigningKey {
    pair: KeyPair,
    id: String,
}

impl SigningKey {
    /// A new RSA key of 2048 bits. Takes a tenth of a second or so: not for the request path.
    pub(super) fn generate() -> io::Result<Self> {
        let pair =
            KeyPair::generate(KeySize::Rsa2048).map_err(|_| io::Error::other("no RSA key could be made"))?;
        Ok(Self { pair, id: format!("default-jwt-key-{}", random::uuid()?) })
    }

    /// Signs the claims.
    pub(super) fn sign(&self, claims: &Value) -> io::Result<String> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.id });
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| io::Error::other("the token could not be signed"))?;
        Ok(format!("{signed}.{}", encode(signature)))
    }

    /// The claims of a token that this key signed and that is not expired at `now`.
    pub(super) fn verify(&self, token: &str, now: SystemTime) -> Result<Value, Rejected> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Rejected::Malformed)?;
        // Neither `none` nor HMAC with the public key: the algorithm is ours, the header may only agree.
        if object(header)?["alg"] != "RS256" {
            return Err(Rejected::BadSignature);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Rejected::Malformed)?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| Rejected::BadSignature)?;
        let claims = object(claims)?;
        let expiry = claims["exp"].as_u64().ok_or(Rejected::Malformed)?;
        if since_epoch(now) >= Duration::from_secs(expiry) {
            return Err(Rejected::Expired);
        }
        Ok(claims)
    }
}

/// The time since 1970; a clock before that counts as 1970.
pub(super) fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn object(part: &str) -> Result<Value, Rejected> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejected::Malformed)?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object).ok_or(Rejected::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRY: u64 = 1_800_000_000;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_good_until_its_very_expiry() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(&json!({ "exp": EXPIRY, "cid": "me" })).unwrap();
        assert_eq!(key.verify(&token, at(EXPIRY - 1)).unwrap()["cid"], "me");
        assert_eq!(key.verify(&token, at(EXPIRY)), Err(Rejected::Expired));
        assert!(key.verify(&token, at(EXPIRY) - Duration::from_millis(1)).is_ok());
    }

    #[test]
    fn a_tampered_or_foreign_token_is_refused() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(&json!({ "exp": 1 })).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let longer = encode(json!({ "exp": EXPIRY }).to_string());
        let tampered = format!("{}.{longer}.{}", parts[0], parts[2]);
        assert_eq!(key.verify(&tampered, at(0)), Err(Rejected::BadSignature));
        let unsigned = format!("{}.{longer}.", encode(json!({ "alg": "none" }).to_string()));
        assert_eq!(key.verify(&unsigned, at(0)), Err(Rejected::BadSignature));
        assert_eq!(SigningKey::generate().unwrap().verify(&token, at(0)), Err(Rejected::BadSignature));
    }

    #[test]
    fn rubbish_is_malformed_and_never_a_panic() {
        let key = SigningKey::generate().unwrap();
        for rubbish in ["", ".", "..", "a.b.c", "e30.e30.e30", "\u{e4}.\u{e4}.\u{e4}", "W10.W10.W10"] {
            assert!(key.verify(rubbish, at(0)).is_err(), "{rubbish}");
        }
        let no_expiry = key.sign(&json!({ "sub": "x" })).unwrap();
        assert_eq!(key.verify(&no_expiry, at(0)), Err(Rejected::Malformed));
    }
}
