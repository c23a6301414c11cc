//! Proofs of possession for an upstream (RFC 9449 §7, §9): one for each time that a token is shown.
//!
//! Invariant: a proof is made for the request as it leaves, the last thing before it is sent, and never sent twice.

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Response};

use super::remedy;
use crate::clock::Moment;
use crate::forward::dial::Upstream;
use crate::token::dpop::{Claims, DPOP, DPOP_NONCE, Prover, USE_DPOP_NONCE};

/// Puts a proof on a request, in place of the one before; nothing if it cannot be signed, which is a fault of ours.
pub(super) fn prove(prover: &Prover, upstream: &Upstream, head: &mut Parts, now: Moment) -> Option<()> {
    let nonce = upstream.nonce.load();
    let claims = Claims {
        method: head.method.as_str(),
        scheme: upstream.scheme(),
        // What the upstream takes for its own name.
        authority: head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
        path: head.uri.path(),
        nonce: nonce.as_ref().map(|nonce| nonce.as_str()),
        token_hash: None,
    };
    let proof = prover.proof(&claims, now)?;
    head.headers.insert(DPOP, proof);
    Some(())
}

/// Takes in the nonce that an answer brings for the next proof, whatever its status.
pub(super) fn heed<B>(upstream: &Upstream, answer: &Response<B>) {
    if let Some(nonce) = answer.headers().get(DPOP_NONCE) {
        upstream.nonce.learn(nonce);
    }
}

/// Whether a 401 says that nothing but a nonce is missing, and brings it.
pub(super) fn wants_nonce<B>(answer: &Response<B>) -> bool {
    answer.headers().get(DPOP_NONCE).is_some_and(|nonce: &HeaderValue| !nonce.is_empty())
        && remedy::challenges(answer, USE_DPOP_NONCE)
}
