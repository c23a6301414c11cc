//! Everything that is signed or shown with a key, through the proxy: client assertions, JWT grants, tokens of our own,
//! and certificates in TLS, with keys that change.

use std::path::Path;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use sidepass::token::sign::SigningKey;

use crate::support::message::form_pairs;
use crate::support::patience::eventually;
use crate::support::process::{folder_with, sidepass};
use crate::support::proxy::Variables;
use crate::support::reply::Reply;
use crate::support::rig::Rig;
use crate::support::server::Seen;
use crate::support::setup::Setup;
use crate::support::tls::{Pair, TlsFront};
use crate::support::tokens::Verdict;

const RSA: &str = include_str!("../fixtures/keys/rsa.pem");
const P256: &str = include_str!("../fixtures/keys/p256.pem");
const P384: &str = include_str!("../fixtures/keys/p384.pem");
const CERTIFICATE: &str = include_str!("../fixtures/keys/p256-cert.pem");

/// The public half of a key, as a service that registered it has it.
fn public(pem: &str) -> DecodingKey {
    let key = SigningKey::from_pem(pem, None).unwrap();
    let jwk = Value::Object(key.public_jwk().unwrap().clone());
    DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap()
}

/// The claims of a JWT, if the signature and the dates are good.
fn claims(jwt: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<Value> {
    let mut rules = Validation::new(algorithm);
    rules.validate_aud = false;
    rules.validate_nbf = true;
    rules.leeway = 5;
    jsonwebtoken::decode(jwt, key, &rules).ok().map(|read| read.claims)
}

fn member(seen: &Seen, name: &str) -> String {
    let found = form_pairs(&seen.body).into_iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value).unwrap_or_default()
}

