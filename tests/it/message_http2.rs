//! From one protocol to the other: what HTTP/1.1 and HTTP/2 say differently, and trailers and gRPC through both.

use http::{Response, Version};

use crate::support::message::{Chunked, read_chunked};
use crate::support::reply::Reply;
use crate::support::rig::Rig;
use crate::support::setup::Setup;
use crate::support::streams::{Pieces, Streams, Whole, call, map, pieces};

/// A proxy whose route `/h2` leads to such an upstream.
fn rig(upstream: &Streams) -> Rig {
    Setup::new()
        .variable("H2", upstream.url())
        .more("  h2:\n    match: { path_prefix: /h2 }\n    upstream: ${H2}\n    profile: main\n    http2: prior_knowledge\n    headers: { X-Token: \"t {token}\", Authorization: \"Bearer {token}\" }\n")
        .start()
}

/// An answer in pieces with trailers.
fn trailed() -> Response<Pieces> {
    let (pen, body) = pieces();
    pen.write("hello ");
    pen.write("world");
    pen.trail(&[("grpc-status", "0"), ("x-token", "hidden"), ("x-sum", "1")]);
    let mut response = Response::new(body);
    *response.headers_mut() = map(&[("trailer", "grpc-status, x-sum"), ("content-type", "application/grpc")]);
    response
}

