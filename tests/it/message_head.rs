//! Heads in transit: what is added, what is kept byte for byte, which Host an upstream sees.

use std::io::Write;

use crate::support::client::Connection;
use crate::support::reply::Reply;
use crate::support::setup::Setup;

#[test]
fn a_request_says_which_way_it_came() {
    let rig = Setup::new().start();
    rig.call("GET", "/", &[("Via", "1.1 edge, 1.0 fred"), ("Via", "2 other")], b"");
    let seen = rig.upstream.last();
    let via = seen.head.all("via");
    assert_eq!(via[..2], ["1.1 edge, 1.0 fred", "2 other"], "lines and their order are kept");
    let ours = via[2].strip_prefix("1.1 sidepass-").expect("version as received, then our pseudonym");
    assert!(ours.len() == 8 && ours.bytes().all(|byte| byte.is_ascii_hexdigit()), "{ours}");
    let answer = rig.connect().send(format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", rig.address)).read();
    assert_eq!(answer.header("via"), None, "a caller must not notice us");
    assert_eq!(rig.upstream.last().header("via").unwrap(), format!("1.0 sidepass-{ours}"));
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    let rig = Setup::new().start();
    rig.get("/");
    let ours = rig.upstream.last().header("via").unwrap().to_owned();
    for line in [ours.clone(), format!("1.1 edge, {ours} (comment)")] {
        let answer = rig.call("GET", "/", &[("Via", "1.1 a"), ("Via", &line)], b"");
        assert_eq!((answer.status, answer.reason().as_str()), (508, "loop_detected"));
    }
    let answer = rig.call("GET", "/", &[("Via", &ours), ("Connection", "Via")], b"");
    assert_eq!(answer.status, 508, "a hop cannot take it out");
    assert_eq!(rig.upstream.count(), 1);
}

#[test]
fn no_via_is_added_where_it_is_turned_off() {
    let rig = Setup::new().proxy("via: false").start();
    assert_eq!(rig.call("GET", "/", &[("Via", "1.1 edge")], b"").status, 200);
    assert_eq!(rig.upstream.last().head.all("via"), ["1.1 edge"]);
}

// G 28, without TLS
#[test]
fn the_upstream_sees_the_host_that_its_route_says() {
    let route = |name: &str, host: &str| {
        format!(
            "  {name}:\n    match: {{ path_prefix: /{name} }}\n    upstream: ${{UPSTREAM}}\n    profile: main\n    {host}\n"
        )
    };
    let rig = Setup::new()
        .proxy("hosts: [app.example]")
        .more(&route("kept", "host: preserve"))
        .more(&route("fixed", "host: api.example:8443"))
        .start();
    let own = rig.upstream.address().to_string();
    let cases = [
        ("/", "app.example", own.as_str()),
        ("/kept", "App.Example:81", "App.Example:81"),
        ("/fixed", "app.example", "api.example:8443"),
        ("http://app.example:7/kept", "app.example", "app.example:7"),
    ];
    for (target, host, expected) in cases {
        rig.connect().send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).read();
        assert_eq!(rig.upstream.last().head.all("host"), [expected], "{target}");
    }
    rig.connect().send("GET /kept HTTP/1.0\r\n\r\n").read();
    assert_eq!(rig.upstream.last().head.all("host"), [own.as_str()], "there is none to keep");
}

#[test]
fn a_location_by_the_name_that_the_upstream_was_called_leads_back() {
    let rig = Setup::new()
        .route("host: api.example")
        .more("  kept:\n    match: { path_prefix: /kept }\n    strip_prefix: true\n    upstream: ${UPSTREAM}\n    profile: main\n    host: preserve\n")
        .start();
    let moved = |location: &str| Reply::new(302, &[("Location", location)], "");
    rig.upstream.script([moved("http://api.example/x")]);
    assert_eq!(rig.get("/").header("location").unwrap(), format!("http://{}/x", rig.address));
    rig.upstream.script([moved(&format!("http://{}/x", rig.address))]);
    assert_eq!(rig.get("/kept").header("location").unwrap(), format!("http://{}/kept/x", rig.address));
    rig.upstream.script([moved("http://elsewhere.example/x")]);
    assert_eq!(rig.get("/").header("location").unwrap(), "http://elsewhere.example/x");
}

