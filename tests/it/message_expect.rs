//! `Expect: 100-continue` from end to end (B14): the body goes only when the upstream wants it.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::client::Connection;
use crate::support::gate::Gate;
use crate::support::reply::{Reply, Step};
use crate::support::rig::Rig;
use crate::support::setup::Setup;

const BODY: &[u8] = b"0123456789";

/// Sends a head that expects 100 before its body.
fn ask(rig: &Rig, target: &str, more: &str) -> Connection {
    let mut caller = rig.connect();
    caller.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n{more}\r\n",
        rig.address,
        BODY.len()
    ));
    caller
}

#[test]
fn a_caller_gets_100_when_the_upstream_says_so() {
    let rig = Setup::new().start();
    let gate = Gate::closed();
    let reply = Reply::raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        .then(Step::Hold(gate.clone()))
        .then(Step::Bytes(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()))
        .then(Step::Pause(Duration::from_millis(300)))
        .then(Step::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()));
    rig.upstream.answer_early(move |_| Some(reply.clone()));
    let mut caller = ask(&rig, "/", "");
    crate::support::patience::eventually("the head arrives", || rig.upstream.count() == 1);
    assert_eq!(rig.upstream.last().header("expect"), Some("100-continue"));
    caller.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(caller.read_head().is_err(), "no 100 before the upstream's, and 103 is dropped");
    caller.stream().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    gate.open();
    assert_eq!(caller.read_head().unwrap().word(1), "100");
    assert_eq!(caller.send(BODY).read().status, 200);
}

#[test]
fn an_upstream_that_says_nothing_gets_the_body_after_a_while() {
    let rig = Setup::new().start();
    let started = Instant::now();
    let mut caller = ask(&rig, "/", "");
    assert_eq!(caller.read_head().unwrap().word(1), "100");
    assert!(started.elapsed() > Duration::from_millis(900), "it had its chance");
    assert_eq!(caller.send(BODY).read().status, 200);
    assert_eq!(rig.upstream.last().body, BODY);
    // In step on both sides.
    assert_eq!(caller.send(rig.request("GET", "/", &[], b"")).read().status, 200);
    assert_eq!(rig.upstream.server().connections(), 1);
}

// G 30
#[test]
fn a_body_that_the_upstream_does_not_want_is_never_asked_for() {
    let rig = Setup::new().start();
    rig.upstream.answer_early(|seen| {
        (seen.method() == "PUT").then(|| Reply::new(413, &[], "too big").then(Step::Stall))
    });
    let mut caller = ask(&rig, "/", "");
    let head = caller.read_head().unwrap();
    assert_eq!(head.word(1), "413", "no 100 came before it");
    assert_eq!(caller.read_bytes(7).unwrap(), b"too big");
    assert!(caller.is_closed(), "the body may still be on its way");
    crate::support::patience::eventually("the upstream's connection is given up", || {
        rig.upstream.server().open_connections() == 0
    });
    assert_eq!(rig.get("/").status, 200);
}

#[test]
fn our_own_refusals_come_before_any_100() {
    let rig = Setup::new().proxy("limits: { body_bytes: 5 }").start();
    let no_route = Setup::new().route("match: { path_prefix: /only }").start();
    for (rig, target, more, status) in [
        (&rig, "/", "", 413),
        (&rig, "/", "Origin: http://evil.example\r\n", 403),
        (&no_route, "/other", "", 404),
    ] {
        let mut caller = ask(rig, target, more);
        assert_eq!(caller.read_head().unwrap().word(1), status.to_string());
        assert_eq!(rig.upstream.count(), 0);
    }
}

#[test]
fn a_caller_that_does_not_wait_is_served_as_well() {
    let rig = Setup::new().start();
    let mut caller = ask(&rig, "/", "");
    assert_eq!(caller.send(BODY).read().status, 200);
    assert_eq!(rig.upstream.last().body, BODY);
}
