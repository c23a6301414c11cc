//! What is known of a profile's issuer, so that not every token costs two more requests.
//!
//! Invariant: metadata that were good once are kept until better ones are there; they are asked for anew after a day, when
//! `issuer` has changed, and when a fetch failed in a way that an endpoint elsewhere would explain.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Metadata, bounded, discover};
use crate::clock::Moment;
use crate::config::SecretSource;
use crate::config::profile::{ClientAuthentication, ProfileConfig};
use crate::secret::Secret;
use crate::token::AccessToken;
use crate::token::error::{FetchError, FetchErrorCode};
use crate::token::http::HttpClient;
use crate::token::request::{Endpoint, read};

/// How long metadata are taken for true.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The metadata of one issuer.
#[derive(Debug, Default)]
pub struct Known(Mutex<Option<Held>>);

#[derive(Clone, Debug)]
struct Held {
    metadata: Arc<Metadata>,
    found_at: Moment,
    doubted: bool,
}

impl Known {
    /// The token endpoint of an issuer. `total` is the time of a whole fetch: part of it is left for the token request.
    ///
    /// # Errors
    /// As [`discover`], where nothing is known from before.
    pub async fn endpoint(
        &self,
        client: &HttpClient,
        profile: &ProfileConfig,
        (source, now, total): (&SecretSource, Moment, Duration),
    ) -> Result<Endpoint, FetchError> {
        let issuer = read(source, "issuer")?;
        let held = self.held().filter(|held| held.metadata.issuer == issuer.expose());
        let metadata = match held {
            Some(held) if !held.doubted && held.found_at.elapsed(now) < KEPT => held.metadata,
            Some(held) => match bounded(discover(client, profile, &issuer), total * 2 / 5).await {
                Ok(metadata) => self.keep(metadata, now),
                Err(error) => {
                    tracing::warn!(profile = %profile.name, "keeping the endpoints of before: {error}");
                    held.metadata
                }
            },
            None => self.keep(bounded(discover(client, profile, &issuer), total * 3 / 5).await?, now),
        };
        let url = Secret::new(metadata.token_endpoint.to_string());
        Ok(Endpoint { url, issuer: Some(metadata.issuer.clone()) })
    }

    /// Learns from a fetch: a service that cannot be reached, or that answers like something else, may have moved.
    pub fn learn(&self, outcome: &Result<AccessToken, FetchError>) {
        use FetchErrorCode::{Connect, Dns, HttpStatus, NotJson, Redirect, Timeout, Tls};
        let code = outcome.as_ref().err().map(|error| error.code);
        let moved = matches!(code, Some(Connect | Dns | HttpStatus | NotJson | Redirect | Timeout | Tls));
        if let Some(held) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            held.doubted |= moved;
        }
    }

    /// What to try when the client is refused: what the issuer says it takes, or the hint that is there anyway.
    pub fn hint<'a>(&self, authentication: &ClientAuthentication, otherwise: &'a str) -> Cow<'a, str> {
        let Some(held) = self.held() else { return Cow::Borrowed(otherwise) };
        match held.metadata.takes(authentication) {
            Some(false) => Cow::Owned(format!(
                "the issuer says that it takes {}, which {} is not",
                held.metadata.auth_methods.join(", "),
                authentication.as_str()
            )),
            Some(true) | None => Cow::Borrowed(otherwise),
        }
    }

    fn held(&self) -> Option<Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, metadata: Metadata, now: Moment) -> Arc<Metadata> {
        let metadata = Arc::new(metadata);
        let held = Held { metadata: Arc::clone(&metadata), found_at: now, doubted: false };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        metadata
    }
}
