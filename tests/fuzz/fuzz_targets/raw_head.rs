//! Raw bytes of a caller, through a running proxy on loopback, to the bytes that an upstream gets.
//!
//! The input is sent as it is, with a good request behind it that closes the connection. Whatever the input was:
//! the upstream gets requests that the strictest reader accepts, each with our credential exactly once, and exactly as many
//! as were answered to the caller, the last one included, although the caller has closed its side by then; a first request
//! whose length is unclear is refused and nothing is read behind it; and one that is correct in every respect arrives as it
//! was sent.

#![no_main]

use std::net::SocketAddr;
use std::sync::OnceLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use sidepass_fuzz::checks::check_request;
use sidepass_fuzz::proxy::{self, MANAGED};
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
    let got: Vec<u64> = seen.requests.iter().map(|(number, _)| *number).collect();
    assert_eq!(got, told, "requests upstream and answers to the caller are not the same ones");
    match strict::request(bytes) {
        Err(Fault::Framing(why)) => {
            assert!(seen.requests.is_empty(), "{why}, and it was forwarded: {:?}", seen.requests);
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
