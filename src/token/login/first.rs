//! The profile that signs in first: its token, kept for as long as it is good for more than one login.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::config::profile::ProfileConfig;
use crate::token::AccessToken;
use crate::token::source::{FetchContext, FetchError, FetchReason, Source, TokenSource};
use crate::token::state_file::StateError;

/// Another profile's source, and the token that it brought last.
#[derive(Debug)]
pub(super) struct First {
    profile: Arc<ProfileConfig>,
    source: Box<Source>,
    clock: Clock,
    held: Mutex<Option<AccessToken>>,
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It was fetched just now.
    New,
    /// It was kept from an earlier login.
    Before,
}

impl First {
    pub(super) fn new(profile: Arc<ProfileConfig>, clock: Clock) -> Result<Self, StateError> {
        let source = Box::new(Source::of(Arc::clone(&profile), clock.clone())?);
        Ok(Self { profile, source, clock, held: Mutex::new(None) })
    }

    /// The token, kept until three quarters of its lifetime are over or what it is made of has changed.
    pub(super) async fn token(&self) -> Result<(AccessToken, Held), FetchError> {
        let kept = self.lock().clone().filter(|token| {
            let end = token.issued_at.after(token.lifetime.mul_f64(0.75));
            !end.is_past(self.clock.now()) && !self.source.inputs_changed()
        });
        if let Some(token) = kept {
            return Ok((token, Held::Before));
        }
        let fetched = boxed(&*self.source, FetchContext { why: FetchReason::First, previous: None }).await;
        let token = fetched.map_err(|error| {
            let message = format!("profile {}, which signs in first: {}", self.profile.name, error.message);
            FetchError { message, ..error }
        })?;
        *self.lock() = Some(token.clone());
        Ok((token, Held::New))
    }

    /// The token was refused.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    pub(super) fn inputs_changed(&self) -> bool {
        self.source.inputs_changed()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<AccessToken>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source may hold a source of its own kind: its future needs a size.
fn boxed<S: TokenSource>(
    source: &S,
    context: FetchContext,
) -> Pin<Box<dyn Future<Output = Result<AccessToken, FetchError>> + Send + '_>> {
    Box::pin(source.fetch(context))
}
