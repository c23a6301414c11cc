use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::config::Template;
use crate::config::route::HeaderConfig;
use crate::config::template::Part;
use crate::credential::{Counter, Credential, CredentialError, SubjectRefusal};
use crate::inject::{Recipe, subjects};
use crate::token::subject::Digester;
use crate::token::{jwt, testing};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A token service: what it answers to each subject, after a second.
struct Fake {
    clock: Clock,
    calls: Mutex<Vec<String>>,
    script: Mutex<HashMap<String, VecDeque<Reply>>>,
}

enum Reply {
    Token(Duration),
    Fails(FetchErrorCode),
    Panics,
    Hangs,
}

impl SubjectSource for Arc<Fake> {
    async fn exchange(&self, subject: Secret) -> Result<AccessToken, FetchError> {
        let subject = subject.expose().to_owned();
        let count = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(subject.clone());
            calls.iter().filter(|call| **call == subject).count()
        };
        let asked = self.clock.now();
        sleep(SECOND).await;
        let reply = self.script.lock().unwrap().get_mut(&subject).and_then(VecDeque::pop_front);
        match reply.unwrap_or(Reply::Token(40 * MINUTE)) {
            Reply::Token(lifetime) => Ok(testing::access(&format!("{subject}#{count}"), lifetime, asked)),
            Reply::Fails(code) => Err(FetchError::new(code, "no")),
            Reply::Panics => panic!("a fault"),
            Reply::Hangs => std::future::pending().await,
        }
    }
}

struct Stage {
    fake: Arc<Fake>,
    clock: Clock,
    credential: Arc<Credential>,
    _task: JoinHandle<()>,
}

fn stage() -> Stage {
    stage_of(vec![Part::Literal("Bearer ".into()), Part::Token], AUTHORIZATION)
}

fn stage_of(parts: Vec<Part>, header: HeaderName) -> Stage {
    let clock = Clock::fake();
    let fake = Arc::new(Fake { clock: clock.clone(), calls: Mutex::default(), script: Mutex::default() });
    let (mut writer, subjects) = subjects::subjects(100);
    let ours = HeaderConfig { name: AUTHORIZATION, value: Template(parts) };
    let route = writer.add(Recipe::new(vec![ours], Arc::default()));
    let (asks, queue) = mpsc::channel(QUEUE);
    let digester = Arc::new(Digester::new().unwrap());
    let counter = Counter { header, subjects, digester, asks, wait: 5 * SECOND };
    let credential = Arc::new(Credential::PerSubject(counter.route(route)));
    let exchanges = Exchanges::new("p".into(), Arc::clone(&fake), writer, queue, clock.clone());
    Stage { fake, clock, credential, _task: tokio::spawn(exchanges.run()) }
}

