//! Serving: accept connections, speak HTTP on them, watch them, end them.
//!
//! Invariant: a server runs on one thread and owns every connection it accepted. It ends when it was told to drain and
//! its last connection is gone; whoever runs it sets the deadline.

pub mod acceptor;
mod answers;
mod backpressure;
mod busy;
mod connection;
pub mod descriptors;
mod farewell;
mod framing;
mod http1;
mod http2;
pub mod listen;
mod noise;
mod orders;
mod presence;
mod relay;
mod request;
mod slots;
mod state;
mod table;
mod watch;
mod watched;
mod wire;

pub use slots::{Refused, Slot, Slots};

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::config::server::Limits;
use crate::error::ProxyError;
use crate::forward::sequel::Sequel;
use crate::guard::{Caller, Guard};
use crate::shutdown::Stop;
use listen::{Socket, Stream};
use state::Order;
use watch::Watch;

/// How exactly idle and head timeouts are kept. It also keeps a timer in the runtime's wheel, without which every timer
/// of a request would wake the I/O driver with a system call of its own.
const TICK: Duration = Duration::from_secs(1);

/// For how long a server goes on after the order to drain: requests that were sent before it may still be in the kernel,
/// on connections that look idle or have not been accepted yet.
pub(crate) const SETTLE: Duration = Duration::from_millis(20);

/// The connection that a request came on, as its handler sees it.
#[derive(Debug)]
pub struct Origin {
    /// The rules of the listener it came in by.
    pub guard: Arc<Guard>,
    /// Who is at the other end.
    pub caller: Caller,
    /// What goes on behind an answer.
    pub sequel: Sequel,
}

impl Origin {
    /// A connection that came in by a listener with these rules.
    pub fn new(guard: Arc<Guard>, caller: Caller) -> Self {
        Self { guard, caller, sequel: Sequel::default() }
    }
}

/// What answers requests.
pub trait Handler: 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + 'static;

    /// Answers one request. Dropped when the caller goes away.
    fn handle(
        &self,
        request: Request<Incoming>,
        origin: &Origin,
    ) -> impl Future<Output = Response<Self::Body>>;

    /// Counts and logs what never became an answer of [`Handler::handle`]: a head that the server refused, or a panic;
    /// and gives the answer. `detail` is for the log.
    fn refuse(&self, error: &ProxyError, origin: &Origin, detail: &str) -> Response<Bytes>;

    /// A text of ours as a body.
    fn body(text: Bytes) -> Self::Body;

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

/// Where a server's connections come from.
#[derive(Debug)]
pub enum Intake {
    /// It accepts them itself.
    Listeners(Vec<(Socket, Arc<Guard>)>, Slots),
    /// An acceptor hands them over.
    Handed(acceptor::Hand),
}

/// Serves until it was told to drain and every connection is gone. Runs on a thread with a `LocalRuntime`.
pub async fn serve<H: Handler>(intake: Intake, handler: Rc<H>, limits: Limits, mut stop: Stop) {
    let watch = Watch::new(&limits);
    let protocols = Rc::new(connection::Protocols::new(&limits));
    let (sender, mut accepted) = mpsc::unbounded_channel();
    // An acceptor ends by itself.
    let accepts = matches!(intake, Intake::Listeners(..));
    let says_waiting = match &intake {
        Intake::Handed(hand) => Some(hand.says_waiting()),
        Intake::Listeners(..) => None,
    };
    let intake = tokio::task::spawn_local(take_in(intake, sender));
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut draining, mut taking) = (false, true);
    let mut order = pin!(async {
        stop.drain().await;
        tokio::time::sleep(SETTLE).await;
    });
    let admit = |new: Accepted, order: Order| {
        let watched = watch.add();
        watched.orders.give(order);
        if new.slot.crowds() && !watch.evict(&watched) {
            new.slot.refuse();
            return;
        }
        let connection = connection::run(new, Rc::clone(&protocols), Rc::clone(&handler), watched);
        // It ends with its connection; the watch ends it earlier if it has to.
        tokio::task::spawn_local(connection);
    };
    while !(draining && !taking && watch.is_empty()) {
        tokio::select! {
            new = accepted.recv(), if taking => match new {
                // What was accepted before the end gets its answer, or an end.
                Some(new) => admit(new, if draining { Order::Drain } else { Order::Serve }),
                None => taking = false,
            },
            _ = tick.tick() => {
                watch.tick();
                if let Some(say) = &says_waiting {
                    say(watch.waiting());
                }
                handler.tick();
            }
            () = &mut order, if !draining => {
                draining = true;
                if accepts {
                    intake.abort();
                }
                watch.drain();
            }
            () = watch.emptied(), if draining && !taking => {}
        }
    }
}

/// Feeds a server with connections.
async fn take_in(intake: Intake, sender: mpsc::UnboundedSender<Accepted>) {
    match intake {
        Intake::Handed(mut handed) => {
            while let Some(connection) = handed.take().await {
                if let Some(connection) = connection.adopt()
                    && sender.send(connection).is_err()
                {
                    return;
                }
            }
        }
        Intake::Listeners(listeners, slots) => {
            let door = Rc::new(slots::Door::new(slots));
            let loops = listeners.into_iter().map(|(socket, guard)| {
                let sender = sender.clone();
                let take = move |accepted| drop(sender.send(accepted));
                acceptor::accept_all(socket, guard, Rc::clone(&door), take)
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

#[cfg(test)]
mod tests;
