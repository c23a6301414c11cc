//! A caller's HTTP/1 connection: heads that are none, half-closes, rests, panics, room.

use std::net::Shutdown;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use sidepass::config::server::Limits;
use sidepass::server::Origin;

use crate::server_stand::{Answers, Body, Echo, Stand, limits, text};
use crate::support::client::Connection;
use crate::support::patience::{eventually, eventually_within};

const SECOND: Duration = Duration::from_secs(1);

/// Answers after a while; `/panic` panics, `/never` is never answered.
struct Slow(Duration);

impl Answers for Slow {
    async fn answer(&self, request: Request<Incoming>, _: &Origin) -> Response<Body> {
        match request.uri().path() {
            "/panic" => panic!("on purpose"),
            "/never" => std::future::pending().await,
            _ => tokio::time::sleep(self.0).await,
        }
        Response::new(text("late"))
    }
}

/// The caller's machine resets the connection, as it does for a program that ends with unread bytes.
fn reset_by(caller: Connection) {
    socket2::SockRef::from(caller.stream()).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_head_that_cannot_be_read_is_refused_in_our_words() {
    let stand = Stand::start(Echo, limits());
    let host = stand.address;
    let long = "x".repeat(64 * 1024);
    let fields = "X-A: 1\r\n".repeat(101);
    let table = [
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nX A: 1\r\n\r\n"), 400, "malformed_request"),
        (format!("G@T / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400, "malformed_request"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x00".to_owned(), 400, "malformed_request"),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"), 431, "too_many_headers"),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-A: {long}\r\n\r\n"), 431, "headers_too_large"),
        (format!("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 414, "uri_too_long"),
    ];
    for (head, status, reason) in table {
        let start: String = head.chars().take(40).collect();
        let mut caller = stand.connect();
        let answer = caller.send(&head).read();
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{start}");
        assert!(answer.head.says_close(), "{start}");
        assert!(answer.header("date").is_some(), "{start}");
        assert!(caller.read_to_end().is_empty(), "{start}: and that is all");
        assert_eq!(stand.tally.refused.lock().unwrap().pop(), Some(reason), "counted once");
    }
    assert_eq!(stand.tally.requests(), 0);
}

#[test]
fn a_refusal_is_told_from_the_answer_before_it() {
    let stand = Stand::start(Echo, limits());
    let mut caller = stand.connect();
    assert_eq!(caller.send(stand.get("/first")).read().text(), "/first");
    assert_eq!(caller.send("NO GOOD\r\n\r\n").read().reason(), "malformed_request");
    // Sent together, the refusal may be hyper's own; the answer before it is whole in any case.
    let mut caller = stand.connect();
    caller.send(format!("{}NO GOOD\r\n\r\n", stand.get("/first")));
    assert_eq!(caller.read().text(), "/first");
    assert_eq!(caller.read().status, 400);
    assert!(caller.is_closed());
}

#[test]
fn a_refusal_can_be_read_although_the_caller_goes_on_sending() {
    let stand = Stand::start(Echo, limits());
    for _ in 0..10 {
        let mut caller = stand.connect();
        caller.send("POST / HTTP/1.1\r\nHost: x\r\nX A: 1\r\nContent-Length: 3000000\r\n\r\n");
        let mut writing = caller.stream().try_clone().unwrap();
        let upload =
            std::thread::spawn(move || std::io::Write::write_all(&mut writing, &vec![b'x'; 3_000_000]));
        assert_eq!(caller.read().reason(), "malformed_request");
        upload.join().unwrap().unwrap();
    }
}

#[test]
fn a_length_that_is_given_twice_is_refused_however_it_arrives() {
    let stand = Stand::start(Echo, limits());
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        stand.address
    );
    for piece in [head.len(), 7] {
        let mut caller = stand.connect();
        assert_eq!(caller.send(stand.get("/before")).read().status, 200);
        for piece in head.as_bytes().chunks(piece) {
            caller.send(piece);
            std::thread::sleep(Duration::from_millis(2));
        }
        let answer = caller.read();
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, "transfer_coding"),
            "in pieces of {piece}"
        );
        assert!(caller.read_to_end().is_empty(), "and the connection ends");
    }
    let chunked = head.replace("Content-Length: 5\r\n", "");
    assert_eq!(stand.connect().send(chunked).read().status, 200, "one of both is fine");
}

