//! Offers to switch protocols, and what becomes of a 101 (B6, B13).

use std::time::Duration;

use crate::support::patience::eventually;
use crate::support::reply::{Reply, Step};
use crate::support::rig::Rig;
use crate::support::server::Seen;
use crate::support::setup::Setup;

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";

/// The bytes of an offer with these fields.
fn offer(rig: &Rig, fields: &str) -> String {
    format!("GET /chat HTTP/1.1\r\nHost: {}\r\nSec-WebSocket-Key: abc\r\n{fields}\r\n", rig.address)
}

/// What the upstream saw of it, which answers 200.
fn offered(rig: &Rig, fields: &str) -> Seen {
    let answer = rig.connect().send(offer(rig, fields)).read();
    assert_eq!(answer.status, 200, "{fields}");
    rig.upstream.last()
}

#[test]
fn an_offer_that_the_route_allows_is_made_to_the_upstream() {
    let rig = Setup::new().start();
    let seen = offered(&rig, "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n");
    assert_eq!((seen.head.all("connection"), seen.head.all("upgrade")), (vec!["upgrade"], vec!["WebSocket"]));
    assert_eq!(seen.header("sec-websocket-key"), Some("abc"));
}

#[test]
fn any_other_offer_is_dropped_and_the_request_is_an_ordinary_one() {
    let rig = Setup::new()
        .more("  none:\n    match: { path_prefix: /none }\n    upstream: ${UPSTREAM}\n    profile: main\n    upgrades: []\n")
        .start();
    let dropped = [
        "Connection: Upgrade\r\nUpgrade: foo\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, foo\r\n",
        "Connection: Upgrade\r\nUpgrade: foo\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket/13\r\n",
    ];
    for fields in dropped {
        let seen = offered(&rig, fields);
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(seen.header(name), None, "{name} of {fields}");
        }
    }
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    rig.connect().send(offer(&rig, fields).replace("/chat", "/none")).read();
    assert_eq!(rig.upstream.last().header("upgrade"), None, "the route allows none");
    rig.connect().send(offer(&rig, fields).replace("HTTP/1.1", "HTTP/1.0")).read();
    assert_eq!(rig.upstream.last().header("upgrade"), None, "RFC 9110 §7.8: ignored from HTTP/1.0");
    let with_body = offer(&rig, &format!("{fields}Content-Length: 2\r\n")).replace("GET", "PUT") + "hi";
    assert_eq!(rig.connect().send(with_body).read().status, 200);
    assert_eq!((rig.upstream.last().header("upgrade"), rig.upstream.last().text().as_str()), (None, "hi"));
}

#[test]
fn an_offer_that_is_declined_is_answered_and_what_follows_is_http() {
    let rig = Setup::new().start();
    rig.upstream.script([Reply::new(403, &[("Upgrade", "websocket")], "no")]);
    let mut caller = rig.connect();
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    caller.send(offer(&rig, fields) + &offer(&rig, "").replace("/chat", "/next"));
    let answer = caller.read();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    assert_eq!(answer.header("upgrade"), None);
    assert_eq!(caller.read().status, 200);
    assert_eq!(rig.upstream.last().target(), "/next", "parsed and routed");
}

#[test]
fn a_rejected_token_is_replaced_before_an_upgrade_too() {
    let rig = Setup::new().rate(8).start();
    rig.upstream.script([crate::support::upstream::refusal()]);
    let seen = offered(&rig, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!((seen.number, seen.header("upgrade")), (1, Some("websocket")));
}

#[test]
fn a_101_that_nobody_asked_for_is_an_error() {
    let rig = Setup::new().start();
    for fields in ["", "Connection: Upgrade\r\nUpgrade: foo\r\n"] {
        rig.upstream.script([Reply::raw(ACCEPTED)]);
        let answer = rig.connect().send(offer(&rig, fields)).read();
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_invalid"), "{fields}");
    }
    for other in [ACCEPTED.replace("websocket", "foo"), ACCEPTED.replace("Upgrade: websocket\r\n", "")] {
        rig.upstream.script([Reply::raw(other)]);
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let answer = rig.connect().send(offer(&rig, fields)).read();
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_invalid"), "another protocol");
    }
    eventually("those connections are closed", || rig.upstream.server().open_connections() == 0);
}

/// An upstream that accepts, and then sends back whatever comes.
fn echoing() -> Rig {
    let rig = Setup::new().start();
    rig.upstream.script([Reply::raw(ACCEPTED).then(Step::Echo)]);
    rig
}

// G 29
#[test]
fn after_the_101_bytes_pass_both_ways() {
    let rig = echoing();
    let mut caller = rig.connect();
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    caller.send(offer(&rig, fields));
    let head = caller.read_head().unwrap();
    assert_eq!(head.first, "HTTP/1.1 101 Switching Protocols");
    assert_eq!((head.all("connection"), head.all("upgrade")), (vec!["upgrade"], vec!["websocket"]));
    assert_eq!(head.get("sec-websocket-accept"), Some("x"));
    assert_eq!((head.get("content-length"), head.get("transfer-encoding")), (None, None));
    for text in ["hello", "\x00\r\n\r\nGET / HTTP/1.1\r\n\r\n"] {
        caller.send(text);
        assert_eq!(caller.read_bytes(text.len()).unwrap(), text.as_bytes());
    }
    assert_eq!(rig.metric("sidepass_requests_in_flight", &["route=\"main\""]), 1.0, "counted while it lasts");
    let large = vec![b'x'; 1 << 20];
    let mut writing = caller.stream().try_clone().unwrap();
    let sent = large.clone();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writing, &sent));
    assert!(caller.read_bytes(large.len()).unwrap() == large);
    sending.join().unwrap().unwrap();
    caller.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(caller.is_closed(), "a half-close reaches the upstream, which ends then");
    eventually("nothing is left", || {
        rig.metric("sidepass_requests_in_flight", &[]) == 0.0 && rig.upstream.server().open_connections() == 0
    });
    assert_eq!(rig.upstream.count(), 1, "nothing in the tunnel is taken for a request");
}

#[test]
fn bytes_that_come_with_the_101_are_not_lost() {
    let rig = Setup::new().start();
    rig.upstream.script([Reply::raw(format!("{ACCEPTED}first")).then(Step::Echo)]);
    let mut caller = rig.connect();
    // Sent before the 101 is there: what an eager caller does.
    caller.send(offer(&rig, "Connection: Upgrade\r\nUpgrade: websocket\r\n") + "early");
    assert_eq!(caller.read_head().unwrap().word(1), "101");
    assert_eq!(caller.read_bytes(10).unwrap(), b"firstearly");
}

#[test]
fn a_tunnel_to_an_upstream_that_is_gone_takes_no_more_bytes() {
    let rig = Setup::new().start();
    let gone = Reply::raw(ACCEPTED).then(Step::Pause(Duration::from_millis(20))).then(Step::Reset);
    rig.upstream.script([gone]);
    let mut caller = rig.connect();
    caller.send(offer(&rig, "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    assert_eq!(caller.read_head().unwrap().word(1), "101");
    let mut writing = caller.stream();
    eventually("what the caller writes is refused", || {
        (0..100_000).any(|_| std::io::Write::write_all(&mut writing, b"more").is_err())
    });
}
