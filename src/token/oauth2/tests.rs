use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::config::SecretSource;
use crate::token::LifetimeFrom;
use crate::token::source::{FetchErrorClass, FetchReason};
use crate::token::testing::{access, literal, profile};

mod trust;
mod secrets;

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
    OAuth2Source::new(Arc::new(profile), Clock::system()).unwrap()
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
    profile.transport.ca_file = Some("/nonexistent/ca.pem".into());
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
        let source = OAuth2Source::with_limits(profile, Clock::system(), QUICK).unwrap();
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

#[test]
fn debug_of_a_source_shows_no_secret() {
    let source = source_of(profile("https://h/t", "id", "s3cr3t"));
    assert!(!format!("{source:?}").contains("s3cr3t"));
    let token = access("t0k3n", Duration::from_secs(1), Clock::system().now());
    assert!(!format!("{token:?}").contains("t0k3n"));
}
