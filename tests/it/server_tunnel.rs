//! What a connection carries after a 101, relayed by a handler that dials an upstream of the test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sidepass::forward::tunnel::Tunnel;
use sidepass::server::Origin;

use crate::server_stand::{Answers, Body, Stand, limits, text};
use crate::support::client::Connection;
use crate::support::patience::{eventually, eventually_within, patience};

const SECOND: Duration = Duration::from_secs(1);

/// Makes every request a tunnel to an upstream that answers 101.
struct Tunnels {
    upstream: SocketAddr,
    idle: Duration,
}

impl Answers for Tunnels {
    async fn answer(&self, request: Request<Incoming>, origin: &Origin) -> Response<Body> {
        let stream = tokio::net::TcpStream::connect(self.upstream).await.unwrap();
        let (mut send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::task::spawn_local(connection.with_upgrades());
        let path = request.uri().path().to_owned();
        let request =
            Request::get(path).header(CONNECTION, "upgrade").header(UPGRADE, "echo").body(text("")).unwrap();
        let mut response = send.send_request(request).await.unwrap();
        let upstream = Box::new(TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap()));
        origin.sequel.set_tunnel(Tunnel { upstream, idle: self.idle, held: Box::new(()) });
        let mut response = Response::new(text(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
        response
    }
}

/// An upstream that switches protocols and then hands its side over.
fn upstream() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    (listener.local_addr().unwrap(), listener)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello").unwrap();
    stream
}

fn open(stand: &Stand, listener: &TcpListener) -> (Connection, TcpStream) {
    let mut caller = stand.connect();
    // The first bytes come with the request: they wait for the 101.
    caller.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly");
    let mut upstream = accept(listener);
    assert_eq!(caller.read_head().unwrap().word(1), "101");
    assert_eq!(caller.read_bytes(5).unwrap(), b"hello");
    let mut early = [0; 5];
    upstream.read_exact(&mut early).unwrap();
    assert_eq!(&early, b"early");
    (caller, upstream)
}

#[test]
fn bytes_go_both_ways_and_a_half_close_goes_through() {
    let (address, listener) = upstream();
    let stand = Stand::start(Tunnels { upstream: address, idle: Duration::ZERO }, limits());
    let (mut caller, mut upstream) = open(&stand, &listener);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    let mut writing = caller.stream().try_clone().unwrap();
    let bytes = sent.clone();
    let write = std::thread::spawn(move || {
        writing.write_all(&bytes).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    upstream.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "every byte, in order");
    write.join().unwrap();
    // The other way is still open.
    upstream.write_all(b"bye").unwrap();
    drop(upstream);
    assert_eq!(caller.read_to_end(), b"bye");
    drop(caller);
    eventually("its place is free", || stand.metric("sidepass_connections") == 0.0);
}

#[test]
fn the_end_of_one_side_is_the_end_of_the_other() {
    let (address, listener) = upstream();
    let stand = Stand::start(Tunnels { upstream: address, idle: Duration::ZERO }, limits());
    let (caller, mut upstream) = open(&stand, &listener);
    socket2::SockRef::from(caller.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(caller);
    let mut rest = Vec::new();
    let _ = upstream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    let (mut caller, upstream) = open(&stand, &listener);
    socket2::SockRef::from(&upstream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(upstream);
    assert!(caller.is_closed());
}

#[test]
fn a_silent_tunnel_ends_when_it_is_time_and_one_that_speaks_does_not() {
    let (address, listener) = upstream();
    let stand = Stand::start(Tunnels { upstream: address, idle: SECOND * 2 }, limits());
    let (mut silent, _one) = open(&stand, &listener);
    let (mut speaking, mut other) = open(&stand, &listener);
    let talk = std::thread::spawn(move || {
        for _ in 0..25 {
            other.write_all(b".").unwrap();
            std::thread::sleep(SECOND / 5);
        }
    });
    assert!(silent.is_closed());
    assert_eq!(speaking.read_bytes(25).unwrap().len().min(1), 1);
    eventually("it speaks to its end", || talk.is_finished());
    talk.join().unwrap();
    assert_eq!(stand.metric(r#"sidepass_connections_closed_total{cause="tunnel_idle"}"#), 1.0);
}

// B27
#[test]
fn a_drain_gives_both_ends_of_a_tunnel_an_end() {
    let (address, listener) = upstream();
    let stand = Stand::start(Tunnels { upstream: address, idle: Duration::ZERO }, limits());
    let (mut caller, mut upstream) = open(&stand, &listener);
    stand.drain();
    assert!(caller.is_closed());
    let mut rest = Vec::new();
    assert_eq!(upstream.read_to_end(&mut rest).unwrap(), 0, "an end, not a reset");
    drop(caller);
    eventually_within(SECOND * 2, "and that is all", || stand.is_over());
}
