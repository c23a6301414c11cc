//! A caller's HTTP/2 connection, frame by frame: what floods cost, what a drain finishes (RFC 9113).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sidepass::config::server::Limits;
use sidepass::server::Origin;

use crate::server_stand::{Answers, Body, Stand, limits, text};
use crate::support::patience::{eventually, eventually_within, patience};
use crate::support::setup::Setup;

const SECOND: Duration = Duration::from_secs(1);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Answers with the path, `/wait` after a second, `/never` never, `/big` without end.
struct Paths;

impl Answers for Paths {
    async fn answer(&self, request: Request<Incoming>, _: &Origin) -> Response<Body> {
        match request.uri().path() {
            "/wait" => tokio::time::sleep(SECOND).await,
            "/never" => std::future::pending().await,
            "/big" => {
                return Response::new(Endless.boxed_unsync());
            }
            _ => {}
        }
        Response::new(text(request.uri().path().to_owned()))
    }
}

/// A body that never ends.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 16384])))))
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A GET with literal fields and no compression.
fn request(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in
        [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
    {
        field(&mut block, name, value);
    }
    block
}

fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        length(block, text.len());
        block.extend_from_slice(text.as_bytes());
    }
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(length as u8);
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

struct Caller(TcpStream);

impl Caller {
    fn connect(address: SocketAddr) -> Self {
        Self::with(address, &[])
    }

    fn with(address: SocketAddr, settings: &[u8]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut caller = Self(stream);
        // In pieces: it is no HTTP/1 head before it is whole.
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        caller.send(&preface[..10]);
        std::thread::sleep(Duration::from_millis(20));
        caller.send(&[&preface[10..], &frame(SETTINGS, 0, 0, settings)].concat());
        caller
    }

    /// Whether it was taken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    fn get(&mut self, stream: u32, path: &str) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &request(path)));
    }

    /// The next frame; none at the end.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of this kind.
    fn next_of(&mut self, kind: u8) -> Frame {
        std::iter::from_fn(|| self.next()).find(|frame| frame.kind == kind).expect("a frame of this kind")
    }

    /// What comes until the connection ends; PING is answered.
    fn rest(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(next) = self.next() {
            if next.kind == PING && next.flags == 0 {
                self.send(&frame(PING, 1, 0, &next.payload));
            }
            frames.push(next);
        }
        frames
    }
}

/// The error of a GOAWAY frame.
fn error(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.payload[4..8].try_into().unwrap())
}

