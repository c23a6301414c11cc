//! What an operator may see of a profile: everything but the token.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::clock::Moment;
use crate::config::{HttpUrl, ProfileConfig};
use crate::token::cell::{Activity, Failure, TokenState};
use crate::token::error::FetchErrorCode;
use crate::token::rotation::Rotation;
use crate::token::{LifetimeFrom, SecretSlot};

/// The status of a profile, for `/status`. Times are RFC 3339, in UTC.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileStatus {
    /// The profile's name.
    pub name: String,
    /// How it gets its tokens.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The free text of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether there is a usable token.
    pub state: ProfileState,
    /// The host (and port) of the token service; the rest of its URL may hold a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_service: Option<String>,
    /// The first digits of the token's SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The token's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// When the token was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
    /// When it stops being valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// How long it lives, e.g. `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
    /// Where that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_from: Option<&'static str>,
    /// Which of two client secrets works: `current` or `next`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<&'static str>,
    /// The thumbprint of the key that the token is bound to (RFC 9449): no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<String>,
    /// Where the refresh token is; only for grants that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<RefreshTokenStatus>,
    /// When the next fetch is due; missing while one is in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_refresh: Option<String>,
    /// When a fetch last succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// The last failure; missing after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureStatus>,
}

/// Whether there is a usable token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileState {
    /// The first fetch has not ended yet.
    Pending,
    /// The token is valid.
    Valid,
    /// It has expired, but may still be used (`stale_if_error`).
    Stale,
    /// It has expired.
    Expired,
    /// There never was one, and the last fetch failed.
    Failed,
    /// Each caller has one of its own.
    PerSubject,
    /// There is none, and a person has to help: `sidepass authorize`, or a new refresh token.
    Unauthorized,
}

impl ProfileState {
    /// The state at `now`.
    pub fn of(state: &TokenState, now: Moment) -> Self {
        let failure = state.last_failure.as_ref().map(|failure| failure.code);
        let Some(token) = &state.token else {
            return match failure {
                Some(FetchErrorCode::Unauthorized) => Self::Unauthorized,
                Some(_) => Self::Failed,
                None => Self::Pending,
            };
        };
        let expiry = token.access.expires_at();
        if !expiry.is_past(now) {
            Self::Valid
        } else if !expiry.after(state.stale_for).is_past(now) {
            Self::Stale
        } else if failure == Some(FetchErrorCode::Unauthorized) {
            Self::Unauthorized
        } else {
            Self::Expired
        }
    }
}

/// Where a refresh token is; nothing of the token itself.
#[derive(Clone, Debug, Serialize)]
pub struct RefreshTokenStatus {
    /// `configured`, `state_file`, `memory` (a restart loses it) or `none`.
    pub kept_in: &'static str,
    /// When it came, if it was not configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

impl From<&Rotation> for RefreshTokenStatus {
    fn from(rotation: &Rotation) -> Self {
        let (whereabouts, since) = rotation.whereabouts();
        Self { kept_in: whereabouts.as_str(), since: since.map(timestamp) }
    }
}

/// A failed fetch.
#[derive(Clone, Debug, Serialize)]
pub struct FailureStatus {
    /// The stable code.
    pub code: FetchErrorCode,
    /// The sentence.
    pub message: String,
    /// When it happened.
    pub at: String,
    /// How many failed in a row.
    pub attempts: u32,
}

impl From<&Failure> for FailureStatus {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message.clone(),
            at: timestamp(failure.at),
            attempts: failure.attempts,
        }
    }
}

impl ProfileStatus {
    /// The status of a profile with this configuration and token at `now`.
    pub fn new(config: &ProfileConfig, state: &TokenState, now: Moment) -> Self {
        let access = state.token.as_ref().map(|token| &token.access);
        let mortal = access.filter(|access| access.lifetime_from != LifetimeFrom::Never);
        let service = config.service().and_then(|url| url.read().ok());
        let next = match state.activity {
            Activity::Fetching => None,
            Activity::Resting { until } | Activity::BackingOff { until } => Some(timestamp(until.wall())),
        };
        Self {
            name: config.name.to_string(),
            kind: config.type_name(),
            description: config.description.clone(),
            state: match config.subject_header() {
                Some(_) => ProfileState::PerSubject,
                None => ProfileState::of(state, now),
            },
            token_service: service.and_then(|url| Some(HttpUrl::parse(url.expose()).ok()?.authority())),
            fingerprint: access.map(|access| access.fingerprint()),
            generation: state.token.as_ref().map(|token| token.generation.0),
            issued_at: access.map(|access| timestamp(access.issued_at.wall())),
            expires_at: mortal.map(|access| timestamp(access.expires_at().wall())),
            lifetime: mortal.map(|access| span(access.lifetime)),
            lifetime_from: access.map(|access| access.lifetime_from.as_str()),
            client_secret: access.and_then(|access| access.secret).map(SecretSlot::as_str),
            bound_to: access.and_then(|access| Some(access.key.as_ref()?.thumbprint().to_owned())),
            refresh_token: None,
            next_refresh: next,
            last_success: state.last_success.map(timestamp),
            last_failure: state.last_failure.as_deref().map(FailureStatus::from),
        }
    }
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

fn span(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}
