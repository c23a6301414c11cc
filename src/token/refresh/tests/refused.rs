//! Renewal of a token that the upstream refused.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once_per_thirty_seconds() {
    let rig = Rig::start([Step::New(HOUR)]).await;
    rig.pass(secs(10)).await;
    let mut renewing = 0;
    // An upstream that answers 401 to whatever it gets.
    for _ in 0..600 {
        renewing += usize::from(rig.cell.reject(Generation(rig.generation())) == Rejection::Renewing);
        rig.pass(Duration::from_millis(100)).await;
    }
    assert_eq!((rig.fake.count(), renewing), (3, 2), "{:?}", rig.fake.times());
    assert_eq!(rig.fake.reasons()[1], FetchReason::Rejected);
    assert_eq!(rig.cell.reject(Generation(1)), Rejection::Replaced);
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_keeps_its_distance_from_the_fetch_before() {
    let rig = Rig::start([Step::New(HOUR)]).await;
    assert_eq!(rig.cell.reject(Generation(1)), Rejection::Renewing);
    assert_eq!(rig.cell.newer_than(Generation(1)).await.unwrap().generation, Generation(2));
    assert!(rig.fake.times()[1] >= 0.999);

    let rig = Rig::start([Step::New(HOUR)]).await;
    while rig.generation() < 2 {
        rig.pass(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.cell.reject(Generation(2)), Rejection::Renewing);
    assert!(rig.cell.newer_than(Generation(2)).await.is_some());
    assert!(rig.fake.times()[2] - rig.fake.times()[1] >= 0.999, "the fetch before may be a routine one");
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_that_fails_keeps_the_suspect_token_and_declines_others() {
    let rig = Rig::start([Step::New(HOUR), Step::Fail(FetchErrorCode::InvalidClient, None)]).await;
    rig.pass(secs(5)).await;
    assert_eq!(rig.cell.reject(Generation(1)), Rejection::Renewing);
    assert!(rig.cell.newer_than(Generation(1)).await.is_none());
    assert!(rig.is_usable());
    assert_eq!(rig.cell.reject(Generation(1)), Rejection::Declined);
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_that_brings_the_same_token_is_not_repeated() {
    let rig = Rig::start([Step::Text("fixed", HOUR)]).await;
    rig.pass(secs(5)).await;
    assert_eq!(rig.cell.reject(Generation(1)), Rejection::Renewing);
    assert!(rig.cell.newer_than(Generation(1)).await.is_none());
    assert_eq!(rig.cell.reject(Generation(1)), Rejection::Declined);
    assert_eq!((rig.generation(), rig.fake.count()), (1, 2));
}
