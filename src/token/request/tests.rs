use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::config::profile::{
    ActorToken, AuthorizationCode, BasicEncoding, ClientAuthentication, Grant, SubjectToken, TokenExchange,
};
use crate::token::testing::{literal as text, profile};

fn custom_parameter(place: ParameterPlace, key: &str, values: &[&str]) -> CustomParameter {
    CustomParameter { place, key: key.to_owned(), values: values.iter().copied().map(text).collect() }
}

/// The request of a profile with a URL of its own.
fn made(profile: &ProfileConfig) -> Result<TokenRequest, FetchError> {
    showing(profile, None)
}

/// The same, when a token is at hand that the request shows.
fn showing(profile: &ProfileConfig, shown: Option<&Secret>) -> Result<TokenRequest, FetchError> {
    let oauth2 = profile.oauth2().unwrap();
    let TokenEndpoint::Url(url) = &oauth2.endpoint else { panic!("no URL") };
    let endpoint = Endpoint { url: read(url, "token_service_url")?, issuer: None };
    let slot = SecretSlot::Current;
    let (keys, now) = (HeldPair::of(profile), Clock::system().now());
    build(profile, oauth2, &Occasion { endpoint: &endpoint, slot, shown, keys: &keys, now })
}

/// The request as it goes over the wire, but for what HTTP adds; headers sorted by name.
fn wire(profile: &ProfileConfig) -> String {
    let request = made(profile).unwrap();
    let mut headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("POST {}\n{}\n{}", request.url.expose(), headers.concat(), request.body.expose())
}

#[test]
fn learning_gets_json_with_a_scope_object() {
    let mut profile = profile("https://acme.plateau.com/learning/oauth-api/rest/v1/token", "acme", "s3cret");
    profile.request_mut().content_type = ContentType::Json;
    let scope = json!({"userId": "admin", "companyId": "acme", "userType": "admin", "resourceType": "learning_public_api"});
    profile.request_mut().scope = Some(Scope::Object(scope.as_object().unwrap().clone()));
    assert_eq!(
        wire(&profile),
        "POST https://acme.plateau.com/learning/oauth-api/rest/v1/token\n\
         accept: application/json\n\
         authorization: Basic YWNtZTpzM2NyZXQ=\n\
         content-type: application/json\n\
         \n\
         {\"grant_type\":\"client_credentials\",\"scope\":{\"companyId\":\"acme\",\"resourceType\":\"learning_public_api\",\
         \"userId\":\"admin\",\"userType\":\"admin\"}}"
    );
}

#[test]
fn xsuaa_gets_a_form_and_encoded_credentials() {
    let url = "https://acme.authentication.eu20.hana.ondemand.com/oauth/token";
    let profile = profile(url, "sb-iot!t1|svc!b2", "1-2$a_b=");
    assert_eq!(
        wire(&profile),
        "POST https://acme.authentication.eu20.hana.ondemand.com/oauth/token\n\
         accept: application/json\n\
         authorization: Basic c2ItaW90JTIxdDElN0NzdmMlMjFiMjoxLTIlMjRhX2IlM0Q=\n\
         content-type: application/x-www-form-urlencoded\n\
         x-cf-encoded-credentials: true\n\
         \n\
         grant_type=client_credentials"
    );
}

#[test]
fn cpi_legacy_puts_the_grant_type_into_the_url() {
    let mut profile = profile("https://idp.test/oauth/token", "id", "secret");
    profile.request_mut().grant_type_in = GrantTypePlace::Url;
    profile.body_secret(text("secret"));
    assert_eq!(
        wire(&profile),
        "POST https://idp.test/oauth/token?grant_type=client_credentials\n\
         accept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\
         \n\
         client_id=id&client_secret=secret"
    );
}

#[test]
fn the_grant_type_goes_behind_an_existing_query_once() {
    let url = |text: &str| {
        let mut profile = profile(text, "id", "secret");
        profile.request_mut().grant_type_in = GrantTypePlace::Url;
        made(&profile).unwrap().url.expose().to_owned()
    };
    assert_eq!(url("https://h/t?a=1"), "https://h/t?a=1&grant_type=client_credentials");
    assert_eq!(url("https://h/t?grant_type=x"), "https://h/t?grant_type=x");
    assert_eq!(url("https://h?"), "https://h/?grant_type=client_credentials");
    assert_eq!(url("https://h:8443/t?a&"), "https://h:8443/t?a&grant_type=client_credentials");
}

