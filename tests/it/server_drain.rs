//! How a server ends: who was accepted is served or closed, whoever else is still being answered.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use sidepass::server::Origin;

use crate::server_stand::{Answers, Body, Stand, limits, text};
use crate::support::client::Connection;
use crate::support::gate::Gate;
use crate::support::patience::{eventually, patience};

/// `/block` holds up the whole thread, `/gate` waits for the gate.
struct Paths(Gate);

impl Answers for Paths {
    async fn answer(&self, request: Request<Incoming>, _: &Origin) -> Response<Body> {
        match request.uri().path() {
            "/block" => std::thread::sleep(Duration::from_millis(150)),
            "/gate" => self.0.passed().await,
            _ => {}
        }
        Response::new(text("answered"))
    }
}

#[test]
fn who_is_accepted_just_when_the_drain_begins_does_not_wait_for_others() {
    for round in 0..6 {
        let gate = Gate::closed();
        let stand = Stand::start(Paths(gate.clone()), limits());
        let mut long = stand.connect();
        long.send(stand.get("/gate"));
        eventually("it is in flight", || stand.tally.open() == 1);
        // The thread stands still while the drain begins and others come.
        let mut block = stand.connect();
        block.send(stand.get("/"));
        block.read();
        stand.drain();
        block.send(stand.get("/block"));
        eventually("it stands still", || stand.tally.requests() == 3);
        let late: Vec<_> = (0..20).filter_map(|_| std::net::TcpStream::connect(stand.address).ok()).collect();
        for stream in late {
            stream.set_read_timeout(Some(patience() / 2)).unwrap();
            let mut caller = Connection::over(stream);
            caller.stream().set_read_timeout(Some(patience() / 2)).unwrap();
            // An answer, or an end; not silence.
            let outcome = caller.send(stand.get("/late")).try_read("GET").map_err(|error| error.kind());
            assert!(
                !matches!(outcome, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)),
                "round {round}: left alone"
            );
        }
        gate.open();
        assert_eq!(long.read().text(), "answered", "round {round}");
    }
}
