//! The demo app that can't do OAuth: type an utterance, see the intent. It asks sidepass with plain requests, on the server side.
//!
//! Invariant: it holds no credential and sends none; what it can show, it can show because sidepass stands in between.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::call::{Answer, Call, allow, json as json_answer, not_found, text};
use super::client::{Sidepass, Trouble};
use super::server::{Service, accept};
use super::{items, page};

/// Where sidepass is to send an utterance, an item search and a look at measurements: prefix of the route, path of the API.
const INTENT: &str = "/cai/train/v2/request";
const MEASUREMENTS: &str = "/iot/Timeseries/v1/Measurements";

/// The running demo app; it ends when it is dropped.
pub struct DemoApp {
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl DemoApp {
    /// Serves the page on these listeners (`localhost` is two: 127.0.0.1 and ::1). `sidepass` is the base URL of the proxy, like
    /// `http://localhost:4080`; its routes `/cai`, `/lms` and `/iot` are those of the repo's `proxy.yaml`. Needs a tokio runtime
    /// around it.
    ///
    /// # Errors
    /// `InvalidInput` when there is no listener or the base URL is not `http://host[:port]`.
    pub async fn start(listeners: Vec<TcpListener>, sidepass: &str) -> io::Result<DemoApp> {
        let sidepass = Arc::new(Sidepass::parse(sidepass)?);
        let Some(first) = listeners.first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the demo app has nowhere to listen"));
        };
        let address = first.local_addr()?;
        let service = Service::waiting(move |call| {
            let sidepass = Arc::clone(&sidepass);
            async move { answer(&call, &sidepass).await }
        });
        let tasks =
            listeners.into_iter().map(|listener| tokio::spawn(accept(listener, service.clone()))).collect();
        Ok(Self { address, tasks })
    }

    /// Where the page is: the first listener's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DemoApp {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn answer(call: &Call, sidepass: &Sidepass) -> Answer {
    if !matches!(call.path.as_str(), "/" | "/items" | "/measurements") {
        return not_found(call);
    }
    if !matches!(call.method, Method::GET | Method::HEAD) {
        let body = json!({ "status": 405, "error": "Method Not Allowed" });
        return allow(json_answer(StatusCode::METHOD_NOT_ALLOWED, &body), "GET, HEAD");
    }
    match call.path.as_str() {
        "/items" => {
            let path = format!("/lms{}", items::path_below_base());
            let result = sidepass.ask(&path, None).await;
            show(call, result, |result| page::items(&sidepass.url(&path), result))
        }
        "/measurements" => {
            let result = sidepass.ask(MEASUREMENTS, None).await;
            show(call, result, |result| page::measurements(&sidepass.url(MEASUREMENTS), result))
        }
        _ => intent(call, sidepass).await,
    }
}

/// The page of the tutorial, with the intent of `?text=` if there is one.
async fn intent(call: &Call, sidepass: &Sidepass) -> Answer {
    let url = sidepass.url(INTENT);
    let pairs = call.query_pairs().unwrap_or_default();
    let utterance = pairs.iter().find(|(name, _)| name == "text").map_or("", |(_, value)| value.trim());
    if utterance.is_empty() {
        return if wants_json(call) {
            let body = json!({ "error": "Say something: /?text=hello" });
            json_answer(StatusCode::BAD_REQUEST, &body)
        } else {
            html(StatusCode::OK, page::intent(&url, "", None))
        };
    }
    let answer = sidepass.ask(INTENT, Some(&json!({ "text": utterance, "language": "en" }))).await;
    let result = answer.map(|answer| {
        let slug = &answer["results"]["intents"][0]["slug"];
        json!({ "text": utterance, "intent": slug, "confidence": answer["results"]["intents"][0]["confidence"] })
    });
    show(call, result, |result| page::intent(&url, utterance, Some(result)))
}

/// The result as the caller wants it: JSON, or the page that shows it.
fn show(
    call: &Call,
    result: Result<Value, Trouble>,
    page: impl FnOnce(Result<&Value, &Trouble>) -> String,
) -> Answer {
    let status = result.as_ref().map_or_else(|trouble| trouble.status, |_| StatusCode::OK);
    if !wants_json(call) {
        return html(status, page(result.as_ref()));
    }
    match result {
        Ok(value) => json_answer(status, &value),
        Err(trouble) => json_answer(status, &json!({ "error": trouble.headline, "detail": trouble.detail })),
    }
}

fn wants_json(call: &Call) -> bool {
    call.header("accept")
        .is_some_and(|accept| accept.contains("application/json") && !accept.contains("text/html"))
}

fn html(status: StatusCode, page: String) -> Answer {
    let mut answer = text(status, "text/html; charset=utf-8", page);
    for (name, value) in [
        ("content-security-policy", page::CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
