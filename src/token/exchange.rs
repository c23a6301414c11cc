//! One request to a profile's service, and what its answer brings: the same for every source that asks one.

use std::future::Future;
use std::time::Duration;

use super::LifetimeFrom;
use super::http::{HttpClient, Limits};
use super::request::TokenRequest;
use super::response::{self, Answer, Expectation, Issued, Service};
use super::source::{FetchContext, FetchError, FetchErrorCode};
use crate::clock::Clock;
use crate::config::profile::ProfileConfig;

/// Who asks, and why.
pub(super) struct Asked<'a> {
    pub(super) profile: &'a ProfileConfig,
    pub(super) clock: &'a Clock,
    pub(super) context: &'a FetchContext,
    /// Whom.
    pub(super) service: Service,
    /// What to try if it refuses us.
    pub(super) refused_hint: &'a str,
}

/// Sends a request and reads its answer: as it came, and as it is judged.
pub(super) async fn send(
    client: &HttpClient,
    request: &TokenRequest,
    asked: &Asked<'_>,
) -> Result<(Answer, Result<Issued, FetchError>), FetchError> {
    let mut redactor = request.redactor.clone();
    if let Some(previous) = &asked.context.previous {
        redactor.hide(&previous.access.text);
    }
    let sent_at = asked.clock.now();
    let answer = client.send(request).await?;
    let issued = response::read(
        &answer,
        &Expectation {
            sent_at,
            received_at: asked.clock.now(),
            last_lifetime: last_lifetime(asked.context),
            default_lifetime: asked.profile.default_lifetime,
            rules: &asked.profile.answer,
            scheme: asked.profile.scheme(),
            service: asked.service,
            redactor: &redactor,
            invalid_client_hint: asked.refused_hint,
        },
    );
    Ok((answer, issued))
}

/// A fetch that ends in time.
pub(super) async fn bounded<T>(
    limits: Limits,
    fetch: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let total = limits.total;
    tokio::time::timeout(total, fetch).await.unwrap_or_else(|_| {
        let message = format!("the token service did not answer completely within {total:?}");
        Err(FetchError::new(FetchErrorCode::Timeout, message))
    })
}

/// The lifetime of the token before, unless that was a guess as well.
fn last_lifetime(context: &FetchContext) -> Option<Duration> {
    let access = &context.previous.as_ref()?.access;
    (access.lifetime_from != LifetimeFrom::Default).then_some(access.lifetime)
}
