//! DPoP (RFC 9449): a token is bound to a key, and every request that shows it proves that we have that key.
//!
//! Invariant: a proof is made for one request and never used again; the private key never leaves its [`DpopKey`].

mod key;
mod nonce;
mod proof;

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderName;

pub use self::key::DpopKey;
pub use self::nonce::Nonce;
pub use self::proof::{Claims, Prover};
use super::error::{FetchError, FetchErrorCode};
use super::keys::pem_text;
use super::request::TokenRequest;
use super::response::Answer;
use crate::clock::Moment;
use crate::config::profile::DpopConfig;
use crate::config::url::Scheme;
use crate::secret::Secret;

/// Carries the proof (RFC 9449 §4.1).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// Carries a nonce for the next proof (RFC 9449 §8.1).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// The error of a server that wants a nonce in the proof (RFC 9449 §8, §9).
pub const USE_DPOP_NONCE: &str = "use_dpop_nonce";

/// A profile's way of proving that it has a key: at the token endpoint, and later with each token.
#[derive(Debug)]
pub struct Dpop {
    config: DpopConfig,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The key, and the text that it was read from; nothing for one that was made here.
    key: Option<(Arc<DpopKey>, Option<Secret>)>,
    /// What the token endpoint wants in the next proof, and which origin said so.
    nonce: Option<(String, String)>,
}

impl Dpop {
    /// One that has no key yet.
    pub fn new(config: DpopConfig) -> Self {
        Self { config, held: Mutex::default() }
    }

    /// The key: what its source holds now, or one that is made once and dies with the process.
    pub fn key(&self) -> Result<Arc<DpopKey>, FetchError> {
        let unreadable = |error: String| {
            FetchError::new(FetchErrorCode::SecretUnreadable, format!("dpop.private_key: {error}"))
        };
        let source = self.config.private_key.as_ref();
        let text = source.map(|source| pem_text(source).map_err(unreadable)).transpose()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key, from)) = &held.key
            && *from == text
        {
            return Ok(Arc::clone(key));
        }
        let key = match &text {
            Some(pem) => DpopKey::from_pem(pem, self.config.algorithm),
            None => DpopKey::generate(),
        };
        let key = key.map_err(|error| {
            FetchError::new(FetchErrorCode::RequestInvalid, format!("dpop.private_key {error}"))
        })?;
        let key = Arc::new(key);
        held.key = Some((Arc::clone(&key), text));
        Ok(key)
    }

    /// Puts a proof on a token request; gives the key that the token will be bound to.
    pub fn prove(&self, request: &mut TokenRequest, now: Moment) -> Result<Arc<DpopKey>, FetchError> {
        let (key, url) = (self.key()?, &request.service);
        let nonce = self.nonce_for(&url.origin());
        let claims = Claims {
            method: request.method.as_str(),
            scheme: if url.scheme() == Scheme::Https { "https" } else { "http" },
            authority: &url.authority(),
            path: url.path(),
            nonce: nonce.as_deref(),
            token_hash: None,
        };
        let proof = key.proof(&claims, now);
        let unsigned = || FetchError::new(FetchErrorCode::Internal, "the DPoP proof cannot be signed");
        request.headers.insert(DPOP, proof.ok_or_else(unsigned)?);
        Ok(key)
    }

    /// Takes in the nonce of an answer. True if the request failed for want of it, and is worth another try.
    pub fn heed(&self, request: &TokenRequest, answer: &Answer) -> bool {
        let nonce = answer.dpop_nonce.as_deref().filter(|nonce| nonce::is_nonce(nonce.as_bytes()));
        let Some(nonce) = nonce else { return false };
        let fresh = Some((request.service.origin(), nonce.to_owned()));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = held.nonce != fresh;
        held.nonce = fresh;
        let asks =
            |body: &[u8]| body.windows(USE_DPOP_NONCE.len()).any(|part| part == USE_DPOP_NONCE.as_bytes());
        differs && matches!(answer.status, 400 | 401) && asks(&answer.body)
    }

    fn nonce_for(&self, origin: &str) -> Option<String> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.nonce.clone().filter(|(from, _)| from == origin).map(|(_, nonce)| nonce)
    }
}

#[cfg(test)]
mod tests;
