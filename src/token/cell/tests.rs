use super::*;
use crate::clock::Clock;
use crate::token::testing::token;

const MINUTE: Duration = Duration::from_secs(60);

fn resting(generation: u64) -> (TokenWriter, TokenCell, Clock) {
    let clock = Clock::fake();
    let (mut writer, cell) = cell();
    publish(&mut writer, &clock, generation);
    (writer, cell, clock)
}

fn publish(writer: &mut TokenWriter, clock: &Clock, generation: u64) {
    let now = clock.now();
    writer.succeeded(Arc::new(token(generation, "t", MINUTE, now)), now.after(MINUTE), now.wall());
}

fn fail(writer: &mut TokenWriter, clock: &Clock) {
    let now = clock.now();
    let failure =
        Failure { code: FetchErrorCode::Timeout, message: String::new(), at: now.wall(), attempts: 1 };
    writer.failed(Arc::new(failure), now.after(MINUTE), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once_and_everybody_is_told_so() {
    let (mut writer, cell, clock) = resting(1);
    assert!(!writer.refresh_demanded());
    assert_eq!(cell.reject(Generation(1)), Rejection::Renewing);
    assert_eq!(cell.reject(Generation(1)), Rejection::Renewing);
    assert!(writer.refresh_demanded());
    writer.woken().await;
    writer.fetching();
    assert_eq!(cell.reject(Generation(1)), Rejection::Renewing);
    publish(&mut writer, &clock, 2);
    assert_eq!(cell.reject(Generation(1)), Rejection::Replaced);
    assert!(!writer.refresh_demanded());
}

#[tokio::test(start_paused = true)]
async fn one_forced_refresh_in_thirty_seconds() {
    let (mut writer, cell, clock) = resting(1);
    assert_eq!(cell.reject(Generation(1)), Rejection::Renewing);
    writer.fetching();
    publish(&mut writer, &clock, 2);
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(cell.reject(Generation(2)), Rejection::Declined);
    assert!(!writer.refresh_demanded());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(cell.reject(Generation(2)), Rejection::Renewing);
}

#[tokio::test(start_paused = true)]
async fn declines_while_backing_off() {
    let (mut writer, cell, clock) = resting(1);
    writer.fetching();
    fail(&mut writer, &clock);
    assert_eq!(cell.reject(Generation(1)), Rejection::Declined);
    assert!(!writer.refresh_demanded());
}

#[tokio::test(start_paused = true)]
async fn a_routine_refresh_in_flight_serves_a_rejection_too_and_uses_up_nothing() {
    let (mut writer, cell, clock) = resting(1);
    writer.fetching();
    assert_eq!(cell.reject(Generation(1)), Rejection::Renewing);
    publish(&mut writer, &clock, 2);
    assert!(!writer.refresh_demanded());
    assert_eq!(cell.reject(Generation(2)), Rejection::Renewing, "the one forced refresh is still to be had");
}

#[tokio::test(start_paused = true)]
async fn the_suspect_token_stays_until_a_newer_one_is_there() {
    let (mut writer, cell, clock) = resting(1);
    let _ = cell.reject(Generation(1));
    writer.fetching();
    assert_eq!(cell.state().token.unwrap().generation, Generation(1));
    publish(&mut writer, &clock, 2);
    assert_eq!(cell.state().token.unwrap().generation, Generation(2));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_newer_token_ends_with_it_or_with_the_refresh() {
    let (mut writer, cell, clock) = resting(1);
    assert!(cell.newer_than(Generation(1)).await.is_none(), "nothing is under way");

    let _ = cell.reject(Generation(1));
    let waiter = tokio::spawn({
        let cell = cell.clone();
        async move { cell.newer_than(Generation(1)).await }
    });
    tokio::task::yield_now().await;
    writer.fetching();
    publish(&mut writer, &clock, 2);
    assert_eq!(waiter.await.unwrap().unwrap().generation, Generation(2));

    writer.fetching();
    let waiter = tokio::spawn({
        let cell = cell.clone();
        async move { cell.newer_than(Generation(2)).await }
    });
    tokio::task::yield_now().await;
    fail(&mut writer, &clock);
    assert!(waiter.await.unwrap().is_none());
}

#[test]
fn of_many_threads_that_refuse_at_once_all_get_the_same_answer() {
    let clock = Clock::system();
    for _ in 0..2000 {
        let (mut writer, cell) = cell();
        publish(&mut writer, &clock, 1);
        let together = std::sync::Barrier::new(8);
        let refuse = || {
            together.wait();
            cell.reject(Generation(1))
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(refuse)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|answer| *answer == Rejection::Renewing), "{answers:?}");
    }
}
