//! The sandbox over the wire: raw requests, so that nothing of a client library stands in between.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod app;
mod apis;

const LONG: Duration = Duration::from_secs(600);
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const JSON: &str = "Content-Type: application/json";
const ENCODED: &str = "X-CF-ENCODED-CREDENTIALS: true";
const GRANT: &str = "grant_type=client_credentials";
const REQUEST: &str = "/train/v2/request";
const MEASUREMENTS: &str = "/Timeseries/v1/Measurements";

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

/// Sends `METHOD path` with these header lines to an origin and reads the whole answer.
async fn send(origin: &str, request: &str, headers: &[&str], body: &str) -> Reply {
    let address = origin.strip_prefix("http://").unwrap();
    let mut raw = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for line in headers {
        raw += &format!("{line}\r\n");
    }
    raw += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(raw.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Reply { status: head[9..12].parse().unwrap(), head: head.to_lowercase(), body: body.to_owned() }
}

/// One running sandbox and what its configuration would know.
struct Fixture {
    sandbox: Sandbox,
    env: BTreeMap<String, String>,
}

impl Fixture {
    async fn start(lifetime: Duration) -> Self {
        let sandbox = Sandbox::start(lifetime).await.unwrap();
        let env = sandbox.environment();
        Self { sandbox, env }
    }

    fn get(&self, name: &str) -> &str {
        &self.env[name]
    }

    /// Posts to a system's token service.
    async fn token(&self, system: &str, headers: &[&str], body: &str) -> Reply {
        let url = self.get(&format!("{system}_TOKEN_URL"));
        let (origin, path) = url.split_at(7 + url[7..].find('/').unwrap());
        send(origin, &format!("POST {path}"), headers, body).await
    }

    /// `Authorization: Basic` with the system's id and secret, each passed through `spell`.
    fn basic(&self, system: &str, spell: fn(&str) -> String) -> String {
        let id = self.get(&format!("{system}_{}", if system == "LMS" { "COMPANY_ID" } else { "CLIENT_ID" }));
        let secret = self.get(&format!("{system}_CLIENT_SECRET"));
        basic(&spell(id), &spell(secret))
    }

    /// A fresh token of a system, asked for in the right way.
    async fn access_token(&self, system: &str) -> String {
        let basic = self.basic(system, str::to_owned);
        let reply = match system {
            "LMS" => self.token(system, &[JSON, &basic], &lms_body(&lms_scope("admin"))).await,
            _ => self.token(system, &[FORM, &basic], GRANT).await,
        };
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn api(&self, system: &str, request: &str, headers: &[&str], body: &str) -> Reply {
        // The route's base path is not the API's address.
        let origin = self.get(&format!("{system}_API_URL")).trim_end_matches(items::BASE);
        send(origin, request, headers, body).await
    }

    /// An utterance to the bot with these credentials.
    async fn say(&self, token: &str, x_token: &str, body: &str) -> Reply {
        let headers = [JSON, &bearer(token), &format!("X-Token: {x_token}")];
        self.api("CAI", &format!("POST {REQUEST}"), &headers, body).await
    }
}

fn basic(id: &str, secret: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn form_encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn lms_scope(kind: &str) -> Value {
    json!({ "userId": "admin", "companyId": "acme", "userType": kind, "resourceType": "learning_public_api" })
}

fn lms_body(scope: &Value) -> String {
    json!({ "grant_type": "client_credentials", "scope": scope }).to_string()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// The same token with other claims and the old signature.
fn tampered(token: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims = claims(token);
    claims["exp"] = json!(9_999_999_999_u64);
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
}

#[tokio::test]
async fn secrets_hold_every_character_that_goes_wrong_and_differ_each_time() {
    let (one, two) = (Fixture::start(LONG).await, Fixture::start(LONG).await);
    for name in ["CAI_CLIENT_SECRET", "IOT_CLIENT_SECRET"] {
        let secret = one.get(name);
        assert!(['$', '+', '/', '='].iter().all(|c| secret.contains(*c)), "{name}");
        assert_ne!(secret, two.get(name));
    }
    assert_eq!(one.get("CAI_CLIENT_ID"), "sb-bot!b1|cai!b2");
}

#[tokio::test]
async fn xsuaa_gives_a_jwt_with_real_claims() {
    let fixture = Fixture::start(LONG).await;
    let reply = fixture.token("CAI", &[FORM, &fixture.basic("CAI", str::to_owned)], GRANT).await;
    assert!(reply.head.contains("cache-control: no-store"), "{}", reply.head);
    let answer = reply.json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(600)));
    assert_eq!(answer["scope"], "uaa.resource cai!b2.runtime");
    let claims = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(claims["jti"], answer["jti"]);
    assert_eq!(claims["cid"], "sb-bot!b1|cai!b2");
    assert_eq!(claims["iss"], fixture.get("CAI_TOKEN_URL"));
    assert!(claims["aud"].as_array().unwrap().contains(&json!("cai!b2")));
    // Not before what was announced has run out.
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 601);
}

#[tokio::test]
async fn xsuaa_decodes_basic_credentials_only_with_the_header() {
    let fixture = Fixture::start(LONG).await;
    let raw = fixture.basic("CAI", str::to_owned);
    let encoded = fixture.basic("CAI", form_encoded);
    assert_ne!(raw, encoded);
    for (headers, status) in [
        (vec![FORM, raw.as_str()], 200),
        (vec![FORM, encoded.as_str(), ENCODED], 200),
        (vec![FORM, encoded.as_str()], 401),
        (vec![FORM, encoded.as_str(), "X-CF-ENCODED-CREDENTIALS: false"], 401),
        // The plus in it would be a space.
        (vec![FORM, raw.as_str(), ENCODED], 401),
    ] {
        let reply = fixture.token("CAI", &headers, GRANT).await;
        assert_eq!(reply.status, status, "{headers:?} {}", reply.body);
        if status == 401 {
            assert_eq!(
                reply.json(),
                json!({ "error": "invalid_client", "error_description": "Bad credentials" })
            );
            assert!(reply.head.contains("www-authenticate: basic realm=\"uaa/client\""), "{}", reply.head);
        }
    }
    assert_eq!(fixture.sandbox.counts(System::Cai), Counts { issued: 2, refused: 3 });
    assert_eq!(fixture.sandbox.counts(System::Iot), Counts::default());
}

#[tokio::test]
async fn xsuaa_takes_credentials_in_the_body_but_not_in_the_url() {
    let fixture = Fixture::start(LONG).await;
    let (id, secret) =
        (form_encoded(fixture.get("IOT_CLIENT_ID")), form_encoded(fixture.get("IOT_CLIENT_SECRET")));
    let credentials = format!("{GRANT}&client_id={id}&client_secret={secret}");
    assert_eq!(fixture.token("IOT", &[FORM], &credentials).await.status, 200);
    let basic = fixture.basic("IOT", str::to_owned);
    let repeated = format!("{GRANT}&client_id={id}");
    assert_eq!(fixture.token("IOT", &[FORM, &basic], &repeated).await.status, 200);
    let other = format!("{GRANT}&client_id=sb-other");
    assert_eq!(fixture.token("IOT", &[FORM, &basic], &other).await.status, 401);

    let origin = fixture.get("IOT_TOKEN_URL").strip_suffix("/oauth/token").unwrap();
    let in_url = send(origin, &format!("POST /oauth/token?{credentials}"), &[FORM], "").await;
    assert_eq!((in_url.status, in_url.json()["error"].clone()), (401, json!("unauthorized")));
    // CPI's "Send as part of URL" puts only the grant type there.
    let grant_in_url = send(origin, &format!("POST /oauth/token?{GRANT}"), &[&basic], "").await;
    assert_eq!(grant_in_url.status, 200);
}

#[tokio::test]
async fn xsuaa_refuses_wrong_requests_as_the_real_one_does() {
    let fixture = Fixture::start(LONG).await;
    let basic = fixture.basic("CAI", str::to_owned);
    let wrong = self::basic(fixture.get("CAI_CLIENT_ID"), "wrong");
    let post = "POST /oauth/token";
    let json_body = json!({ "grant_type": "client_credentials" }).to_string();
    let cases: [(&str, Vec<&str>, &str, u16, &str); 11] = [
        ("GET /oauth/token", vec![&basic], "", 405, "method_not_allowed"),
        (post, vec![JSON, &basic], &json_body, 415, "unsupported_media_type"),
        (post, vec![FORM, &basic], "", 400, "invalid_request"),
        (post, vec![FORM, &basic], "grant_type=%zz", 400, "invalid_request"),
        (post, vec![FORM, &basic], "grant_type=password", 400, "unsupported_grant_type"),
        (post, vec![FORM, &basic], "grant_type=client_credentials&scope=root", 400, "invalid_scope"),
        (post, vec![FORM, &wrong], GRANT, 401, "invalid_client"),
        (post, vec![FORM], GRANT, 401, "unauthorized"),
        (post, vec![FORM, &basic, &basic], GRANT, 401, "invalid_client"),
        (post, vec![FORM, "Authorization: Basic %%%"], GRANT, 401, "invalid_client"),
        ("POST /nowhere", vec![FORM, &basic], GRANT, 404, "Not Found"),
    ];
    let origin = fixture.get("CAI_TOKEN_URL").strip_suffix("/oauth/token").unwrap();
    for (request, headers, body, status, error) in cases {
        let reply = send(origin, request, &headers, body).await;
        assert_eq!(reply.status, status, "{request} {body} {}", reply.body);
        assert_eq!(reply.json()["error"], error, "{request} {body}");
        assert!(reply.json().get("access_token").is_none());
    }
    assert_eq!(fixture.sandbox.counts(System::Cai), Counts { issued: 0, refused: 11 });
}

#[tokio::test]
async fn lms_gives_an_opaque_token_for_a_json_body_with_a_scope_object() {
    let fixture = Fixture::start(LONG).await;
    for basic in [fixture.basic("LMS", str::to_owned), fixture.basic("LMS", form_encoded)] {
        let reply = fixture.token("LMS", &[JSON, &basic], &lms_body(&lms_scope("admin"))).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let answer = reply.json();
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(600)));
        let token = answer["access_token"].as_str().unwrap();
        assert!(!token.contains('.'));
        let outer: Value = serde_json::from_slice(&STANDARD.decode(token).unwrap()).unwrap();
        let content: Value = serde_json::from_str(outer["tokenContent"].as_str().unwrap()).unwrap();
        assert_eq!(content["issuedFor"], "learning_public_api");
        assert_eq!(content["expiresIn"], 600);
        assert!(content["issuedAt"].as_u64().unwrap() > 1_700_000_000_000);
    }
}

