//! Which refresh token a token request shows, and what becomes of the one that the answer brings (RFC 6749 §6, RFC 9700
//! §4.14).
//!
//! A service that rotates takes each refresh token once: to lose the newest one is to need a person again. Invariants: a
//! new one is in memory before anything else happens with its answer, and in the state file before the access token is
//! given away; while it cannot be written, nothing is asked for with it, and the access token that came along waits.

mod identity;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use self::identity::identity;
pub use self::identity::{fingerprint, needs_consent};
use super::AccessToken;
use super::error::{FetchError, FetchErrorCode};
use super::response::Issued;
use super::state_file::{Fingerprint, Kept, StateError, StateFile};
use crate::clock::Moment;
use crate::config::ProfileConfig;
use crate::config::profile::{Grant, OAuth2};
use crate::secret::Secret;

/// The refresh token of a profile.
#[derive(Debug)]
pub struct Rotation {
    profile: Arc<ProfileConfig>,
    file: Option<StateFile>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The newest one that was read or that came; nothing means the configured one.
    kept: Option<Kept>,
    /// Whether `kept` has still to be written.
    unwritten: bool,
    /// The access token that came with it and may not be given away before.
    waiting: Option<AccessToken>,
    /// What was shown in a request whose answer never came: the service may have replaced it.
    unanswered: Option<Secret>,
    /// Whether it was said that a new refresh token has no file to go to.
    warned: bool,
    /// What was said of an offer that cannot be used.
    complaint: Option<StateError>,
}

/// A refresh token for one request.
#[derive(Debug)]
pub struct Shown {
    /// The token.
    pub token: Secret,
    profile: Fingerprint,
    /// Whether it was shown before, in a request that never got its answer.
    again: bool,
}

/// Where the refresh token that is in use stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In proxy.yaml, or what that names.
    Configured,
    /// In the state file.
    StateFile,
    /// Only in memory: a restart loses it.
    Memory,
    /// There is none.
    Nowhere,
}

impl Whereabouts {
    /// As status shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::StateFile => "state_file",
            Self::Memory => "memory",
            Self::Nowhere => "none",
        }
    }
}

impl Rotation {
    /// The refresh token of this profile, if its grant has one; takes the state file for this process.
    pub fn of(profile: &Arc<ProfileConfig>) -> Result<Option<Self>, StateError> {
        let grant = profile.oauth2().map(|oauth2| &oauth2.grant);
        if !matches!(grant, Some(Grant::RefreshToken(_) | Grant::AuthorizationCode(_))) {
            return Ok(None);
        }
        let (file, kept) = match profile.state_file() {
            Some(path) => {
                let (file, kept) = StateFile::open(path)?;
                (Some(file), kept)
            }
            None => (None, None),
        };
        let held = Mutex::new(Held { kept, ..Held::default() });
        Ok(Some(Self { profile: Arc::clone(profile), file, held }))
    }

    /// What an answer brought that could not be given away yet: once its refresh token is written, it can. An error, as
    /// long as that cannot be written; nothing, if nothing waits.
    pub fn waiting(&self, now: Moment) -> Result<Option<AccessToken>, FetchError> {
        let mut held = self.held();
        self.write(&mut held)?;
        Ok(held.waiting.take().filter(|access| !access.expires_at().is_past(now)))
    }

    /// The token to show now.
    pub fn show(&self, oauth2: &OAuth2) -> Result<Shown, FetchError> {
        let (profile, configured) = identity(oauth2)?;
        let mut held = self.held();
        if let Some(file) = &self.file
            && self.sees_offer(&mut held, file, &profile)
        {
            held.kept = file.take_offered().map_err(state_error)?;
            tracing::info!(profile = %self.profile.name, "somebody brought a new refresh token; using it");
        }
        let kept = held.kept.as_ref().filter(|kept| kept.profile == profile);
        let token = kept.map(|kept| kept.refresh_token.clone()).or(configured);
        let token = token.ok_or_else(|| self.unauthorized(held.kept.is_some()))?;
        let again = held.unanswered.as_ref() == Some(&token);
        held.unanswered = Some(token.clone());
        Ok(Shown { token, profile, again })
    }

    /// Takes the refresh token of an answer, which need not be good for anything else.
    pub fn keep(&self, shown: &Shown, new: Option<Secret>) {
        let Some(new) = new.filter(|new| *new != shown.token) else { return };
        let mut held = self.held();
        let since = SystemTime::now();
        held.kept = Some(Kept { profile: shown.profile.clone(), refresh_token: new, since });
        held.unwritten = self.file.is_some();
        if self.file.is_none() && !held.warned {
            held.warned = true;
            tracing::warn!(
                profile = %self.profile.name,
                "the token service has replaced the refresh token, and without state_file the new one is lost when \
                 sidepass ends; the configured one may not work again: set state_file"
            );
        }
    }

