//! Tests of the shapes of service keys.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn client_key(json: &Value) -> ClientKey {
    match detect(json) {
        Ok(ServiceKey::Client(key)) => key,
        other => panic!("{other:?}"),
    }
}

fn secret(pointer: &str) -> Proof {
    Proof::Secret(pointer.to_owned())
}

#[test]
fn xsuaa_is_flat() {
    let json = json!({
        "apiurl": "https://api.authentication.eu10.hana.ondemand.com", "clientid": "sb-x!t1|y!b2",
        "clientsecret": "s$=", "credential-type": "binding-secret", "identityzone": "acme",
        "uaadomain": "authentication.eu10.hana.ondemand.com", "url": "https://acme.authentication.eu10.hana.ondemand.com",
        "xsappname": "x!t1", "verificationkey": "-----BEGIN PUBLIC KEY-----"
    });
    let key = client_key(&json);
    assert_eq!((key.client_id.as_str(), &key.proof), ("/clientid", &secret("/clientsecret")));
    assert_eq!(
        key.token_url.text(&json).unwrap(),
        "https://acme.authentication.eu10.hana.ondemand.com/oauth/token"
    );
    assert_eq!(key.api_url, None, "the UAA's own API is not what the key is for");
}

#[test]
fn a_certificate_goes_to_the_url_that_asks_for_it() {
    let json = json!({ "credentials": {
        "clientid": "sb-x", "certificate": "-----BEGIN CERTIFICATE-----", "key": "-----BEGIN RSA PRIVATE KEY-----",
        "certurl": "https://acme.authentication.cert.eu10.hana.ondemand.com/", "credential-type": "x509",
        "url": "https://acme.authentication.eu10.hana.ondemand.com", "uri": "https://destination.example"
    }, "name": "k", "url": "https://cockpit.example" });
    let key = client_key(&json);
    let proof = Proof::Certificate {
        certificate: "/credentials/certificate".into(),
        key: Some("/credentials/key".into()),
    };
    assert_eq!(key.proof, proof);
    assert_eq!(
        key.token_url.text(&json).unwrap(),
        "https://acme.authentication.cert.eu10.hana.ondemand.com/oauth/token"
    );
    assert_eq!(key.api_url.as_deref(), Some("/credentials/uri"));
}

#[test]
fn a_key_of_its_users_own_and_a_missing_certurl_are_told() {
    let provided = json!({ "clientid": "c", "certificate": "x", "certurl": "https://c", "credential-type": "X509_PROVIDED" });
    assert!(matches!(client_key(&provided).proof, Proof::Certificate { key: None, .. }));
    let error =
        detect(&json!({ "clientid": "c", "certificate": "x", "key": "k", "url": "https://u" })).unwrap_err();
    assert!(error.to_string().contains("`certurl`"), "{error}");
}

#[test]
fn services_nest_the_block() {
    let uaa =
        json!({ "uaa": { "url": "https://u", "clientid": "c", "clientsecret": "s" }, "url": "https://api" });
    let key = client_key(&uaa);
    assert_eq!((key.client_id.as_str(), key.api_url.as_deref()), ("/uaa/clientid", Some("/url")));
    assert_eq!(key.token_url.text(&uaa).unwrap(), "https://u/oauth/token");

    let cpi = json!({ "oauth": {
        "clientid": "c", "clientsecret": "s", "tokenurl": "https://u/oauth/token", "url": "https://x.it-cpi.example"
    }});
    let key = client_key(&cpi);
    assert_eq!(key.token_url.text(&cpi).unwrap(), "https://u/oauth/token");
    assert_eq!(key.api_url.as_deref(), Some("/oauth/url"));

    let core = json!({
        "serviceurls": { "AI_API_URL": "https://api.ai" }, "clientid": "c", "clientsecret": "s", "url": "https://u"
    });
    assert_eq!(client_key(&core).api_url.as_deref(), Some("/serviceurls/AI_API_URL"));

    let event_mesh = json!({ "messaging": [{
        "oa2": { "clientid": "c", "clientsecret": "s", "tokenendpoint": "https://u/oauth/token", "granttype": "client_credentials" },
        "protocol": ["httprest"], "uri": "https://pubsub.example"
    }]});
    assert_eq!(client_key(&event_mesh).client_id, "/messaging/0/oa2/clientid");
    assert_eq!(client_key(&event_mesh).api_url.as_deref(), Some("/messaging/0/uri"));
}