fn showing(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

/// What goes upstream, and which token it is; waits where that is needed.
async fn request(
    credential: &Credential,
    clock: &Clock,
    subject: &str,
) -> Result<(String, Generation), CredentialError> {
    let mut headers = showing(&format!("Bearer {subject}"));
    let subject = credential.subject(&headers)?.unwrap();
    let bound = credential.bind(Some(&subject));
    let mut used = bound.apply(&mut headers, clock.now());
    if used.is_none() {
        bound.wait(clock).await?;
        used = bound.apply(&mut headers, clock.now());
    }
    Ok((headers[AUTHORIZATION].to_str().unwrap().to_owned(), used.unwrap().generation.unwrap()))
}

impl Stage {
    async fn request(&self, subject: &str) -> Result<String, CredentialError> {
        Ok(request(&self.credential, &self.clock, subject).await?.0)
    }

    /// The upstream refuses this token.
    async fn renewed(&self, subject: &str, used: Generation) -> bool {
        let subject = self.credential.subject(&showing(&format!("Bearer {subject}"))).unwrap().unwrap();
        self.credential.bind(Some(&subject)).renewed(used, &self.clock).await
    }

    fn script(&self, subject: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut script = self.fake.script.lock().unwrap();
        script.entry(subject.to_owned()).or_default().extend(replies);
    }

    fn calls(&self) -> usize {
        self.fake.calls.lock().unwrap().len()
    }
}

fn rejected<T>() -> Result<T, CredentialError> {
    Err(CredentialError::Subject(SubjectRefusal::Rejected))
}

fn missing<T>() -> Result<T, CredentialError> {
    Err(CredentialError::Subject(SubjectRefusal::Missing))
}

#[tokio::test(start_paused = true)]
async fn each_subject_gets_its_own_token_and_keeps_it() {
    let stage = stage();
    for _ in 0..3 {
        assert_eq!(stage.request("anna").await.unwrap(), "Bearer anna#1");
        assert_eq!(stage.request("bert").await.unwrap(), "Bearer bert#1");
    }
    assert_eq!(stage.calls(), 2);
    assert!(!format!("{:?}", stage.credential).contains("anna"));
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_subject_wait_for_one_exchange() {
    let stage = stage();
    let started = Instant::now();
    let requests = (0..100).map(|number| {
        let (credential, clock) = (Arc::clone(&stage.credential), stage.clock.clone());
        let subject = if number % 2 == 0 { "anna" } else { "bert" };
        tokio::spawn(async move { (subject, request(&credential, &clock, subject).await.unwrap().0) })
    });
    for request in requests.collect::<Vec<_>>() {
        let (subject, value) = request.await.unwrap();
        assert_eq!(value, format!("Bearer {subject}#1"));
    }
    assert_eq!(stage.calls(), 2);
    assert!(started.elapsed() < 2 * SECOND, "both at once");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_shows_no_token_is_told_so() {
    let stage = stage();
    for value in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "a"] {
        assert_eq!(stage.credential.subject(&showing(value)).map(drop), missing(), "{value}");
    }
    assert_eq!(stage.credential.subject(&HeaderMap::new()).map(drop), missing());
    let mut two = showing("Bearer a");
    two.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
    assert_eq!(stage.credential.subject(&two).map(drop), missing(), "which of the two?");
    for value in ["bearer a", "BEARER   a ", "Bearer a"] {
        let subject = stage.credential.subject(&showing(value)).unwrap().unwrap();
        assert_eq!(subject.token.expose(), "a", "{value}");
    }
    let own = stage_of(vec![Part::Token], HeaderName::from_static("x-user-token"));
    let headers =
        HeaderMap::from_iter([(HeaderName::from_static("x-user-token"), HeaderValue::from_static("Bearer"))]);
    let subject = own.credential.subject(&headers).unwrap().unwrap();
    assert_eq!(subject.token.expose(), "Bearer", "any other header is the token");
}

#[tokio::test(start_paused = true)]
async fn a_subject_that_is_refused_is_not_tried_again_and_again() {
    let stage = stage();
    stage.script("anna", (0..3).map(|_| Reply::Fails(FetchErrorCode::OauthError)));
    assert_eq!(stage.request("anna").await, rejected());
    for _ in 0..50 {
        assert_eq!(stage.request("anna").await, rejected());
    }
    assert_eq!(stage.request("bert").await.unwrap(), "Bearer bert#1", "nobody else is refused");
    assert_eq!(stage.calls(), 2);
    sleep(5 * SECOND).await;
    assert_eq!(stage.request("anna").await, rejected());
    assert_eq!(stage.calls(), 3, "clocks differ: one more try after a while");
    sleep(5 * SECOND).await;
    assert_eq!(stage.request("anna").await, rejected());
    assert_eq!(stage.calls(), 3, "twice as long now");
    sleep(5 * SECOND).await;
    assert_eq!(stage.request("anna").await, rejected());
    sleep(20 * SECOND).await;
    assert_eq!(stage.request("anna").await.unwrap(), "Bearer anna#4");
}

#[tokio::test(start_paused = true)]
async fn a_token_service_in_trouble_is_no_fault_of_the_subject() {
    let stage = stage();
    stage.script("anna", [Reply::Fails(FetchErrorCode::ServerError), Reply::Panics]);
    let Err(CredentialError::Token(unavailable)) = stage.request("anna").await else { panic!("no token") };
    assert_eq!((unavailable.retry_after, unavailable.cause.as_deref()), (SECOND, Some("token_server_error")));
    sleep(SECOND).await;
    let Err(CredentialError::Token(unavailable)) = stage.request("anna").await else { panic!("no token") };
    assert_eq!(unavailable.cause.as_deref(), Some("token_internal"), "a panic is a failure like any other");
    assert_eq!(unavailable.retry_after, 2 * SECOND);
    sleep(2 * SECOND).await;
    assert_eq!(stage.request("anna").await.unwrap(), "Bearer anna#3");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_token_wait() {
    let stage = stage();
    stage.script("anna", [Reply::Hangs]);
    let started = Instant::now();
    let Err(CredentialError::Token(_)) = stage.request("anna").await else { panic!("no token") };
    assert_eq!(started.elapsed().as_secs(), 5);
    assert_eq!(stage.request("bert").await.unwrap(), "Bearer bert#1");
    sleep(40 * SECOND).await;
    assert_eq!(stage.request("anna").await.unwrap(), "Bearer anna#2", "the watchdog ended the first");
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_with_that_of_its_subject() {
    let stage = stage();
    let exp = stage.clock.now().unix_seconds() + 100.0;
    let subject = jwt::testing::jwt(&json!({ "exp": exp }));
    assert_eq!(stage.request(&subject).await.unwrap(), format!("Bearer {subject}#1"));
    sleep(101 * SECOND).await;
    assert_eq!(stage.request(&subject).await, rejected());
    assert_eq!(stage.request(&subject).await, rejected());
    assert_eq!(stage.calls(), 1, "what has expired is not shown to the token service");
}

#[tokio::test(start_paused = true)]
async fn a_token_in_its_last_quarter_is_renewed_behind_the_request() {
    let stage = stage();
    assert_eq!(stage.request("anna").await.unwrap(), "Bearer anna#1");
    sleep(29 * MINUTE).await;
    assert_eq!(stage.request("anna").await.unwrap(), "Bearer anna#1");
    assert_eq!(stage.calls(), 1);
    sleep(2 * MINUTE).await;
    stage.script("anna", [Reply::Fails(FetchErrorCode::Timeout), Reply::Token(40 * MINUTE)]);
    for _ in 0..5 {
        assert_eq!(stage.request("anna").await.unwrap(), "Bearer anna#1", "nobody waits");
    }
    sleep(2 * SECOND).await;
    assert_eq!(
        (stage.request("anna").await.unwrap().as_str(), stage.calls()),
        ("Bearer anna#1", 2),
        "it failed"
    );
    sleep(2 * SECOND).await;
    assert_eq!((stage.request("anna").await.unwrap().as_str(), stage.calls()), ("Bearer anna#3", 3));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_pinned_to_a_snapshot_has_it_renewed_as_well() {
    let stage = stage();
    stage.request("anna").await.unwrap();
    sleep(31 * MINUTE).await;
    let subject = stage.credential.subject(&showing("Bearer anna")).unwrap().unwrap();
    let bound = stage.credential.bind(Some(&subject));
    let snapshot = bound.snapshot(stage.clock.now()).unwrap();
    sleep(2 * SECOND).await;
    assert_eq!(stage.calls(), 2);
    let bound = bound.pinned_to(&snapshot);
    let mut headers = HeaderMap::new();
    sleep(30 * MINUTE).await;
    bound.apply(&mut headers, stage.clock.now()).unwrap();
    assert_eq!(
        headers[AUTHORIZATION], "Bearer anna#2",
        "the old one has expired, the new one leads to the same place"
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_the_token_service_refuses_ends_the_old_token() {
    let stage = stage();
    stage.request("anna").await.unwrap();
    stage.script("anna", [Reply::Fails(FetchErrorCode::OauthError)]);
    sleep(31 * MINUTE).await;
    stage.request("anna").await.unwrap();
    sleep(2 * SECOND).await;
    assert_eq!(stage.request("anna").await, rejected(), "the subject has been locked out");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_an_upstream_refuses_is_exchanged_once_more() {
    let stage = stage();
    let (_, used) = request(&stage.credential, &stage.clock, "anna").await.unwrap();
    assert!(stage.renewed("anna", used).await);
    let (value, newer) = request(&stage.credential, &stage.clock, "anna").await.unwrap();
    assert_eq!(value, "Bearer anna#2");
    assert!(newer > used);
    assert!(stage.renewed("anna", used).await, "who comes late finds the new one");
    assert!(!stage.renewed("anna", newer).await, "refused again within seconds: another would not help");
    assert_eq!(stage.calls(), 2);
    sleep(31 * SECOND).await;
    stage.script("anna", [Reply::Fails(FetchErrorCode::ServerError)]);
    for _ in 0..5 {
        assert!(!stage.renewed("anna", newer).await);
        sleep(2 * SECOND).await;
    }
    assert_eq!(stage.calls(), 3, "a token service that is down is left alone as well");
    assert_eq!(
        stage.request("anna").await.unwrap(),
        "Bearer anna#2",
        "the token service is down, and this one may be good"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_of_which_no_header_can_be_made_is_a_failure_with_a_cause() {
    let stage = stage_of(vec![Part::Field("zone".into())], AUTHORIZATION);
    let Err(CredentialError::Token(unavailable)) = stage.request("anna").await else { panic!("no header") };
    let cause = unavailable.cause.unwrap();
    assert!(cause.contains("no field `zone`"), "{cause}");
    stage.request("anna").await.unwrap_err();
    assert_eq!(stage.calls(), 1, "another exchange would not help");
}

#[tokio::test(start_paused = true)]
async fn without_a_subject_nothing_leaves() {
    let stage = stage();
    let bound = stage.credential.bind(None);
    assert!(bound.apply(&mut HeaderMap::new(), stage.clock.now()).is_none());
    assert_eq!(bound.wait(&stage.clock).await, missing());
}

#[tokio::test(start_paused = true)]
async fn who_has_gone_is_not_exchanged_for() {
    let stage = stage();
    for number in 0..FLIGHTS {
        stage.script(&format!("s{number}"), [Reply::Hangs]);
        let (credential, clock) = (Arc::clone(&stage.credential), stage.clock.clone());
        drop(tokio::spawn(async move { drop(request(&credential, &clock, &format!("s{number}")).await) }));
    }
    sleep(SECOND).await;
    let gone = stage.request("gone").await.unwrap_err();
    assert!(matches!(gone, CredentialError::Token(_)), "every flight is taken");
    sleep(60 * SECOND).await;
    assert!(!stage.fake.calls.lock().unwrap().contains(&"gone".to_owned()));
    assert_eq!(stage.request("anna").await.unwrap(), "Bearer anna#1");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_is_in_the_headers_of_every_subject() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "one").unwrap();
    let parts = vec![Part::Token, Part::Secret(crate::config::SecretSource::File(path.clone()))];
    let stage = stage_of(parts, AUTHORIZATION);
    assert_eq!(stage.request("anna").await.unwrap(), "anna#1one");
    std::fs::write(&path, "two").unwrap();
    sleep(3 * SECOND).await;
    assert_eq!((stage.request("anna").await.unwrap().as_str(), stage.calls()), ("anna#1two", 1));
}
