//! How long an exchange may take until the head of its answer: by what it is waiting for, and in all.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::config::route::Timeouts;
use crate::forward::ForwardError;
use crate::forward::pool::{Exchange, SendError, Sent};
use crate::forward::ticker::{Alarm, Ticker};
use crate::forward::upload::Progress;

/// Runs an exchange under the route's timeouts: silence while the body goes up, and the wait for an answer after that.
/// `until` is when all of it must be over.
///
/// The exchange comes pinned: by value, this future would hold it twice, and every request moves its future once.
pub(super) async fn watched(
    mut exchange: Pin<&mut impl Future<Output = Result<Exchange, SendError>>>,
    upload: Option<&Progress>,
    timeouts: &Timeouts,
    ticker: &Rc<Ticker>,
    until: Option<Instant>,
) -> Result<Exchange, SendError> {
    let started = ticker.now();
    let mut alarm = Alarm::new(ticker);
    poll_fn(|context| {
        if let Poll::Ready(outcome) = exchange.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        let (since, limit) = waits_since(upload, started, timeouts);
        let phase = Ticker::due(since, limit);
        // An unlimited phase may be followed by a limited one: look again now and then.
        let look = upload.filter(|upload| !upload.is_done()).map(|_| ticker.now() + Duration::from_millis(1));
        let Some(due) = phase.into_iter().chain(until).min() else {
            if let Some(look) = look {
                let _ = alarm.poll(look, context);
            }
            return Poll::Pending;
        };
        if ticker.now() >= due {
            let error = if Some(due) == phase { late(upload) } else { ForwardError::TotalTimeout };
            return Poll::Ready(Err(SendError { error, sent: Sent::Unknown }));
        }
        let _ = alarm.poll(look.map_or(due, |look| look.min(due)), context);
        Poll::Pending
    })
    .await
}

/// Waits for something else that an exchange needs, a token, no longer than the whole exchange may take.
pub(super) async fn until<T>(
    until: Option<Instant>,
    wait: impl Future<Output = T>,
) -> Result<T, ForwardError> {
    match until {
        None => Ok(wait.await),
        Some(until) => timeout_at(until, wait).await.map_err(|_| ForwardError::TotalTimeout),
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
