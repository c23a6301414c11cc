//! One HTTP/2 connection to an upstream: many requests at a time (RFC 9113).
//!
//! Invariant: a connection is used only when the upstream's first SETTINGS are there, and never for more streams than
//! they allow.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::counted::{Allowance, Counted};
use super::failure::of_hyper;
use super::{HeadLimits, dies, idle_limit};
use crate::config::route::PoolConfig;
use crate::forward::ForwardError;
use crate::forward::dial::Transport;
use crate::forward::upload::Upload;

/// What an upstream may send on one stream before its caller has read it: ten times what a megabyte a second needs over
/// a slow line (50 ms), and all that a caller who never reads can cost.
const STREAM_WINDOW: u32 = 512 * 1024;

/// The same for a whole connection: thirty callers have to stand still before they hold up the others.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// What is kept of one stream's upload while the upstream does not take it.
const SEND_BUFFER: usize = 64 * 1024;

/// After so long without a frame the upstream is asked whether it is alive. A dead machine or line is noticed within a
/// minute by TCP itself; this is for a stuck process. gRPC servers take more than one PING in five minutes for an attack.
const PING_INTERVAL: Duration = Duration::from_secs(310);

/// How long an upstream may take to answer a PING.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Stands for "no SETTINGS yet" where h2 keeps how many streams are allowed.
const UNSETTLED: usize = usize::MAX - 1;

/// A connection that carries many exchanges at a time.
pub(super) struct Http2 {
    sender: RefCell<SendRequest<Upload>>,
    driver: Rc<Driver>,
    allowance: Allowance,
    born: Instant,
    dies: Option<Instant>,
    idle: Option<Duration>,
    /// Ours; the upstream may allow less.
    limit: usize,
    streams: Cell<usize>,
    /// Since when there is no stream.
    quiet: Cell<Instant>,
}

/// A place among the streams of a connection.
#[derive(Debug)]
pub(super) struct Stream(Rc<Http2>);

impl Http2 {
    /// Speaks HTTP/2 on a connection, which then runs by itself. Whoever does not answer with SETTINGS speaks something
    /// else, and has been sent nothing.
    pub(super) async fn handshake(
        transport: Transport,
        head: HeadLimits,
        config: &PoolConfig,
    ) -> Result<Rc<Self>, ForwardError> {
        let signal = Rc::new(Signal::default());
        let allowance = Allowance::default();
        let mut http = Builder::new(Local(Rc::clone(&signal)));
        http.timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(UNSETTLED)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(head.over_http2())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        let (sender, connection) = http
            .handshake(TokioIo::new(Counted::new(transport, &allowance)))
            .await
            .map_err(|error| of_hyper(&error))?;
        let driver = Rc::new(Driver::new(connection, signal));
        tokio::task::spawn_local(Rc::clone(&driver).run());
        driver.settled().await?;
        let now = Instant::now();
        Ok(Rc::new(Self {
            sender: RefCell::new(sender),
            driver,
            allowance,
            born: now,
            dies: dies(config),
            idle: idle_limit(config),
            limit: config.streams,
            streams: Cell::new(0),
            quiet: Cell::new(now),
        }))
    }

    /// Whether requests may still be sent on it.
    pub(super) fn is_good(&self, now: Instant) -> bool {
        !self.sender.borrow().is_closed() && self.dies.is_none_or(|end| now < end)
    }

    /// Whether it is worth keeping: busy, or not idle for too long.
    pub(super) fn is_kept(&self, now: Instant) -> bool {
        let idle_for = now.saturating_duration_since(self.quiet.get());
        self.is_good(now) && (self.streams.get() > 0 || self.idle.is_none_or(|idle| idle_for < idle))
    }

    /// Whether it was dialled after this.
    pub(super) fn is_newer_than(&self, moment: Instant) -> bool {
        self.born > moment
    }

    /// A place on it, if there is one.
    pub(super) fn stream(self: &Rc<Self>) -> Option<Stream> {
        let limit = self.limit.min(self.driver.allowed()?).max(1);
        let streams = self.streams.get();
        (streams < limit).then(|| {
            self.streams.set(streams + 1);
            self.allowance.open();
            Stream(Rc::clone(self))
        })
    }
}

impl Stream {
    /// Sends a request; dropped before its answer is there, the stream is reset.
    #[allow(clippy::result_large_err, reason = "hyper gives an unsent request back")]
    pub(super) async fn send(
        &self,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        if matches!(request.body(), Upload::Empty) && !request.headers().contains_key(CONTENT_LENGTH) {
            *request.body_mut() = Upload::Bare;
        }
        let answering = self.0.sender.borrow_mut().try_send_request(request);
        answering.await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let left = self.0.streams.get().saturating_sub(1);
        self.0.streams.set(left);
        if left == 0 {
            self.0.quiet.set(Instant::now());
        }
    }
}

/// The task of a connection, and what others want to know of it.
struct Driver {
    connection: RefCell<Option<Connection<TokioIo<Counted>, Upload, Local>>>,
    failure: RefCell<Option<ForwardError>>,
    signal: Rc<Signal>,
}

impl Driver {
    fn new(connection: Connection<TokioIo<Counted>, Upload, Local>, signal: Rc<Signal>) -> Self {
        Self { connection: RefCell::new(Some(connection)), failure: RefCell::new(None), signal }
    }

    async fn run(self: Rc<Self>) {
        let ended = poll_fn(|context| match &mut *self.connection.borrow_mut() {
            Some(connection) => Pin::new(connection).poll(context),
            None => Poll::Ready(Ok(())),
        })
        .await;
        drop(self.connection.take());
        if let Err(error) = ended {
            tracing::debug!(%error, "upstream connection ended");
            self.failure.replace(Some(of_hyper(&error)));
        }
        self.signal.tell();
    }

    /// How many streams the upstream allows; nothing when the connection is over.
    fn allowed(&self) -> Option<usize> {
        self.connection.borrow().as_ref().map(Connection::current_max_send_streams)
    }

    async fn settled(&self) -> Result<(), ForwardError> {
        poll_fn(|context| match self.allowed() {
            None => {
                let failure = self.failure.take();
                let closed = || ForwardError::Closed("the upstream closed before its SETTINGS".to_owned());
                Poll::Ready(Err(failure.unwrap_or_else(closed)))
            }
            Some(UNSETTLED) => {
                self.signal.listen(context.waker());
                Poll::Pending
            }
            Some(_) => Poll::Ready(Ok(())),
        })
        .await
    }
}

/// Wakes whoever waits for a change in a connection.
#[derive(Default)]
struct Signal(Cell<Option<Waker>>);

impl Signal {
    fn listen(&self, waker: &Waker) {
        self.0.set(Some(waker.clone()));
    }

    fn tell(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

/// Runs the tasks of a connection on the worker that owns it; what a task has read may be what somebody waits for.
#[derive(Clone)]
struct Local(Rc<Signal>);

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, task: F) {
        let signal = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            let mut task = pin!(task);
            poll_fn(|context| {
                let polled = task.as_mut().poll(context);
                signal.tell();
                polled
            })
            .await
        });
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").field("streams", &self.streams).finish_non_exhaustive()
    }
}
