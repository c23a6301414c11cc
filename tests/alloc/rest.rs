//! What a connection costs while nothing is asked on it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use sidepass::config::server::Limits;
use sidepass::config::{Access, ListenAddress};
use sidepass::error::ProxyError;
use sidepass::guard::Guard;
use sidepass::server::{self, Handler, Intake, Origin, Slots, listen};
use sidepass::shutdown;
use tokio::runtime::{Builder, LocalOptions};
use tokio::time::Instant;

const CONNECTIONS: usize = 300;

/// A task, the runtime's entry for a socket, and what is known of the caller: together about 850 bytes.
const ENOUGH: i64 = 1024;

struct Plain;

impl Handler for Plain {
    type Body = Full<Bytes>;

    async fn handle(&self, _: Request<Incoming>, _: &Origin) -> Response<Self::Body> {
        Response::new(Full::from("ok"))
    }

    fn refuse(&self, error: &ProxyError, _: &Origin, _: &str) -> Response<Bytes> {
        error.response(None, "0")
    }

    fn body(text: Bytes) -> Self::Body {
        Full::from(text)
    }
}

fn limits() -> Limits {
    let long = Duration::from_secs(60);
    Limits {
        connections: 1000,
        connections_per_caller: 0,
        header_bytes: 16 * 1024,
        headers: 100,
        uri_bytes: 4096,
        body_bytes: 0,
        streams: 8,
        pending_resets: 20,
        first_byte_timeout: long,
        header_timeout: long,
        idle_timeout: long,
    }
}

/// Connections that have each got an answer.
fn ask(address: SocketAddr) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        let filler = "x".repeat(1000);
        write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nX-Filler: {filler}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") {
            let mut some = [0; 512];
            let count = stream.read(&mut some).unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&some[..count]);
        }
        stream
    };
    (0..CONNECTIONS).map(one).collect()
}

#[test]
fn a_connection_that_has_asked_and_rests_costs_less_than_a_kilobyte() {
    let address = ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    let (guard, _) = Guard::new(&address, &Access::Open, Arc::default(), &limits());
    let socket = listen::bind(&address).unwrap().remove(0);
    let bound = socket.address().unwrap();
    let asked = AtomicBool::new(false);
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    std::thread::scope(|scope| {
        let callers = scope.spawn(|| {
            let held = ask(bound);
            asked.store(true, Ordering::SeqCst);
            held
        });
        let (_handle, stop) = shutdown::channel();
        let intake = Intake::Listeners(vec![(socket, Arc::new(guard))], Slots::new(1000));
        let work = server::serve(intake, Rc::new(Plain), limits(), stop);
        let started = Instant::now();
        let mut kept = 0;
        runtime.block_on(async {
            tokio::task::spawn_local(work);
        });
        // Until the last of them rests, which takes a second or two.
        while !asked.load(Ordering::SeqCst) || kept > ENOUGH * CONNECTIONS as i64 {
            assert!(started.elapsed() < Duration::from_secs(20), "{} bytes each", kept / CONNECTIONS as i64);
            let some_time = async || tokio::time::sleep(Duration::from_millis(50)).await;
            kept += allocation_counter::measure(|| runtime.block_on(some_time())).bytes_current;
        }
        assert!(kept > 0, "nothing was counted");
        drop(callers.join().unwrap());
    });
}