#[tokio::test]
async fn lms_refuses_wrong_requests_as_the_real_one_does() {
    let fixture = Fixture::start(LONG).await;
    let basic = fixture.basic("LMS", str::to_owned);
    let wrong = self::basic("acme", "wrong");
    let other = self::basic("umbrella", fixture.get("LMS_CLIENT_SECRET"));
    let good = lms_body(&lms_scope("admin"));
    let mut in_body: Value = serde_json::from_str(&good).unwrap();
    in_body["client_id"] = json!("acme");
    in_body["client_secret"] = json!(fixture.get("LMS_CLIENT_SECRET"));
    let in_body = in_body.to_string();
    let as_text = lms_body(&json!(lms_scope("admin").to_string()));
    let no_scope = json!({ "grant_type": "client_credentials" }).to_string();
    let wrong_type = lms_body(&lms_scope("root"));
    let wrong_grant = json!({ "grant_type": "password", "scope": lms_scope("admin") }).to_string();
    for (headers, body, status) in [
        (vec![JSON, wrong.as_str()], good.as_str(), 403),
        (vec![JSON, &other], &good, 403),
        (vec![JSON], &good, 403),
        (vec![JSON], &in_body, 403),
        (vec![FORM, &basic], GRANT, 415),
        (vec![basic.as_str()], &good, 415),
        (vec![JSON, &basic], &as_text, 400),
        (vec![JSON, &basic], &no_scope, 400),
        (vec![JSON, &basic], &wrong_type, 400),
        (vec![JSON, &basic], &wrong_grant, 400),
        (vec![JSON, &basic], GRANT, 400),
        (vec![JSON, &basic], "[]", 400),
    ] {
        let reply = fixture.token("LMS", &headers, body).await;
        assert_eq!(reply.status, status, "{headers:?} {body} {}", reply.body);
        assert!(reply.json()["error"]["errorCode"].is_string() && !reply.body.contains("access_token"));
    }
    assert_eq!(fixture.sandbox.counts(System::Lms), Counts { issued: 0, refused: 12 });
}

