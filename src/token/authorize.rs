//! Consent in a browser, once: the authorization code grant of a native app (RFC 6749 §4.1, RFC 8252, PKCE: RFC 7636).
//!
//! Invariants: the answer is taken on loopback only, from whoever knows the state that we made, and once; a wrong answer
//! ends nothing, so that no page can break the consent off; nothing that is shown holds the code or a token.

mod callback;
mod desk;
mod exchange;
mod page;
mod url;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;

use self::callback::Expected;
use self::desk::Desk;
use self::page::Page;
use self::url::{Pkce, random};
use super::error::FetchError;
use super::rotation;
use super::state_file::{self, Delivery, Kept, StateFile};
use crate::clock::Clock;
use crate::config::ProfileConfig;
use crate::config::profile::{AuthorizationCode, ClientAuthentication, Grant, OAuth2};
use crate::secret::Secret;

/// Why a profile could not be authorized, in words; never with a secret in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthorizeError(pub String);

impl From<FetchError> for AuthorizeError {
    fn from(error: FetchError) -> Self {
        Self(error.message)
    }
}

/// A consent that waits for a person.
#[derive(Debug)]
pub struct Consent {
    profile: Arc<ProfileConfig>,
    clock: Clock,
    desk: Desk,
    address: SocketAddr,
    redirect_uri: String,
    pkce: Pkce,
    /// Holds the state, by which an answer is told.
    url: Secret,
}

/// A profile that was authorized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// Where its refresh token is kept.
    pub state_file: PathBuf,
    /// Whether it is there already.
    pub delivery: Delivery,
}

impl Consent {
    /// Checks everything that can be wrong before a person is asked, and takes the port of the redirect.
    pub async fn prepare(profile: Arc<ProfileConfig>, clock: Clock) -> Result<Self, AuthorizeError> {
        let (oauth2, grant) = parts(&profile)?;
        StateFile::check(&grant.state_file).map_err(|error| AuthorizeError(error.0))?;
        let public = matches!(oauth2.client.authentication, ClientAuthentication::None);
        if public && oauth2.dpop.as_ref().is_some_and(|dpop| dpop.private_key.is_none()) {
            return Err(AuthorizeError(
                "the refresh token will be bound to the key of dpop (RFC 9449 §5), and that is made anew by each \
                 process: set dpop.private_key"
                    .to_owned(),
            ));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, grant.redirect_port)).await;
        let listener = listener.map_err(|error| {
            AuthorizeError(format!(
                "redirect_port {}: cannot listen on 127.0.0.1: {error}; end the program that uses it, or choose \
                 another one (and register it with the service)",
                grant.redirect_port
            ))
        })?;
        let address = listener.local_addr().map_err(|error| AuthorizeError(error.to_string()))?;
        let redirect_uri = format!("http://{address}/callback");
        let (state, pkce) = (random()?, Pkce::new()?);
        let (endpoint, issuer) = exchange::authorization_endpoint(&profile, oauth2, grant).await?;
        let url = url::authorization(
            &profile,
            oauth2,
            &endpoint,
            &[
                ("redirect_uri", &redirect_uri),
                ("state", state.expose()),
                ("code_challenge", pkce.challenge()),
            ],
        )?;
        let desk = Desk::new(listener, Expected::new(address, state, issuer));
        Ok(Self { profile, clock, desk, address, redirect_uri, pkce, url: Secret::new(url) })
    }

    /// The page that the person has to open. It holds no secret, but belongs to nobody else.
    pub fn url(&self) -> &str {
        self.url.expose()
    }

    /// Where the browser brings the answer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the person at most so long, gets the refresh token, and keeps it.
    pub async fn complete(self, patience: Duration) -> Result<Authorized, AuthorizeError> {
        let Self { profile, clock, mut desk, redirect_uri, pkce, .. } = self;
        let Ok(answer) = tokio::time::timeout(patience, desk.answer()).await else {
            let patience = humantime::format_duration(patience);
            return Err(AuthorizeError(format!("nobody gave consent within {patience}")));
        };
        let work = async {
            let code = answer.outcome.map_err(AuthorizeError)?;
            let issued = exchange::exchange(&profile, clock, &code, &redirect_uri, pkce.verifier()).await?;
            keep(&profile, issued)
        };
        // Others who come meanwhile are told that it is too late.
        let outcome = tokio::select! {
            outcome = work => outcome,
            never = desk.refuse() => match never {},
        };
        let page = match &outcome {
            Ok(_) => Page::done(&format!("Profile {} is authorized.", profile.name)),
            Err(error) => Page::failed(&error.0),
        };
        desk.close(answer.browser, page).await;
        outcome
    }
}

/// Keeps the refresh token of an answer.
fn keep(profile: &ProfileConfig, issued: super::response::Issued) -> Result<Authorized, AuthorizeError> {
    let (oauth2, grant) = parts(profile)?;
    let refresh_token = issued.refresh_token.ok_or_else(|| {
        AuthorizeError(
            "the service gave consent, but no refresh token; ask for one: with the scope offline_access \
             (most services), or with ?access_type=offline&prompt=consent behind authorization_url (Google)"
                .to_owned(),
        )
    })?;
    let kept = Kept { profile: rotation::fingerprint(oauth2)?, refresh_token, since: SystemTime::now() };
    let delivery = state_file::deliver(&grant.state_file, &kept).map_err(|error| AuthorizeError(error.0))?;
    Ok(Authorized { state_file: Path::to_owned(&grant.state_file), delivery })
}

fn parts(profile: &ProfileConfig) -> Result<(&OAuth2, &AuthorizationCode), AuthorizeError> {
    let oauth2 = profile.oauth2();
    match oauth2.map(|oauth2| (oauth2, &oauth2.grant)) {
        Some((oauth2, Grant::AuthorizationCode(grant))) => Ok((oauth2, grant)),
        Some((_, Grant::RefreshToken(refresh))) => Err(AuthorizeError(format!(
            "it has a refresh token of its own: put a new one into {}; or make it an oauth2_authorization_code",
            refresh.whence()
        ))),
        _ => Err(AuthorizeError(format!(
            "it is of type {}, and only oauth2_authorization_code needs consent",
            profile.type_name()
        ))),
    }
}

#[cfg(test)]
mod tests;
