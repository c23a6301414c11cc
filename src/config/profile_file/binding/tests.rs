use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::config::profile::{
    AssertionConfig, ClientAuthentication, Grant, OAuth2, ProfileConfig, ProfileKind, TokenEndpoint,
};
use crate::config::{ConfigFile, Environment, SecretSource, load};
use crate::token::sign::testing as keys;

/// Loads a profile with these lines beside the files of a directory.
fn profile(dir: &Path, lines: &str) -> Result<ProfileConfig, String> {
    let text = format!("profiles:\n  x:\n    {}\n", lines.trim().replace('\n', "\n    "));
    let file = ConfigFile { path: dir.join("proxy.yaml"), text };
    let env: Environment = [("SERVICE_BINDING_ROOT".to_owned(), dir.display().to_string())].into();
    let loaded = load(&[file], &env).map_err(|errors| errors.to_string())?;
    assert!(
        loaded.warnings.iter().all(|warning| !warning.message.contains("secret")),
        "nothing stands in the file"
    );
    Ok(loaded.config.profiles[0].clone())
}

fn oauth2(profile: &ProfileConfig) -> &OAuth2 {
    profile.oauth2().unwrap()
}

fn text(source: &SecretSource) -> String {
    source.read().unwrap().expose().to_owned()
}

fn url(profile: &ProfileConfig) -> String {
    match &oauth2(profile).endpoint {
        TokenEndpoint::Url(url) | TokenEndpoint::Issuer(url) => text(url),
    }
}

fn id(profile: &ProfileConfig) -> String {
    text(oauth2(profile).client.id.as_ref().unwrap())
}

fn secret(profile: &ProfileConfig) -> String {
    text(&oauth2(profile).client.authentication.secret().unwrap().current)
}

fn write(dir: &TempDir, name: &str, content: impl ToString) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content.to_string()).unwrap();
}

fn xsuaa(secret: &str) -> serde_json::Value {
    json!({"url": "https://acme.auth.test", "clientid": "sb-app!t1", "clientsecret": secret})
}

fn assertion(profile: &ProfileConfig) -> &AssertionConfig {
    match &profile.kind {
        ProfileKind::SelfSignedJwt(assertion) => assertion,
        _ => match &oauth2(profile).grant {
            Grant::JwtBearer(assertion) => assertion,
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn a_service_key_brings_url_id_and_secret_and_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "key.json", json!({"credentials": {"uaa": xsuaa("one$="), "url": "https://api.test"}}));
    let profile = profile(dir.path(), "service_key: { file: key.json }").unwrap();
    assert_eq!(url(&profile), "https://acme.auth.test/oauth/token");
    assert_eq!((id(&profile).as_str(), secret(&profile).as_str()), ("sb-app!t1", "one$="));
    assert!(profile.sources().iter().all(|source| source.file() == Some(&dir.path().join("key.json"))));
    write(&dir, "key.json", json!({"credentials": {"uaa": xsuaa("two"), "url": "https://api.test"}}));
    assert_eq!(secret(&profile), "two");
}

#[test]
fn a_certificate_of_a_key_goes_to_the_host_for_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let one_line = |text: &str| text.replace('\n', "\\n");
    let key = json!({
        "url": "https://acme.auth.test", "certurl": "https://acme.auth.cert.test", "clientid": "sb", "credential-type": "x509",
        "certificate": one_line(keys::CERTIFICATE), "key": one_line(keys::P256),
    });
    write(&dir, "key.json", key);
    let profile = profile(dir.path(), "service_key: { file: key.json }").unwrap();
    assert_eq!(url(&profile), "https://acme.auth.cert.test/oauth/token");
    assert!(matches!(oauth2(&profile).client.authentication, ClientAuthentication::Tls));
    let pair = crate::token::keys::KeyPair::read(profile.transport.key_pair.as_ref().unwrap()).unwrap();
    assert_eq!(pair.leaf().unwrap().common_name.as_deref(), Some("acme-client"));
}

#[test]
fn what_is_written_beside_it_wins() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "key.json", xsuaa("s"));
    let written = "service_key: { file: key.json }\nclient_id: mine\ntoken_service_url: https://other.test/t\n\
                   client_authentication: body_parameter\nscope: a";
    let with_words = profile(dir.path(), written).unwrap();
    assert_eq!((id(&with_words).as_str(), url(&with_words).as_str()), ("mine", "https://other.test/t"));
    assert_eq!(oauth2(&with_words).client.authentication.as_str(), "body_parameter");
    write(&dir, "k.pem", keys::P256);
    let signs = "service_key: { file: key.json }\nclient_authentication: private_key_jwt\n\
                 key_pair: { private_key: { file: k.pem } }";
    let signs = profile(dir.path(), signs).unwrap();
    assert_eq!(
        (oauth2(&signs).client.authentication.as_str(), id(&signs).as_str()),
        ("private_key_jwt", "sb-app!t1")
    );
    let public = profile(dir.path(), "service_key: { file: key.json }\nclient_authentication: none").unwrap();
    assert_eq!(oauth2(&public).client.authentication.as_str(), "none");
}

fn google() -> serde_json::Value {
    json!({
        "type": "service_account", "private_key_id": "k1", "private_key": keys::RSA,
        "client_email": "svc@acme.iam.test", "token_uri": "https://oauth2.test/token",
    })
}

