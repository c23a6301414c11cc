//! Requests to an upstream that speaks HTTP/2: shared connections, limits, GOAWAY, refused streams, cancelling.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sidepass::config::route::{Http2, RouteConfig};
use tokio::time::Instant;

use crate::support::client::{self, Connection};
use crate::support::gate::Gate;
use crate::support::http2::{Http2Upstream, Manners};
use crate::support::leaks;
use crate::support::patience::{eventually, patience};
use crate::support::raw_http2::{self, Action, RawHttp2};
use crate::support::rig::Rig;
use crate::support::setup::Setup;

/// A rig whose route `main` leads to this address, over HTTP/2 without TLS.
fn rig(address: SocketAddr, adjust: impl FnOnce(&mut RouteConfig) + 'static) -> Rig {
    Setup::new()
        .variable("UPSTREAM", format!("http://{address}"))
        .adjust(|config| {
            config.routes[0].http2 = Http2::PriorKnowledge;
            adjust(&mut config.routes[0]);
        })
        .start()
}

/// So many requests at a time, sent before one is answered.
fn together(rig: &Rig, count: usize) -> Vec<Connection> {
    let mut callers: Vec<_> = (0..count).map(|_| rig.connect()).collect();
    for (n, caller) in callers.iter_mut().enumerate() {
        caller.send(rig.request("GET", &format!("/{n}"), &[], b""));
    }
    callers
}

