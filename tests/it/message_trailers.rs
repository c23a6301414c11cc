//! Trailers in transit, both ways (RFC 9110 §6.5).

use crate::support::message::{Chunked, read_chunked};
use crate::support::reply::Reply;
use crate::support::rig::Rig;
use crate::support::setup::Setup;

/// The fields before a chunked body, and the trailers behind it, as the upstream saw them.
fn upload(rig: &Rig, fields: &str, trailers: &str) -> (crate::support::server::Seen, String) {
    let head =
        format!("POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n{fields}\r\n", rig.address);
    let body = format!("5\r\nhello\r\n0\r\n{trailers}\r\n");
    let answer = rig.connect().send(head + &body).read();
    assert_eq!(answer.status, 200);
    let seen = rig.upstream.last();
    assert_eq!(seen.text(), "hello");
    (seen.clone(), seen.trailers.to_ascii_lowercase())
}

#[test]
fn trailers_of_a_request_reach_the_upstream() {
    let rig = Setup::new().start();
    let (seen, trailers) = upload(
        &rig,
        "Trailer: X-Sum, X-Other\r\nTrailer: X-Third\r\nTE: trailers\r\nConnection: TE\r\n",
        "X-Sum: 1\r\nX-Third: 3\r\n",
    );
    assert_eq!(seen.header("trailer"), Some("x-sum, x-other, x-third"));
    assert_eq!((seen.header("te"), seen.head.all("connection")), (Some("trailers"), vec!["te"]));
    assert_eq!(trailers.lines().collect::<Vec<_>>(), ["x-sum: 1", "x-third: 3"]);
    // The connection is in step, and used again.
    upload(&rig, "", "");
    assert_eq!(rig.upstream.server().connections(), 1);
}

// G 14, trailers
#[test]
fn nothing_that_a_head_may_not_say_is_said_in_trailers() {
    let rig =
        Setup::new().route("headers: { X-Token: \"t {token}\", Authorization: \"Bearer {token}\" }").start();
    let bad = [
        "Authorization",
        "Proxy-Authorization",
        "X-Token",
        "X_Token",
        "Host",
        "Content-Length",
        "Content-Type",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "Cookie",
        "Set-Cookie",
        "Cache-Control",
        "Expect",
        "Max-Forwards",
        "Forwarded",
        "X-Forwarded-For",
        "X-Real-IP",
        "Via",
        "If-Match",
    ];
    let lines: String = bad.iter().map(|name| format!("{name}: mine\r\n")).collect();
    let (seen, trailers) =
        upload(&rig, &format!("Trailer: {}, X-Good\r\n", bad.join(", ")), &format!("{lines}X-Good: yes\r\n"));
    assert_eq!(seen.header("trailer"), Some("x-good"));
    assert_eq!(trailers, "x-good: yes");
}

#[test]
fn a_body_with_trailers_is_replayed_with_them() {
    let rig = Setup::new().rate(8).start();
    rig.upstream.script([crate::support::upstream::refusal()]);
    let (seen, trailers) = upload(&rig, "Trailer: X-Sum\r\n", "X-Sum: 1\r\n");
    assert_eq!((seen.number, trailers.as_str()), (1, "x-sum: 1"));
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Token, Host\r\n\r\n\
                      5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Token: hidden\r\nHost: evil\r\nX-Unannounced: 1\r\n\r\n";

#[test]
fn trailers_of_an_answer_reach_a_caller_that_reads_them() {
    let rig = Setup::new().route("headers: { X-Token: \"t {token}\" }").start();
    for _ in 0..2 {
        rig.upstream.script([Reply::raw(ANSWER)]);
        let mut caller = rig.connect();
        caller.send(rig.request("GET", "/", &[("TE", "trailers"), ("Connection", "TE, close")], b""));
        let head = caller.read_head().unwrap();
        assert_eq!(head.get("trailer"), Some("x-sum"));
        let rest = caller.read_to_end();
        let Some(Chunked::Whole(body, trailers, _)) = read_chunked(&rest) else { panic!("{rest:?}") };
        assert_eq!((body.as_slice(), trailers.as_str()), (&b"hello"[..], "x-sum: 1"));
    }
    assert_eq!(rig.upstream.server().connections(), 1, "the upstream's connection is kept after trailers");
}

#[test]
fn trailers_do_not_disturb_a_caller_that_does_not_read_them() {
    let rig = Setup::new().start();
    rig.upstream.script([Reply::raw(ANSWER), Reply::raw(ANSWER), Reply::new(200, &[], "in step")]);
    let mut caller = rig.connect();
    for _ in 0..2 {
        assert_eq!(caller.send(rig.request("GET", "/", &[], b"")).read().text(), "hello");
    }
    assert_eq!(caller.send(rig.request("GET", "/", &[], b"")).read().text(), "in step");
    assert_eq!(rig.upstream.server().connections(), 1);
    assert_eq!(rig.upstream.last().header("te"), None, "nobody asked for trailers");
}
