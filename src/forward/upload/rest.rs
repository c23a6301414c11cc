//! The rest of an upload whose answer is over: nobody waits for it any more, and its timeouts hold all the same.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::Progress;
use crate::forward::ticker::{Alarm, Ticker};

/// What holds for the rest of an upload.
#[derive(Debug)]
pub struct Rest {
    /// How far it is; nothing where it is a kept body that is sent again.
    pub upload: Option<Rc<Progress>>,
    /// How long it may stand still; zero is for ever.
    pub idle: Duration,
    /// When it must be over.
    pub until: Option<Instant>,
}

impl Rest {
    /// Waits until the upload has stood still, or taken, for too long.
    pub async fn runs_out(self, ticker: &Rc<Ticker>) {
        let mut alarm = Alarm::new(ticker);
        let started = ticker.now();
        poll_fn(|context| {
            let last = self.upload.as_ref().map_or(started, |upload| upload.last());
            let due = Ticker::due(last, self.idle).into_iter().chain(self.until).min();
            due.map_or(Poll::Pending, |due| alarm.poll(due, context))
        })
        .await;
    }
}