#[test]
fn credentials_may_be_members_of_a_json_body() {
    let mut profile = profile("https://h/t", "a\"b", "c\\dé");
    profile.request_mut().content_type = ContentType::Json;
    profile.body_secret(text("c\\dé"));
    let request = made(&profile).unwrap();
    assert_eq!(
        request.body.expose(),
        r#"{"grant_type":"client_credentials","client_id":"a\"b","client_secret":"c\\dé"}"#
    );
    assert!(!request.headers.contains_key(AUTHORIZATION), "exactly one client authentication");
}

#[test]
fn scope_resource_audience_and_custom_parameters_go_where_they_belong() {
    let mut profile = profile("https://h/t", "id", "secret");
    profile.request_mut().scope = Some(Scope::Text(text("read write")));
    profile.request_mut().resource = Some(text("urn:x"));
    profile.request_mut().audience = Some(text("https://api/"));
    profile.request_mut().custom_parameters = vec![
        custom_parameter(ParameterPlace::Body, "tenant", &["a&b"]),
        custom_parameter(ParameterPlace::Body, "list", &["1", "2"]),
        custom_parameter(ParameterPlace::Header, "X-ApplicationKey", &["k 1"]),
        custom_parameter(ParameterPlace::Url, "response_type", &["token", "x y"]),
    ];
    assert_eq!(
        wire(&profile),
        "POST https://h/t?response_type=token&response_type=x+y\n\
         accept: application/json\n\
         authorization: Basic aWQ6c2VjcmV0\n\
         content-type: application/x-www-form-urlencoded\n\
         x-applicationkey: k 1\n\
         \n\
         grant_type=client_credentials&scope=read+write&resource=urn%3Ax&audience=https%3A%2F%2Fapi%2F\
         &tenant=a%26b&list=1&list=2"
    );
    profile.request_mut().content_type = ContentType::Json;
    assert_eq!(
        made(&profile).unwrap().body.expose(),
        r#"{"grant_type":"client_credentials","scope":"read write","resource":"urn:x","audience":"https://api/","tenant":"a&b","list":["1","2"]}"#
    );
}

#[test]
fn custom_parameters_never_touch_credentials_or_framing() {
    let mut profile = profile("https://h/t", "id", "secret");
    profile.request_mut().custom_parameters = vec![
        custom_parameter(ParameterPlace::Body, "client_id", &["evil"]),
        custom_parameter(ParameterPlace::Url, "grant_type", &["password"]),
        custom_parameter(ParameterPlace::Header, "Authorization", &["Basic ZXZpbA=="]),
        custom_parameter(ParameterPlace::Header, "Content-Type", &["text/evil"]),
    ];
    let wire = wire(&profile);
    assert!(!wire.contains("evil") && !wire.contains("ZXZpbA") && !wire.contains("password"), "{wire}");
    for key in ["Host", "Content-Length", "Transfer-Encoding"] {
        profile.request_mut().custom_parameters = vec![custom_parameter(ParameterPlace::Header, key, &["1"])];
        assert_eq!(made(&profile).unwrap_err().code, FetchErrorCode::RequestInvalid, "{key}");
    }
}

#[test]
fn a_json_body_never_holds_a_key_twice() {
    let mut profile = profile("https://h/t", "id", "secret");
    profile.request_mut().resource = Some(text("urn:x"));
    profile.request_mut().custom_parameters =
        vec![custom_parameter(ParameterPlace::Body, "resource", &["urn:y"])];
    let body = made(&profile).unwrap().body;
    assert_eq!(body.expose(), "grant_type=client_credentials&resource=urn%3Ax&resource=urn%3Ay");
    profile.request_mut().content_type = ContentType::Json;
    assert_eq!(made(&profile).unwrap_err().code, FetchErrorCode::RequestInvalid);
}

#[test]
fn the_url_is_checked_at_each_fetch() {
    let code = |url: &str| made(&profile(url, "id", "secret")).unwrap_err().code;
    for url in ["idp.test/token", "https://u:p@idp.test/", "https://idp.test/#x", "http://idp.test/token"] {
        assert_eq!(code(url), FetchErrorCode::RequestInvalid, "{url}");
    }
    assert!(made(&profile("http://127.0.0.1:8080/token", "id", "secret")).is_ok());
    let mut cleartext = profile("http://idp.test/token", "id", "secret");
    cleartext.transport.allow_cleartext = true;
    assert!(made(&cleartext).is_ok());
}

#[test]
fn secrets_are_read_anew_from_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let mut profile = profile("https://h/t", "id", "unused");
    profile.body_secret(SecretSource::File(path.clone()));

    let missing = made(&profile).unwrap_err();
    assert_eq!(missing.code, FetchErrorCode::SecretUnreadable);
    assert!(missing.message.contains(path.to_str().unwrap()), "{missing}");

    for (content, secret) in [("one\n", "one"), ("two\r\n", "two")] {
        std::fs::write(&path, content).unwrap();
        assert!(made(&profile).unwrap().body.expose().ends_with(&format!("client_secret={secret}")));
    }
}

