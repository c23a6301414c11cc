//! A proof: a JWT that says which request it is for, signed with the key that the token is bound to (RFC 9449 §4.2).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use super::DpopKey;
use crate::clock::Moment;
use crate::token::AccessToken;

/// What a proof says of its request.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// `htm`
    pub method: &'a str,
    /// `htu` in three parts: `https` or `http`,
    pub scheme: &'a str,
    /// host and port as in the request's Host,
    pub authority: &'a str,
    /// and the path without its query; empty is `/`.
    pub path: &'a str,
    /// What the server gave for this proof.
    pub nonce: Option<&'a str>,
    /// `ath`: the Base64url of the token's SHA-256, where one goes along.
    pub token_hash: Option<&'a str>,
}

/// Makes the proofs that go with one token.
#[derive(Clone, Debug)]
pub struct Prover {
    key: Arc<DpopKey>,
    token_hash: String,
}

impl Prover {
    /// The one for this token; nothing for a token that is bound to no key.
    pub fn of(token: &AccessToken) -> Option<Self> {
        let key = Arc::clone(token.key.as_ref()?);
        let hash = digest(&SHA256, token.text.expose().as_bytes());
        Some(Self { key, token_hash: URL_SAFE_NO_PAD.encode(hash) })
    }

    /// The proof for a request that shows the token; nothing if it cannot be signed, which is a fault of ours.
    pub fn proof(&self, claims: &Claims<'_>, now: Moment) -> Option<HeaderValue> {
        self.key.proof(&Claims { token_hash: Some(&self.token_hash), ..*claims }, now)
    }
}

/// The payload of a proof, written at once: nothing here is looked up by name.
pub(super) fn payload(claims: &Claims<'_>, jti: &[u8], now: Moment) -> Vec<u8> {
    let length = claims.method.len() + claims.authority.len() + claims.path.len();
    let more = claims.nonce.map_or(0, str::len) + claims.token_hash.map_or(0, str::len);
    let mut json = Vec::with_capacity(length + more + 128);
    json.extend_from_slice(b"{\"jti\":\"");
    json.extend_from_slice(jti);
    member(&mut json, "htm", &[claims.method]);
    let path = if claims.path.is_empty() { "/" } else { claims.path };
    member(&mut json, "htu", &[claims.scheme, "://", claims.authority, path]);
    if let Some(nonce) = claims.nonce {
        member(&mut json, "nonce", &[nonce]);
    }
    if let Some(hash) = claims.token_hash {
        member(&mut json, "ath", &[hash]);
    }
    json.extend_from_slice(b"\",\"iat\":");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds since 1970")]
    let iat = now.unix_seconds() as u64;
    json.extend_from_slice(iat.to_string().as_bytes());
    json.push(b'}');
    json
}

/// Ends the value before, and begins the next one.
fn member(json: &mut Vec<u8>, name: &str, value: &[&str]) {
    json.extend_from_slice(b"\",\"");
    json.extend_from_slice(name.as_bytes());
    json.extend_from_slice(b"\":\"");
    for byte in value.iter().flat_map(|part| part.bytes()) {
        match byte {
            b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
            // A URI has none.
            0..=0x1f => {}
            _ => json.push(byte),
        }
    }
}
