//! Serving: accept connections, speak HTTP/1.1 on them, watch them, end them.
//!
//! Invariant: a server runs on one thread and owns every connection it accepted. It ends when it was told to drain and
//! its last connection is gone; whoever runs it sets the deadline.

pub mod acceptor;
pub mod connection;
pub mod listen;
pub mod watch;

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::config::server::Limits;
use crate::guard::{Caller, Guard};
use crate::metrics::Metrics;
use crate::shutdown::Stop;
use listen::{Socket, Stream};
use watch::Watch;

/// How exactly idle and head timeouts are kept. It also keeps a timer in the runtime's wheel, without which every timer
/// of a request would wake the I/O driver with a system call of its own.
const TICK: Duration = Duration::from_secs(1);

/// For how long a server goes on after the order to drain: requests that were sent before it may still be in the kernel,
/// on connections that look idle or have not been accepted yet.
const SETTLE: Duration = Duration::from_millis(20);

/// What answers requests.
pub trait Handler: 'static {
    /// The body of an answer.
    type Body: Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Unpin
        + 'static;

    /// Answers one request. Dropped when the caller goes away.
    fn handle(
        &self,
        request: Request<Incoming>,
        guard: &Guard,
        caller: &Caller,
    ) -> impl Future<Output = Response<Self::Body>>;

    /// Called once a second.
    fn tick(&self) {}
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The bytes.
    pub stream: Stream,
    /// Who is at the other end.
    pub caller: Caller,
    /// The rules of the listener it came in by.
    pub guard: Arc<Guard>,
    /// Counts it until it is gone.
    pub slot: Slot,
    /// Counts it among its worker's, where there are several workers.
    pub load: Option<acceptor::Load>,
}

/// How many connections there may be, in all listeners and workers.
#[derive(Clone, Debug)]
pub struct Slots {
    open: Arc<AtomicUsize>,
    limit: usize,
    metrics: Option<Arc<Metrics>>,
}

/// One of the connections that there may be; counted until it is dropped.
#[derive(Debug)]
pub struct Slot(Slots);

impl Slots {
    /// At most `limit` connections.
    pub fn new(limit: usize) -> Self {
        Self { open: Arc::default(), limit, metrics: None }
    }

    /// At most `limit` connections, shown by the metrics of callers' connections.
    pub fn counted(limit: usize, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..Self::new(limit) }
    }

    /// A slot, or nothing when all are taken.
    pub fn take(&self) -> Option<Slot> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(self.clone());
        if let Some(metrics) = &self.metrics {
            metrics.connections.inc();
            if open >= self.limit {
                metrics.connections_refused.inc();
            }
        }
        (open < self.limit).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(metrics) = &self.0.metrics {
            metrics.connections.dec();
        }
    }
}

/// Where a server's connections come from.
#[derive(Debug)]
pub enum Intake {
    /// It accepts them itself.
    Listeners(Vec<(Socket, Arc<Guard>)>, Slots),
    /// An acceptor hands them over.
    Handed(mpsc::UnboundedReceiver<acceptor::Handed>),
}

/// Serves until it was told to drain and every connection is gone. Runs on a thread with a `LocalRuntime`.
pub async fn serve<H: Handler>(intake: Intake, handler: Rc<H>, limits: Limits, mut stop: Stop) {
    let watch = Rc::new(Watch::new(limits.header_timeout, limits.idle_timeout));
    let http = Rc::new(connection::protocol(&limits));
    let (sender, mut accepted) = mpsc::unbounded_channel();
    let intake = tokio::task::spawn_local(take_in(intake, sender));
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut draining = false;
    let mut order = pin!(async {
        stop.drain().await;
        tokio::time::sleep(SETTLE).await;
    });
    while !(draining && watch.is_empty()) {
        tokio::select! {
            Some(new) = accepted.recv(), if !draining => {
                let connection = connection::run(new, Rc::clone(&http), Rc::clone(&handler), watch.add());
                // It ends with its connection; the watch ends it earlier if it has to.
                tokio::task::spawn_local(connection);
            }
            _ = tick.tick() => {
                watch.tick();
                handler.tick();
            }
            () = &mut order, if !draining => {
                draining = true;
                intake.abort();
                watch.drain();
            }
            () = watch.emptied(), if draining => {}
        }
    }
}

/// Feeds a server with connections.
async fn take_in(intake: Intake, sender: mpsc::UnboundedSender<Accepted>) {
    match intake {
        Intake::Handed(mut handed) => {
            while let Some(connection) = handed.recv().await {
                if let Some(connection) = connection.adopt()
                    && sender.send(connection).is_err()
                {
                    return;
                }
            }
        }
        Intake::Listeners(listeners, slots) => {
            let loops = listeners.into_iter().map(|(socket, guard)| {
                let sender = sender.clone();
                let take = move |accepted| drop(sender.send(accepted));
                acceptor::accept_all(socket, guard, slots.clone(), take)
            });
            // Each loop runs until it is aborted with this task.
            let mut tasks = tokio::task::JoinSet::new();
            for accepting in loops {
                tasks.spawn_local(accepting);
            }
            drop(sender);
            while tasks.join_next().await.is_some() {}
        }
    }
}