/// What the program holds for itself, in bytes.
fn memory(process: u32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Somebody floods while others are served; the memory stays within 20 MiB of what it was.
fn others_are_served_while(flood: impl FnOnce(SocketAddr) + Send) {
    let mut rig = Setup::new().start_process();
    assert_eq!(rig.get("/warm").status, 200);
    let (process, address) = (rig.process().id(), rig.address);
    let before = memory(process);
    let mut most = before;
    std::thread::scope(|scope| {
        let flood = move || flood(address);
        let flooding =
            std::thread::Builder::new().name("caller".to_owned()).spawn_scoped(scope, flood).unwrap();
        let mut other = rig.connect();
        let mut rounds = 0;
        while !flooding.is_finished() || rounds < 5 {
            assert_eq!(other.send(rig.request("GET", "/other", &[], b"")).read().status, 200);
            rounds += 1;
            most = most.max(memory(process));
            std::thread::sleep(Duration::from_millis(10));
        }
        flooding.join().unwrap();
    });
    assert!(most - before < 20 << 20, "it cost {} bytes", most - before);
    eventually("nothing is left of it", || rig.metric("sidepass_requests_in_flight", &[]) == 0.0);
}

#[test]
fn http2_is_spoken_with_who_begins_with_its_preface() {
    let stand = Stand::start(Paths, limits());
    let mut caller = Caller::connect(stand.address);
    caller.get(1, "/hello");
    let settings = caller.next_of(SETTINGS);
    let of = |id: u16| {
        settings.payload.chunks(6).find(|one| one[..2] == id.to_be_bytes()).map(|one| one[2..].to_vec())
    };
    assert_eq!(of(3), Some(8_u32.to_be_bytes().to_vec()), "limits.streams");
    // HTTP/2 counts the target as well, and 32 bytes a field; some slack is for a refusal with a reason.
    let least = 16_384 + 4096 + 100 * 32_u32;
    let told = of(6).map(|four| u32::from_be_bytes(four.try_into().unwrap()));
    assert!(told.is_some_and(|told| (least..least * 2).contains(&told)), "limits.header_bytes: {told:?}");
    assert_eq!(of(8), None, "no CONNECT of RFC 8441");
    assert_eq!(caller.next_of(HEADERS).stream, 1);
    assert_eq!(caller.next_of(DATA).payload, b"/hello");
}

#[test]
fn more_streams_than_allowed_are_refused_and_the_others_answered() {
    let stand = Stand::start(Paths, limits());
    let mut caller = Caller::connect(stand.address);
    for n in 0..8 {
        caller.get(1 + 2 * n, "/wait");
    }
    caller.get(17, "/wait");
    let refused = caller.next_of(RST_STREAM);
    assert_eq!((refused.stream, refused.payload.as_slice()), (17, &[0, 0, 0, 7][..]), "REFUSED_STREAM");
    let answered = std::iter::from_fn(|| caller.next()).filter(|frame| frame.kind == HEADERS).take(8).count();
    assert_eq!((answered, stand.tally.requests()), (8, 8));
}

#[test]
fn a_drain_finishes_the_streams_that_are_open() {
    let stand = Stand::start(Paths, limits());
    let mut caller = Caller::connect(stand.address);
    caller.get(1, "/wait");
    eventually("it is in flight", || stand.tally.open() == 1);
    let idle = Caller::connect(stand.address);
    stand.drain();
    assert!(idle.rest().iter().any(|frame| frame.kind == GOAWAY && error(frame) == 0), "an idle one is told");
    let frames = caller.rest();
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY && error(frame) == 0));
    let answer: Vec<u8> =
        frames.iter().filter(|frame| frame.kind == DATA).flat_map(|frame| frame.payload.clone()).collect();
    assert_eq!(answer, b"/wait");
    eventually_within(SECOND * 2, "and that is the end", || stand.is_over());
}

#[test]
fn an_idle_connection_is_told_and_closed_though_it_pings() {
    let stand = Stand::start(Paths, Limits { idle_timeout: SECOND, ..limits() });
    let mut caller = Caller::connect(stand.address);
    caller.get(1, "/hello");
    caller.next_of(DATA);
    let mut pinging = Caller(caller.0.try_clone().unwrap());
    let pings = std::thread::spawn(move || {
        while pinging.send(&frame(PING, 0, 0, &[7; 8])) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(caller.rest().iter().any(|frame| frame.kind == GOAWAY && error(frame) == 0));
    pings.join().unwrap();
}

// B26, CVE-2023-44487
#[test]
fn a_caller_that_resets_what_it_opens_is_sent_away() {
    others_are_served_while(|address| {
        let mut caller = Caller::connect(address);
        let block = request("/never");
        let pair = |n: u32| {
            [frame(HEADERS, END_HEADERS | END_STREAM, n, &block), frame(RST_STREAM, 0, n, &[0, 0, 0, 8])]
                .concat()
        };
        let mut sent = 0;
        for batch in 0..200 {
            let many: Vec<u8> = (0..500).flat_map(|n| pair(1 + 2 * (batch * 500 + n))).collect();
            sent += 1;
            if !caller.send(&many) {
                break;
            }
        }
        assert!(sent < 200, "100,000 resets were taken");
    });
}

#[test]
fn a_caller_that_cancels_now_and_then_is_not() {
    let stand = Stand::start(Paths, limits());
    let mut caller = Caller::connect(stand.address);
    for n in 0..200 {
        let stream = 1 + 2 * n;
        caller.get(stream, "/never");
        // A server that got no turn meanwhile would find dozens of resets at once.
        eventually("it is being answered", || stand.tally.requests() as u32 == n + 1);
        assert!(caller.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])));
    }
    caller.get(401, "/hello");
    assert_eq!(caller.next_of(DATA).payload, b"/hello");
    eventually("nothing is left of them", || stand.tally.open() == 0);
}

