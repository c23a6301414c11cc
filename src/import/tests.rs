//! Tests of the importers: what is printed loads, holds no secret, and says what the input said.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::profile::{
    ContentType, Grant, GrantTypePlace, OAuth2, ParameterPlace, ProfileConfig, ProfileKind, RequestConfig,
    Scope, SubjectToken, TargetSystem, UserId,
};
use crate::config::{ConfigFile, Environment, Loaded, SecretSource, load};

/// A word that stands wherever a secret does.
const MARK: &str = "hunter2";

fn ok(kind: Kind, json: &Value) -> Imported {
    import(kind, &json.to_string(), Origin::Input).unwrap_or_else(|error| panic!("{error}"))
}

fn errors(kind: Kind, json: &Value) -> String {
    import(kind, &json.to_string(), Origin::Input).unwrap_err().to_string()
}

/// Every variable that the text names, set: to a URL where one is wanted.
fn environment(yaml: &str) -> Environment {
    let word = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let names: BTreeSet<String> = ["{ env: ", "${"]
        .iter()
        .flat_map(|before| yaml.split(before).skip(1).map(word).collect::<Vec<_>>())
        .collect();
    let value = |name: &str| if name.contains("_URL") { "https://filled.example/in" } else { "filled" };
    names.into_iter().map(|name| (name.clone(), value(&name).to_owned())).collect()
}

