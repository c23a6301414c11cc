//! The other side of DPoP: what a server checks of a proof (RFC 9449 §4.3), written apart from the code under test.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::reply::Reply;
use super::server::Seen;
use super::setup::Setup;

/// A proof whose signature is good.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// What it says.
    pub(crate) claims: Value,
    /// The thumbprint of its key (RFC 7638).
    pub(crate) thumbprint: String,
}

impl Proof {
    /// Reads and verifies a proof by the key that it brings.
    pub(crate) fn verify(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let [head, payload, signature] = parts[..] else { return Err("three parts".to_owned()) };
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|error| error.to_string());
        let json = |part: &str| -> Result<Value, String> {
            serde_json::from_slice(&bytes(part)?).map_err(|error| error.to_string())
        };
        let (header, claims) = (json(head)?, json(payload)?);
        if header["typ"] != "dpop+jwt" || header["alg"] != "ES256" {
            return Err(format!("typ and alg: {header}"));
        }
        let jwk = header["jwk"].as_object().ok_or("no jwk")?;
        if jwk.keys().ne(["crv", "kty", "x", "y"]) || jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
            return Err(format!("no public key of P-256: {header}"));
        }
        let part = |name: &str| bytes(jwk[name].as_str().unwrap_or_default());
        let point = [vec![4], part("x")?, part("y")?].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(format!("{head}.{payload}").as_bytes(), &bytes(signature)?)
            .map_err(|_| "the signature is bad".to_owned())?;
        let canonical = serde_json::to_string(jwk).map_err(|error| error.to_string())?;
        Ok(Self { claims, thumbprint: hash(&canonical) })
    }

    /// A claim that is a text.
    pub(crate) fn claim(&self, name: &str) -> &str {
        self.claims[name].as_str().unwrap_or_default()
    }
}

/// Base64url of the SHA-256.
pub(crate) fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// The state that a token service and an upstream share: which proofs they saw, to which key a token is bound.
#[derive(Clone, Default)]
pub(crate) struct Checker(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    seen: HashSet<String>,
    /// Thumbprint by token.
    bound: HashMap<String, String>,
    token_nonce: Option<String>,
    upstream_nonce: Option<String>,
    wrong: Vec<String>,
}

impl Checker {
    /// Makes the token service of this setup issue bound tokens, and its upstream check every proof.
    pub(crate) fn watch(setup: &Setup) -> Self {
        let checker = Self::default();
        let (judge, tokens, mark) = (checker.clone(), setup.idp.tokens(), setup.idp.mark().to_owned());
        setup.idp.answer_with(move |seen| {
            let proof = match judge.check(seen, None) {
                Ok(proof) => proof,
                Err(error) => return Some(judge.bad(error)),
            };
            let nonce = judge.0.lock().unwrap().token_nonce.clone();
            if let Some(nonce) = nonce.filter(|nonce| proof.claim("nonce") != nonce) {
                let headers = [("DPoP-Nonce", nonce.as_str()), ("Content-Type", "application/json")];
                return Some(Reply::new(400, &headers, r#"{"error":"use_dpop_nonce"}"#));
            }
            let token = format!("tok-{mark}-dpop-{}", seen.number);
            tokens.issue(&token, super::setup::CLIENT, seen.number, Duration::from_secs(3600));
            judge.0.lock().unwrap().bound.insert(token.clone(), proof.thumbprint);
            let body = format!(r#"{{"access_token":"{token}","token_type":"DPoP","expires_in":3600}}"#);
            Some(Reply::json(200, body))
        });
        let judge = checker.clone();
        setup.upstream.answer_with(move |seen| judge.answer(seen));
        checker
    }

    /// The nonce that the token service wants from now on.
    pub(crate) fn want_at_token_service(&self, nonce: &str) {
        self.0.lock().unwrap().token_nonce = Some(nonce.to_owned());
    }

    /// The nonce that the upstream wants from now on.
    pub(crate) fn want_at_upstream(&self, nonce: &str) {
        self.0.lock().unwrap().upstream_nonce = Some(nonce.to_owned());
    }

    /// What was wrong with any proof so far.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.0.lock().unwrap().wrong.clone()
    }

    /// What the upstream answers; nothing if the proof is good.
    pub(crate) fn answer(&self, seen: &Seen) -> Option<Reply> {
        let values = seen.head.all("authorization");
        let [value] = values[..] else { return Some(self.bad(format!("authorization: {values:?}"))) };
        let Some(token) = value.strip_prefix("DPoP ") else { return Some(self.bad("the scheme".to_owned())) };
        let proof = match self.check(seen, Some(token)) {
            Ok(proof) => proof,
            Err(error) => return Some(self.bad(error)),
        };
        let nonce = self.0.lock().unwrap().upstream_nonce.clone()?;
        if proof.claim("nonce") == nonce {
            return None;
        }
        let headers = [
            ("WWW-Authenticate", r#"DPoP error="use_dpop_nonce", error_description="a nonce is needed""#),
            ("DPoP-Nonce", nonce.as_str()),
        ];
        Some(Reply::new(401, &headers, "a nonce is needed"))
    }

    /// RFC 9449 §4.3, but for the nonce.
    fn check(&self, seen: &Seen, token: Option<&str>) -> Result<Proof, String> {
        let proofs = seen.head.all("dpop");
        let [text] = proofs[..] else { return Err(format!("exactly one proof: {proofs:?}")) };
        let proof = Proof::verify(text)?;
        let path = seen.target().split('?').next().unwrap_or_default();
        let uri = format!("http://{}{path}", seen.header("host").unwrap_or_default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let mut state = self.0.lock().unwrap();
        let old = !state.seen.insert(proof.claim("jti").to_owned());
        let expected = token.map(hash);
        let bound = token.map(|token| state.bound.get(token).cloned().unwrap_or_default());
        match () {
            () if old => Err(format!("jti was seen before: {}", proof.claims)),
            () if proof.claim("jti").len() < 16 => Err(format!("jti is too short: {}", proof.claims)),
            () if proof.claim("htm") != seen.method() => Err(format!("htm: {}", proof.claims)),
            () if proof.claim("htu") != uri => Err(format!("htu is not {uri}: {}", proof.claims)),
            () if (proof.claims["iat"].as_f64().unwrap_or_default() - now).abs() > 60.0 => {
                Err(format!("iat is not {now}: {}", proof.claims))
            }
            () if proof.claims.get("ath").and_then(Value::as_str) != expected.as_deref() => {
                Err(format!("ath: {}", proof.claims))
            }
            () if bound.is_some_and(|bound| bound != proof.thumbprint) => {
                Err("the token is bound to another key".to_owned())
            }
            () => Ok(proof),
        }
    }

    fn bad(&self, error: String) -> Reply {
        self.0.lock().unwrap().wrong.push(error);
        Reply::new(401, &[("WWW-Authenticate", r#"DPoP error="invalid_dpop_proof""#)], "a bad proof")
    }
}
