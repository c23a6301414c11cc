use std::task::{Poll, Waker};
use std::time::Duration;

use super::*;
use crate::server::busy::Busy;

fn watch(seconds: u64) -> Watch {
    let span = Duration::from_secs(seconds);
    Watch::new(&Limits {
        connections: 10,
        connections_per_caller: 0,
        header_bytes: 65536,
        headers: 100,
        uri_bytes: 16384,
        body_bytes: 0,
        streams: 100,
        pending_resets: 50,
        first_byte_timeout: span,
        header_timeout: span,
        idle_timeout: span * 3,
    })
}

fn order(connection: &Watched) -> Order {
    connection.orders.latest(Waker::noop())
}

/// One that is kept, or being served.
fn with_request(watch: &Watch) -> (Rc<Watched>, Busy) {
    let connection = watch.add();
    connection.received();
    connection.set_at_rest(false);
    let busy = connection.start(false);
    (connection, busy)
}

#[test]
fn connections_that_wait_too_long_are_closed_and_busy_ones_are_not() {
    let watch = watch(2);
    let (silent, slow) = (watch.add(), watch.add());
    slow.received();
    let (idle, done) = with_request(&watch);
    drop(done);
    let (busy, _request) = with_request(&watch);
    (0..3).for_each(|_| watch.tick());
    assert_eq!((order(&silent), silent.orders.cause()), (Order::Close, Some(Cause::FirstByte)));
    assert_eq!((order(&slow), slow.orders.cause()), (Order::Close, Some(Cause::Head)));
    assert_eq!(order(&idle), Order::Rest, "it keeps its socket and gives up the rest");
    (0..4).for_each(|_| watch.tick());
    assert_eq!((order(&idle), idle.orders.cause()), (Order::Close, Some(Cause::Idle)));
    assert_eq!(order(&busy), Order::Serve);
}

#[test]
fn a_caller_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
    let watch = watch(1);
    let ((deaf, _one), (slow, _other), (tail, done)) =
        (with_request(&watch), with_request(&watch), with_request(&watch));
    drop(done);
    for _ in 0..5 {
        [&deaf, &slow, &tail].into_iter().for_each(|connection| connection.told(&Poll::<()>::Pending));
        watch.tick();
        slow.told(&Poll::Ready(()));
        tail.told(&Poll::Ready(()));
    }
    assert_eq!((order(&deaf), deaf.orders.cause()), (Order::Close, Some(Cause::Stuck)));
    assert_eq!((order(&slow), order(&tail)), (Order::Serve, Order::Serve));
}

#[test]
fn a_drain_tells_every_connection_and_closes_none_by_force() {
    let watch = watch(0);
    let fresh = watch.add();
    let (busy, request) = with_request(&watch);
    watch.drain();
    assert_eq!((order(&fresh), order(&busy)), (Order::Drain, Order::Drain));
    (0..100).for_each(|_| watch.tick());
    assert_eq!((order(&fresh), order(&busy)), (Order::Drain, Order::Drain));
    drop(request);
    drop((fresh, busy));
    assert!(watch.is_empty());
}

#[test]
fn an_http2_connection_counts_its_streams_and_pings_do_not_keep_it() {
    let watch = watch(1);
    let connection = watch.add();
    connection.received();
    connection.is_http2();
    let streams = [connection.start(false), connection.start(true)];
    (0..10).for_each(|_| watch.tick());
    drop(streams.into_iter().next_back());
    (0..5).for_each(|_| {
        connection.received();
        watch.tick();
    });
    assert_eq!(order(&connection), Order::Drain, "idle for too long: it is told");
    assert_eq!(connection.phase(), Phase::Idle);
    (0..5).for_each(|_| watch.tick());
    assert_eq!((order(&connection), connection.orders.cause()), (Order::Close, Some(Cause::Idle)));
}

#[test]
fn a_caller_that_closed_its_side_waits_for_an_answer_for_a_while() {
    let watch = watch(1);
    let (waits, _one) = with_request(&watch);
    let [(reads, _two), (silent, _three), (gets, _four)] = [(); 3].map(|()| with_request(&watch));
    assert!(!waits.end_of_input(), "it may want to read its answer");
    for one in [&reads, &silent, &gets] {
        one.begin();
    }
    for one in [&silent, &gets] {
        assert!(!one.end_of_input(), "it may have said so before its answer began");
    }
    gets.told(&Poll::Ready(()));
    (0..2).for_each(|_| watch.tick());
    assert!(reads.end_of_input(), "it had begun to read and does no more");
    (0..9).for_each(|_| watch.tick());
    for gone in [&waits, &silent] {
        assert_eq!((order(gone), gone.orders.cause()), (Order::Close, Some(Cause::Gone)));
    }
    assert_eq!(order(&gets), Order::Serve, "bytes are taken, and no error says that it has gone");
}

#[test]
fn the_one_that_has_waited_longest_makes_room() {
    let watch = watch(100);
    let (_busy, _request) = with_request(&watch);
    let old = watch.add();
    watch.tick();
    let (young, newest) = (watch.add(), watch.add());
    assert!(watch.evict(&newest));
    assert_eq!((order(&old), old.orders.cause()), (Order::Close, Some(Cause::Crowded)));
    assert!(watch.evict(&newest));
    assert_eq!(order(&young), Order::Close);
    assert!(!watch.evict(&newest), "nobody is left but the busy one and itself");
}

#[test]
fn a_crowd_that_asks_once_each_rests_without_waiting_for_a_tick() {
    let watch = watch(60);
    let crowd: Vec<_> = (0..1000)
        .map(|_| {
            let (connection, busy) = with_request(&watch);
            drop(busy);
            // What its task does with the order.
            for other in watch.table.connections.borrow().iter().filter_map(std::rc::Weak::upgrade) {
                if order(&other) == Order::Rest {
                    other.orders.rested();
                    other.set_at_rest(true);
                }
            }
            connection
        })
        .collect();
    let awake = watch.table.awake();
    assert!((1..=80).contains(&awake), "{awake} of {} keep what they are served with", crowd.len());
    drop(crowd);
    assert_eq!(watch.table.awake(), 0);
}
