//! Tokens by OAuth 2.0: a token request to a token endpoint, for every grant.
//!
//! Invariant: the secret goes to the configured token service and nowhere else: no redirects, no proxy from the
//! environment, and every wait and every answer is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::discovery::Known;
use super::dpop::Dpop;
use super::exchange::{self, Asked};
use super::grant;
use super::http::{HttpClient, Limits};
use super::inputs::Inputs;
use super::request::{self, Endpoint, Occasion, TokenRequest, read, unfit};
use super::response::{self, Issued, Service};
use super::rotation::{Rotation, Shown};
use super::source::{FetchContext, FetchError, FetchErrorCode, FetchReason, TokenSource};
use super::state_file::StateError;
use super::subject::SubjectSource;
use super::{AccessToken, SecretSlot};
use crate::clock::Clock;
use crate::config::profile::{BasicEncoding, ClientAuthentication, OAuth2, ProfileConfig, TokenEndpoint};
use crate::secret::Secret;

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
    /// The refresh token, where the grant has one.
    rotation: Option<Arc<Rotation>>,
    /// Whether the next secret is the one that works.
    next_works: AtomicBool,
    /// Where tokens are bound to a key.
    dpop: Option<Dpop>,
}

/// What a token is asked for on.
#[derive(Clone, Copy)]
struct Call<'a> {
    context: &'a FetchContext,
    /// Whose token is exchanged, where that comes with a request.
    subject: Option<&'a Secret>,
}

/// What came of a token request.
enum Outcome {
    Issued(Box<Issued>),
    /// The service wants a nonce in the proof, and has given one that is new (RFC 9449 §8).
    Nonce(FetchError),
}

impl OAuth2Source {
    /// A source for this profile; takes its state file, if it has one.
    pub fn new(profile: Arc<ProfileConfig>, clock: Clock) -> Result<Self, StateError> {
        Self::with_limits(profile, clock, Limits::PRODUCTION)
    }

    fn with_limits(profile: Arc<ProfileConfig>, clock: Clock, limits: Limits) -> Result<Self, StateError> {
        let inputs = Inputs::of(&profile);
        let rotation = Rotation::of(&profile)?.map(Arc::new);
        let client = HttpClient::new(Arc::clone(&profile), limits);
        let next_works = AtomicBool::new(false);
        let dpop = profile.oauth2().and_then(|oauth2| oauth2.dpop.clone()).map(Dpop::new);
        let metadata = Known::default();
        Ok(Self { profile, clock, limits, inputs, client, metadata, rotation, next_works, dpop })
    }

    /// The refresh token, where the grant has one.
    pub fn rotation(&self) -> Option<Arc<Rotation>> {
        self.rotation.clone()
    }

    /// One token request without what was before and what comes after, for the tokens of a code.
    pub async fn issue_once(&self) -> Result<Issued, FetchError> {
        let context = FetchContext { why: FetchReason::First, previous: None };
        exchange::bounded(self.limits, self.issue(Call { context: &context, subject: None })).await
    }

    async fn fetch_now(&self, context: &FetchContext) -> Result<AccessToken, FetchError> {
        if let Some(rotation) = &self.rotation
            && let Some(access) = rotation.waiting(self.clock.now())?
        {
            return Ok(access);
        }
        Ok(self.issue(Call { context, subject: None }).await?.access)
    }

    /// One request and its answer; a refused secret gets a second one at once, if there is another secret.
    async fn issue(&self, call: Call<'_>) -> Result<Issued, FetchError> {
        let oauth2 = self.profile.oauth2().ok_or_else(|| unfit("this is no OAuth2 profile".to_owned()))?;
        self.inputs.remember();
        let endpoint = self.endpoint(oauth2).await?;
        let slot = match self.next_works.load(Ordering::Relaxed) {
            true => SecretSlot::Next,
            false => SecretSlot::Current,
        };
        let first = self.exchange(oauth2, &endpoint, slot, call).await;
        let again = match &first {
            Err(error) if refuses_client(error) => self.other_secret(oauth2, slot, error.code),
            _ => None,
        };
        let Some(slot) = again else { return self.settled(oauth2, slot, first?) };
        self.inputs.remember();
        let second = self.exchange(oauth2, &endpoint, slot, call).await;
        self.settled(oauth2, slot, second?)
    }

