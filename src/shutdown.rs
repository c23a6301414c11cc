//! How the process is told to end: first to drain, then to stop at once.
//!
//! The stop condition is an argument of everything that serves, so that a test hands in its own.

use tokio::sync::watch;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Now,
}

/// Tells everybody that it is time to end. Dropping it is an order to drain.
#[derive(Debug)]
pub struct Handle(watch::Sender<Phase>);

/// What everybody listens to; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Phase>);

/// A handle and what listens to it.
pub fn channel() -> (Handle, Stop) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Handle(sender), Stop(receiver))
}

impl Handle {
    /// Finish what is in flight, within the configured deadline, then end.
    pub fn drain(&self) {
        self.0.send_if_modified(|phase| {
            let first = *phase == Phase::Running;
            if first {
                *phase = Phase::Draining;
            }
            first
        });
    }

    /// End at once, whatever is in flight.
    pub fn now(&self) {
        self.0.send_replace(Phase::Now);
    }
}

impl Stop {
    /// Waits until it is time to drain (or to stop at once).
    pub async fn drain(&mut self) {
        // An error means that the handle is gone, which is an order to drain.
        let _ = self.0.wait_for(|phase| *phase != Phase::Running).await;
    }

    /// Waits until it is time to stop at once; for ever, if only a drain was ordered.
    pub async fn now(&mut self) {
        if self.0.wait_for(|phase| *phase == Phase::Now).await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether a drain (or more) has been ordered.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() != Phase::Running
    }
}

/// Turns SIGTERM and SIGINT into orders: the first drains, the second stops at once. Runs for ever.
pub async fn on_signals(handle: Handle) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut seen = 0_u32;
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        seen += 1;
        if seen == 1 {
            tracing::info!(signal = name, "stopping; a second signal stops at once");
            handle.drain();
        } else {
            tracing::warn!(signal = name, "stopping at once");
            handle.now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_wakes_those_who_wait_for_it_and_nobody_else() {
        let (handle, mut stop) = channel();
        assert!(!stop.is_draining());
        handle.drain();
        stop.drain().await;
        assert!(stop.is_draining());
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), stop.now()).await;
        assert!(waits.is_err(), "a drain is no order to stop at once");
        handle.now();
        stop.now().await;
    }

    #[tokio::test]
    async fn a_dropped_handle_is_an_order_to_drain() {
        let (handle, mut stop) = channel();
        drop(handle);
        stop.drain().await;
    }
}
