//! Kept HTTP/1.1 connections to an upstream: when they are used again, when not, and what one that is gone costs.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::patience::eventually;
use crate::support::reply::{Reply, Step};
use crate::support::setup::Setup;

const IDLE: Duration = Duration::from_millis(100);

// G 31 (B20): requests 0.9 to 1.1 times the upstream's idle timeout apart
#[test]
fn connections_that_close_at_random_moments_cost_no_get_and_repeat_no_post() {
    let rig = Setup::new().start();
    let answer = Reply::new(200, &[], "x").then(Step::Pause(IDLE)).then(Step::Close);
    rig.upstream.always(answer);
    let mut random = fastrand::Rng::with_seed(31);
    let mut caller = rig.connect();
    for n in 0..60 {
        caller.send(rig.request("GET", "/", &[], b""));
        assert_eq!(caller.read().status, 200, "GET {n}");
        std::thread::sleep(IDLE.mul_f64(random.f64().mul_add(0.2, 0.9)));
        if n % 3 == 0 {
            // The rig checks that no id arrives twice.
            let answer = rig.post("/", b"x");
            assert!([200, 502].contains(&answer.status), "{}", answer.status);
            std::thread::sleep(IDLE.mul_f64(random.f64().mul_add(0.2, 0.9)));
        }
    }
    assert!(rig.upstream.server().connections() > 10, "connections did close");
}

#[test]
fn an_upstream_that_says_how_long_it_keeps_connections_is_believed() {
    let rig = Setup::new().start();
    rig.upstream.always(Reply::new(200, &[("Keep-Alive", "timeout=1, max=10")], "x"));
    let start = Instant::now();
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.upstream.server().connections(), 1, "kept for a while");
    eventually("closed by us", || rig.upstream.server().open_connections() == 0);
    assert!(start.elapsed() < Duration::from_secs(10), "not by the setting, which is 15 s");
}

#[test]
fn the_pool_s_settings_hold() {
    let rig = Setup::new().adjust(|config| config.routes[0].pool.size = 0).start();
    for _ in 0..3 {
        assert_eq!(rig.get("/").status, 200);
    }
    assert_eq!(rig.upstream.server().connections(), 3, "none is kept");
    let rig = Setup::new().adjust(|config| config.routes[0].pool.max_age = IDLE).start();
    assert_eq!(rig.get("/").status, 200);
    eventually("a connection gets too old", || {
        assert_eq!(rig.get("/").status, 200);
        rig.upstream.server().connections() > 1
    });
    let idle = Duration::from_millis(1);
    let rig = Setup::new().adjust(move |config| config.routes[0].pool.idle_timeout = idle).start();
    assert_eq!(rig.get("/").status, 200);
    eventually("closed by us", || rig.upstream.server().open_connections() == 0);
}

#[test]
fn bytes_behind_an_answer_are_nobody_s_answer() {
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
    for late in [Duration::ZERO, Duration::from_millis(30)] {
        let rig = Setup::new().start();
        let honest = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
        let first = if late.is_zero() {
            Reply::raw(format!("{honest}{smuggled}"))
        } else {
            Reply::raw(honest).then(Step::Pause(late)).then(Step::Bytes(smuggled.into()))
        };
        rig.upstream.script([first]);
        let mut caller = rig.connect();
        caller.send(rig.request("GET", "/", &[], b""));
        assert_eq!(caller.read().text(), "1");
        eventually("the connection is closed", || rig.upstream.server().open_connections() == 0);
        caller.send(rig.request("GET", "/", &[], b""));
        assert_eq!(caller.read().text(), "hello from upstream\n");
    }
}

#[test]
fn a_head_that_is_too_large_or_has_too_many_fields_is_refused() {
    let rig = Setup::new().start();
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "v".repeat(300_000));
    for fields in [many, large] {
        rig.upstream.script([Reply::raw(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"))]);
        let answer = rig.get("/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_headers_too_large"));
    }
    let fewer: String = (0..99).map(|n| format!("X-{n}: 1\r\n")).collect();
    rig.upstream.script([Reply::raw(format!("HTTP/1.1 200 OK\r\n{fewer}Content-Length: 0\r\n\r\n"))]);
    assert_eq!(rig.get("/").status, 200);
}

#[test]
fn a_name_without_an_address_is_told_from_a_connection_that_fails() {
    let rig = Setup::new()
        .variable("NOWHERE", "http://no-such-name.invalid")
        .more("  nowhere: { match: { path_prefix: /nowhere }, upstream: '${NOWHERE}' }\n")
        .start();
    let answer = rig.get("/nowhere");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_dns"));
}

#[test]
fn a_name_with_a_dead_address_is_reached_at_the_other_one() {
    let setup = Setup::new();
    let port = setup.upstream.address().port();
    // Nobody listens at [::1].
    let rig = setup.variable("UPSTREAM", format!("http://localhost:{port}")).start();
    assert_eq!(rig.get("/").status, 200);
    rig.upstream.server().stop();
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_unreachable"));
}

#[test]
fn the_head_of_an_answer_is_measured_exactly_however_it_arrives() {
    let rig = Setup::new().start();
    let head = |bytes: usize| {
        let around = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Large: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Large: {}\r\n\r\n", "v".repeat(bytes - around))
    };
    let limit = 64 * 1024;
    for (bytes, status) in [(limit, 200), (limit + 1, 502), (limit - 1, 200), (limit + 1, 502)] {
        rig.upstream.script([Reply::raw(head(bytes))]);
        assert_eq!(rig.get("/").status, status, "{bytes} bytes");
    }
}

// CVE-2023-44487's kin at an upstream: hyper skips 1xx within one poll, as long as they come
#[test]
fn an_upstream_that_sends_interim_answers_without_end_holds_nobody_up() {
    let rig = Setup::new().route("timeouts: { response_head: 60s }").start();
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n".repeat(1000);
    let flood = || Reply { status: 0, steps: vec![Step::Endless(interim.clone())] };
    // Twice: on a new connection and on a kept one, where a close would be answered by another attempt.
    for path in ["/first", "/second"] {
        rig.upstream.script([flood()]);
        let mut caller = rig.connect();
        caller.send(rig.request("GET", path, &[], b""));
        eventually("the flood begins", || rig.upstream.seen().iter().any(|seen| seen.target() == path));
        assert_eq!(rig.get("/other").status, 200, "served meanwhile");
        let answer = caller.read();
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_invalid"));
        assert_eq!(rig.get("/").status, 200);
    }
    // Many are fine, and so is what comes behind them.
    let many = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(3000);
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    rig.upstream.script([Reply::raw(many).then(Step::Bytes(whole)).then(Step::Bytes(vec![b'x'; 1_000_000]))]);
    assert_eq!(rig.get("/").body.len(), 1_000_000);
}
