//! Several workers: connections are spread evenly, and every caller has its share of them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::client::Connection;
use crate::support::patience::eventually;
use crate::support::rig::Rig;
use crate::support::setup::Setup;

/// How many requests each of the upstream's connections has had: each worker keeps connections of its own.
fn spread(rig: &Rig) -> Vec<usize> {
    let mut counts = BTreeMap::<usize, usize>::new();
    for seen in rig.upstream.seen() {
        *counts.entry(seen.connection).or_default() += 1;
    }
    counts.into_values().collect()
}

#[test]
fn four_connections_are_spread_evenly_over_two_workers() {
    let rig = Setup::new().proxy("workers: 2").start();
    let mut callers: Vec<Connection> = (0..4).map(|_| rig.connect()).collect();
    // One request after the other: each worker needs one connection.
    for _ in 0..5 {
        for caller in &mut callers {
            assert_eq!(caller.send(rig.request("GET", "/", &[], b"")).read().status, 200);
        }
    }
    assert_eq!(spread(&rig), [10, 10]);
}

#[test]
fn a_worker_whose_connections_end_gets_the_next_ones() {
    let rig = Setup::new().proxy("workers: 2").start();
    let mut callers: Vec<Connection> = (0..4).map(|_| rig.connect()).collect();
    let mut ask = |caller: &mut Connection| {
        assert_eq!(caller.send(rig.request("GET", "/", &[], b"")).read().status, 200);
        rig.upstream.last().connection
    };
    let workers: Vec<usize> = callers.iter_mut().map(&mut ask).collect();
    assert_eq!(workers, [0, 1, 0, 1]);
    // The first worker loses both.
    drop(callers.remove(2));
    drop(callers.remove(0));
    eventually("they are gone", || rig.metric("sidepass_connections", &[]) == 2.0);
    let mut next: Vec<Connection> = (0..2).map(|_| rig.connect()).collect();
    let workers: Vec<usize> = next.iter_mut().map(&mut ask).collect();
    assert_eq!(workers, [0, 0]);
}

#[test]
fn a_drain_of_two_workers_answers_who_is_there() {
    let mut rig = Setup::new().proxy("workers: 2").proxy("shutdown: { deadline: 20s }").start();
    let gate = crate::support::gate::Gate::closed();
    let held = crate::support::reply::Reply::new(200, &[], "in time").held(&gate);
    rig.upstream.always(held);
    let mut callers: Vec<Connection> = (0..6).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        caller.send(rig.request("GET", "/", &[], b""));
    }
    eventually("all are in flight", || rig.upstream.count() == 6);
    rig.drain();
    eventually("nobody new gets in", || !crate::support::process::listens(rig.address));
    gate.open();
    for caller in &mut callers {
        assert_eq!(caller.read().text(), "in time");
    }
    rig.wait_until_ended(crate::support::patience::patience());
}

#[test]
fn room_is_made_by_a_worker_that_has_an_idle_connection() {
    let rig = Setup::new().proxy("workers: 2").proxy("limits: { connections: 4 }").start();
    let gate = crate::support::gate::Gate::closed();
    let ask = |caller: &mut Connection| caller.send(rig.request("GET", "/", &[], b"")).try_read("GET");
    let mut callers: Vec<Connection> = (0..4).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        assert_eq!(ask(caller).unwrap().status, 200);
    }
    // Both connections of the first worker, which gets the next one where the counts are equal.
    let held = crate::support::reply::Reply::new(200, &[], "in time").held(&gate);
    rig.upstream.script([held.clone(), held]);
    for busy in [0, 2] {
        callers[busy].send(rig.request("GET", "/", &[], b""));
    }
    eventually("both are in flight", || rig.upstream.count() == 6);
    let mut newest = None;
    eventually("another caller gets in", || {
        let mut one = rig.connect();
        let answered = ask(&mut one).is_ok_and(|answer| answer.status == 200);
        newest = answered.then_some(one);
        answered
    });
    gate.open();
    for busy in [0, 2] {
        assert_eq!(callers[busy].read().text(), "in time");
    }
}

/// A connection from another address of this machine.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> Connection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Connection::over(TcpStream::from(socket))
}

#[test]
fn the_limit_of_a_caller_holds_over_all_workers_of_the_binary() {
    for workers in [1, 2] {
        let rig = Setup::new()
            .proxy(&format!("workers: {workers}"))
            .proxy("limits: { connections: 50, connections_per_caller: 3 }")
            .start_process();
        let ask = |caller: &mut Connection| caller.send(rig.request("GET", "/", &[], b"")).try_read("GET");
        // Whoever looked whether it listens may still have a place.
        let placed = || {
            let mut caller = None;
            eventually("there is a place", || {
                let mut one = rig.connect();
                let answered = ask(&mut one).is_ok_and(|answer| answer.status == 200);
                caller = answered.then_some(one);
                answered
            });
            caller.unwrap()
        };
        let kept = [placed(), placed(), placed()];
        let before = rig.metric("sidepass_connections_refused_total", &["cause=\"connections_per_caller\""]);
        assert!(ask(&mut rig.connect()).is_err(), "{workers} workers: one too many");
        let refused =
            || rig.metric("sidepass_connections_refused_total", &["cause=\"connections_per_caller\""]);
        eventually("it is counted", || refused() == before + 1.0);
        let mut other = connect_from(Ipv4Addr::new(127, 0, 0, 2), rig.address);
        assert_eq!(
            ask(&mut other).unwrap().status,
            200,
            "{workers} workers: another caller has its own share"
        );
        drop(kept);
        placed();
    }
}
