//! Where tokens come from: the trait that the refresh loop is written against, and the one production source.
//!
//! Invariant: the secret goes to the configured token service and nowhere else: no redirects, no proxy from the
//! environment, and every wait and every answer is bounded.

mod http;
mod inputs;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::inputs::{Inputs, Snapshot};
pub use super::error::{FetchError, FetchErrorClass, FetchErrorCode};
use super::request::{self, TokenRequest};
use super::response::{self, Expectation};
use super::{AccessToken, LifetimeFrom, Token};
use crate::clock::Clock;
use crate::config::profile::{BasicEncoding, ClientAuthentication, ProfileConfig};
use crate::config::url::Scheme;
use crate::tls::{self, Trust};

/// What a fetch is for.
#[derive(Clone, Debug)]
pub struct FetchContext {
    /// Why now.
    pub why: FetchReason,
    /// The token held until now, expired or not.
    pub previous: Option<Arc<Token>>,
}

/// Why a token is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchReason {
    /// There was none yet.
    First,
    /// The schedule said so.
    Scheduled,
    /// The token expired unnoticed (suspend, a clock that was set, a long outage).
    Expired,
    /// The upstream refused it.
    Rejected,
    /// The fetch before this failed.
    Retry,
}

/// A way to get a token. One production implementation and one fake: refresh logic is tested on paused time, which real
/// sockets would skip.
pub trait TokenSource: Send + Sync + 'static {
    /// Gets a token. Ends by itself (connect 5 s, total 10 s).
    fn fetch(&self, context: FetchContext) -> impl Future<Output = Result<AccessToken, FetchError>> + Send;

    /// Whether something that the last fetch was made from has changed since (a rotated secret file): ends a backoff.
    fn inputs_changed(&self) -> bool;
}

/// How long a fetch may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connect: Duration,
    total: Duration,
}

impl Limits {
    const PRODUCTION: Self = Self { connect: Duration::from_secs(5), total: Duration::from_secs(10) };
}

/// Client credentials (RFC 6749 §4.4) over HTTP/1.1. Made without touching the network, the disk or a TLS library; the
/// HTTP client is built at the first fetch.
#[derive(Debug)]
pub struct OAuth2Source {
    profile: Arc<ProfileConfig>,
    clock: Clock,
    limits: Limits,
    inputs: Inputs,
    client: Mutex<Option<Client>>,
}

/// The HTTP client, and what it was built from.
#[derive(Clone, Debug)]
struct Client {
    http: reqwest::Client,
    scheme: Scheme,
    ca_file: Snapshot,
}

impl OAuth2Source {
    /// A source for this profile.
    pub fn new(profile: Arc<ProfileConfig>, clock: Clock) -> Self {
        Self::with_limits(profile, clock, Limits::PRODUCTION)
    }

    fn with_limits(profile: Arc<ProfileConfig>, clock: Clock, limits: Limits) -> Self {
        let inputs = Inputs::of(&profile);
        Self { profile, clock, limits, inputs, client: Mutex::new(None) }
    }

    /// One request and its answer; a rotated secret gets a second one at once.
    async fn fetch_now(&self, context: &FetchContext) -> Result<AccessToken, FetchError> {
        let request = self.prepare()?;
        let first = self.exchange(request, context).await;
        match first {
            // The secret may have been rotated between our reading it and the service's refusing it.
            Err(error) if refuses_client(&error) && self.inputs.changed() => {
                tracing::info!(profile = %self.profile.name, "refused, but the secret has just changed; trying the new one");
                self.exchange(self.prepare()?, context).await
            }
            outcome => outcome,
        }
    }

    /// Reads every input anew. Remembers them first: what changes later is then seen as a change.
    fn prepare(&self) -> Result<TokenRequest, FetchError> {
        self.inputs.remember();
        request::build(&self.profile)
    }

    async fn exchange(
        &self,
        request: TokenRequest,
        context: &FetchContext,
    ) -> Result<AccessToken, FetchError> {
        let client = self.client(request.service.scheme())?;
        let mut redactor = request.redactor.clone();
        if let Some(previous) = &context.previous {
            redactor.hide(&previous.access.text);
        }
        let sent_at = self.clock.now();
        let answer = http::post(&client, &request).await?;
        response::read(
            &answer,
            &Expectation {
                sent_at,
                received_at: self.clock.now(),
                last_lifetime: last_lifetime(context),
                default_lifetime: self.profile.default_lifetime,
                redactor: &redactor,
                invalid_client_hint: self.invalid_client_hint(),
            },
        )
    }

    fn invalid_client_hint(&self) -> &'static str {
        match (self.profile.client_authentication, self.profile.basic_encoding) {
            (ClientAuthentication::RequestHeader, BasicEncoding::Form) => {
                "if client_id and client_secret are right, try client_authentication: body_parameter, \
                 or basic_encoding: raw"
            }
            (ClientAuthentication::RequestHeader, BasicEncoding::Raw) => {
                "if client_id and client_secret are right, try client_authentication: body_parameter, \
                 or basic_encoding: form"
            }
            (ClientAuthentication::BodyParameter, _) => {
                "if client_id and client_secret are right, try client_authentication: request_header"
            }
        }
    }

    /// The HTTP client for this scheme; built anew when the certificate file has changed.
    fn client(&self, scheme: Scheme) -> Result<reqwest::Client, FetchError> {
        let mut held = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let pem = match (&self.profile.ca_file, scheme) {
            (Some(path), Scheme::Https) => Some(inputs::read_file(path)),
            _ => None,
        };
        let ca_file = Snapshot::of(pem.as_ref().map(|read| read.as_deref().map_err(std::io::Error::kind)));
        if let Some(client) =
            held.as_ref().filter(|client| client.scheme == scheme && client.ca_file == ca_file)
        {
            return Ok(client.http.clone());
        }
        match (self.build(scheme, pem), held.as_mut()) {
            (Ok(http), _) => {
                *held = Some(Client { http: http.clone(), scheme, ca_file });
                Ok(http)
            }
            (Err(error), Some(client)) if client.scheme == scheme => {
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
    ) -> Result<reqwest::Client, FetchError> {
        let origin = match &self.profile.ca_file {
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
        let tls = tls.map_err(|error| broken(&error))?;
        http::client(tls, self.limits).map_err(|error| {
            // reqwest's own words name no more than the part that failed.
            FetchError::new(FetchErrorCode::Internal, format!("cannot set up the HTTP client: {error}"))
        })
    }
}

impl TokenSource for OAuth2Source {
    async fn fetch(&self, context: FetchContext) -> Result<AccessToken, FetchError> {
        let total = self.limits.total;
        tokio::time::timeout(total, self.fetch_now(&context)).await.unwrap_or_else(|_| {
            let message = format!("the token service did not answer completely within {total:?}");
            Err(FetchError::new(FetchErrorCode::Timeout, message))
        })
    }

    fn inputs_changed(&self) -> bool {
        self.inputs.changed()
    }
}

/// The lifetime of the token before, unless that was a guess as well.
fn last_lifetime(context: &FetchContext) -> Option<Duration> {
    let access = &context.previous.as_ref()?.access;
    (access.lifetime_from != LifetimeFrom::Default).then_some(access.lifetime)
}

/// Whether another secret might help: `invalid_client`, a bare 401, or the 403 of SuccessFactors Learning.
fn refuses_client(error: &FetchError) -> bool {
    matches!(
        error.code,
        FetchErrorCode::InvalidClient | FetchErrorCode::OauthError | FetchErrorCode::HttpStatus
    )
}

#[cfg(test)]
mod tests;