#[test]
fn endless_continuations_are_cut() {
    others_are_served_while(|address| {
        let mut caller = Caller::connect(address);
        caller.send(&frame(HEADERS, END_STREAM, 1, &request("/hello")));
        let mut block = Vec::new();
        field(&mut block, "x-a", &"x".repeat(1000));
        let piece = frame(CONTINUATION, 0, 1, &block);
        let sent = (0..100_000).take_while(|_| caller.send(&piece)).count();
        assert!(sent < 100_000, "100 MB of a head were taken");
    });
}

#[test]
fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let stand = Stand::start(Paths, limits());
    let mut caller = Caller::connect(stand.address);
    let mut block = request("/hello");
    (0..40).for_each(|n| field(&mut block, &format!("x-{n}"), &"x".repeat(1000)));
    let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
    caller.send(&frame(HEADERS, END_STREAM, 1, pieces[0]));
    caller.send(&frame(CONTINUATION, 0, 1, pieces[1]));
    caller.send(&frame(CONTINUATION, END_HEADERS, 1, pieces[2]));
    // 431, or a reset stream: in either case nobody saw it, and the next stream is served.
    caller.get(3, "/next");
    let frames: Vec<Frame> =
        std::iter::from_fn(|| caller.next()).take_while(|frame| frame.payload != b"/next").collect();
    assert!(frames.iter().any(|frame| frame.stream == 1 && [HEADERS, RST_STREAM].contains(&frame.kind)));
    assert_eq!(stand.tally.requests(), 1);
}

#[test]
fn floods_of_settings_and_pings_are_cut() {
    let many = |one: &[u8]| one.repeat(1000);
    // One setting a frame, as many settings as fit in a frame, pings, empty data.
    let setting = [0, 4, 0, 1, 0, 0];
    let floods = [
        many(&frame(SETTINGS, 0, 0, &setting)),
        frame(SETTINGS, 0, 0, &setting.repeat(2730)).repeat(100),
        many(&frame(PING, 0, 0, &[1; 8])),
        many(&frame(2, 0, 1, &[0, 0, 0, 0, 1])),
    ];
    for (n, flood) in floods.iter().enumerate() {
        for reads in [true, false] {
            others_are_served_while(|address| {
                let mut caller = Caller::connect(address);
                caller.0.set_write_timeout(Some(SECOND)).unwrap();
                let mut reading = caller.0.try_clone().unwrap();
                let reader = std::thread::spawn(move || {
                    let mut some = [0; 65536];
                    while reads && matches!(reading.read(&mut some), Ok(1..)) {}
                });
                let sent = (0..3000).take_while(|_| caller.send(flood)).count();
                assert!(sent < 3000, "flood {n}: everything was taken");
                drop(caller);
                reader.join().unwrap();
            });
        }
    }
}

#[test]
fn a_caller_that_opens_no_window_is_given_up() {
    let stand = Stand::start(Paths, Limits { idle_timeout: SECOND, ..limits() });
    // SETTINGS_INITIAL_WINDOW_SIZE 0, and another caller that never reads what its window lets through.
    let mut closed = Caller::with(stand.address, &[0, 4, 0, 0, 0, 0]);
    closed.get(1, "/big");
    let mut small = Caller::connect(stand.address);
    small.get(1, "/big");
    eventually("they are answered", || stand.tally.requests() == 2);
    eventually("both are gone", || stand.metric("sidepass_connections") == 0.0);
    assert_eq!(stand.metric(r#"sidepass_connections_closed_total{cause="stuck"}"#), 2.0);
}
