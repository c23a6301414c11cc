//! What happens when the upstream misbehaves: a status that tells, a reason that names, and no POST twice.

use std::time::Duration;

use crate::support::client::Connection;
use crate::support::net::Deaf;
use crate::support::patience::{eventually_within, patience};
use crate::support::reply::{Reply, Step};
use crate::support::setup::Setup;

const SECOND: Duration = Duration::from_secs(1);

const TIMEOUTS: &str = "timeouts: { connect: 1s, response_head: 1s, body_idle: 1s }";

// G 26: the upstream, before its answer
#[test]
fn an_upstream_that_stalls_before_its_answer_is_a_504_that_says_so() {
    let deaf = Deaf::bind();
    let rig = Setup::new()
        .route(TIMEOUTS)
        .variable("DEAF", format!("http://{}", deaf.address()))
        .more("  deaf:\n    match: { path_prefix: /deaf }\n    upstream: ${DEAF}\n    profile: main\n    timeouts: { connect: 1s }\n")
        .start();
    rig.upstream.script([Reply::stall(), Reply::new(200, &[], "x").stalling_after(12)]);
    for _ in 0..2 {
        let answer = rig.get("/");
        assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_timeout"));
    }
    let answer = rig.get("/deaf");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_connect_timeout"));
}

// G 26: the upstream, within its answer
#[test]
fn a_body_that_stalls_is_cut_and_one_that_moves_is_not() {
    let rig = Setup::new().route(TIMEOUTS).start();
    let whole = Reply::new(200, &[], "0123456789");
    rig.upstream.script([whole.clone().stalling_after(45)]);
    let mut caller = rig.connect();
    assert!(caller.send(rig.request("GET", "/", &[], b"")).try_read("GET").is_err(), "cut, not completed");
    let body = "x".repeat(12);
    let slow = Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
        .then(Step::Dribble(body.into(), SECOND / 3));
    rig.upstream.script([slow]);
    let answer = rig.get("/");
    assert_eq!(answer.text(), "x".repeat(12));
    assert!(answer.took > SECOND * 3, "slower than every timer, and alive: {:?}", answer.took);
}

#[test]
fn what_came_of_an_answer_that_breaks_off_reaches_its_caller() {
    let rig = Setup::new().start();
    for step in [Step::Close, Step::Reset] {
        // With both at once it depends on the moment what is seen of the upstream first.
        let gate = || if matches!(step, Step::Reset) { Duration::from_millis(20) } else { Duration::ZERO };
        for body in ["", "0123456789"] {
            for _ in 0..20 {
                let cut = Reply::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{body}"));
                rig.upstream.script([cut.then(Step::Pause(gate())).then(step.clone())]);
                let mut caller = rig.connect();
                let head = caller.send(rig.request("POST", "/", &[], b"")).read_head().expect("a head");
                assert_eq!(head.word(1), "200");
                assert_eq!(caller.read_bytes(body.len()).unwrap(), body.as_bytes());
                assert!(caller.read_bytes(1).is_err(), "cut, not completed");
            }
        }
    }
}

#[test]
fn an_upstream_that_is_down_is_a_502_that_says_so() {
    let rig = Setup::new().start();
    rig.upstream.server().stop();
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_unreachable"));
    rig.upstream.server().resume();
    assert_eq!(rig.get("/").status, 200);
    rig.upstream.script([Reply::close()]);
    let id = crate::support::leaks::number().to_string();
    let answer = rig.call("POST", "/", &[("X-Test-Id", &id)], b"once");
    assert_eq!(answer.status, 502, "a POST that may have been executed is not sent again");
    assert!(!answer.reason().is_empty());
}

// G 9 (B37)
#[test]
fn a_redirect_of_the_upstream_goes_back_to_the_caller() {
    let rig = Setup::new().untouchable("ELSEWHERE").start();
    rig.upstream.always(Reply::new(302, &[("Location", "https://elsewhere.example/x?y=1")], ""));
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.header("location")), (302, Some("https://elsewhere.example/x?y=1")));
    assert_eq!(rig.upstream.count(), 1);
}

// A41, B19: a caller that leaves ends its upstream request
#[test]
fn a_caller_that_leaves_ends_its_upstream_request() {
    let rig = Setup::new().start();
    rig.upstream.always(Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n").then(Step::Stall));
    let callers: Vec<Connection> = (0..50)
        .map(|_| {
            let mut caller = rig.connect();
            caller.send(rig.request("GET", "/", &[], b""));
            caller.read_head().unwrap();
            caller
        })
        .collect();
    assert_eq!(rig.upstream.server().open_connections(), 50);
    drop(callers);
    // They may have closed their side only, before their answer began; not a byte of it in ten seconds decides.
    eventually_within(patience() * 2, "the upstream connections are closed", || {
        rig.upstream.server().open_connections() == 0
    });
}
