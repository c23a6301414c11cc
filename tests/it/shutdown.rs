//! How it ends: everything works during the delay, requests in flight finish, nothing outlives the deadline.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::support::patience::{eventually, eventually_within, patience};
use crate::support::process::listens;
use crate::support::reply::Reply;
use crate::support::setup::Setup;

const SECOND: Duration = Duration::from_secs(1);

// G 18
#[test]
fn sigterm_waits_finishes_what_is_in_flight_and_exits_with_zero() {
    let mut rig =
        Setup::new().lifetime(SECOND * 3).proxy("shutdown: { delay: 4s, deadline: 6s }").start_process();
    let silent: Vec<_> = (0..50).map(|_| rig.connect()).collect();
    let mut idle: Vec<_> = (0..50).map(|_| rig.connect()).collect();
    for caller in &mut idle {
        assert_eq!(caller.send(rig.request("GET", "/idle", &[], b"")).read().status, 200);
    }
    let fetched = rig.idp.count();
    rig.drain();
    let told = Instant::now();
    // During the delay everything works: new connections, kept ones, renewals.
    eventually("not ready any more, so that nobody new is sent here", || rig.probe("/readyz").status == 503);
    while told.elapsed() < SECOND * 3 {
        assert_eq!(rig.get("/new").status, 200, "{:?} after SIGTERM", told.elapsed());
        let kept = idle.first_mut().unwrap();
        assert_eq!(kept.send(rig.request("GET", "/kept", &[], b"")).read().status, 200);
        std::thread::sleep(SECOND / 10);
    }
    assert!(rig.idp.count() > fetched, "tokens are renewed during the delay");
    // In flight when the draining starts:
    rig.upstream.always(Reply::new(200, &[], "in time").delayed(SECOND * 3));
    let mut busy: Vec<_> = (0..50).map(|_| rig.connect()).collect();
    for caller in &mut busy {
        caller.send(rig.request("GET", "/busy", &[], b""));
    }
    eventually("all are in flight", || {
        rig.upstream.seen().iter().filter(|seen| seen.target() == "/busy").count() == 50
    });
    assert!(told.elapsed() < SECOND * 4, "the machine is too slow for this test");
    for mut caller in busy {
        assert_eq!(caller.read().text(), "in time");
    }
    let ended = rig.process().wait(SECOND * 4);
    rig.is_over();
    assert_eq!(ended.code, 0, "{}", ended.err);
    drop((silent, idle));
}

// G 18: what never ends is cut
#[test]
fn a_request_that_never_ends_is_cut_at_the_deadline() {
    let mut rig = Setup::new().proxy("shutdown: { deadline: 2s }").start_process();
    rig.upstream.always(Reply::stall());
    let mut caller = rig.connect();
    caller.send(rig.request("GET", "/", &[], b""));
    eventually("it is in flight", || rig.upstream.count() == 1);
    rig.drain();
    let told = Instant::now();
    let ended = rig.process().wait(patience());
    rig.is_over();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(told.elapsed() > Duration::from_millis(1900), "not before the deadline: {:?}", told.elapsed());
}

// Signals that come together are one to the kernel: then the deadline is what ends it, and the second one is not missed.
#[test]
fn two_signals_at_once_end_it_at_the_deadline_at_the_latest() {
    for signals in [[Signal::TERM, Signal::TERM], [Signal::TERM, Signal::INT]] {
        let mut rig = Setup::new().proxy("shutdown: { deadline: 2s }").start_process();
        rig.upstream.always(Reply::stall());
        let mut caller = rig.connect();
        caller.send(rig.request("GET", "/", &[], b""));
        eventually("it is in flight", || rig.upstream.count() == 1);
        // Stopped, it cannot take the first before the second is there.
        rig.process().signal(Signal::STOP);
        for signal in signals {
            rig.process().signal(signal);
        }
        rig.process().signal(Signal::CONT);
        let ended = rig.process().wait(patience());
        rig.is_over();
        assert_eq!(ended.code, 0, "{signals:?}: {}", ended.err);
    }
}

// G 18: idle and silent connections hold nothing up
#[test]
fn with_nothing_in_flight_it_ends_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut rig = Setup::new().start_process();
        let silent: Vec<_> = (0..20).map(|_| rig.connect()).collect();
        let mut idle = rig.connect();
        assert_eq!(idle.send(rig.request("GET", "/", &[], b"")).read().status, 200);
        rig.process().signal(signal);
        let told = Instant::now();
        let ended = rig.process().wait(patience());
        rig.is_over();
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert!(told.elapsed() < SECOND * 5, "it waited for nothing: {:?}", told.elapsed());
        drop(silent);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut rig = Setup::new().proxy("shutdown: { delay: 30s, deadline: 60s }").start_process();
    rig.upstream.always(Reply::stall());
    let mut caller = rig.connect();
    caller.send(rig.request("GET", "/", &[], b""));
    eventually("it is in flight", || rig.upstream.count() == 1);
    rig.drain();
    std::thread::sleep(SECOND / 2);
    assert!(rig.process().is_running());
    rig.drain();
    rig.process().wait(patience());
    rig.is_over();
}

#[test]
fn draining_closes_the_listener_and_then_kept_connections() {
    let mut rig = Setup::new().proxy("shutdown: { deadline: 10s }").start();
    rig.upstream.always(Reply::new(200, &[], "in time").delayed(SECOND * 2));
    let mut busy = rig.connect();
    let mut idle = rig.connect();
    busy.send(rig.request("GET", "/", &[], b""));
    eventually("it is in flight", || rig.upstream.count() == 1);
    rig.drain();
    eventually("nobody new gets in", || !listens(rig.address));
    assert!(idle.is_closed(), "an idle connection is closed at once");
    let answer = busy.read();
    assert_eq!((answer.status, answer.text().as_str()), (200, "in time"));
    assert!(answer.head.says_close() || busy.is_closed(), "and then the connection ends");
    rig.wait_until_ended(patience());
}

#[test]
fn probes_are_answered_to_the_end() {
    let mut rig = Setup::new().proxy("shutdown: { delay: 2s, deadline: 10s }").start();
    rig.upstream.always(Reply::new(200, &[], "in time").delayed(SECOND * 4));
    let mut busy = rig.connect();
    busy.send(rig.request("GET", "/", &[], b""));
    eventually("it is in flight", || rig.upstream.count() == 1);
    rig.drain();
    eventually_within(SECOND * 4, "the listener closes after the delay", || !listens(rig.address));
    assert_eq!(rig.probe("/livez").status, 200, "alive while it drains");
    assert_eq!(busy.read().status, 200);
    rig.wait_until_ended(patience());
}