#[test]
fn a_slip_in_a_secret_file_is_named_without_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let mut profile = profile("https://h/t", "id", "unused");
    profile.header_secret(SecretSource::File(path.clone()), BasicEncoding::Form);
    for content in ["", "\n", "hunter2\nsecond", "hunter2\0"] {
        std::fs::write(&path, content).unwrap();
        let failed = made(&profile).unwrap_err();
        assert_eq!(failed.code, FetchErrorCode::SecretUnreadable, "{content:?}");
        assert!(failed.message.contains(path.to_str().unwrap()), "{failed}");
        assert!(!failed.message.contains("hunter2"), "{failed}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let mut profile = profile("https://h/t?apikey=canary1", "id", "canary2");
    profile.request_mut().custom_parameters =
        vec![custom_parameter(ParameterPlace::Header, "X-Key", &["canary3"])];
    let request = made(&profile).unwrap();
    let shown = format!("{request:?} {profile:?}");
    let basic = client_auth::basic(
        &Secret::new("id".to_owned()),
        &Secret::new("canary2".to_owned()),
        BasicEncoding::Form,
    );
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!shown.contains(basic.value.expose()), "{shown}");
}

/// The body of a profile's request.
fn sent(grant: Grant) -> String {
    let mut profile = profile("https://h/t", "id", "secret");
    profile.oauth2_mut().grant = grant;
    made(&profile).unwrap().body.expose().to_owned()
}

#[test]
fn a_password_grant_shows_name_and_password() {
    let grant = Grant::Password { username: text("a b"), password: text("p&q") };
    assert_eq!(sent(grant), "grant_type=password&username=a+b&password=p%26q");
}

#[test]
fn a_grant_type_of_the_provider_s_own_goes_out_as_it_is() {
    assert_eq!(sent(Grant::Custom("account_credentials".into())), "grant_type=account_credentials");
}

#[test]
fn a_token_exchange_shows_subject_actor_and_types() {
    let exchange = TokenExchange {
        subject: SubjectToken::Source(text("sub.ject")),
        subject_type: "urn:x:jwt".into(),
        actor: Some(ActorToken { token: text("act"), kind: "urn:x:at".into() }),
        requested_type: Some("urn:x:want".into()),
    };
    assert_eq!(
        sent(Grant::TokenExchange(Box::new(exchange))),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=sub.ject\
         &subject_token_type=urn%3Ax%3Ajwt&actor_token=act&actor_token_type=urn%3Ax%3Aat\
         &requested_token_type=urn%3Ax%3Awant"
    );
}

#[test]
fn what_a_person_consented_to_is_not_asked_for_again() {
    let mut profile = profile("http://127.0.0.1:1/t", "c", "s");
    let code = AuthorizationCode { authorization_url: None, state_file: "state".into(), redirect_port: 0 };
    profile.oauth2_mut().grant = Grant::AuthorizationCode(code);
    profile.request_mut().scope = Some(Scope::Text(text("openid mail")));
    let request = showing(&profile, Some(&Secret::new("r".to_owned()))).unwrap();
    assert_eq!(request.body.expose(), "grant_type=refresh_token&refresh_token=r");
}

#[test]
fn a_service_that_wants_get_has_it_all_in_the_url() {
    let mut profile = profile("https://h/t?a=1", "id", "secret");
    profile.request_mut().method = RequestMethod::Get;
    profile.request_mut().scope = Some(Scope::Text(text("x y")));
    let request = made(&profile).unwrap();
    assert_eq!(request.method, http::Method::GET);
    assert_eq!(request.url.expose(), "https://h/t?a=1&grant_type=client_credentials&scope=x+y");
    assert!(request.body.expose().is_empty() && !request.headers.contains_key(CONTENT_TYPE));
}

#[test]
fn an_assertion_of_somebody_else_is_the_proof() {
    let mut profile = profile("https://h/t", "id", "");
    profile.oauth2_mut().client.authentication = ClientAuthentication::Assertion(text("e.y.j"));
    assert_eq!(
        made(&profile).unwrap().body.expose(),
        "grant_type=client_credentials&client_id=id\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion=e.y.j"
    );
}

#[test]
fn another_scheme_stands_before_the_same_credentials() {
    let mut profile = profile("https://h/t", "id", "secret");
    if let ClientAuthentication::RequestHeader { scheme, .. } =
        &mut profile.oauth2_mut().client.authentication
    {
        *scheme = "ID".to_owned();
    }
    assert_eq!(made(&profile).unwrap().headers[AUTHORIZATION], "ID aWQ6c2VjcmV0");
}
