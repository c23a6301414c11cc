//! Tokens by OAuth 2.0: a token request to a token endpoint, for every grant.
//!
//! Invariant: the secret goes to the configured token service and nowhere else: no redirects, no proxy from the
//! environment, and every wait and every answer is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::discovery::Known;
use super::dpop::Dpop;
use super::http::{HttpClient, Limits};
use super::inputs::Inputs;
use super::request::{self, Endpoint, Occasion, TokenRequest, read, unfit};
use super::response::{self, Expectation, Issued};
use super::source::{FetchContext, FetchError, FetchErrorCode, TokenSource};
use super::{AccessToken, LifetimeFrom, SecretSlot};
use crate::clock::Clock;
use crate::config::profile::{BasicEncoding, ClientAuthentication, OAuth2, ProfileConfig, TokenEndpoint};

/// Token requests over HTTP/1.1. Made without touching the network, the disk or a TLS library.
#[derive(Debug)]
pub struct OAuth2Source {
    profile: Arc<ProfileConfig>,
    clock: Clock,
    limits: Limits,
    inputs: Inputs,
    client: HttpClient,
    /// What the issuer says of itself, where the profile names one.
    metadata: Known,
    /// Whether the next secret is the one that works.
    next_works: AtomicBool,
    /// Where tokens are bound to a key.
    dpop: Option<Dpop>,
}

/// What came of a token request.
enum Outcome {
    Issued(Box<Issued>),
    /// The service wants a nonce in the proof, and has given one that is new (RFC 9449 §8).
    Nonce(FetchError),
}

impl OAuth2Source {
    /// A source for this profile.
    pub fn new(profile: Arc<ProfileConfig>, clock: Clock) -> Self {
        Self::with_limits(profile, clock, Limits::PRODUCTION)
    }

    fn with_limits(profile: Arc<ProfileConfig>, clock: Clock, limits: Limits) -> Self {
        let inputs = Inputs::of(&profile);
        let client = HttpClient::new(Arc::clone(&profile), limits);
        let next_works = AtomicBool::new(false);
        let dpop = profile.oauth2().and_then(|oauth2| oauth2.dpop.clone()).map(Dpop::new);
        Self { profile, clock, limits, inputs, client, metadata: Known::default(), next_works, dpop }
    }

    /// One request and its answer; a refused secret gets a second one at once, if there is another secret.
    async fn fetch_now(&self, context: &FetchContext) -> Result<AccessToken, FetchError> {
        let oauth2 = self.profile.oauth2().ok_or_else(|| unfit("this is no OAuth2 profile".to_owned()))?;
        self.inputs.remember();
        let endpoint = self.endpoint(oauth2).await?;
        let slot = match self.next_works.load(Ordering::Relaxed) {
            true => SecretSlot::Next,
            false => SecretSlot::Current,
        };
        let first = self.exchange(oauth2, &endpoint, slot, context).await;
        let again = match &first {
            Err(error) if refuses_client(error) => self.other_secret(oauth2, slot, error),
            _ => None,
        };
        let Some(slot) = again else { return self.settled(oauth2, slot, first?) };
        self.inputs.remember();
        let second = self.exchange(oauth2, &endpoint, slot, context).await;
        self.settled(oauth2, slot, second?)
    }

    /// Another secret that may work: the one that takes the place of the refused one, or what its file holds now.
    fn other_secret(&self, oauth2: &OAuth2, slot: SecretSlot, error: &FetchError) -> Option<SecretSlot> {
        let profile = &self.profile.name;
        let two = oauth2.client.authentication.secret().is_some_and(|secret| secret.next.is_some());
        // An `invalid_grant` says nothing of the client.
        if two && error.code != FetchErrorCode::OauthError {
            let slot = slot.other();
            tracing::info!(%profile, "refused; trying the client secret called `{}`", slot.as_str());
            return Some(slot);
        }
        // The secret may have been rotated between our reading it and the service's refusing it.
        self.inputs.changed().then(|| {
            tracing::info!(%profile, "refused, but the secret has just changed; trying the new one");
            slot
        })
    }

    /// Remembers which secret works.
    fn settled(&self, oauth2: &OAuth2, slot: SecretSlot, issued: Issued) -> Result<AccessToken, FetchError> {
        let two = oauth2.client.authentication.secret().is_some_and(|secret| secret.next.is_some());
        if !two {
            return Ok(issued.access);
        }
        self.next_works.store(slot == SecretSlot::Next, Ordering::Relaxed);
        Ok(AccessToken { secret: Some(slot), ..issued.access })
    }

