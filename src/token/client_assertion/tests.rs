//! The token requests of clients that sign, taken apart as a service would.

use std::time::Duration;

use jsonwebtoken::{DecodingKey, Validation};
use serde_json::json;

use super::*;
use crate::clock::{Clock, Moment};
use crate::config::SecretSource;
use crate::config::profile::{
    ClientAuthentication, ClientConfig, ClientSecret, Grant, KeyPairConfig, OAuth2, ProfileConfig,
    RequestConfig, Scope, TokenEndpoint,
};
use crate::token::keys::HeldPair;
use crate::token::request::{self, Endpoint};
use crate::token::sign::testing as keys;
use crate::token::testing::{literal, with_grant};
use crate::token::{SecretSlot, form};

const URL: &str = "https://login.microsoftonline.com/contoso/oauth2/v2.0/token";

fn options() -> JwtOptions {
    let lifetime = Duration::from_secs(300);
    JwtOptions { algorithm: None, key_id: None, thumbprint: Thumbprint::None, audience: None, lifetime }
}

fn client(authentication: ClientAuthentication) -> ProfileConfig {
    let scope = Scope::Text(literal("https://graph.microsoft.com/.default"));
    with_grant(OAuth2 {
        endpoint: TokenEndpoint::Url(literal(URL)),
        client: ClientConfig { id: Some(literal("11112222")), authentication },
        grant: Grant::ClientCredentials,
        request: RequestConfig { scope: Some(scope), ..RequestConfig::default() },
        dpop: None,
    })
}

fn key(pem: &str, certificate: Option<&str>) -> KeyPairConfig {
    KeyPairConfig { certificate: certificate.map(literal), private_key: literal(pem) }
}

/// The members of the body of a profile's request, in their order.
fn body(
    profile: &ProfileConfig,
    issuer: Option<&str>,
    now: Moment,
) -> Result<Vec<(String, String)>, FetchError> {
    let oauth2 = profile.oauth2().unwrap();
    let endpoint = Endpoint { url: Secret::new(URL.to_owned()), issuer: issuer.map(str::to_owned) };
    let keys = HeldPair::of(profile);
    let occasion = Occasion { endpoint: &endpoint, slot: SecretSlot::Current, shown: None, keys: &keys, now };
    let request = request::build(profile, oauth2, &occasion)?;
    assert!(!request.headers.contains_key("authorization"), "exactly one proof");
    Ok(form::pairs(request.body.expose()).collect())
}

fn member(body: &[(String, String)], name: &str) -> String {
    body.iter().find(|(key, _)| key == name).unwrap().1.clone()
}

/// Header and claims of a JWT, its signature verified with another implementation.
fn verified(jwt: &str, key: &DecodingKey, algorithm: jsonwebtoken::Algorithm) -> (Value, Value) {
    let mut rules = Validation::new(algorithm);
    rules.validate_exp = false;
    rules.validate_aud = false;
    let read = jsonwebtoken::decode::<Value>(jwt, key, &rules).unwrap();
    (serde_json::to_value(read.header).unwrap(), read.claims)
}

fn public(pem: &str) -> DecodingKey {
    let jwk = SigningKey::from_pem(pem, None).unwrap().public_jwk().unwrap().clone();
    DecodingKey::from_jwk(&serde_json::from_value(Value::Object(jwk)).unwrap()).unwrap()
}

#[test]
fn entra_gets_the_certificate_credential_that_its_documentation_shows() {
    let jwt = JwtOptions { thumbprint: Thumbprint::Both, ..options() };
    let profile = client(ClientAuthentication::KeyJwt { key: key(keys::P256, Some(keys::CERTIFICATE)), jwt });
    let now = Clock::system().now();
    let body = body(&profile, None, now).unwrap();
    let names: Vec<_> = body.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["grant_type", "client_id", "client_assertion_type", "client_assertion", "scope"]);
    assert_eq!(
        member(&body, "client_assertion_type"),
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let assertion = member(&body, "client_assertion");
    let (header, mut claims) = verified(&assertion, &public(keys::P256), jsonwebtoken::Algorithm::ES256);
    assert_eq!(
        header,
        json!({
            "alg": "ES256", "typ": "JWT",
            "x5t": "jN4Gt575mHtANm9k5wc32w4hbCc",
            "x5t#S256": "OZsnqAoF7y3y_27XP8F5p-8KxcxlP_GC20hDn5A63Hs",
        })
    );
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(jti.as_str().unwrap().len(), 22);
    let at = now.wall_seconds();
    assert_eq!(
        claims,
        json!({"iss": "11112222", "sub": "11112222", "aud": URL, "iat": at, "nbf": at, "exp": at + 300})
    );
}