#[test]
fn a_google_key_signs_and_its_scope_stands_in_the_assertion() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "key.json", google());
    let of =
        |lines: &str| profile(dir.path(), &format!("service_key: {{ file: key.json }}\n{lines}")).unwrap();
    let profile = of("scope: [https://a.test/x, https://a.test/y]");
    let assertion = assertion(&profile);
    assert_eq!(text(assertion.issuer.as_ref().unwrap()), "svc@acme.iam.test");
    assert_eq!(text(assertion.jwt.audience.as_ref().unwrap()), "https://oauth2.test/token");
    assert_eq!(text(assertion.jwt.key_id.as_ref().unwrap()), "k1");
    assert_eq!(text(assertion.scope.as_ref().unwrap()), "https://a.test/x https://a.test/y");
    assert_eq!(url(&profile), "https://oauth2.test/token");
    let oauth2 = oauth2(&profile);
    assert!(oauth2.request.scope.is_none() && oauth2.client.id.is_none());
    let delegated = of("assertion: { subject: person@acme.test, claims: { scope: a } }");
    let delegated = self::assertion(&delegated);
    assert_eq!(text(delegated.subject.as_ref().unwrap()), "person@acme.test");
    assert_eq!((&delegated.claims["scope"], delegated.issuer.is_some()), (&json!("a"), true));
    let own = of("type: self_signed_jwt\nassertion: { audience: https://api.test/ }");
    assert_eq!(own.type_name(), "self_signed_jwt");
    assert_eq!(text(self::assertion(&own).jwt.audience.as_ref().unwrap()), "https://api.test/");
}

#[test]
fn every_layout_of_a_binding_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let flat = |name: &str| {
        write(&dir, &format!("{name}/url"), "https://acme.auth.test");
        write(&dir, &format!("{name}/clientid"), "sb-app!t1\n");
        write(&dir, &format!("{name}/clientsecret"), "s3cret\n");
    };
    // servicebinding.io, with what Kubernetes adds; a number is a text.
    flat("flat");
    write(&dir, "flat/type", "xsuaa");
    write(&dir, "flat/..2026/x", "{}");
    write(&dir, "flat/tenantmode", "7");
    // SAP: a member that is JSON.
    write(&dir, "nested/type", "some-service");
    write(&dir, "nested/.metadata", json!({"credentialProperties": [{"name": "uaa", "format": "json"}]}));
    write(&dir, "nested/uaa", xsuaa("s3cret"));
    // SAP's operator before 0.2.3.
    write(&dir, "legacy/credentials.json", xsuaa("s3cret"));
    write(&dir, "legacy/plan", "application");
    write(&dir, "older/binding.json", json!({"credentials": xsuaa("s3cret"), "name": "x"}));
    for name in ["flat", "nested", "legacy", "older"] {
        let profile = profile(dir.path(), &format!("from_binding: {name}")).unwrap();
        assert_eq!(url(&profile), "https://acme.auth.test/oauth/token", "{name}");
        assert_eq!((id(&profile).as_str(), secret(&profile).as_str()), ("sb-app!t1", "s3cret"), "{name}");
    }
    let by_path = profile(dir.path(), "from_binding: ./flat").unwrap();
    fs::write(dir.path().join("flat/clientsecret"), "new").unwrap();
    assert_eq!(secret(&by_path), "new");
}

#[test]
fn metadata_tell_credentials_from_the_rest_and_texts_from_json() {
    let dir = tempfile::tempdir().unwrap();
    let named = |name: &str, format: &str| json!({"name": name, "format": format});
    let texts = ["url", "clientid", "clientsecret"].map(|name| named(name, "text"));
    let metadata = json!({"metaDataProperties": [named("tags", "json")], "credentialProperties": texts});
    write(&dir, "b/.metadata", &metadata);
    write(&dir, "b/url", "https://acme.auth.test");
    write(&dir, "b/clientid", "sb-app!t1");
    // A text, though it could be read as JSON.
    write(&dir, "b/clientsecret", "[7]");
    // Not of the credentials, and it would say something else.
    write(&dir, "b/uaa", xsuaa("another"));
    let profile = profile(dir.path(), "from_binding: b").unwrap();
    assert_eq!((id(&profile).as_str(), secret(&profile).as_str()), ("sb-app!t1", "[7]"));
}

#[test]
fn what_is_missing_is_told_where_it_was_asked_for_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "key.json", json!({"clientid": "hunter2"}));
    write(&dir, "text.json", "hunter2");
    write(&dir, "cut.json", "{\n\"clientid\": \"hunter2");
    write(&dir, "bare.json", json!({"clientid": "c", "clientsecret": null, "url": "https://acme.auth.test"}));
    write(&dir, "empty/type", "xsuaa");
    let cases = [
        ("service_key: { file: key.json }", "key.json: beside `/clientid` stands no URL of a token service"),
        ("service_key: { file: text.json }", "text.json is not JSON"),
        ("service_key: { file: cut.json }", "cut.json is not JSON: line 2"),
        ("service_key: { clientid: hunter2, url: x }", "a service key is a file"),
        ("service_key: { file: gone.json }", "gone.json does not exist"),
        ("service_key: text", "a service key is a file"),
        ("service_key: { file: bare.json }", "bare.json: neither a client secret nor a certificate is in it"),
        ("from_binding: gone", "gone does not exist"),
        ("from_binding: empty", "no client id is in it"),
        ("from_binding: empty\nservice_key: { file: key.json }", "bring the same settings"),
        (
            "type: static_token\ntoken: { file: key.json }\nfrom_binding: empty",
            "`from_binding` is not for a profile",
        ),
    ];
    for (lines, said) in cases {
        let errors = profile(dir.path(), lines).unwrap_err();
        assert!(errors.contains(said) && !errors.contains("hunter2"), "{errors}");
        assert!(!errors.contains("is missing"), "{errors}");
    }
}