#[test]
fn cloud_identity_has_another_path_and_one_host() {
    let json = json!({
        "clientid": "c", "certificate": "x", "key": "k", "url": "https://acme.accounts.ondemand.com",
        "credential-type": "X509_GENERATED", "domains": ["accounts.ondemand.com"], "domain": "accounts.ondemand.com"
    });
    assert_eq!(
        client_key(&json).token_url.text(&json).unwrap(),
        "https://acme.accounts.ondemand.com/oauth2/token"
    );
    assert_eq!(client_key(&json).api_url, None);
}

#[test]
fn names_are_compared_without_case_and_separators() {
    let json = json!({ "client_id": "c", "CLIENT_SECRET": "s", "token_url": "https://u/t", "a/b~": { "clientid": "x" } });
    let key = client_key(&json);
    assert_eq!((key.client_id.as_str(), key.proof), ("/client_id", secret("/CLIENT_SECRET")));
    let escaped = json!({ "a/b~": { "clientid": "x", "clientsecret": "s", "auth_domain": "p.example" } });
    let key = client_key(&escaped);
    assert_eq!(key.client_id, "/a~1b~0/clientid");
    assert_eq!(key.token_url.text(&escaped).unwrap(), "https://p.example/oauth/token");
}

#[test]
fn a_google_key_is_one() {
    let json = json!({
        "type": "service_account", "project_id": "p", "private_key_id": "k1", "client_id": "1",
        "private_key": "-----BEGIN PRIVATE KEY-----\n", "client_email": "a@p.iam.gserviceaccount.com"
    });
    let Ok(ServiceKey::Google(key)) = detect(&json) else { panic!() };
    assert_eq!((key.client_email.as_str(), key.token_uri), ("/client_email", None));
    let error = detect(&json!({ "type": "service_account", "client_email": "a" })).unwrap_err();
    assert!(error.to_string().contains("`private_key` is missing"), "{error}");
    let error = detect(&json!({ "type": "authorized_user", "client_id": "a" })).unwrap_err();
    assert!(error.to_string().contains("authorized_user"), "{error}");
}

#[test]
fn what_is_no_key_is_told_without_a_value() {
    assert_eq!(detect(&json!([1])), Err(ServiceKeyError::NoObject));
    for json in
        [json!({}), json!({ "clientid": "" }), json!({ "clientid": 7, "a": [[{ "clientid": "deep" }]] })]
    {
        assert_eq!(detect(&json), Err(ServiceKeyError::NoClientId), "{json}");
    }
    let error = detect(&json!({ "clientid": "hunter2", "clientsecret": "hunter2" })).unwrap_err();
    assert_eq!(
        error.to_string(),
        "beside `/clientid` stands no URL of a token service: looked for `url`, `tokenurl` and `token_endpoint`"
    );
    assert_eq!(client_key(&json!({ "clientid": "c", "url": "https://u" })).proof, Proof::Elsewhere);
}

/// JSON that has the right words in wrong places.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "clientid",
        "clientsecret",
        "url",
        "certurl",
        "certificate",
        "key",
        "uaa",
        "oauth",
        "credentials",
        "type",
        "uri",
        "service_account",
        "client_email",
        "private_key",
        "x509",
        "credential-type",
        "serviceurls",
        "tokenurl",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "https://[a-z]{1,5}/?".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..8).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_pointer_leads_to_a_text(json in any_json()) {
        let there = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        match detect(&json) {
            Err(error) => prop_assert!(!error.to_string().is_empty()),
            Ok(ServiceKey::Google(key)) => prop_assert!(there(&key.client_email) && there(&key.private_key)),
            Ok(ServiceKey::Client(key)) => {
                prop_assert!(there(&key.client_id) && there(&key.token_url.pointer));
                prop_assert!(key.api_url.is_none_or(|pointer| there(&pointer)));
                match key.proof {
                    Proof::Secret(pointer) => prop_assert!(there(&pointer)),
                    Proof::Certificate { certificate, key } => {
                        prop_assert!(there(&certificate) && key.is_none_or(|key| there(&key)));
                    }
                    Proof::Elsewhere => {}
                }
            }
        }
    }
}