/// The token service issues tokens to whoever shows a good assertion in this member.
fn trusts(setup: &Setup, member_name: &'static str, key: &str, algorithm: Algorithm, audience: &str) {
    let (key, audience) = (public(key), audience.to_owned());
    setup.idp.set_proof(crate::support::idp::Proof::Anything);
    setup.idp.answer_with(move |seen| {
        let good = claims(&member(seen, member_name), &key, algorithm)
            .is_some_and(|claims| claims["aud"] == *audience);
        (!good).then(|| Reply::json(401, r#"{"error":"invalid_client"}"#))
    });
}

/// A rig with one profile, which consists of these lines, and its route.
fn with_profile(setup: Setup, profile: &str) -> Setup {
    let profile = profile.trim().replace('\n', "\n    ");
    setup.yaml(&format!(
        "profiles:\n  main:\n    {profile}\nroutes:\n  main:\n    upstream: ${{UPSTREAM}}\n    profile: main\n"
    ))
}

/// A folder with these files; its path is `${FOLDER}`.
fn with_folder(setup: Setup, files: &[(&str, &str)]) -> (Setup, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    let path = folder.path().display().to_string();
    (setup.variable("FOLDER", path), folder)
}

#[test]
fn a_private_key_proves_who_the_client_is() {
    let setup = Setup::new();
    trusts(&setup, "client_assertion", RSA, Algorithm::PS256, &setup.idp.url());
    let (setup, _folder) = with_folder(setup, &[("key.pem", RSA)]);
    let rig = with_profile(
        setup,
        "token_service_url: ${TOKEN_URL}\nclient_id: ${CLIENT_ID}\nclient_authentication: private_key_jwt\n\
         key_pair: { private_key: { file: \"${FOLDER}/key.pem\" } }\nclient_assertion: { algorithm: PS256, key_id: k1 }",
    )
    .start();
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.upstream.verdicts(), [Verdict::Valid]);
    let call = &rig.idp.calls()[0];
    assert_eq!(
        member(call, "client_assertion_type"),
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(call.header("authorization"), None);
}

#[test]
fn a_key_that_has_changed_signs_the_next_assertion() {
    let setup = Setup::new();
    // The service knows the new key only.
    trusts(&setup, "client_assertion", P384, Algorithm::ES384, &setup.idp.url());
    let (setup, folder) = with_folder(setup, &[("key.pem", P256)]);
    let setup = with_profile(
        setup,
        "token_service_url: ${TOKEN_URL}\nclient_id: ${CLIENT_ID}\nclient_authentication: private_key_jwt\n\
         key_pair: { private_key: { file: \"${FOLDER}/key.pem\" } }",
    );
    let rig = setup.cold().start();
    eventually("the old key is refused", || rig.last_failure("main") == "token_invalid_client");
    std::fs::write(folder.path().join("key.pem"), P384).unwrap();
    rig.wait_until_ready();
    assert_eq!(rig.get("/").status, 200);
}

#[test]
fn a_google_key_is_used_as_it_was_downloaded() {
    let setup = Setup::new();
    let audience = setup.idp.url();
    trusts(&setup, "assertion", RSA, Algorithm::RS256, &audience);
    let key = json!({
        "type": "service_account", "client_email": "svc@acme.iam.test", "private_key": RSA, "private_key_id": "k1",
        "token_uri": audience,
    });
    let (setup, _folder) = with_folder(setup, &[("key.json", &key.to_string())]);
    let rig =
        with_profile(setup, "service_key: { file: \"${FOLDER}/key.json\" }\nscope: https://a.test/x").start();
    assert_eq!(rig.get("/").status, 200);
    let call = &rig.idp.calls()[0];
    assert_eq!(member(call, "grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let read = claims(&member(call, "assertion"), &public(RSA), Algorithm::RS256).unwrap();
    assert_eq!((&read["iss"], &read["scope"]), (&json!("svc@acme.iam.test"), &json!("https://a.test/x")));
}

/// A rig whose token is signed by itself; the upstream takes what this key has signed.
fn self_signed(key: &'static str) -> (Rig, tempfile::TempDir) {
    let (setup, folder) = with_folder(Setup::new(), &[("key.pem", key)]);
    let rig = with_profile(
        setup,
        "type: self_signed_jwt\nkey_pair: { private_key: { file: \"${FOLDER}/key.pem\" } }\n\
         assertion: { issuer: \"ACME.SHA256:{public_key_sha256}\", subject: ACME, lifetime: 10m }",
    )
    .start();
    rig.allow(Verdict::Foreign);
    (rig, folder)
}

fn taken(key: &str, algorithm: Algorithm) -> impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static {
    let key = public(key);
    move |seen: &Seen| {
        let token = seen.header("authorization")?.strip_prefix("Bearer ")?;
        claims(token, &key, algorithm).map(|claims| Reply::json(200, claims.to_string()))
    }
}

#[test]
fn a_token_that_is_signed_here_asks_nobody_and_follows_its_key() {
    let (rig, folder) = self_signed(P256);
    rig.upstream.answer_with(taken(P256, Algorithm::ES256));
    let claims = rig.get("/").json();
    let named = "ACME.SHA256:jm5Lh3749Mg4HbFFQ20vZIr5imKLLhY8K0BSdZIx8k0=";
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!(named), &json!("ACME")));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 600);
    assert_eq!(rig.idp.count(), 0);
    rig.upstream.answer_with(taken(P384, Algorithm::ES384));
    std::fs::write(folder.path().join("key.pem"), "half a key").unwrap();
    std::fs::write(folder.path().join("key.pem"), P384).unwrap();
    eventually("the new key signs", || rig.get("/").status == 200);
}

/// TLS with client certificates before the token service and before the upstream.
struct Mutual {
    tokens: TlsFront,
    api: TlsFront,
}

impl Mutual {
    fn before(setup: &Setup) -> Self {
        let upstream = setup.value("UPSTREAM").trim_start_matches("http://").parse().unwrap();
        Self { tokens: TlsFront::before(setup.idp.server().address()), api: TlsFront::before(upstream) }
    }

    fn let_in(&self, pair: &Pair) {
        self.tokens.let_in(pair);
        self.api.let_in(pair);
    }

    /// A setup whose profile and route show the pair in this folder.
    fn setup(&self, setup: Setup, folder: &Path, profile: &str) -> Setup {
        let text = format!(
            "profiles:\n  main:\n    token_service_url: {tokens}/token\n    ca_file: {tokens_ca}\n    \
             client_id: ${{CLIENT_ID}}\n    {profile}\n    key_pair:\n      \
             certificate: {{ file: {folder}/tls.crt }}\n      private_key: {{ file: {folder}/tls.key }}\n\
             routes:\n  main:\n    upstream: {api}\n    ca_file: {api_ca}\n    profile: main\n    \
             client_certificate: profile\n    pool: {{ size: 0 }}\n",
            tokens = self.tokens.url(),
            tokens_ca = self.tokens.authority().display(),
            api = self.api.url(),
            api_ca = self.api.authority().display(),
            folder = folder.display(),
        );
        setup.yaml(&text)
    }
}

#[test]
fn a_certificate_is_shown_to_the_token_service_and_to_the_api() {
    for profile in ["client_authentication: tls_client_auth", "client_secret: { env: CLIENT_SECRET }"] {
        let setup = Setup::new();
        if profile.contains("tls_client_auth") {
            setup.idp.set_proof(crate::support::idp::Proof::Anything);
        }
        let (mutual, folder) = (Mutual::before(&setup), tempfile::tempdir().unwrap());
        let pair = Pair::new("client", (-1, 30));
        pair.write(folder.path());
        mutual.let_in(&pair);
        let rig = mutual.setup(setup, folder.path(), profile).start();
        assert_eq!(rig.get("/").status, 200);
        assert_eq!((mutual.tokens.shown(&pair), mutual.api.shown(&pair)), (1, 1));
        let sent = form_pairs(&rig.idp.calls()[0].body);
        assert_eq!(sent.iter().any(|(name, _)| name == "client_id"), profile.contains("tls_client_auth"));
    }
}

#[test]
fn an_api_that_does_not_know_the_certificate_ends_the_connection() {
    let setup = Setup::new();
    let (mutual, folder) = (Mutual::before(&setup), tempfile::tempdir().unwrap());
    let pair = Pair::new("client", (-1, 30));
    pair.write(folder.path());
    mutual.tokens.let_in(&pair);
    let rig = mutual.setup(setup, folder.path(), "client_secret: { env: CLIENT_SECRET }").start();
    let answer = rig.get("/");
    // In TLS 1.3 the server says so only after our side of the handshake is over.
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_closed"));
    assert_eq!(rig.upstream.count(), 0);
}

#[test]
fn a_new_certificate_is_shown_as_soon_as_its_key_is_there_too() {
    let setup = Setup::new();
    let (mutual, folder) = (Mutual::before(&setup), tempfile::tempdir().unwrap());
    let (old, new) = (Pair::new("old", (-1, 30)), Pair::new("new", (-1, 30)));
    old.write(folder.path());
    mutual.let_in(&old);
    mutual.let_in(&new);
    let rig = mutual.setup(setup, folder.path(), "client_secret: { env: CLIENT_SECRET }").start();
    assert_eq!(rig.get("/").status, 200);
    std::fs::write(folder.path().join("tls.crt"), &new.certificate).unwrap();
    let before = mutual.api.shown(&old);
    eventually("the old pair goes on while the new one is half there", || {
        assert_eq!(rig.get("/").status, 200);
        mutual.api.shown(&old) > before + 2
    });
    assert_eq!(mutual.api.shown(&new), 0);
    new.write(folder.path());
    eventually("the api sees the new certificate", || {
        assert_eq!(rig.get("/").status, 200);
        mutual.api.shown(&new) > 0
    });
    rig.idp.revoke_all();
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(mutual.tokens.shown(&new), 1, "the next fetch shows it too");
}

/// `sidepass check` of a profile with this pair.
fn check(certificate: &str, key: &str, more: &str) -> (i32, String) {
    let yaml = format!(
        "profiles:\n  main:\n    token_service_url: https://localhost/token\n    client_id: x\n    {more}\n    key_pair:\n      \
         certificate: {{ file: tls.crt }}\n      private_key: {{ file: tls.key }}\n\
         routes:\n  main: {{ upstream: \"https://localhost\", profile: main }}\n"
    );
    let (folder, file) = folder_with(&yaml);
    std::fs::write(folder.path().join("tls.crt"), certificate).unwrap();
    std::fs::write(folder.path().join("tls.key"), key).unwrap();
    let arguments = ["check", "--offline", "--config", file.to_str().unwrap()];
    let ended = sidepass(&arguments, &Variables::new(), folder.path());
    (ended.code, ended.err)
}

#[test]
fn check_tells_what_is_wrong_with_a_pair() {
    let tls = "client_authentication: tls_client_auth";
    let signs = "client_authentication: private_key_jwt\n    client_assertion: { algorithm: ES384 }";
    let (expired, young) = (Pair::new("late", (-30, -1)), Pair::new("early", (1, 30)));
    let other = Pair::new("other", (-1, 30));
    let cases = [
        (&expired.certificate[..], &expired.key[..], tls, "/tls.crt: the certificate of late expired at 20"),
        (&young.certificate, &young.key, tls, "is the clock right?"),
        (&other.certificate, P256, tls, "was made for another key"),
        (
            CERTIFICATE,
            P256,
            signs,
            "/tls.key: the private key is an EC key on P-256, which cannot sign with ES384: write algorithm: ES256",
        ),
    ];
    for (certificate, key, more, said) in cases {
        let (code, errors) = check(certificate, key, more);
        assert!(code != 0 && errors.contains(said), "{errors}");
    }
    let (code, errors) = check(
        CERTIFICATE,
        P256,
        &format!("{tls}\n    dpop: {{ private_key: {{ file: tls.key }}, algorithm: ES512 }}"),
    );
    assert!(code != 0 && errors.contains("dpop.private_key is an EC key on P-256"), "{errors}");
    let short = Pair::new("soon", (-1, 0));
    let (code, errors) = check(&short.certificate, &short.key, tls);
    assert!(code != 0 && errors.contains("expired"), "{errors}");
    let (code, errors) = check(CERTIFICATE, P256, tls);
    assert_eq!((code, errors.as_str()), (0, ""));
}
