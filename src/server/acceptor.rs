//! Accepting connections, and handing them to the worker that has the fewest.
//!
//! With one worker the worker accepts by itself; with several, one thread accepts for all of them, so that four
//! long-lived connections of an app do not land on one worker by the accident of a hash.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Accepted;
use super::listen::{Listening, Socket, Stream};
use super::slots::{Door, Refused, Slot, Slots};
use crate::guard::{Caller, Guard};

/// How long accepting rests when the process has no descriptor left. It must neither spin nor stop for ever.
const REST: Duration = Duration::from_millis(100);

/// How long a new connection waits for a place that is being given up.
const GOING: Duration = Duration::from_millis(10);

/// How often such a failure is logged at most, counted in failures.
const LOG_EVERY: u32 = 100;

/// Accepts until the task is dropped.
pub(super) async fn accept_all(socket: Socket, guard: Arc<Guard>, door: Rc<Door>, take: impl Fn(Accepted)) {
    let listening = match Listening::new(socket) {
        Ok(listening) => listening,
        Err(error) => {
            tracing::error!(%error, "a listener cannot be used");
            return;
        }
    };
    let mut failures = 0_u32;
    loop {
        match listening.accept().await {
            Ok((stream, peer)) => {
                failures = 0;
                // Without a slot the connection is closed: the caller can try again, and we stay alive.
                let mut slot = door.let_in(peer);
                if matches!(slot, Err(Refused::Connections)) {
                    // Those that were told to make room have had no time to go.
                    tokio::time::sleep(GOING).await;
                    slot = door.let_in(peer);
                }
                match slot {
                    Err(cause) => door.refuse(cause),
                    Ok(slot) => take(Accepted {
                        stream,
                        caller: Caller::new(peer),
                        guard: Arc::clone(&guard),
                        slot,
                        load: None,
                    }),
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                if failures.is_multiple_of(LOG_EVERY) {
                    tracing::warn!(%error, failures, "cannot accept connections; trying again");
                }
                failures = failures.wrapping_add(1);
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Errors of one connection that was gone before it was accepted (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::InvalidInput)
}

/// A connection on its way to a worker's thread.
#[derive(Debug)]
pub struct Handed {
    stream: StdStream,
    caller: Caller,
    guard: Arc<Guard>,
    slot: Slot,
    load: Load,
}

#[derive(Debug)]
enum StdStream {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// What a worker and the acceptor know of its connections.
#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    /// Those that wait for a request: the worker says so once a second, and the acceptor counts off what it asks for.
    waiting: AtomicUsize,
}

/// One connection of a worker's count.
#[derive(Debug)]
pub struct Load(Arc<Counts>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The worker's end of what the acceptor hands over.
#[derive(Debug)]
pub struct Hand {
    receiver: mpsc::UnboundedReceiver<Handed>,
    counts: Arc<Counts>,
}

impl Hand {
    /// The next connection; none when the acceptor is gone.
    pub(super) async fn take(&mut self) -> Option<Handed> {
        self.receiver.recv().await
    }

    /// Where the worker says how many of its connections wait for a request.
    pub(super) fn says_waiting(&self) -> impl Fn(usize) + use<> {
        let counts = Arc::clone(&self.counts);
        move |waiting| counts.waiting.store(waiting, Ordering::Relaxed)
    }
}

impl Handed {
    /// Ties the connection to the runtime of this thread.
    pub(super) fn adopt(self) -> Option<Accepted> {
        let Self { stream, caller, guard, slot, load } = self;
        let stream = match stream {
            StdStream::Tcp(stream) => tokio::net::TcpStream::from_std(stream).map(Stream::Tcp),
            StdStream::Unix(stream) => tokio::net::UnixStream::from_std(stream).map(Stream::Unix),
        };
        Some(Accepted { stream: stream.ok()?, caller, guard, slot, load: Some(load) })
    }
}

/// Where a worker takes its connections from, as the acceptor sees it.
#[derive(Debug)]
pub struct Worker {
    sender: mpsc::UnboundedSender<Handed>,
    counts: Arc<Counts>,
}

impl Worker {
    /// A worker, and what goes to its thread. What waits in the channel counts as its connections, and connections are
    /// limited, so it cannot grow without bound.
    pub fn new() -> (Self, Hand) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let counts = Arc::<Counts>::default();
        (Self { sender, counts: Arc::clone(&counts) }, Hand { receiver, counts })
    }

    fn hand(&self, accepted: Accepted) {
        let Accepted { stream, caller, guard, slot, .. } = accepted;
        let stream = match stream {
            Stream::Tcp(stream) => stream.into_std().map(StdStream::Tcp),
            Stream::Unix(stream) => stream.into_std().map(StdStream::Unix),
        };
        let Ok(stream) = stream else { return };
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        let handed = Handed { stream, caller, guard, slot, load: Load(Arc::clone(&self.counts)) };
        // A worker that is gone is draining: the connection is closed.
        let _ = self.sender.send(handed);
    }

    /// Counts off one of the connections that could make room; false if there is none.
    fn makes_room(&self) -> bool {
        let fewer = |waiting: usize| waiting.checked_sub(1);
        self.counts.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
    }
}

/// Who gets a connection: the worker that has the fewest. One too many goes where another one can make room for it.
fn choose(workers: &[Worker], crowds: bool) -> Option<&Worker> {
    // A worker that is gone has no connections; nobody is to be sent there.
    let there = || workers.iter().filter(|worker| !worker.sender.is_closed());
    let least = there().min_by_key(|worker| worker.counts.open.load(Ordering::Relaxed));
    let roomiest = || there().max_by_key(|worker| worker.counts.waiting.load(Ordering::Relaxed));
    let roomy = if crowds { roomiest().filter(|worker| worker.makes_room()) } else { None };
    roomy.or(least)
}

/// Accepts on all sockets and hands each connection to a worker; until it is dropped.
pub async fn distribute(listeners: Vec<(Socket, Arc<Guard>)>, slots: Slots, workers: Vec<Worker>) {
    let (workers, door) = (Rc::new(workers), Rc::new(Door::new(slots)));
    let mut tasks = tokio::task::JoinSet::new();
    for (socket, guard) in listeners {
        let workers = Rc::clone(&workers);
        let take = move |accepted: Accepted| {
            if let Some(worker) = choose(&workers, accepted.slot.crowds()) {
                worker.hand(accepted);
            }
        };
        tasks.spawn_local(accept_all(socket, guard, Rc::clone(&door), take));
    }
    while tasks.join_next().await.is_some() {}
}
