//! Callers from other machines, whom a test on loopback cannot be: their address is made up.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::config::{Access, ListenAddress};

/// Answers `/` at once, everything else never.
#[derive(Default)]
struct Paths {
    open: Cell<usize>,
    seen: Cell<usize>,
}

struct Counted<'a>(&'a Cell<usize>);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Handler for Paths {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, origin: &Origin) -> Response<Self::Body> {
        assert!(!origin.caller.is_local());
        self.seen.set(self.seen.get() + 1);
        self.open.set(self.open.get() + 1);
        let _open = Counted(&self.open);
        if request.uri().path() != "/" {
            std::future::pending::<()>().await;
        }
        Response::new(Full::from("answered"))
    }

    fn refuse(&self, error: &ProxyError, _: &Origin, _: &str) -> Response<Bytes> {
        error.response(None, "0")
    }

    fn body(text: Bytes) -> Self::Body {
        Full::from(text)
    }
}

/// A connection from 203.0.113.9 (TEST-NET-3), being served; and the caller's end of it.
async fn connect(handler: &Rc<Paths>, slots: &slots::Door, watch: &Watch, limits: &Limits) -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let peer = Some(SocketAddr::from((Ipv4Addr::new(203, 0, 113, 9), 4000)));
    let (guard, _) = Guard::new(
        &ListenAddress::Tcp((Ipv4Addr::UNSPECIFIED, 0).into()),
        &Access::Open,
        Arc::default(),
        limits,
    );
    let accepted = Accepted {
        stream: Stream::Tcp(listener.accept().await.unwrap().0),
        caller: Caller::new(peer),
        guard: Arc::new(guard),
        slot: slots.let_in(peer).unwrap(),
        load: None,
    };
    let protocols = Rc::new(connection::Protocols::new(limits));
    tokio::task::spawn_local(connection::run(accepted, protocols, Rc::clone(handler), watch.add()));
    caller
}

fn within_a_server(work: impl AsyncFnOnce(Rc<Paths>, slots::Door, Watch, Limits)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    let limits = Limits {
        connections: 10,
        connections_per_caller: 2,
        header_bytes: 16 * 1024,
        headers: 100,
        uri_bytes: 4096,
        body_bytes: 0,
        streams: 8,
        pending_resets: 20,
        first_byte_timeout: Duration::from_secs(30),
        header_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(30),
    };
    let metrics = Arc::new(crate::metrics::Metrics::new().unwrap());
    let door = slots::Door::new(Slots::counted(10, 2, metrics));
    let work = work(Rc::default(), door, Watch::new(&limits), limits);
    runtime.block_on(async { timeout(Duration::from_secs(10), work).await.expect("in time") });
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_remote_caller_that_closes_its_side_is_gone_at_once() {
    within_a_server(async |handler, door, watch, limits| {
        let mut caller = connect(&handler, &door, &watch, &limits).await;
        caller.write_all(b"GET /wait HTTP/1.1\r\nHost: sidepass\r\n\r\n").await.unwrap();
        until(|| handler.open.get() == 1).await;
        // No tick of the watch is needed for this.
        caller.shutdown().await.unwrap();
        until(|| handler.open.get() == 0 && watch.is_empty()).await;
    });
}

#[test]
fn a_remote_caller_is_answered_rests_and_is_answered_again() {
    within_a_server(async |handler, door, watch, limits| {
        let mut caller = connect(&handler, &door, &watch, &limits).await;
        for round in 1..=3 {
            caller.write_all(b"GET / HTTP/1.1\r\nHost: sidepass\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"answered") {
                assert!(caller.read_buf(&mut answer).await.unwrap() > 0);
            }
            assert_eq!(handler.seen.get(), round);
            // It rests after two ticks.
            for _ in 0..3 {
                watch.tick();
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn a_remote_caller_has_its_share_of_places_until_it_leaves() {
    within_a_server(async |handler, door, watch, limits| {
        let first = connect(&handler, &door, &watch, &limits).await;
        let _second = connect(&handler, &door, &watch, &limits).await;
        let peer = Some(SocketAddr::from((Ipv4Addr::new(203, 0, 113, 9), 4001)));
        assert_eq!(door.let_in(peer).unwrap_err(), Refused::PerCaller);
        drop(first);
        until(|| door.let_in(peer).is_ok()).await;
    });
}
