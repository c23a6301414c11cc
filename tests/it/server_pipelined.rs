//! What stands behind a request in its caller's bytes: another one, garbage, the end. None of it costs the request its
//! answer.

use std::net::Shutdown;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::client::Connection;
use crate::support::gate::Gate;
use crate::support::patience::{eventually, eventually_within};
use crate::support::reply::{Reply, Step};
use crate::support::rig::Rig;
use crate::support::setup::Setup;

/// Larger than what the sockets between take.
const LARGE: usize = 8 * 1024 * 1024;

/// No request, and known to be none without another byte.
const GARBAGE: [&str; 6] = [
    "NO GOOD\r\n\r\n",
    "\x00\x01\x02",
    "\r\n\r\n\r\n(@) / HTTP/1.1\r\n\r\n",
    "!\r\nth: 7\r\nCo!\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nX A: 1\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\x00\r\n\r\n.the-end.",
];

/// Perhaps the beginning of a request; nothing follows.
const HALVES: [&str; 4] = ["GET /next HT", "P", "GET / HTTP/1.1\r\nHost: local", "PRI * HTTP/2.0\r\n"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// In the same write as the request.
    Together,
    /// While the answer is awaited.
    Meanwhile,
    /// When the answer has been read.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Open,
}

/// Answers `/fast`, `/slow` and `/large`; `/pieces` in two, and `/held` with the second when the gate opens.
fn start(gate: &Gate) -> Rig {
    let rig = Setup::new().start();
    let gate = gate.clone();
    rig.upstream.answer_with(move |seen| {
        let rest = Step::Bytes(b"second".to_vec());
        let begun = Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst");
        Some(match seen.target() {
            "/slow" => Reply::new(200, &[], "slow").delayed(Duration::from_millis(30)),
            "/large" => Reply::new(200, &[], vec![b'x'; LARGE]),
            "/pieces" => begun.then(Step::Pause(Duration::from_millis(1))).then(rest),
            "/held" => begun.then(Step::Hold(gate.clone())).then(rest),
            _ => Reply::new(200, &[], "fast"),
        })
    });
    rig
}

fn post(rig: &Rig, target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 7\r\n\r\nhello!!", rig.address)
}

/// Sends a request with something behind it; the answer's body, and everything that came after it.
fn ask(rig: &Rig, target: &str, behind: &str, when: When, end: End) -> (String, Vec<u8>) {
    let mut caller = rig.connect();
    let request = post(rig, target);
    let close = |caller: &Connection| match end {
        End::Closed => caller.stream().shutdown(Shutdown::Write).unwrap(),
        End::Open => {}
    };
    match when {
        When::Together => {
            caller.send([request.as_bytes(), behind.as_bytes()].concat());
            close(&caller);
        }
        When::Meanwhile => {
            caller.send(request);
            std::thread::sleep(Duration::from_millis(10));
            caller.send(behind);
            close(&caller);
        }
        When::After => {
            caller.send(request);
        }
    }
    let case = || format!("{target}, {when:?}, {end:?}: {}", behind.escape_default());
    let answer = caller.try_read("POST").unwrap_or_else(|error| panic!("{}: {error}", case()));
    assert_eq!(answer.status, 200, "{}", case());
    if when == When::After {
        caller.send(behind);
        close(&caller);
    }
    (answer.text(), caller.read_to_end())
}

#[test]
fn a_request_gets_its_answer_whatever_stands_behind_it() {
    let rig = start(&Gate::closed());
    let mut executed = 0;
    for target in ["/fast", "/slow", "/large"] {
        let expected = match target {
            "/large" => "x".repeat(LARGE),
            other => other[1..].to_owned(),
        };
        for when in [When::Together, When::Meanwhile, When::After] {
            let all = GARBAGE.iter().flat_map(|one| [(*one, End::Closed), (*one, End::Open)]);
            for (behind, end) in all.chain(HALVES.iter().map(|one| (*one, End::Closed))) {
                let case = format!("{target}, {when:?}, {end:?}: {}", behind.escape_default());
                let (body, rest) = ask(&rig, target, behind, when, end);
                executed += 1;
                assert!(body == expected, "{case}: {} bytes of an answer", body.len());
                let refused = rest.starts_with(b"HTTP/1.1 400 ");
                assert!(
                    refused || HALVES.contains(&behind) && rest.is_empty(),
                    "{case}: {}",
                    rest.escape_ascii()
                );
            }
        }
    }
    assert_eq!(rig.upstream.count(), executed, "and nothing else is executed");
}

#[test]
fn a_caller_that_closes_its_side_as_its_answer_begins_gets_all_of_it() {
    for behind in ["", "NO GOOD\r\n\r\n"] {
        let gate = Gate::closed();
        let rig = start(&gate);
        let mut caller = rig.connect();
        caller.send(post(&rig, "/held") + behind);
        let head = caller.read_head().unwrap();
        caller.stream().shutdown(Shutdown::Write).unwrap();
        // Long enough for the watch to look at it more than once.
        std::thread::sleep(Duration::from_millis(2500));
        gate.open();
        assert_eq!(head.word(1), "200");
        let rest = caller.read_to_end();
        assert!(rest.starts_with(b"firstsecond"), "{}", rest.escape_ascii());
        assert_eq!(rest.len() > 11, !behind.is_empty(), "{}", rest.escape_ascii());
    }
}

#[test]
fn the_moment_in_which_a_caller_closes_its_side_decides_nothing() {
    let rig = start(&Gate::closed());
    for (round, target) in ["/fast", "/pieces"].into_iter().cycle().take(3000).enumerate() {
        let mut caller = rig.connect();
        caller.send(post(&rig, target) + GARBAGE[round % GARBAGE.len()]);
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(round as u64 % 500) {
            std::hint::spin_loop();
        }
        caller.stream().shutdown(Shutdown::Write).unwrap();
        let answer = caller.read();
        let expected = if target == "/fast" { "fast" } else { "firstsecond" };
        assert_eq!((answer.status, answer.text().as_str()), (200, expected), "round {round}");
        assert_eq!(caller.read().status, 400, "round {round}");
    }
}

#[test]
fn a_caller_that_leaves_within_its_answer_does_not_hold_the_upstream() {
    let gate = Gate::closed();
    let rig = start(&gate);
    let open = || rig.upstream.server().open_connections();
    let leave = |after: Duration| {
        let mut caller = rig.connect();
        caller.send(post(&rig, "/held"));
        caller.read_head().unwrap();
        caller.read_bytes(5).unwrap();
        eventually("the upstream answers", || open() > 0);
        std::thread::sleep(after);
    };
    leave(Duration::from_secs(3));
    eventually_within(Duration::from_secs(3), "it had read on and does no more", || open() == 0);
    leave(Duration::ZERO);
    eventually_within(Duration::from_secs(20), "it may only have closed its side; patience ends", || {
        open() == 0
    });
}
