//! Upstreams over HTTP/2 that send frames which ask for nothing, as fast as they can: their connection ends, soon, and
//! costs little memory until then.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use crate::support::process::resident;
use crate::support::raw_http2::frame;
use crate::support::rig::Rig;
use crate::support::setup::Setup;

/// An upstream that answers each request with `first`, and then with `again` until it cannot write any more.
fn flood(first: Vec<u8>, again: &[u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let many = again.repeat(65536 / again.len());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (first, many) = (first.clone(), many.clone());
            std::thread::spawn(move || {
                let _ = stream.write_all(&[frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat());
                let mut seen = Vec::new();
                // HEADERS with END_STREAM and END_HEADERS on the first stream.
                while !seen.windows(6).any(|at| at == [1, 5, 0, 0, 0, 1]) {
                    let mut some = [0; 4096];
                    match stream.read(&mut some) {
                        Ok(read @ 1..) => seen.extend_from_slice(&some[..read]),
                        _ => return,
                    }
                }
                // What it says meanwhile is read by nobody, as by a server that means harm.
                let _ = stream.write_all(&first);
                while stream.write_all(&many).is_ok() {}
            });
        }
    });
    address
}

fn rig(address: SocketAddr) -> Rig {
    Setup::new()
        .variable("UPSTREAM", format!("http://{address}"))
        .route("http2: prior_knowledge")
        .start_process()
}

/// `:status: 103`, without indexing.
fn early_hints() -> Vec<u8> {
    frame(1, 4, 1, b"\x08\x03103")
}

#[test]
fn an_upstream_that_floods_an_answer_that_is_awaited_is_given_up() {
    for (what, again) in [
        ("103", early_hints()),
        ("PING", frame(6, 0, 0, &[7; 8])),
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("PRIORITY", frame(2, 0, 3, &[0, 0, 0, 0, 1])),
        ("unknown frames", frame(99, 0, 0, &[])),
    ] {
        let address = flood(Vec::new(), &again);
        let mut rig = rig(address);
        let id = rig.process().id();
        let before = resident(id);
        let answer = rig.get("/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_closed"), "{what}");
        let cost = resident(id).saturating_sub(before);
        assert!(cost < 16 << 10, "{what}: {cost} KiB");
    }
}

#[test]
fn an_upstream_that_floods_within_its_answer_is_given_up() {
    for (what, again) in [
        ("PING", frame(6, 0, 0, &[7; 8])),
        ("empty DATA", frame(0, 0, 1, &[])),
        ("trailers", frame(1, 4, 1, &[])),
    ] {
        let head = frame(1, 4, 1, &[0x88]);
        let address = flood(head, &again);
        let rig = rig(address);
        let mut caller = rig.connect();
        caller.send(rig.request("GET", "/", &[], b""));
        let answer = caller.try_read("GET");
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 502), "{what}: cut off");
    }
}
