//! Raw bytes of a caller, through a running proxy on loopback, to the bytes that an upstream gets.
//!
//! The input is sent as it is, with a good request behind it that closes the connection. Whatever the input was:
//! the upstream gets requests that the strictest reader accepts, each with our credential exactly once, and exactly as many
//! as were answered to the caller; behind a first request whose length is unclear nothing is read any more; and a first request
//! that is correct in every respect arrives as it was sent.

#![no_main]

use std::net::SocketAddr;
use std::sync::OnceLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use sidepass_fuzz::proxy::{self, AUTHORIZATION, MANAGED, TOKEN};
use sidepass_fuzz::rules::{self, is_hop_by_hop, is_stripped_from_request};
use sidepass_fuzz::strict::{self, Fault, Request};
use sidepass_fuzz::upstream::{NUMBER, Upstream};

/// Closes the connection, whatever became of the input. With the bytes behind it there is nearly always something left to
/// read, so that the end of the caller's bytes does not abort what is being answered.
const LAST: &[u8] = b"GET /the-last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n.the-end.";

/// More than this is cut into several reads of the proxy, and finds nothing that less does not.
const LONGEST: usize = 4096;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if bytes.len() > LONGEST {
        return Corpus::Reject;
    }
    let (upstream, proxy) = rig();
    upstream.take();
    let answers = proxy::exchange(*proxy, &[bytes, LAST].concat());
    let seen = upstream.take();
    assert!(seen.faults.is_empty(), "the upstream got what no strict reader accepts: {:?}", seen.faults);
    for (_, request) in &seen.requests {
        check_request(request, upstream.address);
    }
    let told = numbers(&answers);
    let mut got: Vec<u64> = seen.requests.iter().map(|(number, _)| *number).collect();
    // The caller has closed its side by then: with bytes left unread behind the last request, its answer may be lost to a
    // reset (seen once in some ten thousand inputs); never an answer before it.
    if got.len() > told.len() {
        got.pop();
    }
    assert_eq!(got, told, "requests upstream and answers to the caller are not the same ones");
    match strict::request(bytes) {
        Err(Fault::Framing(why)) => {
            let ends = seen.requests.len() <= 1
                && seen.requests.iter().all(|(_, request)| request.target != b"/the-last");
            assert!(ends, "{why}, and the connection was read on: {:?}", seen.requests);
        }
        Ok((sent, _)) if is_ordinary(&sent) => {
            let (_, first) = seen.requests.first().expect("an ordinary request is forwarded");
            check_same(&sent, first);
        }
        _ => {}
    }
    Corpus::Keep
});

fn rig() -> &'static (Upstream, SocketAddr) {
    static RIG: OnceLock<(Upstream, SocketAddr)> = OnceLock::new();
    RIG.get_or_init(|| {
        let upstream = Upstream::start();
        let proxy = proxy::start(upstream.address);
        (upstream, proxy)
    })
}

/// What holds for every request that goes upstream.
fn check_request(request: &Request, upstream: SocketAddr) {
    let one = |name: &[u8], value: &str| {
        assert_eq!(rules::values(&request.lines, name), [value.as_bytes()], "{request:?}")
    };
    assert_eq!(request.version, b"HTTP/1.1");
    assert!(request.target.starts_with(b"/"), "{request:?}");
    one(b"host", &upstream.to_string());
    one(b"authorization", AUTHORIZATION);
    one(b"x-token", TOKEN);
    for (name, _) in &request.lines {
        let twin =
            name.contains(&b'_') && MANAGED.iter().any(|managed| rules::folded(name) == managed.as_bytes());
        assert!(!twin, "{}: {request:?}", String::from_utf8_lossy(name));
        if is_hop_by_hop(name) {
            check_own(request, name);
        }
    }
}

/// A line that concerns this connection is one that the proxy itself would write.
fn check_own(request: &Request, name: &[u8]) {
    let values = rules::values(&request.lines, name);
    let [value] = values.as_slice() else {
        panic!("{} more than once: {request:?}", String::from_utf8_lossy(name))
    };
    let value = value.to_ascii_lowercase();
    let own = match name.to_ascii_lowercase().as_slice() {
        b"te" => value == b"trailers",
        b"upgrade" => value == b"websocket",
        b"expect" => value == b"100-continue",
        b"connection" => value
            .split(|byte| *byte == b',')
            .all(|option| matches!(option.trim_ascii(), b"te" | b"upgrade" | b"close")),
        b"transfer-encoding" | b"trailer" => true,
        _ => false,
    };
    assert!(own, "{}: {request:?}", String::from_utf8_lossy(name));
}

/// The numbers in the answers of the upstream, in their order.
fn numbers(answers: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(answers).to_ascii_lowercase();
    let lines =
        text.split("\r\n").filter_map(|line| line.strip_prefix(NUMBER)?.strip_prefix(": ")?.parse().ok());
    lines.collect()
}

/// Whether nothing about a request could be a reason to refuse it.
fn is_ordinary(request: &Request) -> bool {
    let special = ["expect", "origin", "sec-fetch-site", "via", "upgrade", "http2-settings", "max-forwards"];
    let host = rules::values(&request.lines, b"host");
    let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_~".contains(byte);
    request.version == b"HTTP/1.1"
        && !matches!(request.method.as_slice(), b"CONNECT" | b"TRACE" | b"PRI")
        && request.method.len() <= 16
        && path.starts_with(b"/")
        && path.iter().all(plain)
        && request.target.iter().all(|byte| plain(byte) || b"?&=.%+".contains(byte))
        && matches!(host.as_slice(), [host] if matches!(*host, b"localhost" | b"127.0.0.1" | b"localhost:4080"))
        && request.lines.len() < 90
        && !special.iter().any(|name| !rules::values(&request.lines, name.as_bytes()).is_empty())
}

/// The request as sent, but for what has to go and what is added.
fn check_same(sent: &Request, got: &Request) {
    assert_eq!((&sent.method, &sent.target, &sent.body), (&got.method, &got.target, &got.body));
    let framing =
        |name: &[u8]| ["host", "content-length"].iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
    for (name, _) in sent.lines.iter().filter(|(name, _)| !framing(name)) {
        let managed = MANAGED.iter().any(|managed| name.eq_ignore_ascii_case(managed.as_bytes()));
        // Several cookie lines become one (RFC 9113 §8.2.3).
        if managed || is_hop_by_hop(name) || name.eq_ignore_ascii_case(b"cookie") {
            continue;
        }
        let gone = is_stripped_from_request(&sent.lines, name, &MANAGED);
        let wanted = if gone { Vec::new() } else { rules::values(&sent.lines, name) };
        assert_eq!(rules::values(&got.lines, name), wanted, "{}: {got:?}", String::from_utf8_lossy(name));
    }
    for (name, _) in &got.lines {
        let ours = ["authorization", "x-token", "content-length", "via"];
        let known = ours.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
            || is_hop_by_hop(name)
            || !rules::values(&sent.lines, name).is_empty();
        assert!(known, "{} was never sent", String::from_utf8_lossy(name));
    }
}
