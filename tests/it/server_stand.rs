//! A server with a handler of the test's own, on a thread: for what the proxy's configuration cannot reach.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use sidepass::config::server::Limits;
use sidepass::config::{Access, ListenAddress};
use sidepass::error::ProxyError;
use sidepass::guard::Guard;
use sidepass::metrics::{self, Metrics};
use sidepass::server::listen::{self, Socket};
use sidepass::server::{self, Handler, Intake, Origin, Slots};
use sidepass::shutdown;

use crate::support::client::Connection;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A text as a body.
pub(crate) fn text(text: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What a test's handler does with a request.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Answers one request.
    fn answer(&self, request: Request<Incoming>, origin: &Origin) -> impl Future<Output = Response<Body>>;
}

/// Small limits, seconds where there is a time.
pub(crate) fn limits() -> Limits {
    Limits {
        connections: 1000,
        connections_per_caller: 0,
        header_bytes: 16 * 1024,
        headers: 100,
        uri_bytes: 4096,
        body_bytes: 0,
        streams: 8,
        pending_resets: 20,
        first_byte_timeout: Duration::from_secs(30),
        header_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(30),
    }
}

/// What a handler has seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests being answered.
    pub(crate) open: AtomicUsize,
    /// Requests so far.
    pub(crate) requests: AtomicUsize,
    /// Reasons of what was refused before it was a request.
    pub(crate) refused: Mutex<Vec<&'static str>>,
}

impl Tally {
    /// Requests being answered.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Adapter<A>(A, Arc<Tally>);

impl<A: Answers> Handler for Adapter<A> {
    type Body = Body;

    async fn handle(&self, request: Request<Incoming>, origin: &Origin) -> Response<Body> {
        self.1.requests.fetch_add(1, Ordering::SeqCst);
        self.1.open.fetch_add(1, Ordering::SeqCst);
        let _open = Counted(&self.1.open);
        self.0.answer(request, origin).await
    }

    fn refuse(&self, error: &ProxyError, _: &Origin, _: &str) -> Response<Bytes> {
        self.1.refused.lock().unwrap().push(error.reason());
        error.response(None, "0123456789abcdef")
    }

    fn body(body: Bytes) -> Body {
        text(body)
    }
}

/// A server that runs.
pub(crate) struct Stand {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What its handler has seen.
    pub(crate) tally: Arc<Tally>,
    metrics: Arc<Metrics>,
    stop: shutdown::Handle,
    thread: Option<JoinHandle<()>>,
}

impl Stand {
    /// Serves with this handler within these limits.
    pub(crate) fn start(answers: impl Answers, limits: Limits) -> Self {
        Self::start_on(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()), answers, limits)
    }

    /// The same on this address; [`Stand::address`] says nothing about a Unix socket.
    pub(crate) fn start_on(address: ListenAddress, answers: impl Answers, limits: Limits) -> Self {
        let socket = listen::bind(&address).unwrap().pop().unwrap();
        let (guard, _) = Guard::new(&address, &Access::Local, Arc::default(), &limits);
        let address = Socket::address(&socket).unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into());
        let (tally, metrics) = (Arc::<Tally>::default(), Arc::new(Metrics::new().unwrap()));
        let slots = Slots::counted(limits.connections, limits.connections_per_caller, Arc::clone(&metrics));
        let (stop, stopped) = shutdown::channel();
        let seen = Arc::clone(&tally);
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default())
                .unwrap();
            let intake = Intake::Listeners(vec![(socket, Arc::new(guard))], slots);
            runtime.block_on(server::serve(intake, Rc::new(Adapter(answers, seen)), limits, stopped));
        };
        // Not a name that the scanner takes for a thread of the program: some handlers panic on purpose.
        let thread = std::thread::Builder::new().name("caller".to_owned()).spawn(serve).unwrap();
        Self { address, tally, metrics, stop, thread: Some(thread) }
    }

    /// A connection of a caller.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// The bytes of a GET.
    pub(crate) fn get(&self, target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)
    }

    /// A sample of a metric, by its name with labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = String::from_utf8(self.metrics.render()).unwrap();
        metrics::samples(&page).get(name).copied().unwrap_or(0.0)
    }

    /// Orders it to drain.
    pub(crate) fn drain(&self) {
        self.stop.drain();
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop.drain();
        if !std::thread::panicking()
            && let Some(thread) = self.thread.take()
        {
            crate::support::patience::eventually("the server has ended", || thread.is_finished());
            thread.join().unwrap();
        }
    }
}

/// Answers everything at once: the body of the request, or its path.
pub(crate) struct Echo;

impl Answers for Echo {
    async fn answer(&self, request: Request<Incoming>, _: &Origin) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match request.into_body().collect().await.map(http_body_util::Collected::to_bytes) {
            Ok(body) if body.is_empty() => Response::new(text(path)),
            Ok(body) => Response::new(text(body)),
            Err(_) => {
                let mut response = Response::new(text("broken"));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        }
    }
}
