use std::collections::HashSet;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::*;
use crate::clock::Clock;
use crate::config::HttpUrl;
use crate::config::profile::Algorithm;
use crate::token::testing::{access, literal};
use http::HeaderValue;

/// A PEM text.
fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// One P-256 key in both forms: SEC 1 and PKCS#8.
fn p256() -> (String, String) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
    (pem("EC PRIVATE KEY", sec1.as_ref()), pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()))
}

fn p384() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())
}

/// The head and the claims of a proof whose signature its own key verifies (RFC 9449 §4.3).
fn verified(proof: &HeaderValue) -> (Value, Value) {
    let text = proof.to_str().unwrap();
    let parts: Vec<&str> = text.split('.').collect();
    let [head, payload, signature] = parts[..] else { panic!("three parts: {text}") };
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).unwrap();
    let (signed, signature) = (format!("{head}.{payload}"), bytes(signature));
    let (head, claims) = (json(head), json(payload));
    assert_eq!((&head["typ"], &head["alg"]), (&"dpop+jwt".into(), &"ES256".into()));
    let jwk = head["jwk"].as_object().unwrap();
    assert_eq!((&jwk["kty"], &jwk["crv"], jwk.len()), (&"EC".into(), &"P-256".into(), 4), "no private part");
    let point = [vec![4], bytes(jwk["x"].as_str().unwrap()), bytes(jwk["y"].as_str().unwrap())].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(signed.as_bytes(), &signature).expect("the signature is good");
    (head, claims)
}

fn claims<'a>(path: &'a str, nonce: Option<&'a str>) -> Claims<'a> {
    Claims { method: "POST", scheme: "https", authority: "api.example:8443", path, nonce, token_hash: None }
}

#[test]
fn a_proof_says_which_request_it_is_for_and_its_own_key_verifies_it() {
    let (key, now) = (DpopKey::generate().unwrap(), Clock::system().now());
    let proof = key.proof(&claims("/a/b", None), now).unwrap();
    let (_, said) = verified(&proof);
    assert_eq!((&said["htm"], &said["htu"]), (&"POST".into(), &"https://api.example:8443/a/b".into()));
    assert_eq!(said["iat"].as_f64().unwrap(), now.unix_seconds().floor());
    assert!(URL_SAFE_NO_PAD.decode(said["jti"].as_str().unwrap()).unwrap().len() >= 12, "96 bits");
    assert_eq!(said.as_object().unwrap().len(), 4, "no nonce, no ath: {said}");
    assert!(proof.is_sensitive());
}