#[test]
fn values_pass_byte_for_byte_and_lines_in_their_order() {
    let rig = Setup::new().start();
    let long = "x".repeat(20_000);
    let fields = [
        ("X-Latin", &b"caf\xe9 \xff"[..]),
        ("X-Utf8", "łódź".as_bytes()),
        ("X-Empty", b""),
        ("X-Many", b"3"),
        ("X-Other", b"a,b ,c"),
        ("X-Many", b"1"),
        ("X-Many", b"2, 4"),
        ("X-Tab", b"a\tb"),
        ("X-Long", long.as_bytes()),
    ];
    let lines: Vec<u8> =
        fields.iter().flat_map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat()).collect();
    rig.upstream
        .script([Reply::raw([b"HTTP/1.1 200 OK\r\n", &lines[..], b"Content-Length: 0\r\n\r\n"].concat())]);
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n", rig.address);
    let answer = rig.connect().send([head.as_bytes(), &lines, b"\r\n"].concat()).read();
    for (side, raw) in [("request", rig.upstream.last().head.raw), ("answer", answer.head.raw)] {
        let raw = raw.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
        for (name, value) in &fields {
            let line = [name.to_ascii_lowercase().as_bytes(), b": ", value, b"\r"].concat();
            assert!(raw.contains(&line), "{side}: {name}");
        }
        let many: Vec<_> = raw.iter().filter(|line| line.starts_with(b"x-many")).map(Vec::as_slice).collect();
        assert_eq!(many, [&b"x-many: 3\r"[..], b"x-many: 1\r", b"x-many: 2, 4\r"], "{side}");
    }
}

// G 27 (B15)
#[test]
fn a_length_without_a_body_stays_what_the_upstream_said() {
    let rig = Setup::new().start();
    let bare = |head: &str| Reply::raw(format!("HTTP/1.1 {head}\r\n\r\n"));
    let cases = [
        ("GET", bare("304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 42"), 304, Some("42")),
        ("GET", bare("304 Not Modified"), 304, None),
        ("HEAD", bare("304 Not Modified\r\nContent-Length: 42"), 304, Some("42")),
        ("HEAD", bare("200 OK\r\nContent-Length: 42"), 200, Some("42")),
        ("HEAD", bare("200 OK\r\nTransfer-Encoding: chunked"), 200, None),
        ("HEAD", bare("200 OK"), 200, None),
        ("GET", bare("204 No Content\r\nContent-Length: 0"), 204, None),
        ("GET", bare("205 Reset Content\r\nContent-Length: 0"), 205, Some("0")),
        ("GET", Reply::new(200, &[], "in step"), 200, Some("7")),
    ];
    rig.upstream.script(cases.iter().map(|(_, reply, ..)| reply.clone()));
    let mut caller = rig.connect();
    for (method, reply, status, length) in cases {
        let answer = caller.send(rig.request(method, "/", &[], b"")).try_read(method).unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (status, length), "{method} {reply:?}");
        assert_eq!(answer.header("transfer-encoding"), None, "{method} {reply:?}");
    }
    assert_eq!(rig.upstream.server().connections(), 1, "nothing puts the connections out of step");
}

#[test]
fn a_caller_of_http_1_0_gets_a_body_that_ends_with_the_connection() {
    let rig = Setup::new().start();
    rig.upstream
        .script([Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")]);
    let mut caller: Connection = rig.connect();
    caller.stream().flush().unwrap();
    let raw = caller.send(format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", rig.address)).read_to_end();
    let raw = String::from_utf8(raw).unwrap();
    assert!(raw.ends_with("\r\n\r\nhello") && !raw.to_ascii_lowercase().contains("chunked"), "{raw}");
}
