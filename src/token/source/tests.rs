use std::path::PathBuf;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::config::SecretSource;
use crate::token::testing::{access, literal, profile};

/// What the server does with one connection, once it has read a request.
#[derive(Clone, Debug)]
enum Then {
    /// Writes these bytes and closes.
    Answer(String),
    /// Writes these bytes, then 64 KiB chunks for ever.
    Endless(String),
    /// Writes these bytes, then nothing more.
    Stall(String),
    /// Writes a byte every now and then.
    Drip,
    /// Closes without a word.
    Close,
    /// Overwrites a file, then answers.
    Write(PathBuf, &'static str, String),
}

fn ok(body: &str) -> Then {
    status("200 OK", "", body)
}

fn status(line: &str, headers: &str, body: &str) -> Then {
    let length = body.len();
    Then::Answer(format!(
        "HTTP/1.1 {line}\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))
}

/// A token service by script: a connection a step; the last one repeats.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    sent: Arc<std::sync::atomic::AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(script: impl IntoIterator<Item = Then>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/oauth/token", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::default();
        let mut script: std::collections::VecDeque<Then> = script.into_iter().collect();
        let task = tokio::spawn({
            let (requests, sent) = (Arc::clone(&requests), Arc::clone(&sent));
            async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let then = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
                    let request = read_request(&mut stream).await;
                    requests.lock().unwrap().push(request);
                    let sent = Arc::clone(&sent);
                    tokio::spawn(async move { act(then.unwrap(), stream, &sent).await });
                }
            }
        });
        Self { url, requests, sent, task }
    }

    fn request(&self, index: usize) -> String {
        self.requests.lock().unwrap()[index].clone()
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// Reads a head and as much body as it announces.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

async fn act(then: Then, mut stream: TcpStream, sent: &std::sync::atomic::AtomicUsize) {
    match then {
        Then::Answer(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Then::Endless(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {
                sent.fetch_add(0x10000, std::sync::atomic::Ordering::SeqCst);
            }
        }
        Then::Stall(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            std::future::pending().await
        }
        Then::Drip => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Then::Close => {}
        Then::Write(path, content, answer) => {
            std::fs::write(path, content).unwrap();
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}

const QUICK: Limits = Limits { connect: Duration::from_millis(400), total: Duration::from_millis(700) };

fn source_of(profile: ProfileConfig) -> OAuth2Source {
    OAuth2Source::new(Arc::new(profile), Clock::system())
}

fn source(server: &Server) -> OAuth2Source {
    source_of(profile(&server.url, "id", "s3cr3t"))
}

fn first() -> FetchContext {
    FetchContext { why: FetchReason::First, previous: None }
}

async fn fetch(source: &OAuth2Source) -> Result<AccessToken, FetchError> {
    source.fetch(first()).await
}

#[tokio::test]
async fn gets_a_token_with_one_plain_request() {
    let server = Server::start([ok(r#"{"access_token":"t-1","expires_in":60}"#)]).await;
    let access = fetch(&source(&server)).await.unwrap();
    assert_eq!((access.text.expose(), access.lifetime), ("t-1", Duration::from_secs(60)));
    let request = server.request(0).to_ascii_lowercase();
    assert!(request.starts_with("post /oauth/token http/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\ngrant_type=client_credentials"), "{request}");
    for line in ["accept: application/json", "authorization: basic awq6cznjcjn0", "content-length: 29"] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
    }
    for name in ["accept-encoding", "referer", "transfer-encoding", "cookie"] {
        assert!(!request.contains(&format!("\r\n{name}:")), "{name} in {request}");
    }
}

#[tokio::test]
async fn a_clear_text_profile_loads_no_certificates() {
    let server = Server::start([ok(r#"{"access_token":"t"}"#)]).await;
    let mut profile = profile(&server.url, "id", "s3cr3t");
    profile.ca_file = Some("/nonexistent/ca.pem".into());
    assert!(fetch(&source_of(profile)).await.is_ok());
}

#[tokio::test]
async fn every_fetch_takes_a_connection_of_its_own() {
    let keep = r#"{"access_token":"t"}"#;
    let server = Server::start([Then::Stall(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{keep}",
        keep.len()
    ))])
    .await;
    let source = source(&server);
    for _ in 0..3 {
        fetch(&source).await.unwrap();
    }
    assert_eq!(server.count(), 3, "connections");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start([ok(r#"{"access_token":"stolen"}"#)]).await;
    for line in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("Location: {}\r\n", elsewhere.url);
        let server = Server::start([status(line, &location, "")]).await;
        let failed = fetch(&source(&server)).await.unwrap_err();
        assert_eq!(failed.code, FetchErrorCode::Redirect, "{line}");
        assert!(failed.message.contains("127.0.0.1"), "{failed}");
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server = Server::start([Then::Endless(head.to_owned())]).await;
    let failed = fetch(&source(&server)).await.unwrap_err();
    assert_eq!(failed.code, FetchErrorCode::TooLarge);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let sent = server.sent.load(std::sync::atomic::Ordering::SeqCst);
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");

    let bad_gateway = head.replace("200 OK", "502 Bad Gateway");
    let server = Server::start([Then::Endless(bad_gateway)]).await;
    assert_eq!(fetch(&source(&server)).await.unwrap_err().code, FetchErrorCode::ServerError);
}

#[tokio::test]
async fn every_stall_ends_in_time() {
    let dripping = Then::Drip;
    let stalls = ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"acc"];
    for then in stalls.map(|text| Then::Stall(text.to_owned())).into_iter().chain([dripping]) {
        let server = Server::start([then.clone()]).await;
        let profile = Arc::new(profile(&server.url, "id", "s3cr3t"));
        let source = OAuth2Source::with_limits(profile, Clock::system(), QUICK);
        let failed = tokio::time::timeout(Duration::from_secs(5), fetch(&source)).await.unwrap().unwrap_err();
        assert_eq!(
            (failed.code, failed.class),
            (FetchErrorCode::Timeout, FetchErrorClass::Unavailable),
            "{then:?}"
        );
    }
}

#[tokio::test]
async fn nothing_listening_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token?apikey=canary", listener.local_addr().unwrap());
    drop(listener);
    let failed = fetch(&source_of(profile(&url, "id", "s3cr3t"))).await.unwrap_err();
    assert_eq!((failed.code, failed.class), (FetchErrorCode::Connect, FetchErrorClass::Unavailable));
    assert!(failed.message.contains("refused"), "{failed}");
    assert!(!failed.message.contains("canary") && !failed.message.contains("/token"), "{failed}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_an_interruption() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_token\":\"t\"}";
    for then in
        [Then::Close, Then::Answer(cut.to_owned()), Then::Answer("SSH-2.0-OpenSSH_9.2\r\n".to_owned())]
    {
        let server = Server::start([then.clone()]).await;
        let failed = fetch(&source(&server)).await.unwrap_err();
        assert_eq!(
            (failed.code, failed.class),
            (FetchErrorCode::Interrupted, FetchErrorClass::Unavailable),
            "{then:?}"
        );
    }
}

#[tokio::test]
async fn bad_answers_have_their_codes() {
    use FetchErrorCode as Code;
    let cases = [
        (r"{}", Code::Missing),
        ("<html>log in</html>", Code::NotJson),
        (r#"{"access_token":"a\r\nX-Evil: 1"}"#, Code::Unfit),
        (r#"{"access_token":""}"#, Code::Missing),
        (r#"{"access_token":"x","token_type":"mac"}"#, Code::TypeUnsupported),
        ("\u{0}\u{1}\u{ff}", Code::NotJson),
    ];
    for (body, code) in cases {
        let server = Server::start([ok(body)]).await;
        assert_eq!(fetch(&source(&server)).await.unwrap_err().code, code, "{body}");
    }
}

#[tokio::test]
async fn retry_after_comes_with_the_error() {
    for line in ["429 Too Many Requests", "503 Service Unavailable"] {
        let server = Server::start([status(line, "Retry-After: 7\r\n", "")]).await;
        assert_eq!(
            fetch(&source(&server)).await.unwrap_err().retry_after,
            Some(Duration::from_secs(7)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_secret_that_is_echoed_is_not_shown() {
    let echo = r#"{"error":"invalid_client","error_description":"s3cr3t is wrong, aWQ6czNjcjN0 too, old-token-1 as well"}"#;
    let server = Server::start([status("400 Bad Request", "", echo)]).await;
    let now = Clock::system().now();
    let previous = crate::token::testing::token(1, "old-token-1", Duration::from_secs(60), now);
    let context = FetchContext { why: FetchReason::Scheduled, previous: Some(Arc::new(previous)) };
    let failed = source(&server).fetch(context).await.unwrap_err();
    assert!(failed.message.contains("[redacted] is wrong, [redacted] too, [redacted] as well"), "{failed}");
}

#[tokio::test]
async fn the_last_lifetime_serves_when_the_answer_names_none() {
    let server = Server::start([ok(r#"{"access_token":"t"}"#)]).await;
    let source = source(&server);
    let mut previous = crate::token::testing::token(1, "old", Duration::from_secs(77), Clock::system().now());
    let fetched = source
        .fetch(FetchContext { why: FetchReason::Scheduled, previous: Some(Arc::new(previous.clone())) });
    let found = fetched.await.unwrap();
    assert_eq!((found.lifetime.as_secs(), found.lifetime_from), (77, LifetimeFrom::LastSeen));

    previous.access.lifetime_from = LifetimeFrom::Default;
    let fetched =
        source.fetch(FetchContext { why: FetchReason::Scheduled, previous: Some(Arc::new(previous)) });
    assert_eq!(fetched.await.unwrap().lifetime_from, LifetimeFrom::Default);
}

fn file_profile(url: &str, content: &str) -> (tempfile::TempDir, PathBuf, ProfileConfig) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, content).unwrap();
    let mut profile = profile(url, "id", "unused");
    profile.client_secret = SecretSource::File(path.clone());
    profile.client_authentication = ClientAuthentication::BodyParameter;
    (dir, path, profile)
}

#[tokio::test]
async fn a_rotated_secret_is_read_at_the_next_fetch_and_noticed_before() {
    let server = Server::start([ok(r#"{"access_token":"t"}"#)]).await;
    let (_dir, path, profile) = file_profile(&server.url, "one\n");
    let source = source_of(profile);
    assert!(!source.inputs_changed(), "nothing was fetched with the old one");
    fetch(&source).await.unwrap();
    assert!(!source.inputs_changed());
    std::fs::write(&path, "one\n").unwrap();
    assert!(!source.inputs_changed(), "content decides, not the time of change");
    std::fs::write(&path, "two\n").unwrap();
    assert!(source.inputs_changed());
    fetch(&source).await.unwrap();
    assert!(!source.inputs_changed());
    assert!(server.request(0).ends_with("client_secret=one"));
    assert!(server.request(1).ends_with("client_secret=two"));
    std::fs::remove_file(&path).unwrap();
    assert!(source.inputs_changed());
}

#[tokio::test]
async fn a_secret_rotated_during_the_fetch_is_tried_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned();
    let rotated = Then::Write(path.clone(), "two", refusal.clone());
    let server = Server::start([rotated, ok(r#"{"access_token":"t"}"#)]).await;
    std::fs::write(&path, "one").unwrap();
    let mut profile = profile(&server.url, "id", "unused");
    profile.client_secret = SecretSource::File(path);
    profile.client_authentication = ClientAuthentication::BodyParameter;
    assert!(fetch(&source_of(profile.clone())).await.is_ok());
    assert!(server.request(1).ends_with("client_secret=two"));

    let server = Server::start([Then::Answer(refusal)]).await;
    profile.token_service_url = literal(&server.url);
    assert_eq!(fetch(&source_of(profile)).await.unwrap_err().code, FetchErrorCode::InvalidClient);
    assert_eq!(server.count(), 1, "nothing changed, so nothing is repeated");
}

#[tokio::test]
async fn an_unreadable_secret_makes_no_request() {
    let server = Server::start([ok("{}")]).await;
    let (dir, _, profile) = file_profile(&server.url, "x");
    drop(dir);
    assert_eq!(fetch(&source_of(profile)).await.unwrap_err().code, FetchErrorCode::SecretUnreadable);
    assert_eq!(server.count(), 0);
}

/// A TLS server for `localhost` that answers every connection with a token, and the PEM of its authority.
async fn tls_server() -> (String, String, JoinHandle<()>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/token", listener.local_addr().unwrap().port());
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let body = r#"{"access_token":"t"}"#;
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (url, pem, task)
}

#[tokio::test]
async fn trusts_only_the_authorities_of_ca_file_and_reads_it_anew() {
    let (url, pem, task) = tls_server().await;
    let (other_url, other_pem, other_task) = tls_server().await;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    let mut profile = profile(&url, "id", "s3cr3t");
    profile.ca_file = Some(ca_file.clone());
    let source = source_of(profile);

    let missing = fetch(&source).await.unwrap_err();
    assert_eq!((missing.code, missing.class), (FetchErrorCode::Tls, FetchErrorClass::Permanent));
    assert!(missing.message.contains("ca.pem"), "{missing}");

    std::fs::write(&ca_file, &other_pem).unwrap();
    assert!(source.inputs_changed(), "ends the backoff");
    let untrusted = fetch(&source).await.unwrap_err();
    assert_eq!((untrusted.code, untrusted.class), (FetchErrorCode::Tls, FetchErrorClass::Permanent));

    std::fs::write(&ca_file, format!("{other_pem}{pem}")).unwrap();
    fetch(&source).await.unwrap();
    std::fs::write(&ca_file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fetch(&source).await.expect("the authorities of before are kept");
    std::fs::write(&ca_file, &other_pem).unwrap();
    assert_eq!(fetch(&source).await.unwrap_err().code, FetchErrorCode::Tls, "and replaced by good ones");
    drop((other_url, task.abort(), other_task.abort()));
}

#[tokio::test]
async fn a_service_that_does_not_speak_tls_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let failed = fetch(&source_of(profile(&url, "id", "s3cr3t"))).await.unwrap_err();
    assert_eq!((failed.code, failed.class), (FetchErrorCode::Tls, FetchErrorClass::Unavailable), "{failed}");
}

#[test]
fn debug_of_a_source_shows_no_secret() {
    let source = source_of(profile("https://h/t", "id", "s3cr3t"));
    assert!(!format!("{source:?}").contains("s3cr3t"));
    let token = access("t0k3n", Duration::from_secs(1), Clock::system().now());
    assert!(!format!("{token:?}").contains("t0k3n"));
}
