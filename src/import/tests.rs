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

mod destinations;
mod generated;
mod keys;

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