#[test]
fn no_two_proofs_are_alike() {
    let (key, now) = (DpopKey::generate().unwrap(), Clock::system().now());
    let proofs: HashSet<String> = (0..100)
        .map(|_| verified(&key.proof(&claims("/", None), now).unwrap()).1["jti"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(proofs.len(), 100);
}

#[test]
fn what_a_path_may_hold_stays_json() {
    let (key, now) = (DpopKey::generate().unwrap(), Clock::system().now());
    for (path, told) in [("", "/"), ("/", "/"), ("/a\"b\\c{}", "/a\"b\\c{}"), ("/ä%2F;x=1", "/ä%2F;x=1")] {
        let (_, said) = verified(&key.proof(&claims(path, Some("a.b~c")), now).unwrap());
        assert_eq!(said["htu"], format!("https://api.example:8443{told}"));
        assert_eq!(said["nonce"], "a.b~c");
    }
}

#[test]
fn a_token_is_shown_with_its_hash() {
    let now = Clock::system().now();
    let key = Arc::new(DpopKey::generate().unwrap());
    let mut token = access("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", Duration::from_secs(60), now);
    assert!(Prover::of(&token).is_none(), "a token that is bound to no key");
    token.key = Some(Arc::clone(&key));
    let (_, said) = verified(&Prover::of(&token).unwrap().proof(&claims("/", None), now).unwrap());
    // RFC 9449 §7.1: the example's own token and `ath`.
    assert_eq!(said["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    let key = DpopKey::generate().unwrap();
    let (head, _) = verified(&key.proof(&claims("/", None), Clock::system().now()).unwrap());
    let jwk = &head["jwk"];
    let canonical =
        format!(r#"{{"crv":{},"kty":{},"x":{},"y":{}}}"#, jwk["crv"], jwk["kty"], jwk["x"], jwk["y"]);
    assert_eq!(key.thumbprint(), URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes())));
}

#[test]
fn a_key_comes_from_pem_in_either_form() {
    let read = |pem: &str, algorithm| DpopKey::from_pem(&Secret::new(pem.to_owned()), algorithm);
    let texts = p256();
    let (sec1, pkcs8) = (read(&texts.0, None).unwrap(), read(&texts.1, Some(Algorithm::Es256)).unwrap());
    assert_eq!(sec1.thumbprint(), pkcs8.thumbprint());
    verified(&sec1.proof(&claims("/", None), Clock::system().now()).unwrap());
    let shown = format!("{sec1:?}");
    assert!(shown.contains(sec1.thumbprint()) && shown.len() < 100, "{shown}");
    assert!(read("nonsense", None).is_err());
    assert!(read(&texts.0, Some(Algorithm::Rs256)).is_err());
}

#[test]
fn a_key_of_another_kind_says_so_in_its_proofs() {
    let key = DpopKey::from_pem(&Secret::new(p384()), None).unwrap();
    let proof = key.proof(&claims("/", None), Clock::system().now()).unwrap();
    let head = proof.to_str().unwrap().split('.').next().unwrap();
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    assert_eq!((&head["alg"], &head["jwk"]["crv"]), (&"ES384".into(), &"P-384".into()));
    assert_eq!(head["jwk"].get("d"), None);
}

#[test]
fn a_made_key_stays_and_a_read_one_follows_its_source() {
    let made = Dpop::new(DpopConfig::default());
    assert!(Arc::ptr_eq(&made.key().unwrap(), &made.key().unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let source = crate::config::SecretSource::File(path.clone());
    let read = Dpop::new(DpopConfig { private_key: Some(source), algorithm: Some(Algorithm::Es256) });
    assert_eq!(read.key().unwrap_err().code, FetchErrorCode::SecretUnreadable);
    let (sec1, pkcs8) = p256();
    std::fs::write(&path, sec1).unwrap();
    let first = read.key().unwrap();
    assert!(Arc::ptr_eq(&first, &read.key().unwrap()));
    std::fs::write(&path, p384()).unwrap();
    let error = read.key().unwrap_err();
    assert_eq!(error.code, FetchErrorCode::RequestInvalid);
    assert!(error.message.starts_with("dpop.private_key is an EC key on P-384"), "{error}");
    let literal = Dpop::new(DpopConfig { private_key: Some(literal(&pkcs8)), algorithm: None });
    assert_eq!(literal.key().unwrap().thumbprint(), first.thumbprint());
}

fn request(url: &str) -> TokenRequest {
    TokenRequest {
        method: http::Method::POST,
        service: HttpUrl::parse(url).unwrap(),
        url: Secret::new(url.to_owned()),
        headers: http::HeaderMap::new(),
        body: Secret::new(String::new()),
        redactor: crate::token::redact::Redactor::default(),
    }
}

fn answer(status: u16, nonce: Option<&str>, error: &str) -> Answer {
    Answer {
        status,
        content_type: None,
        content_encoding: None,
        date: None,
        retry_after: None,
        location: None,
        dpop_nonce: nonce.map(str::to_owned),
        body: format!(r#"{{"error":"{error}"}}"#).into_bytes(),
        cut: false,
    }
}

#[test]
fn a_nonce_is_for_the_origin_that_gave_it_and_worth_one_more_try() {
    let (dpop, now) = (Dpop::new(DpopConfig::default()), Clock::system().now());
    let nonce = |url: &str| {
        let mut request = request(url);
        dpop.prove(&mut request, now).unwrap();
        let (_, said) = verified(&request.headers[DPOP]);
        assert_eq!((&said["htm"], &said["htu"]), (&"POST".into(), &url.split('?').next().unwrap().into()));
        said["nonce"].as_str().map(str::to_owned)
    };
    let heed = |url, answer: &Answer| dpop.heed(&request(url), answer);
    let (ours, other) = ("https://a.example/token", "https://b.example/token");
    assert_eq!(nonce(ours), None);
    assert!(!heed(ours, &answer(400, None, USE_DPOP_NONCE)), "it gives none");
    assert!(!heed(ours, &answer(400, Some("a\"b"), USE_DPOP_NONCE)), "no nonce (RFC 9449 §8.1)");
    assert!(heed(ours, &answer(400, Some("n1"), USE_DPOP_NONCE)));
    assert!(!heed(ours, &answer(400, Some("n1"), USE_DPOP_NONCE)), "the same again");
    assert_eq!(nonce("https://a.example/token?x=1").as_deref(), Some("n1"));
    assert_eq!(nonce(other), None);
    assert!(!heed(ours, &answer(200, Some("n2"), "")), "for the next request");
    assert!(!heed(ours, &answer(400, Some("n3"), "invalid_scope")));
    assert_eq!(nonce(ours).as_deref(), Some("n3"));
}

#[test]
fn an_upstreams_nonce_is_replaced_by_a_newer_one_and_not_by_nonsense() {
    let nonce = Nonce::default();
    assert_eq!(nonce.load(), None);
    for text in ["one", "two", "", "with space", "quo\"te"] {
        nonce.learn(&HeaderValue::from_str(text).unwrap());
    }
    nonce.learn(&HeaderValue::from_str(&"x".repeat(2000)).unwrap());
    assert_eq!(nonce.load().unwrap().as_str(), "two");
}
