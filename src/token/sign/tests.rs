use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use jsonwebtoken::{DecodingKey, Validation};

use super::testing as keys;
use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn claims() -> Map<String, Value> {
    let claims = serde_json::json!({"iss": "us", "n": 1, "text": "ä\"\\"});
    claims.as_object().unwrap().clone()
}

/// What another implementation reads, given our public key as a JWK.
fn read_back(token: &Secret, algorithm: jsonwebtoken::Algorithm, key: &DecodingKey) -> Map<String, Value> {
    let mut rules = Validation::new(algorithm);
    rules.validate_exp = false;
    rules.required_spec_claims.clear();
    jsonwebtoken::decode(token.expose(), key, &rules).unwrap().claims
}

fn of_jwk(key: &SigningKey) -> DecodingKey {
    let jwk = Value::Object(key.public_jwk().unwrap().clone());
    DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap()
}

fn named(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    algorithm.as_str().parse().unwrap()
}

#[test]
fn another_implementation_verifies_every_algorithm_with_the_public_jwk() {
    use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let all = [
        (keys::RSA, &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512][..]),
        (keys::P256, &[Es256]),
        (keys::P384, &[Es384]),
        (keys::ED25519, &[EdDsa]),
    ];
    for (pem, algorithms) in all {
        for algorithm in algorithms {
            let key = SigningKey::from_pem(pem, Some(*algorithm)).unwrap();
            let token = jws(Map::new(), &claims(), &key).unwrap();
            assert_eq!(read_back(&token, named(*algorithm), &of_jwk(&key)), claims(), "{algorithm:?}");
        }
    }
}

#[test]
fn p_521_signs_es512() {
    let key = SigningKey::from_pem(keys::P521, Some(Algorithm::Es512)).unwrap();
    let token = jws(Map::new(), &claims(), &key).unwrap();
    let (message, signature) = token.expose().rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert_eq!(signature.len(), 132, "R and S of 66 bytes");
    UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, key.spki_der().unwrap())
        .verify(message.as_bytes(), &signature)
        .unwrap();
    let jwk = key.public_jwk().unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap().len(), 66);
    assert_eq!(jwk["crv"], "P-521");
}

#[test]
fn shared_secrets_sign_as_others_do() {
    for (algorithm, bytes) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
        let text = "s".repeat(bytes);
        let key = SigningKey::hmac(&secret(&text), algorithm).unwrap();
        let token = jws(Map::new(), &claims(), &key).unwrap();
        let theirs = DecodingKey::from_secret(text.as_bytes());
        assert_eq!(read_back(&token, named(algorithm), &theirs), claims());
        assert!(key.public_jwk().is_none() && key.spki_der().is_none());
        let error = SigningKey::hmac(&secret(&text[1..]), algorithm).unwrap_err().to_string();
        assert!(error.contains(&format!("at least {bytes} bytes")), "{error}");
    }
}

