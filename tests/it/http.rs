//! Paths, framing and streams: what goes through stays as it is, and what two parsers could read in two ways does not go through.

use std::time::Duration;

use crate::support::client::Connection;
use crate::support::reply::{Reply, Step};
use crate::support::rig::Rig;
use crate::support::server::{Pace, Seen};
use crate::support::setup::Setup;
use crate::support::upstream::Strictness;

/// `/a` and `/b` lead to different upstreams, `/` to a third.
fn two_ways() -> Rig {
    let rig = Setup::new()
        .upstream("A")
        .upstream("B")
        .more("  a:\n    match: { path_prefix: /a }\n    upstream: ${A}\n")
        .more("  b:\n    match: { path_prefix: /b }\n    upstream: ${B}\n")
        .start();
    rig.others.iter().for_each(|upstream| upstream.set_strictness(Strictness::Ignores));
    rig
}

// G 13: refused
#[test]
fn a_path_that_two_parsers_read_in_two_ways_is_refused() {
    let rig = two_ways();
    let refused = [
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/a/.",
        "/a/%2e%2e/b",
        "/a/%2E%2e/b",
        "/a/.%2e/b",
        "/a/%2e/b",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/.;/b",
        "/a%2f..%2fb",
        "/a%2Fb",
        "/a%5c..%5cb",
        "/a\\..\\b",
        "/a/%00",
        "/a/..%00/b",
        "//b",
        "/a//../b",
        "/..",
        "/%2e%2e",
        "/a/..%2fb",
        "/a/%252e%252e/b",
        "/b;x",
        "/a/%c0%ae%c0%ae/b",
    ];
    for target in refused {
        let answer = rig.get(target);
        assert_eq!(answer.status, 400, "{target} must be refused, not answered {}", answer.text());
        assert!(!answer.reason().is_empty(), "{target}");
    }
    assert_eq!(rig.upstream.count() + rig.others.iter().map(|upstream| upstream.count()).sum::<usize>(), 0);
}

// G 13: byte-identical
#[test]
fn a_path_that_goes_through_stays_as_it_was_written() {
    let rig = two_ways();
    let targets = [
        "/",
        "/?",
        "/x?",
        "/x?&&",
        "/x?a+b=c+d",
        "/x?a=%7e&b=~",
        "/%7Euser",
        "/x%20y",
        "/x/%C3%A9",
        "/x;v=1/y",
        "/x/...",
        "/x/..y",
        "/x/y..",
        "/x/.hidden",
        "/x:8080",
        "/x@y",
        "/x?q=http://other/..//",
        "/x?q=../..",
        "/x?q=%2e%2e%2f",
        "/x?[a]=|b|",
        "/x/%25",
        "/%61dmin",
        "/x'y?q='",
        "/x!$&'()*,=",
        "/x?a=%00",
        "/x?a?b?c",
        "/x?%",
    ];
    for target in targets {
        let answer = rig.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(rig.upstream.last().target(), target);
    }
    for (target, upstream) in [("/a", 0), ("/a/", 0), ("/a?x", 0), ("/b/c", 1), ("/ab", 2), ("/A", 2)] {
        assert_eq!(rig.get(target).status, 200, "{target}");
        let seen = rig.others.get(upstream).unwrap_or(&rig.upstream).last();
        assert_eq!(seen.target(), target, "whole segments, as they are spelled");
    }
}

// G 13: B11
#[test]
fn a_stripped_prefix_leaves_a_path() {
    let rig = Setup::new()
        .more("  api:\n    match: { path_prefix: /api }\n    strip_prefix: true\n    upstream: ${UPSTREAM}\n    profile: main\n")
        .more("  base:\n    match: { path_prefix: /base/deep }\n    strip_prefix: /base\n    upstream: ${UPSTREAM}/root/\n    profile: main\n")
        .start();
    let table = [
        ("/api", "/"),
        ("/api/", "/"),
        ("/api?x", "/?x"),
        ("/api/x/?y=%2f", "/x/?y=%2f"),
        ("/apix", "/apix"),
        ("/base/deep", "/root/deep"),
        ("/base/deep/x?y", "/root/deep/x?y"),
    ];
    for (target, expected) in table {
        assert_eq!(rig.get(target).status, 200, "{target}");
        assert_eq!(rig.upstream.last().target(), expected, "{target}");
    }
    rig.get("/api//evil.example/x");
    assert!(!rig.upstream.last().target().starts_with("//"), "never something that looks like a host");
}