#[tokio::test]
async fn a_stopped_token_service_refuses_connections_until_it_is_back() {
    let fixture = Fixture::start(LONG).await;
    let address = fixture.get("IOT_TOKEN_URL")[7..].split('/').next().unwrap().to_owned();
    let mut idle = TcpStream::connect(&address).await.unwrap();
    fixture.sandbox.stop_token_service(System::Iot).await;
    fixture.sandbox.stop_token_service(System::Iot).await;
    let refused = TcpStream::connect(&address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let ended = tokio::time::timeout(Duration::from_secs(5), idle.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "an open connection ends too");
    assert_eq!(fixture.access_token("CAI").await.split('.').count(), 3, "the others go on");

    fixture.sandbox.resume_token_service(System::Iot).unwrap();
    fixture.sandbox.resume_token_service(System::Iot).unwrap();
    fixture.access_token("IOT").await;
}

#[tokio::test]
async fn rubbish_and_large_bodies_do_not_end_a_server() {
    let fixture = Fixture::start(LONG).await;
    let basic = fixture.basic("CAI", str::to_owned);
    let large = "x".repeat(64 * 1024 + 1);
    assert_eq!(fixture.token("CAI", &[FORM, &basic], &large).await.status, 413);
    let address = fixture.get("CAI_TOKEN_URL")[7..].split('/').next().unwrap().to_owned();
    for rubbish in
        ["\0\0\0\r\n\r\n", "GET\r\n\r\n", "POST /oauth/token HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(rubbish.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{rubbish:?}");
    }
    fixture.access_token("CAI").await;
}
