use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::Clock;
use crate::config::profile::{ClientAuthentication, KeyPairConfig};
use crate::token::oauth2::OAuth2Source;
use crate::token::source::{FetchContext, FetchReason, TokenSource};
use crate::token::testing::{literal, profile};

/// What a server answers: status line and further header lines, body.
type Reply = (&'static str, String);
type Script = Box<dyn Fn(&str, &str) -> Reply + Send + Sync>;

/// An authorization server by script: it is asked with its own origin and a path.
struct Server {
    origin: String,
    seen: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let task = tokio::spawn({
            let (origin, seen, script) = (origin.clone(), Arc::clone(&seen), Arc::clone(&script));
            async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut bytes = Vec::new();
                    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
                        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            break;
                        }
                    }
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                    seen.lock().unwrap().push(path.clone());
                    let (head, body) = script.lock().unwrap()(&origin, &path);
                    let length = body.len();
                    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}");
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        Self { origin, seen, script, task }
    }

    fn behave(&self, script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn document(origin: &str, path: &str) -> Reply {
    ok(&format!(r#"{{"issuer":"{origin}{path}","token_endpoint":"{origin}/token"}}"#))
}

fn ok(body: &str) -> Reply {
    ("200 OK", body.to_owned())
}

fn nothing() -> Reply {
    ("404 Not Found", "<html>".to_owned())
}

fn of_issuer(issuer: &str) -> ProfileConfig {
    let mut profile = profile("http://unused.invalid", "id", "s3cr3t");
    profile.oauth2_mut().endpoint = TokenEndpoint::Issuer(literal(issuer));
    profile
}

async fn found(issuer: &str) -> Result<Metadata, FetchError> {
    found_by(of_issuer(issuer)).await
}

async fn found_by(profile: ProfileConfig) -> Result<Metadata, FetchError> {
    look_up(&Arc::new(profile), Duration::from_secs(5)).await.map(Option::unwrap)
}

#[tokio::test]
async fn asks_oauth_first_and_openid_then_and_cuts_a_slash_at_the_end() {
    let server = Server::start(|origin, path| match path {
        "/.well-known/oauth-authorization-server" | "/a/b/.well-known/openid-configuration" => {
            let body = document(origin, "/a/b")
                .1
                .replace('}', r#","authorization_endpoint":"http://127.0.0.1:1/auth"}"#);
            ok(&body)
        }
        "/slash/.well-known/openid-configuration" => document(origin, "/slash/"),
        _ => nothing(),
    })
    .await;
    let metadata = found(&format!("{}/a/b", server.origin)).await.unwrap();
    assert_eq!(metadata.token_endpoint.to_string(), format!("{}/token", server.origin));
    assert_eq!(metadata.authorization_endpoint.unwrap().to_string(), "http://127.0.0.1:1/auth");
    assert_eq!(server.seen(), [format!("{OAUTH}/a/b"), format!("/a/b{OPENID}")]);

    found(&format!("{}/slash/", server.origin)).await.unwrap();
    assert_eq!(server.seen(), [format!("{OAUTH}/slash"), format!("/slash{OPENID}")]);

    server.behave(|origin, _| document(origin, ""));
    found(&server.origin).await.unwrap();
    assert_eq!(server.seen(), [OAUTH], "the first is enough");
}

#[tokio::test]
async fn another_issuer_is_refused_and_named() {
    for (named, said) in [
        ("ORIGIN/", "the slash at the end counts"),
        ("https://evil.example", "of the issuer https://evil.example"),
        ("https://login.example/{tenantid}/v2.0", "the tenant's id"),
        ("ORIGIN", ""),
    ] {
        let named = named.to_owned();
        let server = Server::start(move |origin, _| {
            let issuer = named.replace("ORIGIN", origin);
            ok(&format!(r#"{{"issuer":"{issuer}","token_endpoint":"{origin}/token"}}"#))
        })
        .await;
        match found(&server.origin).await {
            Ok(_) => assert_eq!(said, ""),
            Err(error) => {
                assert_eq!(
                    (error.code, error.class),
                    (FetchErrorCode::Discovery, FetchErrorClass::Permanent)
                );
                assert!(!said.is_empty() && error.message.contains(said), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_metadata_is_told_with_its_cause() {
    let cases: [(&'static str, &'static str, FetchErrorClass, &str); 8] = [
        ("404 Not Found", "", FetchErrorClass::Permanent, "answered 404"),
        (
            "302 Found\r\nLocation: https://sso.example/login?x=hunter2",
            "",
            FetchErrorClass::Permanent,
            "redirects to sso.example",
        ),
        ("200 OK", "<html>", FetchErrorClass::Permanent, "is no JSON"),
        ("200 OK", "[]", FetchErrorClass::Permanent, "names no issuer"),
        ("503 Busy", "", FetchErrorClass::Unavailable, "answered 503"),
        ("429 Slow\r\nRetry-After: 7", "", FetchErrorClass::Transient, "answered 429"),
        ("200 OK", r#"{"issuer":"ORIGIN"}"#, FetchErrorClass::Permanent, "names no token_endpoint"),
        (
            "200 OK",
            r#"{"issuer":"ORIGIN","token_endpoint":"http://10.0.0.1/token"}"#,
            FetchErrorClass::Permanent,
            "clear text",
        ),
    ];
    for (head, body, class, said) in cases {
        let server = Server::start(move |origin, _| (head, body.replace("ORIGIN", origin))).await;
        let error = found(&server.origin).await.unwrap_err();
        assert_eq!((error.code, error.class), (FetchErrorCode::Discovery, class), "{error}");
        assert!(error.message.contains(said) && !error.message.contains("hunter2"), "{error}");
        let slow_down = head.starts_with("429");
        assert_eq!(error.retry_after, slow_down.then(|| Duration::from_secs(7)));
        assert_eq!(server.seen().len(), if slow_down { 1 } else { 2 }, "{error}");
    }
}

#[tokio::test]
async fn the_most_telling_of_two_failures_is_told() {
    let server = Server::start(|origin, path| match path {
        OAUTH => document(origin, "/other"),
        _ => nothing(),
    })
    .await;
    let error = found(&server.origin).await.unwrap_err();
    assert!(error.message.contains("/other, not of the one"), "{error}");
}

#[tokio::test]
async fn an_endless_document_and_a_silent_issuer_end() {
    let server = Server::start(|_, _| ok(&format!(r#"{{"issuer":"{}"}}"#, "x".repeat(300 * 1024)))).await;
    let error = found(&server.origin).await.unwrap_err();
    assert!(error.message.contains("larger than 256 KiB"), "{error}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", silent.local_addr().unwrap());
    let profile = Arc::new(of_issuer(&issuer));
    let error = look_up(&profile, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!((error.code, error.class), (FetchErrorCode::Discovery, FetchErrorClass::Unavailable));
}

#[tokio::test]
async fn a_certificate_takes_the_alias_for_certificates() {
    let server = Server::start(|origin, _| {
        ok(&format!(
            r#"{{"issuer":"{origin}","token_endpoint":"{origin}/token","mtls_endpoint_aliases":{{"token_endpoint":"https://mtls.example/token"}},"token_endpoint_auth_methods_supported":["tls_client_auth","x y"],"authorization_response_iss_parameter_supported":true}}"#
        ))
    })
    .await;
    let plain = found(&server.origin).await.unwrap();
    assert!(!plain.is_elsewhere() && plain.names_issuer);
    assert_eq!(plain.auth_methods, ["tls_client_auth"]);
    let mut profile = of_issuer(&server.origin);
    profile.transport.key_pair =
        Some(KeyPairConfig { certificate: Some(literal("c")), private_key: literal("k") });
    let answer = Answer {
        dpop_nonce: None,
        status: 200,
        content_type: None,
        content_encoding: None,
        date: None,
        retry_after: None,
        location: None,
        body: (server.script.lock().unwrap())(&server.origin, OAUTH).1.into_bytes(),
        cut: false,
    };
    let metadata = Metadata::read(&answer, &server.origin, &profile).ok().unwrap();
    assert_eq!(metadata.token_endpoint.to_string(), "https://mtls.example/token");
    assert!(metadata.is_elsewhere());
    assert_eq!(metadata.takes(&ClientAuthentication::Tls), Some(true));
    assert_eq!(metadata.takes(&ClientAuthentication::None), Some(false));
}

fn source(issuer: &str, clock: Clock) -> OAuth2Source {
    OAuth2Source::new(Arc::new(of_issuer(issuer)), clock).unwrap()
}

async fn fetch(source: &OAuth2Source) -> Result<String, FetchError> {
    let context = FetchContext { why: FetchReason::First, previous: None };
    source.fetch(context).await.map(|access| access.text.expose().to_owned())
}

/// Metadata at the first place, and a token at this path.
fn service(token_path: &'static str) -> impl Fn(&str, &str) -> Reply + Send + Sync + 'static {
    move |origin, path| match path {
        OAUTH => ok(&format!(r#"{{"issuer":"{origin}","token_endpoint":"{origin}{token_path}"}}"#)),
        path if path == token_path => ok(r#"{"access_token":"t","expires_in":60}"#),
        _ => nothing(),
    }
}

#[tokio::test]
async fn metadata_are_kept_until_a_fetch_fails_as_if_the_endpoint_had_moved() {
    let server = Server::start(service("/token")).await;
    let source = source(&server.origin, Clock::system());
    for _ in 0..2 {
        assert_eq!(fetch(&source).await.unwrap(), "t");
    }
    assert_eq!(server.seen(), [OAUTH, "/token", "/token"]);

    server.behave(service("/moved"));
    assert_eq!(fetch(&source).await.unwrap_err().code, FetchErrorCode::HttpStatus);
    assert_eq!(fetch(&source).await.unwrap(), "t");
    assert_eq!(server.seen(), ["/token", OAUTH, "/moved"]);

    // A refused client has nothing to do with the endpoint.
    server.behave(|_, _| ("401 No", String::new()));
    fetch(&source).await.unwrap_err();
    server.behave(service("/moved"));
    fetch(&source).await.unwrap();
    assert_eq!(server.seen(), ["/moved", "/moved"]);
}

#[tokio::test]
async fn a_discovery_that_fails_keeps_what_was_known() {
    let server = Server::start(service("/token")).await;
    let source = source(&server.origin, Clock::system());
    fetch(&source).await.unwrap();
    server.behave(|_, _| ("404 Not Found", String::new()));
    fetch(&source).await.unwrap_err();
    server.behave(|_, path| match path {
        "/token" => ok(r#"{"access_token":"t"}"#),
        _ => ("500 Trouble", String::new()),
    });
    server.seen();
    assert_eq!(fetch(&source).await.unwrap(), "t");
    assert_eq!(server.seen(), [OAUTH, OPENID, "/token"]);
}

#[tokio::test]
async fn after_a_day_the_issuer_is_asked_again() {
    let server = Server::start(service("/token")).await;
    let (profile, client) = (Arc::new(of_issuer(&server.origin)), Limits::PRODUCTION);
    let client = HttpClient::new(Arc::clone(&profile), client);
    let (known, start) = (Known::default(), Clock::system().now());
    let issuer = literal(&server.origin);
    for (hours, asked) in [(0, 1), (23, 0), (25, 1), (26, 0)] {
        let now = start.after(Duration::from_secs(hours * 3600));
        let endpoint =
            known.endpoint(&client, &profile, (&issuer, now, Duration::from_secs(10))).await.unwrap();
        assert_eq!(endpoint.issuer.as_deref(), Some(&*server.origin));
        assert_eq!(server.seen().len(), asked, "{hours} h");
    }
}

#[tokio::test]
async fn a_refused_client_hears_what_the_issuer_takes() {
    let server = Server::start(|origin, path| match path {
        OAUTH => ok(&format!(
            r#"{{"issuer":"{origin}","token_endpoint":"{origin}/token","token_endpoint_auth_methods_supported":["client_secret_post"]}}"#
        )),
        _ => ("401 No", r#"{"error":"invalid_client"}"#.to_owned()),
    })
    .await;
    let error = fetch(&source(&server.origin, Clock::system())).await.unwrap_err();
    assert_eq!(error.code, FetchErrorCode::InvalidClient);
    assert!(error.message.contains("it takes client_secret_post, which request_header is not"), "{error}");
}
