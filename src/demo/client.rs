//! The demo app's HTTP client: plain requests to sidepass, and not one thing about credentials.
//!
//! Invariant: an answer is bounded in size and time, and every failure says in words what went wrong.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// More than any answer of the sandbox.
const ANSWER_LIMIT: usize = 256 * 1024;
/// sidepass waits for a token at most five seconds, and then for the API.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no result, for a person to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The status that the demo app passes on.
    pub(super) status: StatusCode,
    pub(super) headline: String,
    pub(super) detail: Option<String>,
}

/// Where sidepass listens, e.g. `http://localhost:4080`.
#[derive(Clone, Debug)]
pub(super) struct Sidepass {
    /// `host:port`, as the `Host` header has it.
    authority: String,
    /// `host:port`, the port always written.
    address: String,
    /// What stands before every path, without a slash at its end.
    base: String,
}

impl Sidepass {
    /// Reads the base URL. Fails unless it is `http://` with a host.
    pub(super) fn parse(url: &str) -> io::Result<Self> {
        let wrong = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the demo app needs the address of sidepass as http://host:port, for example http://localhost:4080",
            )
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let plain = uri.scheme_str() == Some("http");
        let authority =
            uri.authority().filter(|name| plain && !name.as_str().contains('@')).ok_or_else(wrong)?;
        Ok(Self {
            authority: authority.to_string(),
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The URL of a path, for showing.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.authority, self.base)
    }

    /// Asks for JSON; a body makes it a POST.
    pub(super) async fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        match tokio::time::timeout(TIMEOUT, self.exchange(path, body)).await {
            Ok(Ok(answer)) => read(answer).await,
            Ok(Err(error)) => Err(Trouble {
                status: StatusCode::BAD_GATEWAY,
                headline: format!("sidepass does not answer at http://{}", self.authority),
                detail: Some(error.to_string()),
            }),
            Err(_) => Err(Trouble {
                status: StatusCode::GATEWAY_TIMEOUT,
                headline: format!("sidepass took longer than {} s to answer", TIMEOUT.as_secs()),
                detail: None,
            }),
        }
    }

    async fn exchange(&self, path: &str, body: Option<&Value>) -> io::Result<Response<Incoming>> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(if body.is_some() { Method::POST } else { Method::GET })
            .uri(format!("{}{path}", self.base))
            .header(HOST, &self.authority)
            .header(ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::<Bytes>::from(body.map(Value::to_string).unwrap_or_default());
        sender.send_request(request.body(body).map_err(io::Error::other)?).await.map_err(io::Error::other)
    }
}

async fn read(answer: Response<Incoming>) -> Result<Value, Trouble> {
    let (head, body) = answer.into_parts();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let problem = header(CONTENT_TYPE).is_some_and(|value| value.starts_with("application/problem+json"));
    let retry_after = header(RETRY_AFTER).map(ToOwned::to_owned);
    let collected = tokio::time::timeout(TIMEOUT, Limited::new(body, ANSWER_LIMIT).collect()).await;
    let parsed = match collected {
        Ok(Ok(body)) => serde_json::from_slice::<Value>(&body.to_bytes()).ok(),
        Ok(Err(_)) | Err(_) => None,
    };
    match parsed {
        Some(value) if head.status.is_success() => Ok(value),
        Some(value) if problem => Err(explain(head.status, &value, retry_after.as_deref())),
        _ if head.status.is_success() => Err(Trouble {
            status: StatusCode::BAD_GATEWAY,
            headline: "The answer is not what this app understands".to_owned(),
            detail: None,
        }),
        _ => Err(Trouble {
            status: StatusCode::BAD_GATEWAY,
            headline: format!("The API answered {}", head.status),
            detail: None,
        }),
    }
}

/// What a problem document of sidepass says (RFC 9457), in words.
fn explain(status: StatusCode, problem: &Value, retry_after: Option<&str>) -> Trouble {
    let text = |name: &str| problem[name].as_str().filter(|text| !text.is_empty());
    let reason = text("reason").unwrap_or("unknown");
    let headline = match reason {
        "token_unavailable" => "sidepass has no valid access token right now".to_owned(),
        "no_route" => "sidepass has no route for this request".to_owned(),
        other => format!("sidepass could not pass the request on: {}", other.replace('_', " ")),
    };
    let mut detail: Vec<String> =
        text("detail").or_else(|| text("title")).map(ToOwned::to_owned).into_iter().collect();
    if let Some(seconds) = retry_after.filter(|seconds| seconds.parse::<u32>().is_ok()) {
        detail.push(format!("Try again in {seconds} s."));
    }
    let detail = Some(detail.join(" ")).filter(|text| !text.is_empty());
    Trouble { status, headline, detail }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_address_of_sidepass() {
        let sidepass = Sidepass::parse("http://localhost:4080/base/").unwrap();
        assert_eq!(sidepass.url("/cai"), "http://localhost:4080/base/cai");
        assert_eq!(Sidepass::parse("http://[::1]").unwrap().address, "[::1]:80");
        for wrong in
            ["", "localhost:4080", "https://localhost", "/cai", "unix:/run/x", "http://me:it@localhost"]
        {
            let error = Sidepass::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("http://localhost:4080"), "{error}");
        }
    }

    #[test]
    fn says_a_problem_document_in_words() {
        let problem = json!({ "reason": "token_unavailable", "detail": "connection refused" });
        let trouble = explain(StatusCode::SERVICE_UNAVAILABLE, &problem, Some("3"));
        assert_eq!(trouble.headline, "sidepass has no valid access token right now");
        assert_eq!(trouble.detail.as_deref(), Some("connection refused Try again in 3 s."));

        let problem = json!({ "reason": "upstream_timeout", "title": "Gateway Timeout" });
        let trouble = explain(StatusCode::GATEWAY_TIMEOUT, &problem, None);
        assert_eq!(trouble.headline, "sidepass could not pass the request on: upstream timeout");
        assert_eq!(trouble.detail.as_deref(), Some("Gateway Timeout"));
    }
}
