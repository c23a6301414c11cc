//! `limits.body_bytes` and `timeouts.total`.

use std::time::Duration;

use crate::support::patience::eventually;
use crate::support::reply::{Reply, Step};
use crate::support::setup::Setup;

#[test]
fn a_body_that_is_announced_too_large_never_reaches_the_upstream() {
    let rig = Setup::new().proxy("limits: { body_bytes: 1KiB }").start();
    assert_eq!(rig.post("/", &[b'x'; 1024]).status, 200);
    let answer = rig.post("/", &[b'x'; 1025]);
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    assert_eq!(rig.upstream.count(), 1);
}

#[test]
fn a_body_that_grows_too_large_is_broken_off() {
    let rig = Setup::new().proxy("limits: { body_bytes: 1KiB }").start();
    let mut caller = rig.connect();
    caller.send(format!("POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", rig.address));
    caller.send(format!("200\r\n{}\r\n", "x".repeat(512)));
    eventually("the upload starts", || rig.upstream.count() == 1);
    caller.send(format!("201\r\n{}\r\n0\r\n\r\n", "x".repeat(513)));
    let answer = caller.read();
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    eventually("its connection ends", || rig.upstream.server().open_connections() == 0);
    assert!(!rig.upstream.last().complete, "no complete request arrived");
    let whole = format!("400\r\n{}\r\n0\r\n\r\n", "x".repeat(1024));
    let head = format!("POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", rig.address);
    assert_eq!(rig.connect().send(head + &whole).read().status, 200, "exactly the limit passes");
}

#[test]
fn an_exchange_that_takes_too_long_is_a_504_or_a_cut_answer() {
    let rig = Setup::new().route("timeouts: { total: 1s, response_head: 30s, body_idle: 30s }").start();
    rig.upstream.script([Reply::stall()]);
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "total_timeout"));
    // One that never pauses is cut off as well, and one that does too.
    for step in [
        Step::Endless(b"5\r\nhello\r\n".to_vec()),
        Step::Dribble(vec![b'1'; 100], Duration::from_millis(300)),
    ] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        rig.upstream.script([Reply::raw(head).then(step)]);
        let mut caller = rig.connect();
        caller.send(rig.request("GET", "/", &[], b""));
        assert_eq!(caller.read_head().unwrap().word(1), "200");
        let mut last = Vec::new();
        while let Ok(some) = caller.read_bytes(1) {
            last = some;
        }
        assert!(!last.ends_with(b"0\r\n\r\n"), "the caller sees that it is incomplete");
    }
    eventually("nothing is in flight", || rig.metric("sidepass_requests_in_flight", &[]) == 0.0);
}

#[test]
fn an_upload_that_takes_too_long_is_a_504() {
    let rig = Setup::new().route("timeouts: { total: 1s }").start();
    let mut caller = rig.connect();
    caller.send(format!("PUT / HTTP/1.1\r\nHost: {}\r\nContent-Length: 10\r\n\r\n12345", rig.address));
    let answer = caller.read();
    assert_eq!((answer.status, answer.reason().as_str()), (504, "total_timeout"));
}

#[test]
fn the_wait_for_a_token_counts_into_the_time_of_an_exchange() {
    let total = "timeouts: { total: 1s, response_head: 30s }";
    let setup = Setup::new().cold().profile("token_wait: 60s").route(total);
    let gate = setup.idp.hold();
    let rig = setup.start();
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "total_timeout"));
    gate.open();
    rig.wait_until_ready();
    // The same for a token that is to take the place of one that the upstream refuses.
    let _gate = rig.idp.hold();
    rig.idp.revoke_all();
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "total_timeout"));
}