// G 12: framing that two parsers read in two ways
#[test]
fn smuggled_requests_reach_nobody() {
    let rig = Setup::new().start();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let heads = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -1",
        "Content-Length: 5 5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding\r\n : chunked",
        "Content-Length: 5\r\n Transfer-Encoding: chunked",
    ];
    for head in heads {
        let before = rig.upstream.count();
        let mut caller = rig.connect();
        caller.send(format!("POST / HTTP/1.1\r\nHost: {}\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}", rig.address));
        let answer = caller.try_read("POST");
        let rest = caller.read_to_end();
        assert!(
            rest.is_empty(),
            "{head:?}: closed after the first answer, not {:?}",
            String::from_utf8_lossy(&rest)
        );
        let seen = rig.upstream.seen().split_off(before);
        match answer.map_or(400, |answer| answer.status) {
            400 | 501 => assert!(seen.is_empty(), "{head:?} was refused and reached the upstream"),
            200 => assert!(is_one_empty_post(&seen), "{head:?}: {seen:?}"),
            status => panic!("{head:?}: {status}"),
        }
    }
}

/// One canonical request with an empty body: what the chunked reading of the smuggled bytes says.
fn is_one_empty_post(seen: &[Seen]) -> bool {
    let framed =
        |one: &Seen| one.head.all("content-length").len() + one.head.all("transfer-encoding").len() <= 1;
    matches!(seen, [one] if one.method() == "POST" && one.target() == "/" && one.body.is_empty() && framed(one))
}

