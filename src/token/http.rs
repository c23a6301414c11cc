//! One request over HTTP/1.1 and its answer: the only code that knows reqwest.
//!
//! Invariant: no redirect is followed, no proxy asked, nothing waited for without end, and no more of an answer kept than
//! [`MAX_ANSWER`](response::MAX_ANSWER).

mod failure;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use reqwest::redirect;

use super::dpop::DPOP_NONCE;
use super::error::{FetchError, FetchErrorClass, FetchErrorCode};
use super::inputs::{self, Snapshot};
use super::keys::{HeldPair, KeyPair};
use super::request::TokenRequest;
use super::response::{self, Answer};
use crate::config::profile::ProfileConfig;
use crate::config::url::Scheme;
use crate::tls::{self, Presented, Trust};

/// How long a fetch may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Name resolution, TCP and TLS.
    pub connect: Duration,
    /// Everything.
    pub total: Duration,
}

impl Limits {
    /// 5 s and 10 s.
    pub const PRODUCTION: Self = Self { connect: Duration::from_secs(5), total: Duration::from_secs(10) };
}

/// The way to a profile's service. Made without touching the network, the disk or a TLS library; built at the first
/// request, and anew when a certificate has changed.
#[derive(Debug)]
pub struct HttpClient {
    profile: Arc<ProfileConfig>,
    limits: Limits,
    keys: HeldPair,
    built: Mutex<Option<Built>>,
}

/// A client, and what it was built from.
#[derive(Clone, Debug)]
struct Built {
    http: reqwest::Client,
    scheme: Scheme,
    ca_file: Snapshot,
    pair: Option<Arc<KeyPair>>,
}

impl HttpClient {
    /// The way to this profile's service.
    pub fn new(profile: Arc<ProfileConfig>, limits: Limits) -> Self {
        let keys = HeldPair::of(&profile);
        Self { profile, limits, keys, built: Mutex::new(None) }
    }

    /// The profile's key pair, for whoever signs with it.
    pub fn keys(&self) -> &HeldPair {
        &self.keys
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: &TokenRequest) -> Result<Answer, FetchError> {
        let client = self.client(request.service.scheme())?;
        send(&client, request).await
    }

    /// Our certificate, where there is one and TLS shows it.
    fn pair(&self, scheme: Scheme) -> Result<Option<Arc<KeyPair>>, FetchError> {
        match (&self.profile.transport.key_pair, scheme) {
            (Some(_), Scheme::Https) => Ok(Some(self.keys.current(SystemTime::now())?)),
            _ => Ok(None),
        }
    }

    /// The HTTP client for this scheme; built anew when a certificate has changed.
    fn client(&self, scheme: Scheme) -> Result<reqwest::Client, FetchError> {
        let pair = self.pair(scheme)?;
        let mut held = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let pem = match (&self.profile.transport.ca_file, scheme) {
            (Some(path), Scheme::Https) => Some(inputs::read_file(path)),
            _ => None,
        };
        let ca_file = Snapshot::of(pem.as_ref().map(|read| read.as_deref().map_err(std::io::Error::kind)));
        let same_pair =
            |built: &Built| built.pair.as_ref().map(Arc::as_ptr) == pair.as_ref().map(Arc::as_ptr);
        if let Some(client) = held
            .as_ref()
            .filter(|client| client.scheme == scheme && client.ca_file == ca_file && same_pair(client))
        {
            return Ok(client.http.clone());
        }
        match (self.build(scheme, pem, pair.as_deref()), held.as_mut()) {
            (Ok(http), _) => {
                *held = Some(Built { http: http.clone(), scheme, ca_file, pair });
                Ok(http)
            }
            (Err(error), Some(client)) if client.scheme == scheme && same_pair(client) => {
                tracing::warn!(profile = %self.profile.name, "keeping the certificate authorities of before: {error}");
                // Remembered, so that it is said once for each change.
                client.ca_file = ca_file;
                Ok(client.http.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    fn build(
        &self,
        scheme: Scheme,
        pem: Option<std::io::Result<Vec<u8>>>,
        pair: Option<&KeyPair>,
    ) -> Result<reqwest::Client, FetchError> {
        let origin = match &self.profile.transport.ca_file {
            Some(path) => format!("ca_file {}", path.display()),
            None => "TLS:".to_owned(),
        };
        let broken = |error: &dyn std::fmt::Display| {
            FetchError::new(FetchErrorCode::Tls, format!("{origin} {error}"))
                .with_class(FetchErrorClass::Permanent)
        };
        let pem = pem.transpose().map_err(|error| broken(&format_args!("cannot be read: {error}")))?;
        let tls = match (scheme, &pem) {
            // Clear text never loads a certificate, so it works where there are none.
            (Scheme::Http, _) => tls::client_config(Trust::Nobody),
            (Scheme::Https, None) => tls::client_config(Trust::System),
            (Scheme::Https, Some(pem)) => tls::client_config(Trust::Pem(pem)),
        };
        let mut tls = tls.map_err(|error| broken(&error))?;
        if let Some(identity) = pair.and_then(KeyPair::identity) {
            let presented = Presented::new(identity).map_err(|error| {
                FetchError::new(FetchErrorCode::Tls, format!("key_pair: {error}"))
                    .with_class(FetchErrorClass::Permanent)
            })?;
            tls = tls::presenting(&tls, &presented);
        }
        client(tls, self.limits).map_err(|error| {
            // reqwest's own words name no more than the part that failed.
            FetchError::new(FetchErrorCode::Internal, format!("cannot set up the HTTP client: {error}"))
        })
    }
}

/// Every default that matters is set: reqwest would follow redirects, ask the environment for a proxy, and wait forever.
fn client(tls: Arc<rustls::ClientConfig>, limits: Limits) -> reqwest::Result<reqwest::Client> {
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

async fn send(client: &reqwest::Client, request: &TokenRequest) -> Result<Answer, FetchError> {
    let host = request.service.authority();
    let url: reqwest::Url =
        request.url.expose().parse().map_err(|_| {
            FetchError::new(FetchErrorCode::RequestInvalid, format!("the URL of {host} is none"))
        })?;
    let sent = client
        .request(request.method.clone(), url)
        .headers(request.headers.clone())
        .body(request.body.expose().to_owned())
        .send()
        .await
        .map_err(|error| failure::classify(&error, &host))?;
    read_answer(sent).await.map_err(|error| failure::classify(&error, &host))
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
        dpop_nonce: header(DPOP_NONCE),
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