#[test]
fn a_request_over_http_2_says_what_it_says_over_http_1() {
    let upstream = Http2Upstream::start(Manners::default());
    let rig = rig(upstream.address(), |_| {});
    let sent = [("TE", "gzip"), ("X-One", "1"), ("X-One", "2"), ("Keep-Alive", "timeout=5")];
    let answer = rig.call("POST", "/a%20b?c=%2F", &sent, b"body");
    assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
    let seen = upstream.seen().remove(0);
    assert_eq!(seen.head, format!("POST http://{}/a%20b?c=%2F HTTP/2.0", upstream.address()));
    assert_eq!(seen.authority, upstream.address().to_string());
    assert_eq!(seen.body, b"body");
    assert_eq!(seen.headers.get_all("x-one").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert!(seen.headers["authorization"].to_str().unwrap().starts_with("Bearer "));
    for name in ["host", "te", "keep-alive", "connection", "transfer-encoding"] {
        assert!(!seen.headers.contains_key(name), "{name} belongs to another protocol");
    }
}

#[test]
fn no_length_is_made_up_for_a_request_without_a_body() {
    let upstream = Http2Upstream::start(Manners::default());
    let rig = rig(upstream.address(), |_| {});
    assert_eq!(rig.call("OPTIONS", "/", &[], b"").status, 200);
    assert!(!upstream.seen().remove(0).headers.contains_key("content-length"));
}

#[test]
fn callers_that_come_together_share_one_dial_and_one_connection() {
    let gate = Gate::closed();
    let upstream = Http2Upstream::start(Manners { gate: Some(gate.clone()), ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    let callers = together(&rig, 60);
    eventually("all are there", || upstream.seen().len() == 60);
    assert_eq!(upstream.connections(), 1);
    gate.open();
    for mut caller in callers {
        assert_eq!(caller.read().status, 200);
    }
}

#[test]
fn a_dial_outlives_the_caller_who_asked_for_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = rig(listener.local_addr().unwrap(), |_| {});
    let mut first = rig.connect();
    first.send(rig.request("GET", "/first", &[], b""));
    let (dialled, _) = listener.accept().unwrap();
    let mut second = rig.connect();
    second.send(rig.request("GET", "/second", &[], b""));
    first.reset();
    let answers = std::thread::spawn(move || raw_http2::serve(dialled, Action::Answer));
    assert_eq!(second.read().status, 200);
    drop(second);
    drop(rig);
    assert_eq!(answers.join().unwrap(), 1, "one connection, one request: the other caller is gone");
}

#[test]
fn streams_stay_below_what_either_side_allows() {
    for (says, setting, connections) in [(Some(4), 100, 3), (None, 6, 2), (Some(1), 100, 12)] {
        let gate = Gate::closed();
        let manners = Manners { gate: Some(gate.clone()), streams: says, ..Manners::default() };
        let upstream = Http2Upstream::start(manners);
        let rig = rig(upstream.address(), move |route| route.pool.streams = setting);
        let callers = together(&rig, 12);
        eventually("all are there", || upstream.seen().len() == 12);
        assert_eq!(upstream.connections(), connections, "the upstream says {says:?}, the route {setting}");
        gate.open();
        for mut caller in callers {
            assert_eq!(caller.read().status, 200);
        }
    }
}

// G 31 (B21): GOAWAY every few streams, under load
#[test]
fn an_upstream_that_says_goaway_again_and_again_costs_no_request() {
    let upstream = Http2Upstream::start(Manners { goaway_after: Some(20), ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    let address = rig.address;
    let load = |worker: usize| {
        let mut caller = Connection::open(address);
        for n in 0..50 {
            let id = format!("{worker}-{n}");
            let (method, body): (_, &[u8]) = if n % 2 == 0 { ("GET", b"") } else { ("POST", b"twice?") };
            caller.send(client::request(address, method, "/", &[("X-Test-Id", &id)], body));
            assert_eq!(caller.try_read(method).unwrap().status, 200, "{method} {id}");
        }
    };
    std::thread::scope(|scope| {
        for worker in 0..16 {
            scope.spawn(move || load(worker));
        }
    });
    let mut times = BTreeMap::new();
    for seen in upstream.seen() {
        *times.entry(seen.headers["x-test-id"].to_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(times.len(), 800);
    assert!(times.values().all(|count| *count == 1), "executed twice: {times:?}");
    assert!(upstream.connections() > 20);
}

// G 31 (B21): REFUSED_STREAM
#[test]
fn a_refused_stream_is_sent_again_whatever_its_method() {
    let upstream = Http2Upstream::start(Manners { refuses: 3, ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    assert_eq!(rig.post("/", b"a body that was kept").status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1, "executed once");
    assert_eq!(seen[0].body, b"a body that was kept");
    assert_eq!(rig.metric("sidepass_replays_total", &["cause=\"stale_connection\""]), 3.0);
}

#[test]
fn a_refused_stream_is_sent_again_where_no_credential_is_added_too() {
    let upstream = Http2Upstream::start(Manners { refuses: 2, ..Manners::default() });
    let rig = rig(upstream.address(), |route| {
        route.profile = None;
        route.headers.clear();
    });
    assert_eq!(rig.post("/", b"a body that was kept").status, 200);
    assert_eq!(upstream.seen().len(), 1, "executed once");
}

#[test]
fn an_upstream_that_refuses_for_ever_is_not_asked_for_ever() {
    let upstream = Http2Upstream::start(Manners { refuses: usize::MAX, ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    assert_eq!(rig.get("/").status, 502);
    assert_eq!(upstream.seen().len(), 0);
}

// G 31 (B21): GOAWAY that excludes the stream, written by hand
#[test]
fn a_stream_above_the_last_one_of_a_goaway_is_sent_again_even_as_a_post() {
    let upstream = RawHttp2::start(|request, stream| match request {
        0 => Action::Goaway { last: 0, error: 0 },
        _ => Action::Answer(stream),
    });
    let rig = rig(upstream.address, |_| {});
    assert_eq!(rig.post("/", b"once").status, 200);
}

#[test]
fn a_stream_that_goaway_includes_is_not_sent_again_as_a_post() {
    // NO_ERROR, INTERNAL_ERROR, ENHANCE_YOUR_CALM
    for error in [0, 2, 11] {
        let upstream = RawHttp2::start(move |request, stream| match request {
            0 => Action::Goaway { last: stream, error },
            _ => Action::Answer(stream),
        });
        let rig = rig(upstream.address, |_| {});
        let answer = rig.post("/", b"once");
        assert_eq!(answer.status, 502, "GOAWAY with error {error}");
        assert_eq!(answer.reason(), "upstream_closed", "GOAWAY with error {error}");
    }
}

#[test]
fn an_upstream_that_says_goaway_before_anything_else_is_not_dialled_for_ever() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = rig(listener.local_addr().unwrap(), |_| {});
    let dials = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&dials);
    std::thread::spawn(move || {
        let goaway = raw_http2::frame(7, 0, 0, &[0; 8]);
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut preface = [0; 24];
            let _ = stream.read_exact(&mut preface);
            let _ = stream.write_all(&[raw_http2::frame(4, 0, 0, &[]), goaway.clone()].concat());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            // Until the other side has closed as well: a reset might overtake the frames.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    for _ in 0..20 {
        assert_eq!(rig.get("/").status, 502);
    }
    let dials = dials.load(Ordering::SeqCst);
    assert!(dials <= 200, "20 requests dialled {dials} times");
}

// G 31 (B22)
#[test]
fn a_connection_lost_with_requests_on_it_repeats_only_what_may_be_repeated() {
    let upstream = Http2Upstream::start(Manners { drops: 2, ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    let id = leaks::number().to_string();
    assert_eq!(rig.call("POST", "/", &[("X-Test-Id", &id)], b"once").status, 502);
    assert_eq!(upstream.seen().len(), 1);
    // The connection of the first is gone, so this one has a new one: it was not about to be closed.
    assert_eq!(rig.get("/").status, 502);
    assert_eq!(rig.get("/").status, 200);
}

#[test]
fn a_kept_connection_that_is_lost_costs_an_idempotent_request_nothing() {
    let upstream = RawHttp2::start(|request, stream| match request {
        1 => Action::Close,
        _ => Action::Answer(stream),
    });
    let rig = rig(upstream.address, |_| {});
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_caller_that_leaves_resets_its_stream_and_no_other() {
    let gate = Gate::closed();
    let upstream = Http2Upstream::start(Manners { gate: Some(gate.clone()), ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    let mut callers = together(&rig, 3);
    eventually("all are there", || upstream.seen().len() == 3);
    callers.pop().unwrap().reset();
    eventually("its stream is reset", || upstream.resets() == 1);
    gate.open();
    for mut caller in callers {
        assert_eq!(caller.read().status, 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_megabyte_arrives_whole_beside_a_caller_who_does_not_read() {
    let size = 3 << 20;
    let upstream = Http2Upstream::start(Manners { body: size, ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    let lazy = together(&rig, 8);
    for _ in 0..3 {
        assert_eq!(rig.get("/").body.len(), size);
    }
    drop(lazy);
}

#[test]
fn an_upstream_that_speaks_something_else_is_an_error_and_is_sent_no_request() {
    let setup = Setup::new().adjust(|config| config.routes[0].http2 = Http2::PriorKnowledge);
    let rig = setup.start();
    let answer = rig.get("/");
    assert_eq!(answer.status, 502);
    assert!(!answer.reason().is_empty());
    assert!(rig.upstream.seen().iter().all(|seen| ["PRI", "SM"].contains(&seen.method())), "the preface");
}

#[test]
fn an_upstream_that_says_nothing_is_given_up_by_everybody_who_waits_for_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = rig(listener.local_addr().unwrap(), |route| {
        route.timeouts.connect = Duration::from_millis(300);
    });
    let mut callers = together(&rig, 5);
    for caller in &mut callers {
        let answer = caller.read();
        assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_connect_timeout"));
    }
    let (mut dialled, _) = listener.accept().unwrap();
    let mut rest = Vec::new();
    dialled.read_to_end(&mut rest).unwrap();
    assert!(rest.starts_with(b"PRI * HTTP/2.0\r\n"), "closed after the preface");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "one dial for all");
}

#[test]
fn a_head_over_http_2_that_is_too_large_is_refused() {
    let upstream = Http2Upstream::start(Manners { field: 80_000, ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_headers_too_large"));
}

#[test]
fn an_idle_connection_is_closed_and_an_old_one_takes_no_more_requests() {
    let upstream = Http2Upstream::start(Manners::default());
    let rig = rig(upstream.address(), |route| {
        route.pool.max_age = Duration::from_millis(300);
        route.pool.idle_timeout = Duration::from_secs(1);
    });
    assert_eq!(rig.get("/").status, 200);
    eventually("an old connection is not used", || {
        assert_eq!(rig.get("/").status, 200);
        upstream.connections() > 1
    });
    eventually("idle connections are closed", || upstream.open() == 0);
}

#[test]
fn an_upload_stops_when_its_answer_is_over() {
    let upstream = Http2Upstream::start(Manners { early: true, ..Manners::default() });
    let rig = rig(upstream.address(), |_| {});
    let head = format!("POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", rig.address);
    // A caller that falls silent, and one that goes on as long as it can.
    for goes_on in [false, true] {
        let before = upstream.resets();
        let mut caller = rig.connect();
        caller.send(format!("{head}5\r\nhello\r\n"));
        assert_eq!(caller.read().status, 200);
        let start = Instant::now();
        while upstream.resets() == before {
            assert!(start.elapsed() < patience(), "the upload goes on (more comes: {goes_on})");
            if goes_on {
                let _ = caller.stream().write_all(b"5\r\nhello\r\n");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(upstream.connections(), 1, "the connection goes on");
}

#[test]
fn an_answer_with_a_name_that_is_no_token_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = rig(listener.local_addr().unwrap(), |_| {});
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read_exact(&mut [0; 24]);
            // `:status: 200`, and a literal `x"a: 1`.
            let head = raw_http2::frame(1, 5, 1, b"\x88\x00\x03x\"a\x011");
            let _ =
                stream.write_all(&[raw_http2::frame(4, 0, 0, &[]), raw_http2::frame(4, 1, 0, &[])].concat());
            let mut frame = [0; 9];
            while stream.read_exact(&mut frame).is_ok() {
                let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
                let _ = stream.read_exact(&mut vec![0; length as usize]);
                if frame[3] == 1 {
                    let _ = stream.write_all(&head);
                }
            }
        }
    });
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_invalid"));
}
