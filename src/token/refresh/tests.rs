use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::task::JoinHandle;

use super::*;
use crate::token::cell::{self, Rejection, TokenCell};
use crate::token::testing::access;

mod clocks;
mod refused;

const HOUR: Duration = Duration::from_secs(3600);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the fake token service does at a fetch.
#[derive(Clone)]
enum Step {
    /// A new token with this lifetime, at once.
    New(Duration),
    /// The same after a while.
    Slow(Duration, Duration),
    /// This very text, with this lifetime.
    Text(&'static str, Duration),
    /// The token `fixed`, of which this much is left at this time after the start.
    ShrinkingUntil(Duration),
    Fail(FetchErrorCode, Option<Duration>),
    Panic,
    Hang,
}

/// A token service by script; the last step repeats.
struct Fake {
    clock: Clock,
    start: tokio::time::Instant,
    script: Mutex<VecDeque<Step>>,
    /// When each fetch started, and why.
    fetches: Mutex<Vec<(Duration, FetchReason)>>,
    running: std::sync::atomic::AtomicU32,
    changed: AtomicBool,
}

impl Fake {
    fn next(&self) -> (usize, Step) {
        let mut script = self.script.lock().unwrap();
        let step = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        (self.fetches.lock().unwrap().len(), step.unwrap())
    }

    fn count(&self) -> usize {
        self.fetches.lock().unwrap().len()
    }

    fn times(&self) -> Vec<f64> {
        self.fetches.lock().unwrap().iter().map(|(at, _)| at.as_secs_f64()).collect()
    }

    fn reasons(&self) -> Vec<FetchReason> {
        self.fetches.lock().unwrap().iter().map(|(_, why)| *why).collect()
    }

    fn set(&self, step: Step) {
        *self.script.lock().unwrap() = VecDeque::from([step]);
    }
}

impl TokenSource for Fake {
    async fn fetch(&self, context: FetchContext) -> Result<AccessToken, FetchError> {
        assert_eq!(self.running.fetch_add(1, SeqCst), 0, "two fetches at once");
        self.changed.store(false, SeqCst);
        self.fetches.lock().unwrap().push((self.start.elapsed(), context.why));
        let (number, step) = self.next();
        let now = self.clock.now();
        let text = format!("token-{number}");
        let outcome = match step {
            Step::New(lifetime) => Ok(access(&text, lifetime, now)),
            Step::Slow(span, lifetime) => {
                tokio::time::sleep(span).await;
                Ok(access(&text, lifetime, now))
            }
            Step::Text(text, lifetime) => Ok(access(text, lifetime, now)),
            Step::ShrinkingUntil(end) => match end.checked_sub(self.start.elapsed()) {
                Some(left) if !left.is_zero() => Ok(access("fixed", left, now)),
                _ => Ok(access(&text, HOUR, now)),
            },
            Step::Fail(code, retry_after) => Err(FetchError { retry_after, ..FetchError::new(code, "no") }),
            Step::Panic => {
                self.running.fetch_sub(1, SeqCst);
                panic!("a fault in a source");
            }
            Step::Hang => {
                self.running.fetch_sub(1, SeqCst);
                std::future::pending().await
            }
        };
        self.running.fetch_sub(1, SeqCst);
        outcome
    }

    fn inputs_changed(&self) -> bool {
        self.changed.load(SeqCst)
    }
}

struct Rig {
    clock: Clock,
    fake: Arc<Fake>,
    cell: TokenCell,
    task: JoinHandle<Infallible>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Rig {
    async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        Self::with_policy(script, RefreshPolicy::default()).await
    }

    async fn with_policy(script: impl IntoIterator<Item = Step>, policy: RefreshPolicy) -> Self {
        let clock = Clock::fake();
        let fake = Arc::new(Fake {
            clock: clock.clone(),
            start: tokio::time::Instant::now(),
            script: Mutex::new(script.into_iter().collect()),
            fetches: Mutex::default(),
            running: Default::default(),
            changed: AtomicBool::new(false),
        });
        let (writer, cell) = cell::cell();
        let task = tokio::spawn(run(Refresh {
            name: Name::new("test").unwrap(),
            source: Arc::clone(&fake),
            writer,
            clock: clock.clone(),
            policy,
            observer: Arc::new(()),
        }));
        let rig = Self { clock, fake, cell, task };
        rig.pass(Duration::from_millis(1)).await;
        rig
    }