#[test]
fn a_header_keeps_what_it_says_but_its_algorithm() {
    let key = SigningKey::generate_es256().unwrap();
    let header = serde_json::json!({"typ": "dpop+jwt", "alg": "none", "kid": "1"});
    let token = jws(header.as_object().unwrap().clone(), &claims(), &key).unwrap();
    let header = token.expose().split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header, serde_json::json!({"typ": "dpop+jwt", "alg": "ES256", "kid": "1"}));
    let plain = jws(Map::new(), &claims(), &key).unwrap();
    assert!(plain.expose().starts_with(&URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JWT"}"#)));
}

#[test]
fn every_encoding_of_a_key_gives_the_same_key() {
    let spki = |pem: &str| SigningKey::from_pem(pem, None).unwrap().spki_der().unwrap().to_vec();
    assert_eq!(spki(keys::RSA), spki(keys::RSA_PKCS1));
    assert_eq!(spki(keys::P256), spki(keys::P256_SEC1));
    // As `openssl pkey -pubout -outform DER | sha256sum` says.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki(keys::P256));
    assert_eq!(base64::engine::general_purpose::STANDARD.encode(digest), keys::P256_SPKI_SHA256);
    let with_others = format!("{}\n{}", keys::CERTIFICATE, keys::P256_SEC1);
    assert_eq!(spki(&with_others), spki(keys::P256), "a text with the certificate before the key");
}

#[test]
fn without_a_word_the_key_says_the_algorithm() {
    let of = |pem| SigningKey::from_pem(pem, None).unwrap().algorithm();
    assert_eq!(of(keys::RSA), Algorithm::Rs256);
    assert_eq!([of(keys::P256), of(keys::P384)], [Algorithm::Es256, Algorithm::Es384]);
    assert_eq!([of(keys::P521), of(keys::ED25519)], [Algorithm::Es512, Algorithm::EdDsa]);
}

#[test]
fn a_key_that_does_not_fit_says_what_it_is_and_what_to_write() {
    let cases = [
        (
            keys::RSA,
            Algorithm::Es256,
            "is an RSA key, which cannot sign with ES256: write algorithm: RS256 or PS256",
        ),
        (
            keys::P384,
            Algorithm::Es256,
            "is an EC key on P-384, which cannot sign with ES256: write algorithm: ES384",
        ),
        (
            keys::P256,
            Algorithm::Rs256,
            "is an EC key on P-256, which cannot sign with RS256: write algorithm: ES256",
        ),
        (
            keys::ED25519,
            Algorithm::Es256,
            "is an Ed25519 key, which cannot sign with ES256: write algorithm: EdDSA",
        ),
        (keys::RSA, Algorithm::Hs256, "is an RSA key, which cannot sign with HS256"),
    ];
    for (pem, algorithm, said) in cases {
        let error = SigningKey::from_pem(pem, Some(algorithm)).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    let error = SigningKey::hmac(&secret(&"s".repeat(64)), Algorithm::Rs256).unwrap_err();
    assert_eq!(error, KeyError::Asymmetric(Algorithm::Rs256));
}

#[test]
fn what_is_no_usable_key_has_its_own_words() {
    let of = |pem: &str| SigningKey::from_pem(pem, None).unwrap_err();
    assert_eq!(of(keys::RSA_1024), KeyError::SmallRsa);
    assert_eq!(of(keys::RSA_1024_PKCS1), KeyError::SmallRsa);
    assert_eq!(of(keys::ENCRYPTED), KeyError::Encrypted);
    assert_eq!(of(keys::ENCRYPTED_TRADITIONAL), KeyError::Encrypted);
    assert_eq!(of(keys::SECP256K1), KeyError::Unusable);
    assert_eq!(of(keys::CERTIFICATE), KeyError::Public);
    assert_eq!(
        of("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"),
        KeyError::OpenSsh
    );
    assert_eq!(of("hunter2"), KeyError::NoKey);
    assert_eq!(of(""), KeyError::NoKey);
    assert_eq!(of(&keys::P256[..keys::P256.len() / 2]), KeyError::Pem);
    assert_eq!(of("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), KeyError::Unusable);
}

#[test]
fn a_thumbprint_is_that_of_the_rfc() {
    // RFC 7638 §3.1
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF\
             V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9\
             c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1\
             jF44-csFCur-kEgU8awapJzKnqDKgw";
    let jwk = serde_json::json!({"kty": "RSA", "n": n, "e": "AQAB"}).as_object().unwrap().clone();
    let public = PublicKey { jwk, spki: Vec::new() };
    assert_eq!(public.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn an_id_is_new_each_time() {
    let (one, two) = (fresh_id().unwrap(), fresh_id().unwrap());
    assert_ne!(one, two);
    assert_eq!(one.len(), 22);
}

#[test]
fn nothing_shows_the_key() {
    let key = SigningKey::hmac(&secret(&"hunter2".repeat(9)), Algorithm::Hs256).unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey(HS256, [redacted])");
}
