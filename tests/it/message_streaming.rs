//! Streams that go both ways at once and are silent for long, as gRPC has them: HTTP/2 in front and behind.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::support::http2::{Http2Upstream, Manners};
use crate::support::patience::{eventually, patience};
use crate::support::process::resident;
use crate::support::rig::Rig;
use crate::support::setup::Setup;
use crate::support::streams::{Pieces, pieces};

/// Sends every piece of a body back as it arrives, and trailers when it ends.
async fn echo(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut http = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = http.accept().await {
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    let mut back = respond.send_response(Response::new(()), false).unwrap();
                    while let Some(Ok(piece)) = body.data().await {
                        let _ = body.flow_control().release_capacity(piece.len());
                        let _ = back.send_data(piece, false);
                    }
                    let status =
                        HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                    let _ = back.send_trailers(status);
                });
            }
        });
    }
}

fn rig(upstream: SocketAddr, limits: &str) -> Rig {
    Setup::new()
        .variable("UPSTREAM", format!("http://{upstream}"))
        .route("http2: prior_knowledge")
        .proxy(limits)
        .start()
}

async fn connect(address: SocketAddr) -> SendRequest<Pieces> {
    let stream = TcpStream::connect(address).await.unwrap();
    let http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, driver) = http.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    sender
}

async fn piece(body: &mut Incoming) -> Option<Bytes> {
    body.frame().await?.unwrap().into_data().ok()
}

/// One conversation: a piece comes back before the next is said; silence; and again.
async fn converse(mut sender: SendRequest<Pieces>, address: SocketAddr, name: usize, silence: Duration) {
    let (pen, body) = pieces();
    let target = format!("http://{address}/svc/Method");
    let request = Request::post(target).header("content-type", "application/grpc").header("te", "trailers");
    let response = sender.send_request(request.body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut answer = response.into_body();
    for round in 0..3 {
        for n in 0..50 {
            let text = format!("{name}/{round}/{n}");
            pen.write(&text);
            assert_eq!(piece(&mut answer).await.unwrap(), text);
        }
        tokio::time::sleep(silence).await;
    }
    pen.write("last");
    assert_eq!(piece(&mut answer).await.unwrap(), "last");
    drop(pen);
    let trailers = answer.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

// G 36: streaming both ways; and a connection that is quiet but in use is not idle
#[test]
fn streams_go_both_ways_at_once_and_survive_long_silence() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let upstream = listener.local_addr().unwrap();
    runtime.spawn(echo(listener));
    let rig = rig(upstream, "limits: { idle_timeout: 1s, header_timeout: 1s, first_byte_timeout: 1s }");
    let address = rig.address;
    runtime.block_on(async {
        let sender = connect(address).await;
        let talks: Vec<_> = (0..10)
            .map(|n| tokio::spawn(converse(sender.clone(), address, n, Duration::from_secs(4))))
            .collect();
        for talk in talks {
            tokio::time::timeout(patience() * 3, talk).await.expect("in time").unwrap();
        }
    });
    eventually("nothing is left", || rig.metric("sidepass_requests_in_flight", &[]) == 0.0);
    drop(rig);
}

// G 17 (B36) over HTTP/2
#[test]
fn callers_that_read_nothing_cost_little_memory_over_http2_too() {
    let size = 64 << 20;
    let upstream = Http2Upstream::start(Manners { body: size, ..Manners::default() });
    let mut rig = Setup::new()
        .variable("UPSTREAM", format!("http://{}", upstream.address()))
        .route("http2: prior_knowledge")
        .start_process();
    let process = rig.process().id();
    let before = resident(process);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = rig.address;
    let deaf = runtime.block_on(async {
        let mut deaf = Vec::new();
        for _ in 0..5 {
            let mut sender = connect(address).await;
            for _ in 0..4 {
                let request = Request::get(format!("http://{address}/")).body(pieces().1).unwrap();
                deaf.push(sender.send_request(request).await.unwrap());
            }
        }
        // Their windows are used up; after that nothing is read from the sockets either.
        tokio::time::sleep(Duration::from_millis(300)).await;
        deaf
    });
    let mut last = 0;
    eventually("it comes to a halt", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = resident(process);
        std::mem::replace(&mut last, now) == now
    });
    assert!(last - before < 32 << 10, "twenty deaf callers cost {} KiB", last - before);
    drop((deaf, runtime));
    eventually("nothing is left", || rig.metric("sidepass_requests_in_flight", &[]) == 0.0);
}
