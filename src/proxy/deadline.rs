//! How long an exchange may take until the head of its answer: by what it is waiting for, not in all.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::config::route::Timeouts;
use crate::forward::ForwardError;
use crate::forward::pool::{Exchange, SendError};
use crate::forward::upload::Progress;

/// Runs an exchange under the route's timeouts: silence while the body goes up, and the wait for an answer after that.
///
/// The exchange comes pinned: by value, this future would hold it twice, and every request moves its future once.
pub(super) async fn watched(
    mut exchange: Pin<&mut impl Future<Output = Result<Exchange, SendError>>>,
    upload: Option<&Progress>,
    timeouts: &Timeouts,
) -> Result<Exchange, SendError> {
    let started = Instant::now();
    loop {
        let (since, limit) = waits_since(upload, started, timeouts);
        if limit.is_zero() && upload.is_none_or(Progress::is_done) {
            return exchange.await;
        }
        // An unlimited phase may be followed by a limited one: look again now and then.
        let until = since + if limit.is_zero() { Duration::from_secs(1) } else { limit };
        tokio::select! {
            biased;
            outcome = exchange.as_mut() => return outcome,
            () = sleep_until(until.max(Instant::now() + Duration::from_millis(1))) => {}
        }
        let (since, limit) = waits_since(upload, started, timeouts);
        if !limit.is_zero() && since.elapsed() >= limit {
            return Err(SendError { error: late(upload), on_kept_connection: false });
        }
    }
}

/// What is being waited for: since when, and how long at most.
fn waits_since(upload: Option<&Progress>, started: Instant, timeouts: &Timeouts) -> (Instant, Duration) {
    match upload {
        None => (started, timeouts.response_head),
        Some(progress) if progress.is_done() => (progress.last(), timeouts.response_head),
        Some(progress) => (progress.last(), timeouts.body_idle),
    }
}

fn late(upload: Option<&Progress>) -> ForwardError {
    match upload {
        Some(progress) if !progress.is_done() && progress.waits_for_caller() => ForwardError::CallerTimeout,
        Some(progress) if !progress.is_done() => ForwardError::UploadTimeout,
        _ => ForwardError::HeadTimeout,
    }
}
