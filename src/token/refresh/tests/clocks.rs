//! Renewal on clocks that jump, lifetimes that mislead, and replicas that start together.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_suspended_machine_refreshes_when_it_wakes() {
    let rig = Rig::start([Step::New(HOUR)]).await;
    rig.clock.suspend(2 * HOUR);
    assert!(!rig.is_usable(), "expiry is judged at use");
    rig.pass(secs(30)).await;
    assert_eq!(rig.generation(), 2);
    assert_eq!(rig.fake.reasons()[1], FetchReason::Expired);
    rig.clock.suspend(2 * HOUR);
    rig.cell.wake();
    rig.pass(Duration::from_millis(10)).await;
    assert_eq!(rig.generation(), 3, "a request does not wait for the slice");
}

#[tokio::test(start_paused = true)]
async fn a_backoff_ends_when_the_machine_slept_past_it() {
    let rig = Rig::start([Step::Fail(FetchErrorCode::InvalidClient, None), Step::New(HOUR)]).await;
    rig.clock.suspend(HOUR);
    rig.pass(secs(1)).await;
    assert_eq!(rig.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_forth_renews_and_one_set_back_changes_nothing() {
    let rig = Rig::start([Step::New(HOUR)]).await;
    rig.clock.set_wall_by(7200);
    rig.pass(secs(30)).await;
    assert_eq!((rig.generation(), rig.is_usable()), (2, true));

    let rig = Rig::start([Step::New(HOUR)]).await;
    rig.clock.set_wall_by(-7200);
    rig.pass(secs(2300)).await;
    assert_eq!(rig.fake.count(), 1);
    rig.pass(secs(402)).await;
    assert_eq!(rig.fake.count(), 2, "the boot clock keeps the schedule");
}

#[tokio::test(start_paused = true)]
async fn the_same_token_keeps_its_generation_and_is_not_asked_for_hotly() {
    let rig = Rig::start([Step::ShrinkingUntil(secs(600))]).await;
    rig.pass(secs(540)).await;
    let before = rig.fake.count();
    assert_eq!(rig.generation(), 1);
    rig.pass(Duration::from_millis(60_900)).await;
    assert!(rig.fake.count() - before <= 10, "{:?}", rig.fake.times());
    assert_eq!((rig.generation(), rig.is_usable()), (2, true), "the gap is below a second");
}

#[tokio::test(start_paused = true)]
async fn the_same_token_lives_longer_if_the_answer_says_so() {
    let rig = Rig::start([Step::Text("fixed", secs(600))]).await;
    rig.pass(HOUR).await;
    assert_eq!((rig.generation(), rig.is_usable()), (1, true));
    assert!(rig.fake.count() <= 15, "{:?}", rig.fake.times());
}

#[tokio::test(start_paused = true)]
async fn the_same_token_does_not_live_shorter() {
    let rig = Rig::start([Step::Text("fixed", secs(600)), Step::Text("fixed", secs(10))]).await;
    let expiry = rig.cell.state().token.unwrap().access.expires_at();
    rig.pass(secs(500)).await;
    assert_eq!(rig.cell.state().token.unwrap().access.expires_at(), expiry);
}

#[tokio::test(start_paused = true)]
async fn no_lifetime_makes_a_storm() {
    for lifetime in [1, 5, 10, 30, 61, 89] {
        let rig = Rig::start([Step::New(secs(lifetime))]).await;
        rig.pass(secs(600)).await;
        #[allow(clippy::cast_precision_loss)]
        let closest = (0.5 * lifetime as f64).max(1.0);
        for pair in rig.fake.times().windows(2) {
            assert!(pair[1] - pair[0] >= closest - 0.002, "{lifetime} s: {pair:?}");
        }
        assert!(
            rig.fake.count() >= usize::try_from(600 / lifetime).unwrap() - 1,
            "{lifetime} s: {}",
            rig.fake.count()
        );
    }
    for lifetime in [Duration::from_nanos(1), Duration::from_millis(100)] {
        let rig = Rig::start([Step::New(lifetime)]).await;
        rig.pass(secs(60)).await;
        assert!((55..=61).contains(&rig.fake.count()), "{lifetime:?}: {}", rig.fake.count());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_ten_seconds_or_more_is_always_usable() {
    for lifetime in [10, 30, 61, 89, 600] {
        let rig = Rig::start([Step::Slow(Duration::from_millis(300), secs(lifetime))]).await;
        rig.pass(secs(1)).await;
        for _ in 0..2000 {
            assert!(rig.is_usable(), "{lifetime} s");
            rig.pass(Duration::from_millis(97)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_token_is_looked_at_every_day() {
    let rig = Rig::start([Step::New(365 * 24 * HOUR)]).await;
    rig.pass(24 * HOUR + secs(1)).await;
    assert_eq!(rig.fake.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_issued_earlier_keeps_its_schedule() {
    struct Old(Clock, std::sync::atomic::AtomicUsize, Moment);
    impl TokenSource for Old {
        async fn fetch(&self, _: FetchContext) -> Result<AccessToken, FetchError> {
            let number = self.1.fetch_add(1, SeqCst);
            let issued = if number == 0 { self.2 } else { self.0.now() };
            Ok(access(&format!("t{number}"), HOUR, issued))
        }
        fn inputs_changed(&self) -> bool {
            false
        }
    }
    let clock = Clock::fake();
    let source = Arc::new(Old(clock.clone(), Default::default(), clock.now()));
    clock.suspend(secs(2400));
    let (writer, cell) = cell::cell();
    let refresh = Refresh {
        name: Name::new("old").unwrap(),
        source: Arc::clone(&source),
        writer,
        clock,
        policy: RefreshPolicy::default(),
        observer: Arc::new(()),
    };
    let task = tokio::spawn(run(refresh));
    tokio::time::sleep(secs(302)).await;
    assert_eq!(source.1.load(SeqCst), 2, "40 of 60 minutes were over already");
    assert_eq!(cell.state().token.unwrap().generation, Generation(2));
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn replicas_that_start_together_spread() {
    let mut rigs = Vec::new();
    for _ in 0..50 {
        rigs.push(Rig::start([Step::New(secs(60))]).await);
    }
    tokio::time::sleep(secs(300)).await;
    let mut buckets = std::collections::HashMap::new();
    for rig in &rigs {
        for at in rig.fake.fetches.lock().unwrap().iter().skip(2) {
            // Rigs started one millisecond apart: rounding hides that.
            *buckets.entry(at.0.as_secs()).or_insert(0) += 1;
        }
    }
    let fullest = buckets.values().max().copied().unwrap_or_default();
    assert!(fullest <= 25, "{fullest} of 50 in one second");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_fail_together_spread() {
    let mut first_retries = Vec::new();
    for _ in 0..20 {
        let rig = Rig::start([Step::Fail(FetchErrorCode::Connect, None)]).await;
        rig.pass(secs(3)).await;
        first_retries.push(rig.fake.times()[1]);
    }
    let (least, most) = first_retries.iter().fold((f64::MAX, 0.0_f64), |(a, b), t| (a.min(*t), b.max(*t)));
    assert!(least >= 1.0 && most <= 2.01 && most - least > 0.3, "{least} to {most}");
}