/// A folder with every file that the text names: certificates and keys that are real.
fn folder(yaml: &str) -> tempfile::TempDir {
    static KEYS: std::sync::LazyLock<(String, String)> = std::sync::LazyLock::new(|| {
        let made = rcgen::generate_simple_self_signed(["bob".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    });
    let folder = tempfile::tempdir().unwrap();
    for rest in yaml.split("{ file: ").skip(1) {
        let name = rest.split(" }").next().unwrap();
        let text = match name.rsplit('.').next().unwrap() {
            "crt" => KEYS.0.clone(),
            "key" => KEYS.1.clone(),
            "json" => google(&KEYS.1).to_string(),
            _ => "header.payload.signature".to_owned(),
        };
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn google(private_key: &str) -> Value {
    json!({
        "type": "service_account", "client_email": "bot@p.iam.gserviceaccount.com", "private_key": private_key,
        "private_key_id": "k"
    })
}

/// Reads what was printed, with the variables and files that it names.
fn load_it(yaml: &str) -> Result<Loaded, crate::config::ConfigErrors> {
    let folder = yaml.contains("{ file: ").then(|| folder(yaml));
    let path = folder.as_ref().map_or_else(|| "proxy.yaml".into(), |folder| folder.path().join("proxy.yaml"));
    load(&[ConfigFile { path, text: yaml.to_owned() }], &environment(yaml))
}

fn loaded(imported: &Imported) -> Loaded {
    load_it(&imported.yaml).unwrap_or_else(|errors| panic!("{errors}\n{}", imported.yaml))
}

fn oauth2_of(profile: &ProfileConfig) -> &OAuth2 {
    profile.oauth2().unwrap()
}

fn request(profile: &ProfileConfig) -> &RequestConfig {
    &oauth2_of(profile).request
}

fn token_url(profile: &ProfileConfig) -> String {
    text(profile.service().unwrap())
}

fn client_id(profile: &ProfileConfig) -> String {
    text(oauth2_of(profile).client.id.as_ref().unwrap())
}

fn client_secret(profile: &ProfileConfig) -> &SecretSource {
    &oauth2_of(profile).client.authentication.secret().unwrap().current
}

fn way(profile: &ProfileConfig) -> &'static str {
    oauth2_of(profile).client.authentication.as_str()
}

fn only(imported: &Imported) -> ProfileConfig {
    loaded(imported).config.profiles.remove(0)
}

fn text(source: &SecretSource) -> String {
    source.read().unwrap().expose().to_owned()
}

fn oauth2(more: Value) -> Value {
    let mut entity = json!({
        "Name": "a", "TokenServiceUrl": "https://t.example/token", "ClientId": "id", "ClientSecret": null,
        "ClientAuthentication": "body", "Scope": "", "ScopeContentType": "urlencoded"
    });
    for (key, value) in more.as_object().unwrap() {
        entity[key] = value.clone();
    }
    entity
}

#[test]
fn a_cpi_credential_keeps_every_field() {
    let imported = ok(
        Kind::Cpi,
        &json!({ "d": { "results": [oauth2(json!({
            "__metadata": { "type": "com.sap.hci.api.OAuth2ClientCredential" },
            "Name": "lms_admin_OAuth2", "Description": "a: 'b' ${C} # d", "ClientId": "007", "ClientSecret": MARK,
            "ClientAuthentication": "Send as Request Header", "Scope": "{ \"userId\": \"admin\", \"n\": 7 }",
            "ScopeContentType": "json", "Resource": "urn:r", "Audience": "urn:a",
            "CustomParameters": { "results": [
                { "Key": "response_type", "Value": "token", "SendAsPartOf": "url" },
                { "Key": "tenant", "Value": "x", "SendAsPartOf": "BODY" },
                { "Key": "tenant", "Value": "y", "SendAsPartOf": "body" },
                { "Key": "X-A", "Value": "1", "SendAsPartOf": "Header" },
                { "Key": "api_key", "Value": MARK, "SendAsPartOf": "url" },
                { "Key": "Authorization", "Value": MARK, "SendAsPartOf": "header" },
            ] },
        }))] } }),
    );
    let profile = only(&imported);
    assert_eq!(profile.name.as_str(), "lms_admin_OAuth2");
    assert_eq!(profile.description.as_deref(), Some("a: 'b' ${C} # d"));
    assert_eq!(token_url(&profile), "https://t.example/token");
    assert_eq!(client_id(&profile), "007");
    assert!(
        matches!(client_secret(&profile), SecretSource::Env { name, .. } if name == "LMS_ADMIN_OAUTH2_CLIENT_SECRET")
    );
    assert_eq!(way(&profile), "request_header");
    assert_eq!(
        (request(&profile).content_type, request(&profile).grant_type_in),
        (ContentType::Json, GrantTypePlace::Body)
    );
    let Some(Scope::Object(scope)) = &request(&profile).scope else { panic!("{}", imported.yaml) };
    assert_eq!(Value::Object(scope.clone()), json!({ "userId": "admin", "n": 7 }));
    assert_eq!(text(request(&profile).resource.as_ref().unwrap()), "urn:r");
    assert_eq!(text(request(&profile).audience.as_ref().unwrap()), "urn:a");
    let rows: Vec<_> = request(&profile)
        .custom_parameters
        .iter()
        .map(|row| (row.place, row.key.as_str(), row.values.iter().map(text).collect::<Vec<_>>().join(" ")))
        .collect();
    let expected = [
        (ParameterPlace::Body, "tenant", "x y".to_owned()),
        (ParameterPlace::Header, "X-A", "1".to_owned()),
        (ParameterPlace::Url, "response_type", "token".to_owned()),
        (ParameterPlace::Url, "api_key", "filled".to_owned()),
    ];
    assert_eq!(rows, expected);
    assert!(imported.warnings.iter().any(|line| line.contains("`Authorization`")), "{:?}", imported.warnings);
    assert!(!imported.yaml.contains(MARK), "{}", imported.yaml);
}

#[test]
fn what_cpi_does_not_say_has_its_defaults_and_a_word() {
    let mut entity = oauth2(json!({ "CustomParameters": { "__deferred": { "uri": "…" } } }));
    entity.as_object_mut().unwrap().remove("ClientAuthentication");
    entity.as_object_mut().unwrap().remove("ScopeContentType");
    let imported = ok(Kind::Cpi, &json!({ "d": entity }));
    let profile = only(&imported);
    assert_eq!(way(&profile), "body_parameter");
    assert_eq!(request(&profile).content_type, ContentType::Form);
    let said = imported.warnings.join("\n");
    for part in ["grant_type_in: url", "SAML Bearer", "$expand=CustomParameters"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for warning in &imported.warnings {
        let words: Vec<&str> = warning.split_whitespace().collect();
        let yaml: Vec<&str> = imported.yaml.split_whitespace().filter(|word| *word != "#").collect();
        let tail = &words[words.len() - 4..];
        assert!(yaml.windows(4).any(|window| window == tail), "a comment says it too: {warning}");
    }
}

#[test]
fn cpi_exports_come_in_many_wrappings() {
    let (a, b) = (oauth2(json!({})), oauth2(json!({ "Name": "b" })));
    for json in [
        json!([a, b]),
        json!({ "d": { "results": [a, b] } }),
        json!({ "d": [a, b] }),
        json!({ "value": [a, b] }),
        json!([{ "d": a }, { "d": { "results": [b] } }]),
        json!({ "OAuth2ClientCredentials": { "d": { "results": [a, b] } }, "SecureParameters": [] }),
    ] {
        assert_eq!(loaded(&ok(Kind::Cpi, &json)).config.profiles.len(), 2, "{json}");
    }
    let stream = format!("\u{feff}{}\n{}", json!({ "d": a }), json!({ "d": b }));
    assert!(import(Kind::Cpi, &stream, Origin::Input).unwrap().yaml.contains("  b:\n"));
}

#[test]
fn kinds_mix_and_oauth2_credentials_are_listed_once() {
    let imported = ok(
        Kind::Cpi,
        &json!([
            { "d": { "results": [oauth2(json!({}))] } },
            { "d": { "results": [
                { "Name": "a", "Kind": "default", "User": "id", "Password": null },
                { "Name": "u", "Kind": "default", "User": "bob", "Password": null },
                { "Name": "oc", "Kind": "openconnectors", "User": "x", "Password": null },
            ] } },
            { "d": { "Name": "key", "SecureParam": null, "Description": "of the bot", "Status": "DEPLOYED" } },
        ]),
    );
    assert_eq!(imported.yaml.matches("\n  a:\n").count(), 1, "{}", imported.yaml);
    assert!(
        imported
            .yaml
            .contains("    type: user_credentials\n    user: bob\n    password: { env: U_PASSWORD }\n")
    );
    assert!(imported.yaml.contains("  # of the bot\n  key: { env: KEY }\n"), "{}", imported.yaml);
    assert!(imported.warnings.iter().any(|line| line.contains("`oc`") && line.contains("left out")));
}

#[test]
fn a_scope_that_looks_like_an_object_but_goes_out_as_text_stays_text() {
    for (scope, kind) in [("{\"a\": 1}", "urlencoded"), ("{broken", "json")] {
        let profile = only(&ok(Kind::Cpi, &oauth2(json!({ "Scope": scope, "ScopeContentType": kind }))));
        assert!(request(&profile).scope.is_none());
        let row = &request(&profile).custom_parameters[0];
        assert_eq!((row.key.as_str(), text(&row.values[0])), ("scope", scope.to_owned()));
    }
}

#[test]
fn names_that_do_not_fit_are_mapped_and_never_meet() {
    let entities: Vec<Value> = ["My API", "My-API", "My_API", "token", "ä"]
        .iter()
        .map(|name| oauth2(json!({ "Name": name })))
        .collect();
    let imported = ok(Kind::Cpi, &json!(entities));
    let names: Vec<String> =
        loaded(&imported).config.profiles.iter().map(|profile| profile.name.to_string()).collect();
    assert_eq!(names, ["My_API", "My-API", "My_API_2", "token_1", "imported"]);
    let secrets: BTreeSet<String> =
        loaded(&imported).config.profiles.iter().map(|profile| client_secret(profile).describe()).collect();
    assert_eq!(secrets.len(), 5, "{secrets:?}");
}

#[test]
fn a_parameter_may_be_called_null() {
    let imported = ok(Kind::Cpi, &json!({ "Name": "null", "SecureParam": null }));
    assert!(imported.yaml.contains("'null': { env: P_NULL }"), "{}", imported.yaml);
    loaded(&imported);
}

#[test]
fn what_a_url_must_not_hold_goes_elsewhere_or_is_told() {
    let url = |url: &str| oauth2(json!({ "TokenServiceUrl": url }));
    let said = errors(Kind::Cpi, &url("https://bob:hunter2@t.example/token"));
    assert!(
        said.contains("`TokenServiceUrl` must not hold a user name or password") && !said.contains(MARK),
        "{said}"
    );
    assert!(errors(Kind::Cpi, &url("t.example/token")).contains("https://"));
    assert!(errors(Kind::Cpi, &url("")).contains("missing or empty"));
    assert!(errors(Kind::Cpi, &url("http://localhost:4080/token")).contains("sidepass itself listens"));

    let imported =
        ok(Kind::Cpi, &url("https://t.example/token?a=b&apikey=hunter2&grant_type=client_credentials"));
    assert!(!imported.yaml.contains(MARK), "{}", imported.yaml);
    let profile = only(&imported);
    assert_eq!(token_url(&profile), "https://t.example/token?a=b");
    assert_eq!(request(&profile).grant_type_in, GrantTypePlace::Url);
    assert_eq!(request(&profile).custom_parameters[0].key, "apikey");

    let imported = ok(Kind::Cpi, &url("http://t.example/token"));
    assert!(
        only(&imported).transport.allow_cleartext
            && imported.warnings.iter().any(|line| line.contains("clear text"))
    );
    let imported = ok(Kind::Cpi, &oauth2(json!({ "ClientId": "{{CLIENT-ID}}", "Audience": "a\nb" })));
    assert_eq!(client_id(&only(&imported)), "filled");
}

#[test]
fn every_mistake_is_told_at_once_and_nothing_is_printed() {
    let said = errors(
        Kind::Cpi,
        &json!([
            oauth2(json!({ "ClientAuthentication": "foo", "ScopeContentType": "xml" })),
            oauth2(json!({ "Name": "b", "CustomParameters": [{ "Key": "k", "Value": "v", "SendAsPartOf": "cookie" }, 7] })),
            { "Name": "c", "Kind": "magic", "User": "u" },
            { "__metadata": { "type": "com.sap.hci.api.KeystoreEntry" }, "Name": "d" },
            { "Name": "e" },
            { "TokenServiceUrl": "https://t.example" },
            7,
        ]),
    );
    for part in [
        "`a`: `ClientAuthentication` is `foo`; known are body and header",
        "`a`: `ScopeContentType` is `xml`; known are urlencoded and json",
        "`b`: the custom parameter `k` has `SendAsPartOf: cookie`; known are body, header and url",
        "`b`: a row of `CustomParameters` is no object",
        "`c`: `Kind` is `magic`",
        "`d` is a `KeystoreEntry`, which is not known here",
        "`e` is of no kind that is known here",
        "an entity of OAuth2ClientCredentials has no `Name`",
        "something else stands where one is expected",
    ] {
        assert!(said.contains(part), "{part}\n---\n{said}");
    }
    assert_eq!(said.lines().count(), 9, "{said}");
}

#[test]
fn wrong_input_is_told_with_its_place_and_without_its_text() {
    let say = |text: &str| import(Kind::Cpi, text, Origin::File("x.json")).unwrap_err().to_string();
    assert_eq!(say("{\n  \"hunter2\" 1}"), "x.json: not valid JSON at line 2, column 13");
    assert_eq!(say("{\"a\": \"hunter2"), "x.json: the JSON ends in the middle at line 1, column 14");
    assert!(say("<feed>hunter2</feed>").contains("Accept: application/json"));
    assert!(say(" \n").contains("empty"));
    assert!(say("Name=a\nPassword=hunter2").contains("properties file"));
    assert!(say(&"[".repeat(500)).contains("nested too deeply"));
    assert!(say(&" ".repeat(MAX_BYTES + 1)).contains("1 MiB"));
    assert!(say("{\"error\": {\"code\": \"401\"}}").contains("error answer"));
    assert_eq!(say("{\"d\":{\"results\":[]}}"), "x.json: nothing in it can be imported");
}

#[test]
fn what_no_configuration_could_hold_is_told() {
    let many = |count: usize| -> String {
        (0..count).map(|n| format!("{{\"Name\":\"a\",\"SecureParam\":{n}}}\n")).collect()
    };
    let imported = import(Kind::Cpi, &many(4000), Origin::Input).unwrap();
    assert_eq!(loaded(&imported).config.secure_parameters.len(), 4000);
    let said = import(Kind::Cpi, &many(20_000), Origin::Input).unwrap_err().to_string();
    assert!(said.contains("import it in parts"), "{said}");

    let rows: Vec<Value> =
        (0..21).map(|n| json!({ "Key": "k", "Value": n, "SendAsPartOf": "url" })).collect();
    let said = errors(Kind::Cpi, &oauth2(json!({ "CustomParameters": rows })));
    assert!(said.contains("more than 20 custom parameters"), "{said}");
    let mut headers = destination("NoAuthentication", json!({}));
    for n in 0..101 {
        headers[format!("URL.headers.X-{n}")] = "v".into();
    }
    assert!(errors(Kind::Destination, &headers).contains("more than 100 headers"));
}

#[test]
fn a_destination_becomes_a_profile_and_a_route() {
    let imported = ok(
        Kind::Destination,
        &json!({ "owner": {}, "authTokens": [{ "value": MARK }], "destinationConfiguration": {
            "Name": "crm", "Type": "HTTP", "URL": "https://crm.example/api?x=1", "ProxyType": "Internet",
            "Authentication": "OAuth2ClientCredentials", "clientId": "sb-x!t1|y", "clientSecret": MARK,
            "tokenServiceURL": "https://{tenant}.auth.example/oauth/token", "tokenServiceURLType": "Common",
            "tokenService.addClientCredentialsInBody": "false", "scope": "a b", "tokenService.body.resource": "r",
            "tokenServiceURL.headers.X-B": "1", "tokenServiceURL.queries.q": "2", "URL.headers.X-App": "{a} ${b}",
            "URL.headers.X-Api-Key": MARK, "URL.headers.Host": "h", "URL.headers.authorization": MARK, "sap-client": "100",
            "URL.queries.format": "json", "HTML5.DynamicDestination": "true", "foo": MARK
        } }),
    );
    assert!(
        !imported.yaml.contains(MARK) && !imported.warnings.join(" ").contains(MARK),
        "{}",
        imported.yaml
    );
    let config = loaded(&imported).config;
    let (profile, route) = (&config.profiles[0], &config.routes[0]);
    assert_eq!(token_url(profile), "https://filled.auth.example/oauth/token");
    assert_eq!(way(profile), "request_header");
    assert!(matches!(&request(profile).scope, Some(Scope::Text(scope)) if text(scope) == "a b"));
    let rows: Vec<_> =
        request(profile).custom_parameters.iter().map(|row| (row.place, row.key.as_str())).collect();
    assert_eq!(
        rows,
        [(ParameterPlace::Body, "resource"), (ParameterPlace::Header, "X-B"), (ParameterPlace::Url, "q")]
    );
    assert_eq!(route.upstream.to_string(), "https://crm.example/api");
    let headers: Vec<_> = route.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(headers, ["x-api-key", "x-app", "sap-client", "authorization"]);
    let said = imported.warnings.join("\n");
    for part in ["`Host`", "`authorization`", "URL.queries", "the query of its URL", "no counterpart: foo"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

fn destination(authentication: &str, more: Value) -> Value {
    let mut destination = json!({
        "Name": "d", "Type": "HTTP", "URL": "https://d.example", "ProxyType": "Internet", "Authentication": authentication,
        "clientId": "id", "tokenServiceURL": "https://t.example/token"
    });
    for (key, value) in more.as_object().unwrap() {
        destination[key] = value.clone();
    }
    destination
}

#[test]
fn a_resource_with_a_fragment_becomes_a_variable() {
    let json = destination("OAuth2ClientCredentials", json!({ "clientSecret": MARK, "resource": "urn:a#b" }));
    let imported = ok(Kind::Destination, &json);
    assert!(imported.yaml.contains("resource: { env: D_RESOURCE }"), "{}", imported.yaml);
    assert!(imported.warnings.iter().any(|warning| warning.contains("fragment")), "{:?}", imported.warnings);
    loaded(&imported);
}

#[test]
fn braces_in_the_url_of_a_destination_would_be_a_template() {
    for url in ["https://d.example/a{{X-Y}}", "https://d.example/{token.x}", "https://d.example/a}"] {
        let said = errors(Kind::Destination, &destination("NoAuthentication", json!({ "URL": url })));
        assert!(said.contains("its URL"), "{url}: {said}");
    }
}

#[test]
fn every_authentication_has_a_counterpart_or_a_reason() {
    for (authentication, more, parts) in [
        ("NoAuthentication", json!({}), &["upstream: https://d.example"][..]),
        (
            "BasicAuthentication",
            json!({ "User": "u", "Password": MARK }),
            &["type: user_credentials", "user: u", "password: { env: D_PASSWORD }", "profile: d"],
        ),
        (
            "ClientCertificateAuthentication",
            json!({ "KeyStoreLocation": "k.p12", "KeyStorePassword": MARK }),
            &["client_certificate: { certificate: { file: d.crt }, private_key: { file: d.key } }"],
        ),
        (
            "OAuth2ClientCredentials",
            json!({ "tokenServiceURL": format!("https://t.example/token?auth={MARK}&sid={MARK}&credential={MARK}") }),
            &[
                "token_service_url: https://t.example/token\n",
                "auth: { env: ",
                "sid: { env: ",
                "credential: { env: ",
            ],
        ),
        (
            "OAuth2Password",
            json!({ "User": "u", "Password": MARK }),
            &["type: oauth2_password", "username: u", "client_authentication: body_parameter"],
        ),
        (
            "OAuth2RefreshToken",
            json!({}),
            &["type: oauth2_refresh_token", "refresh_token: { env: D_REFRESH_TOKEN }"],
        ),
        (
            "OAuth2AuthorizationCode",
            json!({}),
            &["type: oauth2_authorization_code", "'${D_AUTHORIZATION_URL}'"],
        ),
        (
            "OAuth2SAMLBearerAssertion",
            json!({ "clientKey": "k", "companyId": "C", "SystemUser": "u", "audience": "w" }),
            &[
                "type: oauth2_saml_bearer_assertion",
                "target_system_type: successfactors",
                "client_id: k",
                "company_id: C",
                "user_id: u",
                "audience: w",
                "key_pair: { certificate: { file: d.crt }, private_key: { file: d.key } }",
            ],
        ),
        (
            "OAuth2SAMLBearerAssertion",
            json!({
                "clientKey": "k", "tokenServiceURL": "https://a.authentication.eu10.hana.ondemand.com/oauth/token",
                "tokenServiceUser": "u", "tokenServicePassword": MARK
            }),
            &["target_system_type: btp_cf", "client_id: u", "client_secret: { env: D_CLIENT_SECRET }"],
        ),
        (
            "OAuth2TokenExchange",
            json!({}),
            &["type: oauth2_token_exchange", "subject_token:\n      header: Authorization"],
        ),
        (
            "OAuth2ClientCredentials",
            json!({ "tokenService.KeyStoreLocation": "k.p12" }),
            &["client_authentication: tls_client_auth", "openssl pkcs12", "key_pair: {"],
        ),
        (
            "OAuth2ClientCredentials",
            json!({ "clientAssertion.destinationName": "other" }),
            &["client_authentication: client_assertion", "client_assertion: { file: d.jwt }"],
        ),
        (
            "OAuth2ClientCredentials",
            json!({ "tokenServiceUser": "u", "tokenServicePassword": MARK }),
            &["client_id: u", "client_authentication: request_header"],
        ),
    ] {
        let imported = ok(Kind::Destination, &destination(authentication, more));
        for part in parts {
            assert!(imported.yaml.contains(part), "{authentication}: {part}\n{}", imported.yaml);
        }
        assert!(!imported.yaml.contains(MARK), "{}", imported.yaml);
        loaded(&imported);
    }
    for (authentication, part) in [
        ("PrincipalPropagation", "Cloud Connector"),
        ("OAuth2TechnicalUserPropagation", "technical user"),
        ("SAMLAssertion", "oauth2_saml_bearer_assertion"),
        ("OAuth2JWTBearer", "oauth2_token_exchange"),
        ("OAuth2UserTokenExchange", "oauth2_token_exchange"),
        ("Kerberos", "there is no such type here"),
    ] {
        let said = errors(Kind::Destination, &destination(authentication, json!({})));
        assert!(said.contains(part) && said.contains(authentication), "{authentication}: {said}");
    }
}

#[test]
fn what_a_destination_says_is_what_the_profile_does() {
    let profile = |authentication, more| only(&ok(Kind::Destination, &destination(authentication, more)));
    let grant = |profile: ProfileConfig| oauth2_of(&profile).grant.clone();

    let basic = profile("BasicAuthentication", json!({ "User": "u" }));
    assert!(matches!(&basic.kind, ProfileKind::UserCredentials { user, .. } if text(user) == "u"));
    let password = grant(profile("OAuth2Password", json!({ "User": "u" })));
    assert!(matches!(password, Grant::Password { username, .. } if text(&username) == "u"));
    let Grant::RefreshToken(refresh) = grant(profile("OAuth2RefreshToken", json!({}))) else { panic!() };
    assert!(refresh.state_file.unwrap().ends_with("d.state") && text(&refresh.token) == "filled");
    let Grant::AuthorizationCode(code) = grant(profile("OAuth2AuthorizationCode", json!({}))) else {
        panic!()
    };
    assert_eq!(text(&code.authorization_url.unwrap()), "https://filled.example/in");
    let Grant::TokenExchange(exchange) = grant(profile("OAuth2TokenExchange", json!({}))) else { panic!() };
    assert!(matches!(exchange.subject, SubjectToken::Header(name) if name == "authorization"));

    let saml = profile(
        "OAuth2SAMLBearerAssertion",
        json!({ "clientKey": "k", "companyId": "C", "SystemUser": "u", "audience": "w" }),
    );
    assert_eq!((client_id(&saml).as_str(), way(&saml)), ("k", "none"));
    let Grant::SamlBearer(assertion) = grant(saml) else { panic!() };
    assert_eq!((assertion.target, text(&assertion.audience).as_str()), (TargetSystem::SuccessFactors, "w"));
    assert!(matches!(assertion.user, UserId::Fixed(user) if text(&user) == "u"));
    assert_eq!(text(&assertion.company_id.unwrap()), "C");
    let bare =
        profile("OAuth2SAMLBearerAssertion", json!({ "tokenServiceURL": "https://x.successfactors.com/t" }));
    assert!(
        matches!(grant(bare), Grant::SamlBearer(assertion) if matches!(assertion.user, UserId::KeyPairCommonName))
    );

    let mutual = profile("OAuth2ClientCredentials", json!({ "tokenService.KeyStoreLocation": "k.p12" }));
    assert_eq!((way(&mutual), mutual.transport.key_pair.is_some()), ("tls_client_auth", true));
    let foreign = profile("OAuth2ClientCredentials", json!({ "clientAssertion.destinationName": "other" }));
    assert_eq!(way(&foreign), "client_assertion");
}

#[test]
fn one_destination_without_counterpart_does_not_stop_the_others() {
    let imported = ok(
        Kind::Destination,
        &json!([
            destination("PrincipalPropagation", json!({ "Name": "pp" })),
            destination("OAuth2ClientCredentials", json!({})),
            destination("OAuth2ClientCredentials", json!({ "Name": "on", "ProxyType": "OnPremise" })),
            destination("NoAuthentication", json!({ "Name": "rfc", "Type": "RFC" })),
        ]),
    );
    let config = loaded(&imported).config;
    assert_eq!((config.profiles.len(), config.routes.len()), (2, 1));
    assert_eq!(imported.warnings.len(), 3, "{:?}", imported.warnings);
}

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

/// JSON made of the words that the importers know, in right and wrong places.
fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "d",
        "results",
        "value",
        "__metadata",
        "type",
        "Name",
        "TokenServiceUrl",
        "ClientId",
        "ClientAuthentication",
        "Scope",
        "ScopeContentType",
        "CustomParameters",
        "Key",
        "Value",
        "SendAsPartOf",
        "Kind",
        "User",
        "Password",
        "CompanyId",
        "SecureParam",
        "Description",
        "SecurityArtifactDescriptor",
        "DeployedOn",
        "destinationConfiguration",
        "Authentication",
        "URL",
        "ProxyType",
        "clientId",
        "tokenServiceURL",
        "tokenServiceURLType",
        "scope",
        "URL.headers.X-A",
        "URL.headers.X-Token",
        "tokenService.body.a",
        "tokenServiceURL.queries.${",
        "uaa",
        "credentials",
        "clientid",
        "clientsecret",
        "url",
        "certurl",
        "certificate",
        "key",
        "xsuaa",
        "VCAP_SERVICES",
        "OAuth2ClientCredentials",
        "x",
    ]);
    let text = prop_oneof![
        prop::sample::select(vec![
            "body",
            "header",
            "json",
            "urlencoded",
            "default",
            "successfactors",
            "https://h.example/t",
            "http://h/?secret=x1",
            "https://{tenant}.h/",
            "OAuth2ClientCredentials",
            "OAuth2Password",
            "NoAuthentication",
            "BasicAuthentication",
            "OAuth2SAMLBearerAssertion",
            "Common",
            "{\"a\":1}",
            "{{X-Y}}",
            "a\nb",
            "/Date(253402300800000)/",
            "/Date(1)/",
            "com.sap.hci.api.OAuth2ClientCredential",
            "service_account",
            "x509",
            "",
            " ",
            "ü",
            "token",
            "null",
            "${X}",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<i32>().prop_map(Value::from),
        8 => text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 96, 12, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((keys.clone(), inner), 0..12)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// An entity or a destination that is nearly right: more of them are imported than of any JSON.
fn nearly() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![4 => "[ -~ü]{0,12}", 1 => ".{0,6}", 1 => Just("{\"a\": 1}".to_owned())];
    let url = prop::sample::select(vec![
        "https://h.example/a?b=c",
        "http://h/",
        "https://h/?apikey=1&grant_type=x",
        "x",
    ]);
    let authentication = prop::sample::select(vec![
        "OAuth2ClientCredentials",
        "OAuth2Password",
        "OAuth2RefreshToken",
        "OAuth2AuthorizationCode",
        "OAuth2SAMLBearerAssertion",
        "OAuth2TokenExchange",
        "BasicAuthentication",
        "NoAuthentication",
        "ClientCertificateAuthentication",
    ]);
    (text(), text(), url, (text(), text(), text()), 0..4_usize, (text(), text()), authentication).prop_map(
        |(name, id, url, (scope, description, audience), kind, (key, value), authentication)| match kind {
            0 => oauth2(json!({
                "Name": name, "ClientId": id, "TokenServiceUrl": url, "Scope": scope, "Description": description,
                "Audience": audience, "ScopeContentType": if value.len() > 3 { "json" } else { "" },
                "CustomParameters": [{ "Key": key, "Value": value, "SendAsPartOf": "url" }, { "Key": value, "Value": key, "SendAsPartOf": "header" }],
            })),
            1 => json!({ "Name": name, "SecureParam": null, "Description": description }),
            2 => json!({ "Name": name, "User": id, "CompanyId": key, "Kind": "successfactors", "Description": description }),
            _ => {
                let mut json = destination(authentication, json!({
                    "Name": name, "clientId": id, "tokenServiceURL": url, "scope": scope, "Description": description,
                    "URL": url.replace("/a", &audience), "User": id, "audience": audience, "companyId": key, "SystemUser": value,
                    "tokenServiceURLType": if id.len() > 6 { "Common" } else { "Dedicated" },
                }));
                json[format!("URL.headers.{key}")] = value.clone().into();
                json[format!("tokenService.body.{key}")] = value.into();
                json
            }
        },
    )
}

/// Imports with every importer; whatever is printed must load.
fn holds(json: &Value) -> Result<(), TestCaseError> {
    for kind in Kind::ALL {
        match import(kind, &json.to_string(), Origin::File("x.json")) {
            Err(ImportError(lines)) => prop_assert!(!lines.is_empty()),
            Ok(imported) => {
                if let Err(errors) = load_it(&imported.yaml) {
                    return Err(TestCaseError::fail(format!("{errors}\n{}\nof {json}", imported.yaml)));
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_json_panics_and_what_is_printed_loads(json in any_json()) {
        holds(&json)?;
    }

    #[test]
    fn what_is_nearly_right_loads_or_is_told(json in prop::collection::vec(nearly(), 1..4)) {
        holds(&Value::from(json))?;
    }
}
