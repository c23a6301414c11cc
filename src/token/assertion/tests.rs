use std::sync::Arc;
use std::time::Duration;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::config::profile::{
    Algorithm, ClientAuthentication, ClientConfig, Grant, JwtOptions, KeyPairConfig, OAuth2, ProfileConfig,
    ProfileKind, RequestConfig, Thumbprint, TokenEndpoint,
};
use crate::token::keys::HeldPair;
use crate::token::request::{self, Endpoint};
use crate::token::sign::testing as keys;
use crate::token::signed::SelfSigned;
use crate::token::source::{FetchContext, FetchReason, TokenSource};
use crate::token::testing::{literal, of_kind, with_grant};
use crate::token::{LifetimeFrom, SecretSlot, form};

fn config(pem: &str) -> AssertionConfig {
    AssertionConfig {
        key: KeyPairConfig { certificate: None, private_key: literal(pem) },
        issuer: None,
        subject: None,
        scope: None,
        claims: Map::new(),
        jwt: JwtOptions {
            algorithm: None,
            key_id: None,
            thumbprint: Thumbprint::None,
            audience: None,
            lifetime: Duration::from_secs(300),
        },
    }
}

/// Header and claims; that signatures verify, the tests of the signer show.
fn parts(jwt: &str) -> (Value, Value) {
    let mut parts = jwt.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut json = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (json(), json())
}

fn grant_profile(id: Option<&str>, config: AssertionConfig) -> ProfileConfig {
    with_grant(OAuth2 {
        endpoint: TokenEndpoint::Url(literal("https://oauth2.googleapis.com/token")),
        client: ClientConfig { id: id.map(literal), authentication: ClientAuthentication::None },
        grant: Grant::JwtBearer(Box::new(config)),
        request: RequestConfig::default(),
        dpop: None,
    })
}

/// The body of the token request.
fn body(profile: &ProfileConfig) -> (Vec<(String, String)>, u64) {
    let (keys, now) = (HeldPair::of(profile), Clock::system().now());
    let endpoint =
        Endpoint { url: Secret::new("https://oauth2.googleapis.com/token".to_owned()), issuer: None };
    let occasion = Occasion { endpoint: &endpoint, slot: SecretSlot::Current, shown: None, keys: &keys, now };
    let request = request::build(profile, profile.oauth2().unwrap(), &occasion).unwrap();
    (form::pairs(request.body.expose()).collect(), now.wall_seconds())
}

#[test]
fn google_gets_the_request_that_its_documentation_shows() {
    let mut config = config(keys::RSA);
    config.issuer = Some(literal("761326798069@developer.gserviceaccount.com"));
    config.scope = Some(literal("https://www.googleapis.com/auth/devstorage.read_only"));
    config.jwt.key_id = Some(literal("370ab79b4513eb9bad7c9bd16a95cb76b5b2a56a"));
    config.jwt.lifetime = Duration::from_secs(3600);
    config.claims = json!({"jti": null}).as_object().unwrap().clone();
    let (body, now) = body(&grant_profile(None, config));
    assert_eq!(body[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let [(_, _), (name, jwt)] = &body[..] else { panic!("{body:?}") };
    assert_eq!(name, "assertion");
    let (header, claims) = parts(jwt);
    let key_id = "370ab79b4513eb9bad7c9bd16a95cb76b5b2a56a";
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": key_id}));
    assert_eq!(
        claims,
        json!({
            "iss": "761326798069@developer.gserviceaccount.com",
            "scope": "https://www.googleapis.com/auth/devstorage.read_only",
            "aud": "https://oauth2.googleapis.com/token",
            "exp": now + 3600,
            "iat": now,
        })
    );
}

#[test]
fn salesforce_gets_the_client_as_issuer_and_claims_of_its_own() {
    let mut config = config(keys::RSA);
    config.subject = Some(literal("integration@acme.test"));
    config.jwt.audience = Some(literal("https://login.salesforce.com"));
    config.claims = json!({"iss": "other", "nested": {"a": [1]}}).as_object().unwrap().clone();
    let (body, now) = body(&grant_profile(Some("3MVG9consumerkey"), config.clone()));
    let (_, claims) = parts(&body[2].1);
    assert_eq!((body[1].0.as_str(), body[2].0.as_str()), ("client_id", "assertion"));
    assert_eq!(claims["iss"], "other", "what is configured wins");
    assert_eq!(
        (&claims["nested"], &claims["aud"]),
        (&json!({"a": [1]}), &json!("https://login.salesforce.com"))
    );
    assert!(claims["jti"].as_str().unwrap().len() == 22 && claims["exp"] == now + 300);
    config.claims.clear();
    let (_, claims) = parts(&self::body(&grant_profile(Some("3MVG9consumerkey"), config)).0[2].1);
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("3MVG9consumerkey"), &json!("integration@acme.test"))
    );
}

async fn token_of(source: &SelfSigned) -> crate::token::AccessToken {
    source.fetch(FetchContext { previous: None, why: FetchReason::First }).await.unwrap()
}

fn self_signed(config: AssertionConfig) -> SelfSigned {
    SelfSigned::new(Arc::new(of_kind(ProfileKind::SelfSignedJwt(Box::new(config)))), Clock::system())
}

#[tokio::test]
async fn snowflake_gets_the_name_of_the_public_key() {
    let mut config = config(keys::P256);
    config.issuer = Some(literal("ACME.SVC_USER.SHA256:{public_key_sha256}"));
    config.subject = Some(literal("ACME.SVC_USER"));
    let token = token_of(&self_signed(config)).await;
    let (_, claims) = parts(token.text.expose());
    assert_eq!(claims["iss"], format!("ACME.SVC_USER.SHA256:{}", keys::P256_SPKI_SHA256));
    assert_eq!(claims["sub"], "ACME.SVC_USER");
    assert_eq!((token.lifetime, token.lifetime_from), (Duration::from_secs(300), LifetimeFrom::JwtExp));
}

#[tokio::test]
async fn app_store_connect_gets_no_claim_that_it_does_not_expect() {
    let mut config = config(keys::P256);
    config.issuer = Some(literal("57246542-96fe-1a63-e053-0824d011072a"));
    config.jwt.audience = Some(literal("appstoreconnect-v1"));
    config.jwt.key_id = Some(literal("2X9R4HXF34"));
    config.jwt.algorithm = Some(Algorithm::Es256);
    let (header, claims) = parts(token_of(&self_signed(config)).await.text.expose());
    assert_eq!(header, json!({"alg": "ES256", "kid": "2X9R4HXF34", "typ": "JWT"}));
    let names: Vec<_> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names, ["aud", "exp", "iat", "iss"]);
}

#[tokio::test]
async fn another_key_makes_another_token_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    std::fs::write(&path, keys::P256).unwrap();
    let mut config = config("");
    config.key.private_key = SecretSource::File(path.clone());
    config.issuer = Some(literal("{public_key_sha256}"));
    let source = self_signed(config);
    assert!(source.follows_inputs());
    let (_, first) = parts(token_of(&source).await.text.expose());
    assert!(!source.inputs_changed());
    std::fs::write(&path, keys::P384).unwrap();
    assert!(source.inputs_changed());
    let (header, second) = parts(token_of(&source).await.text.expose());
    assert_ne!(first["iss"], second["iss"]);
    assert_eq!(header["alg"], "ES384");
    std::fs::write(&path, "half a k").unwrap();
    let (_, third) = parts(token_of(&source).await.text.expose());
    assert_eq!(second["iss"], third["iss"], "what is no key leaves the one before in force");
}