#[test]
fn the_audience_is_what_is_configured_else_the_issuer() {
    let key = key(keys::RSA, None);
    let of = |jwt: JwtOptions, issuer: Option<&str>| {
        let profile = client(ClientAuthentication::KeyJwt { key: key.clone(), jwt });
        let body = body(&profile, issuer, Clock::system().now()).unwrap();
        let algorithm = jsonwebtoken::Algorithm::PS256;
        verified(&member(&body, "client_assertion"), &public(keys::RSA), algorithm)
    };
    let plain = || JwtOptions { algorithm: Some(Algorithm::Ps256), ..options() };
    let (header, claims) = of(JwtOptions { key_id: Some(literal("k1")), ..plain() }, Some("https://issuer"));
    assert_eq!((&header["kid"], &claims["aud"]), (&json!("k1"), &json!("https://issuer")));
    let (_, claims) = of(JwtOptions { audience: Some(literal("urn:x")), ..plain() }, Some("https://issuer"));
    assert_eq!(claims["aud"], "urn:x");
    let (_, first) = of(plain(), None);
    let (_, second) = of(plain(), None);
    assert_ne!(first["jti"], second["jti"]);
}

#[test]
fn a_client_secret_signs_with_hs256_and_stays_at_home() {
    let secret = "a-secret-that-is-long-enough-for-it";
    let of = |text: &str| {
        let secret = ClientSecret { current: literal(text), next: None };
        client(ClientAuthentication::SecretJwt { secret, jwt: options() })
    };
    let body_of = |text| body(&of(text), None, Clock::system().now());
    let body = body_of(secret).unwrap();
    let theirs = DecodingKey::from_secret(secret.as_bytes());
    let (_, claims) = verified(&member(&body, "client_assertion"), &theirs, jsonwebtoken::Algorithm::HS256);
    assert_eq!(claims["iss"], "11112222");
    assert!(body.iter().all(|(name, value)| name != "client_secret" && !value.contains(secret)));
    let error = body_of("hunter2").unwrap_err().to_string();
    assert!(
        error.contains("the client_secret is too short for HS256") && !error.contains("hunter2"),
        "{error}"
    );
    let profile = |next: &str| {
        let secret = ClientSecret { current: literal(secret), next: Some(literal(next)) };
        client(ClientAuthentication::SecretJwt { secret, jwt: options() })
    };
    check(&profile(secret)).unwrap();
    let error = check(&profile("hunter2")).unwrap_err();
    assert!(error.starts_with("the client_secret.next is too short for HS256"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_foreign_assertion_is_read_anew_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let profile = client(ClientAuthentication::Assertion(SecretSource::File(path.clone())));
    for text in ["eyJ.one.x", "eyJ.two.x"] {
        std::fs::write(&path, format!("{text}\n")).unwrap();
        let body = body(&profile, None, Clock::system().now()).unwrap();
        assert_eq!(member(&body, "client_assertion"), text);
    }
}

#[test]
fn what_does_not_fit_is_told_without_the_key() {
    let now = Clock::system().now();
    let of = |key, jwt| {
        body(&client(ClientAuthentication::KeyJwt { key, jwt }), None, now).unwrap_err().to_string()
    };
    let es256 = JwtOptions { algorithm: Some(Algorithm::Es256), ..options() };
    let said = of(key(keys::RSA, None), es256);
    assert_eq!(
        said,
        "key_pair: the private key is an RSA key, which cannot sign with ES256: write algorithm: RS256 or PS256, or \
         use another key"
    );
    let said = of(key(keys::RSA, None), JwtOptions { thumbprint: Thumbprint::X5t, ..options() });
    assert_eq!(said, "a thumbprint needs key_pair.certificate");
    assert!(of(key(keys::ENCRYPTED, None), options()).contains("with a password"));
}