    /// Where the request goes.
    async fn endpoint(&self, oauth2: &OAuth2) -> Result<Endpoint, FetchError> {
        match &oauth2.endpoint {
            TokenEndpoint::Url(url) => Ok(Endpoint { url: read(url, "token_service_url")?, issuer: None }),
            TokenEndpoint::Issuer(issuer) => {
                let time = (issuer, self.clock.now(), self.limits.total);
                self.metadata.endpoint(&self.client, &self.profile, time).await
            }
        }
    }

    /// Makes the request, sends it, and reads the answer.
    async fn exchange(
        &self,
        oauth2: &OAuth2,
        endpoint: &Endpoint,
        slot: SecretSlot,
        context: &FetchContext,
    ) -> Result<Issued, FetchError> {
        let occasion = Occasion { endpoint, slot, shown: None, now: self.clock.now() };
        let request = request::build(&self.profile, oauth2, &occasion)?;
        if let Outcome::Issued(issued) = self.send(oauth2, request, context).await? {
            return Ok(*issued);
        }
        // Made anew: an assertion may be good for one request only.
        let occasion = Occasion { now: self.clock.now(), ..occasion };
        let request = request::build(&self.profile, oauth2, &occasion)?;
        match self.send(oauth2, request, context).await? {
            Outcome::Issued(issued) => Ok(*issued),
            Outcome::Nonce(error) => Err(error),
        }
    }

    async fn send(
        &self,
        oauth2: &OAuth2,
        mut request: TokenRequest,
        context: &FetchContext,
    ) -> Result<Outcome, FetchError> {
        let mut redactor = request.redactor.clone();
        if let Some(previous) = &context.previous {
            redactor.hide(&previous.access.text);
        }
        let sent_at = self.clock.now();
        let key = self.dpop.as_ref().map(|dpop| dpop.prove(&mut request, sent_at)).transpose()?;
        let answer = self.client.send(&request).await?;
        let authentication = &oauth2.client.authentication;
        let issued = response::read(
            &answer,
            &Expectation {
                sent_at,
                received_at: self.clock.now(),
                last_lifetime: last_lifetime(context),
                default_lifetime: self.profile.default_lifetime,
                rules: &self.profile.answer,
                scheme: self.profile.scheme(),
                service: response::Service::OAuth2,
                redactor: &redactor,
                invalid_client_hint: &self.metadata.hint(authentication, invalid_client_hint(authentication)),
            },
        );
        let wants_nonce = self.dpop.as_ref().is_some_and(|dpop| dpop.heed(&request, &answer));
        match issued {
            Ok(mut issued) => {
                issued.access.key = key;
                Ok(Outcome::Issued(Box::new(issued)))
            }
            Err(error) if wants_nonce => Ok(Outcome::Nonce(error)),
            Err(error) => Err(error),
        }
    }
}

fn invalid_client_hint(authentication: &ClientAuthentication) -> &'static str {
    match authentication {
        ClientAuthentication::RequestHeader { encoding: BasicEncoding::Form, .. } => {
            "if client_id and client_secret are right, try client_authentication: body_parameter, \
             or basic_encoding: raw"
        }
        ClientAuthentication::RequestHeader { encoding: BasicEncoding::Raw, .. } => {
            "if client_id and client_secret are right, try client_authentication: body_parameter, \
             or basic_encoding: form"
        }
        ClientAuthentication::BodyParameter { .. } => {
            "if client_id and client_secret are right, try client_authentication: request_header"
        }
        ClientAuthentication::SecretJwt { .. } => {
            "if client_id and client_secret are right, try another client_assertion.audience or algorithm"
        }
        ClientAuthentication::KeyJwt { .. } => {
            "is the public key registered with the service? try another client_assertion.audience, key_id or algorithm"
        }
        ClientAuthentication::Tls => {
            "is this certificate registered with the service, and is the URL the one for certificates?"
        }
        ClientAuthentication::Assertion(_) => {
            "does the service trust the issuer, subject and audience of the assertion?"
        }
        ClientAuthentication::None => {
            "the service wants the client to prove itself: set client_authentication"
        }
    }
}

impl TokenSource for OAuth2Source {
    async fn fetch(&self, context: FetchContext) -> Result<AccessToken, FetchError> {
        let total = self.limits.total;
        let outcome = tokio::time::timeout(total, self.fetch_now(&context)).await.unwrap_or_else(|_| {
            let message = format!("the token service did not answer completely within {total:?}");
            Err(FetchError::new(FetchErrorCode::Timeout, message))
        });
        self.metadata.learn(&outcome);
        outcome
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