/// A gRPC error: the head is all there is (Trailers-Only).
fn trailers_only() -> Response<Pieces> {
    let mut response = Response::new(pieces().1);
    let fields = [("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "none such")];
    *response.headers_mut() = map(&fields);
    response
}

#[test]
fn a_caller_of_http_1_1_reaches_an_upstream_of_http2() {
    let upstream = Streams::start(|_| trailed());
    let rig = rig(&upstream);
    let mut caller = rig.connect();
    caller.send(format!(
        "POST /h2/x?y HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nTE: trailers, gzip\r\n\
         Connection: TE, close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: foo\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Token: mine\r\n\r\n",
        rig.address
    ));
    let head = caller.read_head().unwrap();
    assert_eq!(
        (head.word(0), head.word(1), head.get("trailer")),
        ("HTTP/1.1", "200", Some("grpc-status, x-sum"))
    );
    let rest = caller.read_to_end();
    let Some(Chunked::Whole(body, trailers, _)) = read_chunked(&rest) else { panic!("{rest:?}") };
    assert_eq!(body, b"hello world");
    let mut trailers: Vec<_> = trailers.lines().collect();
    trailers.sort_unstable();
    assert_eq!(trailers, ["grpc-status: 0", "x-sum: 1"]);
    let seen = upstream.last();
    assert_eq!((seen.version, seen.body.as_str()), (Version::HTTP_2, "hello"));
    assert_eq!(seen.uri.path_and_query().unwrap(), "/h2/x?y");
    assert_eq!(seen.headers["te"], "trailers");
    for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "x-hop", "host"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
    assert_eq!(seen.trailers, map(&[("x-sum", "1")]));
}

#[test]
fn an_expectation_does_not_wait_for_an_upstream_that_cannot_answer_it() {
    let upstream = Streams::start(|_| trailers_only());
    let rig = rig(&upstream);
    let mut caller = rig.connect();
    let started = tokio::time::Instant::now();
    caller.send(format!(
        "PUT /h2 HTTP/1.1\r\nHost: {}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        rig.address
    ));
    assert_eq!(caller.read_head().unwrap().word(1), "100");
    assert!(
        started.elapsed() < std::time::Duration::from_millis(900),
        "hyper cannot tell of an upstream's 100"
    );
    assert_eq!(caller.send("hello").read().status, 200);
    assert_eq!(upstream.last().body, "hello");
}

#[test]
fn a_caller_of_http2_reaches_an_upstream_of_http_1_1() {
    let rig = Setup::new().start();
    rig.upstream.script([Reply::raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Trailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    )]);
    let (pen, body) = pieces();
    pen.write("up");
    pen.write("load");
    pen.trail(&[("x-sum", "1"), ("authorization", "mine")]);
    let fields = [
        ("cookie", "a=1"),
        ("cookie", "b=2; c=3"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("trailer", "x-sum"),
        ("te", "trailers"),
    ];
    let answer = call(rig.address, "POST", "/x?y", &fields, Some(body));
    assert_eq!((answer.status, answer.body.as_str(), answer.version), (200, "hello", Version::HTTP_2));
    assert_eq!(answer.trailers, map(&[("x-sum", "1")]));
    for name in ["connection", "keep-alive", "transfer-encoding", "x-hop"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    let seen = rig.upstream.last();
    assert_eq!((seen.target(), seen.text().as_str(), seen.trailers.as_str()), ("/x?y", "upload", "x-sum: 1"));
    assert_eq!(seen.head.all("cookie"), ["a=1; b=2; c=3"], "RFC 9113 §8.2.3");
    assert_eq!(seen.head.all("x-many"), ["1", "2"]);
    assert_eq!(seen.head.all("host"), [rig.upstream.address().to_string()]);
    assert_eq!(seen.head.all("transfer-encoding"), ["chunked"]);
    assert!(seen.header("via").unwrap().starts_with("2 sidepass-"));
}

#[test]
fn answers_without_a_body_pass_to_a_caller_of_http2() {
    let rig = Setup::new().start();
    let bare = |head: &str| Reply::raw(format!("HTTP/1.1 {head}\r\n\r\n"));
    for (method, reply, status, length) in [
        ("GET", bare("304 Not Modified\r\nContent-Length: 42"), 304, Some("42")),
        ("HEAD", bare("200 OK\r\nContent-Length: 42"), 200, Some("42")),
        ("GET", bare("204 No Content\r\nContent-Length: 0"), 204, None),
        ("GET", Reply::new(200, &[], "body"), 200, Some("4")),
    ] {
        rig.upstream.script([reply]);
        let answer = call(rig.address, method, "/", &[], None);
        let told = answer.headers.get("content-length").map(|value| value.to_str().unwrap());
        assert_eq!((answer.status, told), (status, length), "{method}");
    }
}

// G 36 (B16)
#[test]
fn grpc_passes_with_its_status() {
    let upstream = Streams::start(|asked: &Whole| match asked.uri.path() {
        "/h2/svc/Ok" => trailed(),
        _ => trailers_only(),
    });
    let rig = rig(&upstream);
    let ask = |target: &str| {
        let (pen, body) = pieces();
        pen.write("request");
        drop(pen);
        call(
            rig.address,
            "POST",
            target,
            &[("content-type", "application/grpc"), ("te", "trailers")],
            Some(body),
        )
    };
    let answer = ask("/h2/svc/Ok");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello world"));
    assert_eq!(answer.trailers, map(&[("grpc-status", "0"), ("x-sum", "1")]));
    assert_eq!(
        (upstream.last().headers["te"].to_str().unwrap(), upstream.last().body.as_str()),
        ("trailers", "request")
    );
    let answer = ask("/h2/svc/Missing");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.headers["grpc-status"], "5");
    assert_eq!(answer.headers["grpc-message"], "none such");
}

#[test]
fn a_grpc_caller_is_told_in_its_own_words_why_sidepass_refuses() {
    let rig = Setup::new().route("match: { path_prefix: /only }").start();
    let grpc = [("content-type", "application/grpc+proto"), ("te", "trailers")];
    let answer = call(rig.address, "POST", "/svc/Method", &grpc, None);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("grpc-status", "12"),
        ("grpc-message", "no_route"),
        ("x-sidepass-reason", "no_route"),
    ] {
        assert_eq!(answer.headers[name], value, "{name}");
    }
    let answer = call(rig.address, "POST", "/svc/Method", &[("content-type", "application/json")], None);
    assert_eq!(answer.status, 404, "everybody else reads a problem document");
}

#[test]
fn a_head_over_http2_is_measured_as_over_http_1_1() {
    let rig = Setup::new().proxy("limits: { header_bytes: 1KiB, uri_bytes: 1KiB }").start();
    let authority = format!("http://{}", rig.address).len() - "http://".len();
    let value = |length: usize| -> &'static str { Box::leak("v".repeat(length).into_boxed_str()) };
    // Twenty small fields, for which HTTP/2 counts 32 bytes each, beside a long path, which it counts as well.
    let mut fields = vec![("x", "1"); 20];
    fields.push(("x-last", ""));
    let left = 1024 - 20 * (1 + 1 + 4) - ("x-last".len() + 4) - authority;
    let target = format!("/{}", "a".repeat(1023));
    // Whatever a host counts, this much passes, and this much does not.
    fields[20].1 = value(left - 10);
    let answer = call(rig.address, "GET", &target, &fields, None);
    assert_eq!(answer.status, 200, "{:?}", answer.headers);
    fields[20].1 = value(left + authority + 100);
    let answer = call(rig.address, "GET", &target, &fields, None);
    assert_eq!(
        (answer.status, &answer.headers["x-sidepass-reason"]),
        (431, &"headers_too_large".parse().unwrap())
    );
    let answer = call(rig.address, "GET", &format!("{target}a"), &[], None);
    assert_eq!(
        (answer.status, &answer.headers["x-sidepass-reason"]),
        (414, &"uri_too_long".parse().unwrap())
    );
}