// G 12: heads that are no heads
#[test]
fn a_malformed_head_is_refused_or_written_anew() {
    let rig = Setup::new().proxy("limits: { header_timeout: 1s }").start();
    let host = format!("Host: {}", rig.address);
    let heads = [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\n{host}\r\n{host}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}\r\nHost: localhost\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}\r\nX-A: 1\r\n folded\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}\r\nX A: 1\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}\r\nX-A : 1\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}\r\n: empty\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}\r\nX-A: a\x00b\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}\r\nX-A: a\rb\r\n\r\n"),
        format!("GET /\x01 HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("GET / HTTP/9.9\r\n{host}\r\n\r\n"),
        format!("GET  / HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("GET / x HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("G@T / HTTP/1.1\r\n{host}\r\nX-\u{e9}: 1\r\n\r\n"),
        format!("GET x HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("GET * HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("CONNECT other:443 HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("TRACE / HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("GET http://user:pw@{}/ HTTP/1.1\r\n{host}\r\n\r\n", rig.address),
        format!("GET / HTTP/1.1\r\n{host}\r\n{}\r\n\r\n", "X: 1\r\n".repeat(500)),
        format!("GET / HTTP/1.1\r\n{host}\r\nX-Long: {}\r\n\r\n", "x".repeat(300 << 10)),
        format!("GET /{} HTTP/1.1\r\n{host}\r\n\r\n", "x".repeat(300 << 10)),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for head in heads {
        let mut caller = rig.connect();
        caller.send(&head);
        let shown: String = head.chars().take(80).collect();
        if let Ok(answer) = caller.try_read("GET") {
            assert!(
                (400..500).contains(&answer.status) || answer.status == 505,
                "{shown:?}: {}",
                answer.status
            );
        }
    }
    assert_eq!(rig.upstream.count(), 0, "{:?}", rig.upstream.seen().last());
    // A bare line feed ends a line for some parsers: what leaves is canonical.
    let mut caller = rig.connect();
    caller.send(format!("GET /lf HTTP/1.1\n{host}\nX-A: 1\n\n"));
    let _ = caller.try_read("GET");
    for seen in rig.upstream.seen() {
        assert_eq!(String::from_utf8_lossy(&seen.head.raw).replace("\r\n", "").find(['\r', '\n']), None);
    }
}

// G 16 (D12): nothing of a request picks an address
#[test]
fn nothing_that_a_caller_sends_picks_the_upstream() {
    let setup = Setup::new().proxy("limits: { header_timeout: 1s }").untouchable("ELSEWHERE");
    let elsewhere = setup.value("ELSEWHERE").trim_start_matches("http://").to_owned();
    let rig = setup.start();
    let address = rig.address;
    let requests = [
        format!("GET http://{elsewhere}/ HTTP/1.1\r\nHost: {elsewhere}\r\n\r\n"),
        format!("GET http://{elsewhere}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {elsewhere}\r\n\r\n"),
        format!("CONNECT {elsewhere} HTTP/1.1\r\nHost: {elsewhere}\r\n\r\n"),
        format!("GET //{elsewhere}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        format!("GET /@{elsewhere}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        format!("GET /:80@{elsewhere}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nX-Forwarded-Host: {elsewhere}\r\nForwarded: host={elsewhere}\r\n\r\n"
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nX-Original-URL: http://{elsewhere}/\r\nX-Rewrite-URL: //{elsewhere}/\r\n\r\n"
        ),
        format!("GET / HTTP/1.1\r\nHost: {address}@{elsewhere}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {address}#{elsewhere}\r\n\r\n"),
        format!("GET /?url=http://{elsewhere}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    ];
    let random = fastrand::Rng::with_seed(7);
    let noise = random_requests(random, &elsewhere, &address.to_string());
    for request in requests.iter().chain(&noise) {
        let mut caller = rig.connect();
        caller.send(request);
        let _ = caller.try_read("GET");
    }
    assert!(rig.upstream.count() > 0, "some of them are fine, and went where the configuration says");
}

/// Pieces that mean something to a URL parser, put together at random.
fn random_requests(mut random: fastrand::Rng, elsewhere: &str, address: &str) -> Vec<String> {
    let pieces =
        ["/", "//", "@", ":", "\\", "%2f", "http:", "..", "?", "#", ";", "x", "%40", "%00", elsewhere];
    let mut text = |least: usize| -> String {
        (0..least + random.usize(0..6)).map(|_| pieces[random.usize(0..pieces.len())]).collect()
    };
    let mut all = Vec::new();
    for n in 0..200 {
        let target = format!("/{}", text(1));
        let host = if n % 4 == 0 { text(1) } else { address.to_owned() };
        all.push(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {}\r\n\r\n", text(1)));
    }
    all
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let rig = Setup::new().start();
    rig.upstream.answer_with(|seen| Some(Reply::new(200, &[], seen.target())));
    let mut caller = rig.connect();
    caller.send(
        (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: {}\r\n\r\n", rig.address)).collect::<String>(),
    );
    for n in 0..20 {
        assert_eq!(caller.read().text(), format!("/{n}"));
    }
    assert!(rig.upstream.server().connections() <= 2, "upstream connections are kept and used again");
}

#[test]
fn a_body_streams_both_ways_before_it_is_complete() {
    let rig = Setup::new().start();
    // The upstream answers as soon as it has the head, chunk by chunk.
    let head = Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    let gate = crate::support::gate::Gate::closed();
    let reply = head.then(Step::Hold(gate.clone())).then(Step::Bytes(b"6\r\nsecond\r\n0\r\n\r\n".to_vec()));
    rig.upstream.script([reply]);
    let mut caller = rig.connect();
    caller.send(rig.request("GET", "/events", &[], b""));
    assert_eq!(caller.read_head().unwrap().word(1), "200");
    let mut first = Vec::new();
    while !String::from_utf8_lossy(&first).contains("first") {
        first.extend(caller.read_bytes(1).unwrap());
    }
    gate.open();
    let mut rest = first;
    while !rest.ends_with(b"0\r\n\r\n") {
        rest.extend(caller.read_bytes(1).unwrap());
    }
    assert!(String::from_utf8_lossy(&rest).contains("second"));
}

#[test]
fn an_upload_is_not_collected() {
    let rig = Setup::new().start();
    rig.upstream.set_pace(Pace::Never);
    let mut caller = rig.connect();
    caller.stream().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    caller.send(format!("POST /up HTTP/1.1\r\nHost: {}\r\nContent-Length: 1073741824\r\n\r\n", rig.address));
    let chunk = vec![b'x'; 1 << 20];
    let mut taken = 0;
    use std::io::Write;
    while taken < 64 && caller.stream().write_all(&chunk).is_ok() {
        taken += 1;
    }
    assert!(taken < 64, "sockets take a few MiB, the proxy nothing: {taken} MiB were taken");
}

#[test]
fn an_upload_to_a_slow_reader_arrives_whole() {
    // `response_head` counts from the last byte handed to the socket, which holds some MiB more.
    let rig = Setup::new().route("timeouts: { response_head: 10s, body_idle: 3s }").start();
    rig.upstream.set_pace(Pace::Slow(64 << 10, Duration::from_millis(10)));
    let body: Vec<u8> = (0..16 << 20).map(|n: usize| (n % 253) as u8).collect();
    let answer = rig.post("/up", &body);
    assert_eq!(answer.status, 200, "slower than `body_idle`, and moving all the time: {}", answer.text());
    assert!(rig.upstream.last().body == body);
}

// B17
#[test]
fn an_answer_that_does_not_wait_for_the_upload_arrives() {
    let rig = Setup::new().start();
    rig.upstream
        .answer_early(|_| Some(Reply::new(413, &[("Connection", "close")], "too big").then(Step::Stall)));
    let mut caller = rig.connect();
    caller.send(format!(
        "POST /up HTTP/1.1\r\nHost: {}\r\nContent-Length: 104857600\r\n\r\n0123456789",
        rig.address
    ));
    let answer = caller.read();
    assert_eq!((answer.status, answer.text().as_str()), (413, "too big"));
}

#[test]
fn answers_without_a_body_keep_the_connection_in_step() {
    let rig = Setup::new().start();
    let bare = |head: &str| Reply::raw(format!("{head}\r\n\r\n"));
    rig.upstream.script([
        bare("HTTP/1.1 204 No Content"),
        bare("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 42"),
        bare("HTTP/1.1 200 OK\r\nContent-Length: 42"),
        Reply::new(200, &[], "in step"),
    ]);
    let mut caller = rig.connect();
    for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 200)] {
        let answer = caller.send(rig.request(method, "/", &[], b"")).try_read(method).unwrap();
        assert_eq!((answer.status, answer.body.len()), (status, 0));
    }
    assert_eq!(caller.send(rig.request("GET", "/", &[], b"")).read().text(), "in step");
}

#[test]
fn an_answer_framed_twice_arrives_once() {
    let rig = Setup::new().start();
    let twice =
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    rig.upstream.script([Reply::raw(twice), Reply::new(200, &[], "next")]);
    let mut caller = rig.connect();
    let answer = caller.send(rig.request("GET", "/", &[], b"")).try_read("GET");
    if let Ok(answer) = answer {
        assert!(answer.status == 502 || answer.text() == "hello", "{answer:?}");
        assert!(answer.header("transfer-encoding").is_none() || answer.header("content-length").is_none());
    }
    assert_eq!(rig.get("/").text(), "next");
}

#[test]
fn an_idle_upstream_connection_that_was_closed_costs_no_request() {
    let rig = Setup::new().start();
    for n in 0..10 {
        rig.upstream.script([Reply::new(200, &[], "then closed").then(Step::Close)]);
        let id = n.to_string();
        assert_eq!(rig.call("GET", "/", &[("X-Test-Id", &id)], b"").status, 200);
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let rig = Setup::new().proxy("limits: { header_timeout: 1s, idle_timeout: 1s }").start();
    let mut silent = rig.connect();
    let mut slow = rig.connect();
    slow.send("GET / HTTP/1.1\r\nHos");
    let mut idle = Connection::open(rig.address);
    assert_eq!(idle.send(rig.request("GET", "/", &[], b"")).read().status, 200);
    assert!(silent.is_closed() && idle.is_closed());
    let _ = slow.try_read("GET");
    assert!(slow.is_closed());
    assert_eq!(rig.upstream.count(), 1);
}