    /// What an answer, or its absence, means for the refresh token that was shown.
    pub fn settle(&self, shown: Shown, outcome: Result<Issued, FetchError>) -> Result<Issued, FetchError> {
        let mut held = self.held();
        if outcome.as_ref().is_err_and(|error| !may_have_been_carried_out(error.code)) {
            // As before: it is still not known what became of the request before this one.
            held.unanswered = shown.again.then(|| shown.token.clone());
        } else if outcome.is_ok() {
            held.unanswered = None;
        }
        match (self.write(&mut held), outcome) {
            (Ok(()), Ok(issued)) => Ok(issued),
            (Err(error), Ok(issued)) => {
                held.waiting = Some(issued.access);
                Err(error)
            }
            (_, Err(error)) if error.code == FetchErrorCode::InvalidGrant => {
                Err(self.refused(&error.message, shown.again))
            }
            (_, Err(error)) => Err(error),
        }
    }

    /// Whether somebody left a new refresh token for this profile.
    pub fn is_offered(&self) -> bool {
        let identity = self.profile.oauth2().and_then(|oauth2| identity(oauth2).ok());
        match (&self.file, identity) {
            (Some(file), Some((profile, _))) => self.sees_offer(&mut self.held(), file, &profile),
            _ => false,
        }
    }

    /// The same; of an offer that cannot be used it is said once why.
    fn sees_offer(&self, held: &mut Held, file: &StateFile, profile: &Fingerprint) -> bool {
        match file.is_offered(profile) {
            Ok(offered) => {
                held.complaint = None;
                offered
            }
            Err(error) => {
                if held.complaint.as_ref() != Some(&error) {
                    tracing::warn!(profile = %self.profile.name, "a refresh token that was brought cannot be used: {error}");
                    held.complaint = Some(error);
                }
                false
            }
        }
    }

    /// Where the refresh token in use stands, and since when if that is known.
    pub fn whereabouts(&self) -> (Whereabouts, Option<SystemTime>) {
        let identity = self.profile.oauth2().and_then(|oauth2| identity(oauth2).ok());
        let held = self.held();
        let kept =
            held.kept.as_ref().filter(|kept| identity.as_ref().is_some_and(|(id, _)| *id == kept.profile));
        match (kept, identity.as_ref().and_then(|(_, configured)| configured.as_ref())) {
            (Some(kept), _) if self.file.is_some() && !held.unwritten => {
                (Whereabouts::StateFile, Some(kept.since))
            }
            (Some(kept), _) => (Whereabouts::Memory, Some(kept.since)),
            (None, Some(_)) => (Whereabouts::Configured, None),
            (None, None) => (Whereabouts::Nowhere, None),
        }
    }

    fn write(&self, held: &mut Held) -> Result<(), FetchError> {
        if let (true, Some(file), Some(kept)) = (held.unwritten, &self.file, &held.kept) {
            file.write(kept).map_err(|error| {
                let StateError(reason) = error;
                state_error(StateError(format!(
                    "{reason}. A new refresh token waits to be written, and is lost if sidepass ends before; until then no token is fetched"
                )))
            })?;
            held.unwritten = false;
        }
        Ok(())
    }

    /// There is no refresh token to show.
    fn unauthorized(&self, foreign: bool) -> FetchError {
        let name = &self.profile.name;
        let why = if foreign {
            "the refresh token in state_file is for another client or token service"
        } else {
            "nobody has authorized this profile yet"
        };
        FetchError::new(FetchErrorCode::Unauthorized, format!("{why}: run `sidepass authorize {name}`"))
    }

    /// The service does not take the refresh token.
    fn refused(&self, said: &str, again: bool) -> FetchError {
        let why = if again {
            " (the answer to the request before this one was lost, and with it the next refresh token)"
        } else {
            ""
        };
        let way_out = match self.profile.oauth2().map(|oauth2| &oauth2.grant) {
            Some(Grant::RefreshToken(refresh)) => {
                format!("put a new refresh token into {}", refresh.whence())
            }
            _ => format!("run `sidepass authorize {}`", self.profile.name),
        };
        let message = format!("the refresh token is not valid any more{why}: {way_out}; {said}");
        FetchError::new(FetchErrorCode::Unauthorized, message)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Rotation {
    /// The last chance for what could not be written.
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.write(&mut held) {
            tracing::error!(profile = %self.profile.name, "a refresh token is lost: {error}");
        }
    }
}

/// A state file that fails while we run.
pub(super) fn state_error(error: StateError) -> FetchError {
    FetchError::new(FetchErrorCode::StateFile, error.0)
}

/// Whether the service may have carried out a request that ended so, and with that have replaced the refresh token.
const fn may_have_been_carried_out(code: FetchErrorCode) -> bool {
    matches!(
        code,
        FetchErrorCode::Timeout
            | FetchErrorCode::Interrupted
            | FetchErrorCode::ServerError
            | FetchErrorCode::NotJson
            | FetchErrorCode::Missing
            | FetchErrorCode::TooLarge
            | FetchErrorCode::Internal
    )
}

#[cfg(test)]
mod tests;
