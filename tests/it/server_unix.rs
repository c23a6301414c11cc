//! Callers on a Unix socket: what TCP cannot tell, it tells.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use sidepass::config::ListenAddress;
use sidepass::server::Origin;
use tempfile::TempDir;

use crate::server_stand::{Answers, Body, Stand, limits, text};
use crate::support::gate::Gate;
use crate::support::patience::{eventually, eventually_within, patience};

/// Answers when the gate is open.
struct Gated(Gate);

impl Answers for Gated {
    async fn answer(&self, _: Request<Incoming>, origin: &Origin) -> Response<Body> {
        assert!(origin.caller.peer.is_none() && origin.caller.is_local());
        self.0.passed().await;
        Response::new(text("late"))
    }
}

fn start(gate: Gate) -> (Stand, PathBuf, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("proxy.sock");
    (Stand::start_on(ListenAddress::Unix(path.clone()), Gated(gate), limits()), path, folder)
}

fn ask(path: &PathBuf) -> UnixStream {
    let mut caller = UnixStream::connect(path).unwrap();
    caller.set_read_timeout(Some(patience())).unwrap();
    caller.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    caller
}

#[test]
fn a_caller_that_closes_its_side_of_a_unix_socket_gets_its_answer() {
    let gate = Gate::closed();
    let (stand, path, _folder) = start(gate.clone());
    let mut caller = ask(&path);
    caller.shutdown(Shutdown::Write).unwrap();
    eventually("it is being answered", || stand.tally.open() == 1);
    // Long enough for the watch to look at it.
    std::thread::sleep(Duration::from_millis(2500));
    gate.open();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("late"), "{answer}");
}

#[test]
fn a_caller_that_is_gone_from_a_unix_socket_is_noticed() {
    let (stand, path, _folder) = start(Gate::closed());
    let callers = [ask(&path), ask(&path), ask(&path)];
    eventually("they wait", || stand.tally.open() == 3);
    drop(callers);
    eventually_within(Duration::from_secs(5), "at once, not after patience", || stand.tally.open() == 0);
    // Closed in two steps.
    let caller = ask(&path);
    eventually("it waits", || stand.tally.open() == 1);
    caller.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop(caller);
    eventually_within(Duration::from_secs(5), "in both cases", || stand.tally.open() == 0);
    eventually("their places are free", || stand.metric("sidepass_connections") == 0.0);
}
