//! Streams in transit: answers that come before the request is over, and what waiting costs in memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::patience::{eventually, eventually_within, patience};
use crate::support::process::resident;
use crate::support::reply::{Reply, Step};
use crate::support::rig::Rig;
use crate::support::server::Pace;
use crate::support::setup::Setup;

/// Uploads `bytes` on a thread of its own, as far as it gets.
fn upload(stream: &TcpStream, bytes: usize) -> std::thread::JoinHandle<usize> {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let chunk = vec![b'x'; 64 << 10];
        let mut sent = 0;
        while sent < bytes && stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        sent
    })
}

// G 30 (B17)
#[test]
fn an_early_answer_is_read_whatever_the_upstream_does_next() {
    let rig = Setup::new().start();
    for (next, fine) in [(Step::Stall, true), (Step::Close, true), (Step::Reset, false)] {
        let shown = format!("{next:?}");
        rig.upstream.answer_early(move |seen| {
            let early = Reply::new(413, &[], "too big").then(next.clone());
            (seen.method() == "PUT").then_some(early)
        });
        for _ in 0..5 {
            let mut caller = rig.connect();
            let length = 100 << 20;
            caller
                .send(format!("PUT / HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n", rig.address));
            let sending = upload(caller.stream(), length);
            let answer = caller.try_read("PUT");
            match answer {
                Ok(answer) if fine => {
                    assert_eq!((answer.status, answer.text().as_str()), (413, "too big"), "{shown}")
                }
                Ok(answer) => assert!([413, 502].contains(&answer.status), "{shown}: {}", answer.status),
                Err(error) => assert!(!fine, "{shown}: {error}"),
            }
            let _ = caller.stream().shutdown(std::net::Shutdown::Both);
            assert!(sending.join().unwrap() < length, "{shown}: no pointless body is sent");
        }
        assert_eq!(rig.get("/").status, 200, "{shown}");
    }
}

const STREAMS: usize = 20;
/// Of each stream, in bytes; the long form is 1 GiB.
const SIZE: usize = 64 << 20;
/// What the whole process may take, in KiB (B36).
const BOUND: u64 = 64 << 10;

// G 17, uploads
#[test]
fn uploads_to_an_upstream_that_does_not_read_cost_little_memory() {
    let mut rig = Setup::new().start_process();
    rig.upstream.set_pace(Pace::Never);
    let id = rig.process().id();
    let callers: Vec<_> = (0..STREAMS).map(|_| rig.connect()).collect();
    let sending: Vec<_> = callers
        .iter()
        .map(|caller| {
            let head = format!("PUT / HTTP/1.1\r\nHost: {}\r\nContent-Length: {SIZE}\r\n\r\n", rig.address);
            caller.stream().try_clone().unwrap().write_all(head.as_bytes()).unwrap();
            upload(caller.stream(), SIZE)
        })
        .collect();
    eventually("all of them are on their way", || rig.upstream.count() == STREAMS);
    let peak = highest(id, Duration::from_secs(2));
    // A caller's end is behind what it sent and nobody reads: only the upstream can end this.
    rig.upstream.server().stop();
    for caller in &callers {
        let _ = caller.stream().shutdown(std::net::Shutdown::Both);
    }
    let sent: Vec<usize> = sending.into_iter().map(|sending| sending.join().unwrap()).collect();
    assert!(sent.iter().all(|sent| *sent < SIZE), "back-pressure reaches the callers: {sent:?}");
    assert!(peak < BOUND, "{peak} KiB");
}

// G 17, downloads
#[test]
fn downloads_to_callers_that_do_not_read_cost_little_memory() {
    let mut rig = Setup::new().start_process();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
    rig.upstream.always(Reply::raw(head).then(Step::Endless(vec![b'x'; 64 << 10])));
    let id = rig.process().id();
    let deaf: Vec<_> = (0..STREAMS).map(|_| ask(&rig)).collect();
    let peak = highest(id, Duration::from_secs(2));
    drop(deaf);
    assert!(peak < BOUND, "{peak} KiB");
}

fn ask(rig: &Rig) -> TcpStream {
    let mut stream = TcpStream::connect(rig.address).unwrap();
    stream.write_all(&rig.request("GET", "/", &[], b"")).unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    stream
}

/// The most memory that a process has within this time.
fn highest(process: u32, span: Duration) -> u64 {
    let pause = Duration::from_millis(50);
    let looks = span.as_millis() / pause.as_millis();
    let look = |_| {
        std::thread::sleep(pause);
        resident(process)
    };
    (0..looks).map(look).max().unwrap_or_default()
}

// A body is kept for a replay at about the price of its bytes, however small its pieces are.
#[test]
fn bodies_in_tiny_pieces_cost_no_more_than_others() {
    let sink = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", sink.local_addr().unwrap());
    let taken = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&taken);
    std::thread::spawn(move || {
        for mut stream in sink.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || {
                let mut some = vec![0; 64 << 10];
                while let Ok(read @ 1..) = stream.read(&mut some) {
                    counted.fetch_add(read, Ordering::SeqCst);
                }
            });
        }
    });
    let mut rig = Setup::new().variable("UPSTREAM", url).start_process();
    let id = rig.process().id();
    let before = resident(id);
    let body = b"1\r\nx\r\n".repeat(60_000);
    let mut callers: Vec<_> = (0..4).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        let head = format!("PUT / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", rig.address);
        caller.send([head.as_bytes(), &body].concat());
    }
    eventually_within(patience() * 3, "all bodies are there", || {
        taken.load(Ordering::SeqCst) >= 4 * 6 * 60_000
    });
    let cost = highest(id, Duration::from_secs(1)).saturating_sub(before);
    callers.into_iter().for_each(crate::support::client::Connection::reset);
    assert!(cost < 6 << 10, "four bodies of 60 kB cost {cost} KiB");
}