// B18
#[test]
fn a_caller_that_closes_its_side_still_gets_its_answer() {
    let stand = Stand::start(Slow(SECOND), limits());
    for request in [stand.get("/"), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi".to_owned()] {
        let mut caller = stand.connect();
        caller.send(request);
        caller.stream().shutdown(Shutdown::Write).unwrap();
        assert_eq!(caller.read().text(), "late");
        assert!(caller.is_closed());
    }
}

// B19
#[test]
fn a_caller_that_is_gone_is_noticed_while_its_answer_is_awaited() {
    let stand = Stand::start(Slow(SECOND), limits());
    let reset: Vec<Connection> = (0..20)
        .map(|_| {
            let mut caller = stand.connect();
            caller.send(stand.get("/never"));
            caller
        })
        .collect();
    eventually("they wait", || stand.tally.open() == 20);
    reset.into_iter().for_each(reset_by);
    eventually_within(SECOND * 2, "a reset ends the request", || stand.tally.open() == 0);
    let mut closed = stand.connect();
    closed.send(stand.get("/never"));
    eventually("it waits", || stand.tally.open() == 1);
    drop(closed);
    eventually_within(SECOND * 20, "TCP cannot tell; patience ends", || stand.tally.open() == 0);
    eventually("it is counted", || stand.metric(r#"sidepass_connections_closed_total{cause="gone"}"#) == 1.0);
}

// Where a request fills exactly what was read at once, more may have arrived: the socket is asked, but a moment later.
#[test]
fn a_caller_whose_request_fills_a_read_exactly_is_missed_all_the_same() {
    let stand = Stand::start(Slow(SECOND), limits());
    let mut callers = Vec::new();
    for length in [2047, 2048, 2049, 2048 + 8192] {
        let request = format!("GET /never HTTP/1.1\r\nHost: {}\r\nX-Fill: ", stand.address);
        let fill = "x".repeat(length - request.len() - 4);
        let mut caller = stand.connect();
        caller.send(format!("{request}{fill}\r\n\r\n"));
        callers.push(caller);
    }
    eventually("they wait", || stand.tally.open() == callers.len());
    callers.into_iter().for_each(reset_by);
    eventually_within(SECOND * 2, "a reset ends the request", || stand.tally.open() == 0);
}

#[test]
fn a_connection_that_rests_loses_nothing() {
    let stand = Stand::start(Echo, limits());
    // Each waits a little longer than the one before, so that some meet the very moment of the rest.
    let callers = 150;
    let talk = |n: u64| {
        let mut caller = stand.connect();
        for round in 0..3 {
            let request = format!(
                "POST /{n} HTTP/1.1\r\nHost: {}\r\nContent-Length: 6\r\n\r\n{n:03}{round:03}",
                stand.address
            );
            let (first, rest) = request.split_at((n as usize * 7 + round) % request.len());
            caller.send(first);
            std::thread::sleep(Duration::from_millis(n % 5));
            caller.send(rest);
            let answer = caller.read();
            assert_eq!((answer.status, answer.text()), (200, format!("{n:03}{round:03}")));
            std::thread::sleep(Duration::from_millis(900 + n * 1400 / callers));
        }
    };
    std::thread::scope(|scope| {
        for n in 0..callers {
            let talk = &talk;
            std::thread::Builder::new()
                .name("caller".to_owned())
                .spawn_scoped(scope, move || talk(n))
                .unwrap();
        }
    });
}

#[test]
fn the_half_of_a_head_survives_a_rest_and_is_held_to_its_time() {
    let stand = Stand::start(Echo, Limits { header_timeout: SECOND * 6, ..limits() });
    let mut caller = stand.connect();
    // The second head begins in the same read as the first.
    caller.send(format!("{}GET /second HT", stand.get("/first")));
    assert_eq!(caller.read().text(), "/first");
    std::thread::sleep(SECOND * 3);
    caller.send(format!("TP/1.1\r\nHost: {}\r\n\r\n", stand.address));
    assert_eq!(caller.read().text(), "/second");
    caller.send("GET /third");
    assert!(caller.is_closed());
    eventually("it is counted", || stand.metric(r#"sidepass_connections_closed_total{cause="head"}"#) == 1.0);
}

#[test]
fn a_connection_at_rest_is_closed_when_it_is_time() {
    let stand =
        Stand::start(Echo, Limits { idle_timeout: SECOND * 4, first_byte_timeout: SECOND * 2, ..limits() });
    let mut idle = stand.connect();
    assert_eq!(idle.send(stand.get("/")).read().status, 200);
    assert!(stand.connect().is_closed(), "nothing was said");
    assert!(idle.is_closed());
    for metric in [
        r#"sidepass_connections_closed_total{cause="first_byte"}"#,
        r#"sidepass_connections_closed_total{cause="idle"}"#,
    ] {
        eventually(metric, || stand.metric(metric) == 1.0);
    }
    eventually("its place is free", || stand.metric("sidepass_connections") == 0.0);
    let mut resting = stand.connect();
    assert_eq!(resting.send(stand.get("/")).read().status, 200);
    std::thread::sleep(SECOND * 3);
    stand.drain();
    eventually_within(SECOND, "a drain ends it at once", || stand.is_over());
    assert!(resting.is_closed());
}

#[test]
fn a_panic_ends_one_request() {
    let stand = Stand::start(Slow(Duration::from_millis(300)), limits());
    let mut other = stand.connect();
    other.send(stand.get("/"));
    let mut caller = stand.connect();
    let answer = caller.send(stand.get("/panic")).read();
    assert_eq!((answer.status, answer.reason().as_str()), (500, "internal"));
    assert_eq!(caller.send(stand.get("/")).read().status, 200, "the connection goes on");
    assert_eq!(other.read().status, 200);
    assert_eq!(stand.tally.refused.lock().unwrap().as_slice(), ["internal"]);
}

#[test]
fn when_all_places_are_taken_the_one_that_waits_longest_goes() {
    let stand = Stand::start(Slow(SECOND / 10), Limits { connections: 4, ..limits() });
    let mut idle: Vec<Connection> = (0..4).map(|_| stand.connect()).collect();
    eventually("all are in", || stand.metric("sidepass_connections") == 4.0);
    for _ in 0..8 {
        assert_eq!(
            stand.connect().send(stand.get("/")).read().status,
            200,
            "there is room for who has something to ask"
        );
    }
    assert!(idle[0].is_closed());
    assert!(stand.metric(r#"sidepass_connections_closed_total{cause="crowded"}"#) >= 1.0);
    drop(idle);
    eventually("their places are free", || stand.metric("sidepass_connections") == 0.0);
    let mut busy: Vec<Connection> = (0..4).map(|_| stand.connect()).collect();
    for caller in &mut busy {
        caller.send(stand.get("/never"));
    }
    eventually("all are busy", || stand.tally.open() == 4);
    assert!(stand.connect().is_closed(), "nobody who is being answered is sent away");
    assert_eq!(stand.metric(r#"sidepass_connections_refused_total{cause="connections"}"#), 1.0);
    assert_eq!(stand.tally.open(), 4);
    busy.into_iter().for_each(reset_by);
}

#[test]
fn one_caller_takes_no_more_than_its_share() {
    let stand = Stand::start(Echo, Limits { connections_per_caller: 3, ..limits() });
    let kept: Vec<Connection> = (0..3).map(|_| stand.connect()).collect();
    assert!(stand.connect().is_closed());
    assert_eq!(stand.metric(r#"sidepass_connections_refused_total{cause="connections_per_caller"}"#), 1.0);
    drop(kept);
    eventually("there is room again", || {
        stand.connect().send(stand.get("/")).try_read("GET").is_ok_and(|answer| answer.status == 200)
    });
}