    /// Lets time pass; every timer on the way fires.
    async fn pass(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    fn generation(&self) -> u64 {
        self.cell.state().token.map_or(0, |token| token.generation.0)
    }

    /// Whether a request would find a token that has not expired.
    fn is_usable(&self) -> bool {
        let state = self.cell.state();
        state.token.is_some_and(|token| !token.access.expires_at().is_past(self.clock.now()))
    }
}

#[tokio::test(start_paused = true)]
async fn fetches_at_once_and_again_at_three_quarters_of_the_lifetime() {
    let rig = Rig::start([Step::New(HOUR)]).await;
    assert_eq!((rig.generation(), rig.fake.count()), (1, 1));
    rig.pass(secs(2338)).await;
    assert_eq!(rig.fake.count(), 1, "not before 65 %");
    rig.pass(secs(364)).await;
    assert_eq!((rig.generation(), rig.fake.count()), (2, 2), "not after 75 %");
    assert_eq!(rig.fake.reasons(), [FetchReason::First, FetchReason::Scheduled]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiting_requests_make_one_fetch() {
    let rig = Rig::start([Step::Slow(Duration::from_millis(500), HOUR)]).await;
    let waiters: Vec<_> = (0..1000)
        .map(|_| {
            let cell = rig.cell.clone();
            tokio::spawn(async move {
                cell.wake();
                let mut states = cell.subscribe();
                states
                    .wait_for(|state| state.token.is_some())
                    .await
                    .unwrap()
                    .token
                    .clone()
                    .unwrap()
                    .generation
            })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Generation(1));
    }
    rig.pass(secs(60)).await;
    assert_eq!(rig.fake.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_does_not_end_the_fetch() {
    let rig = Rig::start([Step::Slow(secs(1), HOUR)]).await;
    let cell = rig.cell.clone();
    let caller = tokio::spawn(async move { cell.newer_than(Generation(0)).await });
    tokio::task::yield_now().await;
    caller.abort();
    assert!(rig.cell.newer_than(Generation(0)).await.is_some());
    assert_eq!(rig.fake.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn keeps_valid_token_when_refresh_fails() {
    let rig = Rig::start([Step::New(secs(600)), Step::Fail(FetchErrorCode::ServerError, None)]).await;
    rig.pass(secs(590)).await;
    assert!(rig.is_usable());
    let state = rig.cell.state();
    assert_eq!(state.token.unwrap().generation, Generation(1));
    assert_eq!(state.last_failure.unwrap().code, FetchErrorCode::ServerError);
    assert!(matches!(state.activity, Activity::BackingOff { .. } | Activity::Fetching));
    rig.pass(secs(11)).await;
    assert!(!rig.is_usable(), "it has expired");
    assert_eq!(rig.generation(), 1, "but it is still there to look at");
}

#[tokio::test(start_paused = true)]
async fn recovers_within_the_first_step_from_one_oddity() {
    let odd = [
        FetchErrorCode::Missing,
        FetchErrorCode::NotJson,
        FetchErrorCode::Interrupted,
        FetchErrorCode::Tls,
        FetchErrorCode::Timeout,
    ];
    for code in odd {
        let rig = Rig::start([Step::Fail(code, None), Step::New(HOUR)]).await;
        assert_eq!(rig.generation(), 0);
        rig.pass(secs(2)).await;
        assert_eq!(rig.generation(), 1, "{code}");
        assert!(rig.cell.state().last_failure.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn transient_failures_back_off_and_permanent_ones_are_slow() {
    let rig = Rig::start([Step::Fail(FetchErrorCode::ServerError, None)]).await;
    rig.pass(secs(120)).await;
    assert!((6..=9).contains(&rig.fake.count()), "{:?}", rig.fake.times());
    assert!(rig.cell.state().last_failure.unwrap().attempts >= 6);

    let rig = Rig::start([Step::Fail(FetchErrorCode::InvalidClient, None)]).await;
    rig.pass(secs(120)).await;
    assert!((2..=5).contains(&rig.fake.count()), "{:?}", rig.fake.times());
    rig.fake.set(Step::New(HOUR));
    rig.pass(secs(60)).await;
    assert_eq!(rig.generation(), 1, "never given up");
}

#[tokio::test(start_paused = true)]
async fn requests_that_wake_during_a_backoff_make_no_fetch() {
    let rig = Rig::start([Step::Fail(FetchErrorCode::InvalidClient, None)]).await;
    for _ in 0..2900 {
        rig.cell.wake();
        rig.pass(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.fake.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed() {
    let rig = Rig::start([Step::Fail(FetchErrorCode::RateLimited, Some(secs(7))), Step::New(HOUR)]).await;
    rig.pass(Duration::from_millis(6990)).await;
    assert_eq!(rig.fake.count(), 1);
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_expiry_leaves_one_last_try() {
    let limited = Step::Fail(FetchErrorCode::RateLimited, Some(secs(9999)));
    let rig = Rig::start([Step::New(secs(400)), limited.clone(), Step::New(HOUR)]).await;
    rig.pass(secs(389)).await;
    assert_eq!(rig.fake.count(), 2);
    rig.pass(secs(2)).await;
    assert_eq!((rig.fake.count(), rig.generation()), (3, 2), "10 s before the end");

    let rig = Rig::start([Step::New(secs(400)), limited]).await;
    rig.pass(secs(980)).await;
    assert_eq!(rig.fake.count(), 3, "one last try is one");
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_ends_the_backoff() {
    let rig = Rig::start([Step::Fail(FetchErrorCode::InvalidClient, None), Step::New(HOUR)]).await;
    rig.pass(secs(10)).await;
    assert_eq!(rig.fake.count(), 1);
    rig.fake.changed.store(true, SeqCst);
    rig.pass(secs(2)).await;
    assert_eq!(rig.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_does_not_touch_a_valid_token() {
    let rig = Rig::start([Step::New(HOUR)]).await;
    rig.fake.changed.store(true, SeqCst);
    rig.pass(secs(600)).await;
    assert_eq!((rig.fake.count(), rig.generation()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn stale_if_error_holds_only_while_the_service_is_unavailable() {
    let policy = RefreshPolicy { stale_if_error: secs(60), ..RefreshPolicy::default() };
    let cases = [
        (FetchErrorCode::ServerError, 60),
        (FetchErrorCode::Connect, 60),
        (FetchErrorCode::RateLimited, 0),
        (FetchErrorCode::InvalidClient, 0),
    ];
    for (code, stale) in cases {
        let script = [Step::New(secs(100)), Step::Fail(code, None)];
        let rig = Rig::with_policy(script, policy.clone()).await;
        rig.pass(secs(99)).await;
        assert_eq!(rig.cell.state().stale_for, secs(stale), "{code}");
        rig.fake.set(Step::New(HOUR));
        rig.pass(secs(61)).await;
        assert_eq!(rig.cell.state().stale_for, Duration::ZERO, "{code}: over once it is renewed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_or_hangs_is_an_error_like_any_other() {
    let rig = Rig::start([Step::Panic, Step::New(HOUR)]).await;
    assert_eq!(rig.cell.state().last_failure.unwrap().code, FetchErrorCode::Internal);
    rig.pass(secs(3)).await;
    assert_eq!(rig.generation(), 1);

    let rig = Rig::start([Step::Hang, Step::New(HOUR)]).await;
    rig.pass(secs(33)).await;
    assert_eq!(rig.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_of_success_and_failure() {
    #[derive(Default)]
    struct Ears(Mutex<Vec<String>>);
    impl RefreshObserver for Ears {
        fn succeeded(&self, token: &Token, _: Moment) {
            self.0.lock().unwrap().push(format!("token {}", token.generation));
        }
        fn failed(&self, failure: &Failure, _: Moment) {
            self.0.lock().unwrap().push(format!("{} {}", failure.code, failure.attempts));
        }
    }
    let clock = Clock::fake();
    let fake = Fake {
        clock: clock.clone(),
        start: tokio::time::Instant::now(),
        script: Mutex::new(VecDeque::from([Step::Fail(FetchErrorCode::Dns, None), Step::New(HOUR)])),
        fetches: Mutex::default(),
        running: Default::default(),
        changed: AtomicBool::new(false),
    };
    let (writer, _cell) = cell::cell();
    let ears = Arc::new(Ears::default());
    let task = tokio::spawn(run(Refresh {
        name: Name::new("ears").unwrap(),
        source: Arc::new(fake),
        writer,
        clock,
        policy: RefreshPolicy::default(),
        observer: Arc::clone(&ears) as Arc<dyn RefreshObserver>,
    }));
    tokio::time::sleep(secs(3)).await;
    assert_eq!(*ears.0.lock().unwrap(), ["token_dns 1", "token 1"]);
    task.abort();
}
