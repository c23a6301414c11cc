//! One POST over HTTP/1.1 and its answer: the only code that knows reqwest.
//!
//! Invariant: no redirect is followed, no proxy asked, nothing waited for without end, and no more of an answer kept than
//! [`MAX_ANSWER`](response::MAX_ANSWER).

use std::error::Error as _;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use reqwest::redirect;

use super::{FetchError, FetchErrorClass, FetchErrorCode, Limits};
use crate::token::request::TokenRequest;
use crate::token::response::{self, Answer};

/// Every default that matters is set: reqwest would follow redirects, ask the environment for a proxy, and wait forever.
pub(super) fn client(tls: Arc<rustls::ClientConfig>, limits: Limits) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(Arc::unwrap_or_clone(tls))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .http1_only()
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .read_timeout(limits.total)
        // A fetch is rare: each takes a connection of its own, and none is ever found dead.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("sidepass/", env!("CARGO_PKG_VERSION")))
        .build()
}

pub(super) async fn post(client: &reqwest::Client, request: &TokenRequest) -> Result<Answer, FetchError> {
    let host = request.service.authority();
    let url: reqwest::Url = request.url.expose().parse().map_err(|_| {
        FetchError::new(FetchErrorCode::RequestInvalid, format!("token_service_url of {host} is not a URL"))
    })?;
    let sent = client
        .post(url)
        .headers(request.headers.clone())
        .body(request.body.expose().to_owned())
        .send()
        .await
        .map_err(|error| classify(&error, &host))?;
    read_answer(sent).await.map_err(|error| classify(&error, &host))
}

async fn read_answer(mut sent: reqwest::Response) -> reqwest::Result<Answer> {
    let header = |name| {
        let value = sent.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut answer = Answer {
        status: sent.status().as_u16(),
        content_type: header(CONTENT_TYPE),
        content_encoding: header(CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity")),
        date: header(DATE),
        retry_after: header(RETRY_AFTER),
        location: header(LOCATION),
        body: Vec::new(),
        cut: false,
    };
    if sent.status().is_redirection() {
        return Ok(answer);
    }
    while let Some(chunk) = sent.chunk().await? {
        let room = response::MAX_ANSWER - answer.body.len();
        answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            answer.cut = true;
            break;
        }
    }
    Ok(answer)
}

/// Our own words for what reqwest reports: its own would show the URL, and a URL may hold a secret.
fn classify(error: &reqwest::Error, host: &str) -> FetchError {
    let root = root_cause(error);
    if let Some(tls) = find::<rustls::Error>(error) {
        let untrusted = matches!(tls, rustls::Error::InvalidCertificate(_));
        let hint = if untrusted {
            "; if the service has a certificate authority of its own, set ca_file"
        } else {
            ""
        };
        let failed = FetchError::new(FetchErrorCode::Tls, format!("TLS with {host} failed: {tls}{hint}"));
        return if untrusted { failed.with_class(FetchErrorClass::Permanent) } else { failed };
    }
    if error.is_dns() {
        return FetchError::new(FetchErrorCode::Dns, format!("cannot resolve {host}: {root}"));
    }
    let (code, message) = match (error.is_timeout(), error.is_connect()) {
        (true, true) => (FetchErrorCode::Timeout, format!("no connection to {host} in time")),
        (true, false) => (FetchErrorCode::Timeout, format!("{host} did not answer completely in time")),
        (false, true) => (FetchErrorCode::Connect, format!("cannot connect to {host}: {root}")),
        (false, false) => (
            FetchErrorCode::Interrupted,
            format!("{host} ended the connection, or did not answer in HTTP: {root}"),
        ),
    };
    FetchError::new(code, message)
}

/// The innermost error of those that are sure to hold nothing of the request: the system's, or hyper's.
fn root_cause(error: &reqwest::Error) -> String {
    if let Some(io) = find::<std::io::Error>(error) {
        return io.to_string();
    }
    find::<hyper::Error>(error).map_or_else(|| "no details".to_owned(), ToString::to_string)
}

fn find<T: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error that wraps another error does not name it as its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}