    /// Another secret that may work: the one that takes the place of the refused one, or what its file holds now.
    fn other_secret(&self, oauth2: &OAuth2, slot: SecretSlot, code: FetchErrorCode) -> Option<SecretSlot> {
        let profile = &self.profile.name;
        // Who refuses the grant knows the client.
        let other = !matches!(code, FetchErrorCode::InvalidGrant | FetchErrorCode::Unauthorized);
        if other && oauth2.client.authentication.secret().is_some_and(|secret| secret.next.is_some()) {
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
    fn settled(&self, oauth2: &OAuth2, slot: SecretSlot, mut issued: Issued) -> Result<Issued, FetchError> {
        let two = oauth2.client.authentication.secret().is_some_and(|secret| secret.next.is_some());
        if !two {
            return Ok(issued);
        }
        self.next_works.store(slot == SecretSlot::Next, Ordering::Relaxed);
        issued.access.secret = Some(slot);
        Ok(issued)
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
        call: Call<'_>,
    ) -> Result<Issued, FetchError> {
        let shown = self.rotation.as_ref().map(|rotation| rotation.show(oauth2)).transpose()?;
        let outcome = self.ask(oauth2, (endpoint, slot), call, shown.as_ref()).await;
        match (&self.rotation, shown) {
            (Some(rotation), Some(shown)) => rotation.settle(shown, outcome),
            _ => outcome,
        }
    }

    /// One request, or two where the service wants a nonce of its own in the proof.
    async fn ask(
        &self,
        oauth2: &OAuth2,
        (endpoint, slot): (&Endpoint, SecretSlot),
        Call { context, subject }: Call<'_>,
        shown: Option<&Shown>,
    ) -> Result<Issued, FetchError> {
        let token = shown.map(|shown| &shown.token).or(subject);
        let occasion =
            Occasion { endpoint, slot, shown: token, keys: self.client.keys(), now: self.clock.now() };
        let request = request::build(&self.profile, oauth2, &occasion)?;
        if let Outcome::Issued(issued) = self.send(oauth2, request, context, shown).await? {
            return Ok(*issued);
        }
        // Made anew: an assertion may be good for one request only.
        let occasion = Occasion { now: self.clock.now(), ..occasion };
        let request = request::build(&self.profile, oauth2, &occasion)?;
        match self.send(oauth2, request, context, shown).await? {
            Outcome::Issued(issued) => Ok(*issued),
            Outcome::Nonce(error) => Err(error),
        }
    }

    async fn send(
        &self,
        oauth2: &OAuth2,
        mut request: TokenRequest,
        context: &FetchContext,
        shown: Option<&Shown>,
    ) -> Result<Outcome, FetchError> {
        let key = self.dpop.as_ref().map(|dpop| dpop.prove(&mut request, self.clock.now())).transpose()?;
        let authentication = &oauth2.client.authentication;
        let asked = Asked {
            profile: &self.profile,
            clock: &self.clock,
            context,
            service: Service::OAuth2,
            refused_hint: &self.metadata.hint(authentication, invalid_client_hint(authentication)),
        };
        let (answer, issued) = exchange::send(&self.client, &request, &asked).await?;
        // From here to the state file nothing waits, so that nobody can end this task in between.
        if let (Some(rotation), Some(shown)) = (&self.rotation, shown) {
            rotation.keep(shown, response::renewed(&answer, &self.profile.answer));
        }
        let issued = issued.and_then(|issued| grant::check_issued(oauth2, &issued.access).map(|()| issued));
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
        let outcome = exchange::bounded(self.limits, self.fetch_now(&context)).await;
        self.metadata.learn(&outcome);
        outcome
    }

    fn inputs_changed(&self) -> bool {
        self.inputs.changed() || self.rotation.as_ref().is_some_and(|rotation| rotation.is_offered())
    }

    /// A refresh token that somebody brought is used at once: it may be for more than the one before.
    fn follows_inputs(&self) -> bool {
        self.rotation.is_some()
    }
}

impl SubjectSource for OAuth2Source {
    async fn exchange(&self, subject: Secret) -> Result<AccessToken, FetchError> {
        let context = FetchContext { why: FetchReason::First, previous: None };
        let call = Call { context: &context, subject: Some(&subject) };
        let outcome = exchange::bounded(self.limits, self.issue(call)).await.map(|issued| issued.access);
        self.metadata.learn(&outcome);
        outcome
    }
}

/// Whether another secret might help: `invalid_client`, a bare 401, or the 403 of SuccessFactors Learning.
fn refuses_client(error: &FetchError) -> bool {
    matches!(
        error.code,
        FetchErrorCode::InvalidClient
            | FetchErrorCode::InvalidGrant
            | FetchErrorCode::Unauthorized
            | FetchErrorCode::OauthError
            | FetchErrorCode::HttpStatus
    )
}

#[cfg(test)]
mod tests;
