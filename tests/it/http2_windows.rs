//! DATA beyond the flow-control windows of HTTP/2 (RFC 9113 §5.2.2, §6.9.1), from callers and from upstreams: whoever sends
//! it is told, and it costs nobody else anything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use sidepass::config::route::Http2;

use crate::support::patience::patience;
use crate::support::raw_http2::frame;
use crate::support::rig::Rig;
use crate::support::server::Pace;
use crate::support::setup::Setup;

const FLOW_CONTROL_ERROR: u32 = 3;

/// What one frame may carry.
const FRAME: usize = 16 * 1024;

/// More than every window here is, several times over.
const FLOOD: usize = 64 * 1024 * 1024;

/// The error of each RST_STREAM and GOAWAY in these bytes.
fn errors(mut bytes: &[u8]) -> Vec<u32> {
    let mut found = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(payload) = rest.get(..length) else { break };
        let code = match kind {
            3 => payload.first_chunk::<4>(),
            7 => payload[4..].first_chunk::<4>(),
            _ => None,
        };
        found.extend(code.map(|code| u32::from_be_bytes(*code)));
        bytes = &rest[length..];
    }
    found
}

/// Writes DATA on these streams in turn, without a look at any window, until the other side has enough of it; how many
/// bytes it took.
fn flood(stream: &mut TcpStream, streams: &[u32]) -> usize {
    let payload = [b'x'; FRAME];
    let mut sent = 0;
    for id in streams.iter().cycle() {
        if sent >= FLOOD || stream.write_all(&frame(0, 0, *id, &payload)).is_err() {
            break;
        }
        sent += FRAME;
    }
    sent
}

/// A caller that begins as many uploads as it has streams, to an upstream that reads nothing, and floods them.
fn flooding_caller(rig: &Rig, streams: &[u32]) -> (usize, Vec<u32>) {
    let mut caller = TcpStream::connect(rig.address).unwrap();
    caller.set_read_timeout(Some(patience())).unwrap();
    caller.set_write_timeout(Some(patience())).unwrap();
    caller
        .write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[])].concat())
        .unwrap();
    for id in streams {
        // POST, http, `/` of the static table, and an authority.
        caller.write_all(&frame(1, 4, *id, b"\x83\x86\x84\x01\x09localhost")).unwrap();
    }
    let mut reading = caller.try_clone().unwrap();
    let read = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = reading.read_to_end(&mut bytes);
        bytes
    });
    let sent = flood(&mut caller, streams);
    let _ = caller.shutdown(std::net::Shutdown::Write);
    (sent, errors(&read.join().unwrap()))
}

#[test]
fn a_caller_that_sends_beyond_the_windows_is_told_so_and_others_are_served() {
    for streams in [&[1][..], &[1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23]] {
        let rig = Setup::new().start();
        rig.upstream.set_pace(Pace::Never);
        let (sent, errors) = flooding_caller(&rig, streams);
        // Where only the stream was ended, what follows on it is dropped; where the connection was, its end may overtake
        // what was told.
        let cut = errors.is_empty() && sent < FLOOD;
        assert!(errors.contains(&FLOW_CONTROL_ERROR) || cut, "{streams:?}: {errors:?}, {sent} bytes");
        rig.upstream.set_pace(Pace::Eager);
        assert_eq!(rig.get("/").status, 200, "{streams:?}: others are served");
    }
}

/// Answers the request of its first connection with DATA beyond every window, and that of the next one well; gives what
/// was taken, and the errors that it was told.
fn flooding_upstream() -> (SocketAddr, std::thread::JoinHandle<(usize, Vec<u32>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let flooding = std::thread::spawn(move || {
        let mut stream = begin(&listener);
        stream.write_all(&frame(1, 4, 1, &[0x88])).unwrap();
        let mut reading = stream.try_clone().unwrap();
        let read = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = reading.read_to_end(&mut bytes);
            bytes
        });
        let sent = flood(&mut stream, &[1]);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let told = errors(&read.join().unwrap());
        let mut next = begin(&listener);
        next.write_all(&[frame(1, 4, 1, &[0x88]), frame(0, 1, 1, b"fine")].concat()).unwrap();
        let _ = next.read_to_end(&mut Vec::new());
        (sent, told)
    });
    (address, flooding)
}

/// A connection whose first request has come.
fn begin(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    stream.set_write_timeout(Some(patience())).unwrap();
    stream.write_all(&[frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat()).unwrap();
    stream.read_exact(&mut [0; 24]).unwrap();
    let mut head = [0; 9];
    loop {
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).unwrap();
        if head[3] == 1 {
            return stream;
        }
    }
}

#[test]
fn an_upstream_that_sends_beyond_the_windows_is_told_so_and_the_next_request_is_answered() {
    let (address, flooding) = flooding_upstream();
    let rig = Setup::new()
        .variable("UPSTREAM", format!("http://{address}"))
        .adjust(|config| config.routes[0].http2 = Http2::PriorKnowledge)
        .start();
    let mut caller = rig.connect();
    caller.send(rig.request("GET", "/", &[], b""));
    // It reads nothing of its answer while the upstream floods, and what has begun ends before its time.
    let head = caller.read_head().unwrap();
    assert_eq!(head.word(1), "200");
    let next = rig.get("/next");
    assert_eq!((next.status, next.text().as_str()), (200, "fine"));
    assert!(!caller.read_to_end().ends_with(b"0\r\n\r\n"), "the answer is visibly cut");
    drop(rig);
    let (sent, told) = flooding.join().unwrap();
    let cut = told.is_empty() && sent < FLOOD;
    assert!(told.contains(&FLOW_CONTROL_ERROR) || cut, "{told:?}, {sent} bytes");
}
