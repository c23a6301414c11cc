//! HTTP/2 bytes of a caller, through a running proxy on loopback, to the bytes that an upstream gets.
//!
//! The input follows the preface: as it is behind an even first byte; behind an odd one as frames whose lengths are put right
//! (kind, flags, stream, length, payload), so that more than the first of them is read. Whatever it was: the connection ends
//! when its caller ends it, the next one is served, and the upstream gets requests that the strictest reader accepts, each
//! with our credential exactly once.

#![no_main]

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::{Corpus, fuzz_target};
use sidepass_fuzz::checks::check_request;
use sidepass_fuzz::proxy;
use sidepass_fuzz::upstream::Upstream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A ping: what was sent before it has been read when it comes back.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0the end.";

/// How long the input has to get its answers before its caller ends the connection.
const WHILE: Duration = Duration::from_millis(10);

/// No input makes the proxy hold a connection for this long once the caller has ended it.
const PATIENCE: Duration = Duration::from_secs(20);

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((mode, rest)) = bytes.split_first() else { return Corpus::Reject };
    let sent = if mode.is_multiple_of(2) { rest.to_vec() } else { frames(rest) };
    let (upstream, address) = rig();
    exchange(*address, &[PREFACE, &sent, PING].concat());
    let last =
        proxy::exchange(*address, b"GET /the-last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(last.starts_with(b"HTTP/1.1 200 "), "the next caller is served: {}", last.escape_ascii());
    let seen = upstream.take();
    assert!(seen.faults.is_empty(), "the upstream got what no strict reader accepts: {:?}", seen.faults);
    for (_, request) in &seen.requests {
        check_request(request, upstream.address);
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

/// Frames with the lengths that their payloads have.
fn frames(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [kind, flags, stream, length, behind @ ..] = rest {
        let (payload, next) = behind.split_at(usize::from(*length).min(behind.len()));
        let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
        out.extend_from_slice(&length[1..]);
        out.extend_from_slice(&[*kind, *flags, 0, 0, 0, *stream]);
        out.extend_from_slice(payload);
        rest = next;
    }
    out
}

/// Sends these bytes, waits for a while for the ping to come back, and ends the connection.
fn exchange(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("the proxy listens");
    let _ = stream.write_all(bytes);
    stream.set_read_timeout(Some(WHILE)).expect("a timeout can be set");
    let (mut answers, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    let ping = &PING[9..];
    let start = Instant::now();
    loop {
        match proxy::read(&mut stream, &mut buffer) {
            Ok(0) => return,
            Ok(count) => answers.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return,
        }
        if answers.windows(ping.len()).any(|part| part == ping) || start.elapsed() > WHILE {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    loop {
        match proxy::read(&mut stream, &mut buffer) {
            Ok(1..) if start.elapsed() < PATIENCE => {}
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return,
            _ => panic!("the proxy keeps the connection although its caller has ended it"),
        }
    }
}
