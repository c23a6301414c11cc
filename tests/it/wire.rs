//! Upstreams and callers that behave badly on the wire: connections that die, answers that come early, callers that read nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::client::Connection;
use crate::support::message::head_end;
use crate::support::patience::eventually;
use crate::support::rig::Rig;
use crate::support::setup::Setup;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An upstream below HTTP: each connection is handed to `serve` on a thread of its own.
fn raw(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (serve, mut stream) = (Arc::clone(&serve), stream.unwrap());
            std::thread::spawn(move || serve(&mut stream));
        }
    });
    url
}

/// A proxy whose route `/raw` leads to such an upstream.
fn rig(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Rig {
    Setup::new()
        .variable("RAW", raw(serve))
        .more("  raw:\n    match: { path_prefix: /raw }\n    upstream: ${RAW}\n    profile: main\n")
        .start()
}

/// Reads a request head and, in these tests at most one byte, its body; false at the end of the connection.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = head_end(&bytes) {
            let body = usize::from(String::from_utf8_lossy(&bytes).contains("content-length: 1\r\n"));
            if bytes.len() >= end + body {
                return true;
            }
        }
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => bytes.extend_from_slice(&chunk[..read]),
            _ => return false,
        }
    }
}

/// Makes the proxy keep several connections to the upstream.
fn fill_the_pool(rig: &Rig) {
    let mut callers: Vec<_> = (0..5).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        caller.send(rig.request("GET", "/raw", &[], b""));
    }
    for caller in &mut callers {
        assert_eq!(caller.read().status, 200);
    }
}

#[test]
fn a_body_of_unknown_length_goes_with_every_method() {
    let rig = Setup::new().start();
    for method in ["GET", "DELETE", "OPTIONS", "POST"] {
        let head =
            format!("{method} /find HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", rig.address);
        let answer = rig.connect().send(head + "5\r\nhello\r\n0\r\n\r\n").try_read(method).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(rig.upstream.last().text(), "hello", "{method}");
    }
}

#[test]
fn a_repeatable_request_survives_when_every_kept_connection_is_dead() {
    // One answer a connection; the next request on it is read, and the connection closed.
    let rig = rig(|stream| {
        if read_request(stream) {
            std::thread::sleep(Duration::from_millis(50));
            let _ = stream.write_all(OK);
            read_request(stream);
        }
    });
    for (method, body) in [("GET", &b""[..]), ("PUT", b"x")] {
        fill_the_pool(&rig);
        assert_eq!(rig.call(method, "/raw", &[], body).status, 200, "{method}");
    }
}

#[test]
fn a_request_that_got_an_answer_that_is_none_is_not_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let rig = rig(move |stream| {
        for answer in [OK, b"garbage\r\n\r\n"] {
            if read_request(stream) {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(answer);
            }
        }
    });
    assert_eq!(rig.get("/raw").status, 200);
    let answer = rig.call("PUT", "/raw", &[], b"x");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_invalid"));
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[test]
fn an_answer_before_the_end_of_the_upload_reaches_the_caller_although_the_upstream_closes() {
    let rig = rig(|stream| {
        let mut some = [0; 4096];
        let _ = stream.read(&mut some);
        let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
        // What it has not read makes the kernel reset the connection.
    });
    for _ in 0..20 {
        let mut caller = rig.connect();
        caller
            .send(format!("POST /raw HTTP/1.1\r\nHost: {}\r\nContent-Length: 8000000\r\n\r\n", rig.address));
        let mut writing = caller.stream().try_clone().unwrap();
        let upload = std::thread::spawn(move || {
            let chunk = vec![b'x'; 100_000];
            (0..80).try_for_each(|_| writing.write_all(&chunk))
        });
        assert_eq!(caller.try_read("POST").map(|answer| answer.status).unwrap(), 413);
        drop(caller);
        let _ = upload.join().unwrap();
    }
}

#[test]
fn requests_that_were_sent_before_the_order_to_drain_are_answered() {
    let mut rig = Setup::new().start();
    let mut callers: Vec<Connection> = (0..40).map(|_| rig.connect()).collect();
    for caller in &mut callers[..20] {
        assert_eq!(caller.send(rig.request("GET", "/", &[], b"")).read().status, 200);
    }
    callers.extend((0..20).map(|_| rig.connect()));
    for caller in &mut callers {
        caller.send(rig.request("GET", "/", &[], b""));
    }
    rig.drain();
    let lost = callers.iter_mut().filter_map(|caller| caller.try_read("GET").err()).count();
    assert_eq!(lost, 0);
    rig.wait_until_ended(Duration::from_secs(10));
}

#[test]
fn a_caller_that_reads_nothing_is_given_up() {
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let serve = move |stream: &mut TcpStream| {
        if read_request(stream) {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while stream.write_all(&[b'x'; 65536]).is_ok() {}
            count.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let rig = Setup::new()
        .proxy("limits: { idle_timeout: 1s }")
        .variable("RAW", raw(serve))
        .more("  raw:\n    match: { path_prefix: /raw }\n    upstream: ${RAW}\n    profile: main\n")
        .start();
    let mut deaf = rig.connect();
    deaf.send(rig.request("GET", "/raw", &[], b""));
    eventually("the upstream answers", || open.load(Ordering::SeqCst) == 1);
    eventually("the upstream's connection ends", || open.load(Ordering::SeqCst) == 0);
    assert_eq!(rig.metric("sidepass_requests_in_flight", &[]), 0.0);
}
