//! Service keys, and services in VCAP_SERVICES.

use super::*;

#[test]
fn a_service_key_says_where_its_secret_goes() {
    let key = json!({ "uaa": {
        "clientid": "sb-x!t1|y!b2", "clientsecret": MARK, "url": "https://acme.authentication.example", "xsappname": "x!t1"
    }, "url": "https://api.example" });
    let imported = import(Kind::ServiceKey, &key.to_string(), Origin::File("crm.json")).unwrap();
    let config = loaded(&imported).config;
    assert_eq!(token_url(&config.profiles[0]), "https://acme.authentication.example/oauth/token");
    assert_eq!(client_id(&config.profiles[0]), "sb-x!t1|y!b2");
    assert_eq!(config.routes[0].upstream.to_string(), "https://api.example");
    assert_eq!(config.routes[0].profile.as_ref().unwrap().as_str(), "crm");
    let line = "#   export CRM_CLIENT_SECRET=\"$(jq -r '.uaa.clientsecret' crm.json)\"\n";
    assert!(imported.yaml.contains(line) && !imported.yaml.contains(MARK), "{}", imported.yaml);
    let from_input = import(Kind::ServiceKey, &key.to_string(), Origin::Input).unwrap().yaml;
    assert!(from_input.contains("  x:\n") && !from_input.contains("jq"), "{from_input}");
    let generic = import(Kind::ServiceKey, &key.to_string(), Origin::File("a b/key.json")).unwrap().yaml;
    assert!(generic.contains("  x:\n") && !generic.contains("jq"), "{generic}");
}

#[test]
fn x509_and_google_keys_become_files() {
    let x509 = json!({ "credentials": {
        "clientid": "c", "certificate": MARK, "key": MARK, "certurl": "https://a.cert.example", "credential-type": "x509"
    } });
    let yaml = import(Kind::ServiceKey, &x509.to_string(), Origin::File("k8s.json")).unwrap().yaml;
    for part in [
        "token_service_url: https://a.cert.example/oauth/token",
        "client_authentication: tls_client_auth",
        "#   (umask 077; jq -r '.credentials.key' k8s.json >k8s.key)\n",
        "key_pair: { certificate: { file: k8s.crt }, private_key: { file: k8s.key } }",
    ] {
        assert!(yaml.contains(part) && !yaml.contains(MARK), "{part}\n{yaml}");
    }
    let google = json!({
        "type": "service_account", "client_email": "bot@p.iam.gserviceaccount.com", "private_key": MARK, "private_key_id": "k"
    });
    let imported = ok(Kind::ServiceKey, &google);
    let profile = only(&imported);
    let Grant::JwtBearer(assertion) = &oauth2_of(&profile).grant else { panic!("{}", imported.yaml) };
    assert!(assertion.issuer.is_some() && profile.service().is_some());
    assert_eq!(text(assertion.scope.as_ref().unwrap()), "https://www.googleapis.com/auth/cloud-platform");
    let yaml = imported.yaml;
    for part in [
        "  bot:\n",
        "type: oauth2_jwt_bearer",
        "scope: https://www.googleapis.com/auth/cloud-platform",
        "service_key: { file: bot.json }",
    ] {
        assert!(yaml.contains(part) && !yaml.contains(MARK), "{part}\n{yaml}");
    }
    assert!(errors(Kind::ServiceKey, &json!({ "type": "authorized_user" })).contains("authorized_user"));
    assert!(errors(Kind::ServiceKey, &json!({ "a": 1 })).contains("no client id"));
}

#[test]
fn vcap_services_are_profiles_if_they_have_a_client_id() {
    let services = json!({
        "xsuaa": [{ "name": "auth", "credentials": { "clientid": "c", "clientsecret": MARK, "url": "https://u.example" } }],
        "hana/x": [{ "name": "db", "credentials": { "user": "u", "password": MARK } }],
        "user-provided": [
            { "instance_name": "my api", "credentials": { "client_id": "d", "client_secret": MARK, "token_url": "https://v.example/t", "uri": "https://api.example" } },
            { "name": "half", "credentials": { "clientid": "e" } },
            { "name": "none" },
        ],
    });
    for json in [services.clone(), json!({ "VCAP_SERVICES": services })] {
        let imported = import(Kind::Vcap, &json.to_string(), Origin::Variable("VCAP_SERVICES")).unwrap();
        let config = loaded(&imported).config;
        let names: Vec<_> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
        assert_eq!(names, ["my_api", "auth"]);
        assert_eq!(config.routes.len(), 1);
        let said = imported.warnings.join("\n");
        assert!(
            said.contains("`db` (hana/x)") && said.contains("`half`") && said.contains("`none`"),
            "{said}"
        );
        assert!(!imported.yaml.contains(MARK), "{}", imported.yaml);
        assert!(imported.yaml.contains("<<<\"$VCAP_SERVICES\")\""), "{}", imported.yaml);
    }
    assert!(errors(Kind::Vcap, &json!({ "clientid": "c" })).contains("import service-key"));
    let services =
        json!({ "xsuaa": [{ "name": "a", "credentials": { "clientid": "c", "clientsecret": "hunter2" } }] });
    assert!(errors(Kind::ServiceKey, &services).contains("use `sidepass import vcap`"));
    assert!(errors(Kind::Destination, &json!({ "d": { "results": [] } })).contains("import cpi"));
    assert!(errors(Kind::Cpi, &destination("NoAuthentication", json!({}))).contains("import destination"));
    assert!(errors(Kind::Vcap, &json!([])).contains("JSON object"));
}
