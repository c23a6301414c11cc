use std::time::Duration;

use http::HeaderName;

use super::*;
use crate::clock::Clock;
use crate::config::Template;
use crate::config::route::HeaderConfig;
use crate::config::template::Part;
use crate::token;
use crate::token::subject::Digester;

const MINUTE: Duration = Duration::from_secs(60);

fn recipe(parts: Vec<Part>) -> Recipe {
    let header = HeaderConfig { name: HeaderName::from_static("x-a"), value: Template(parts) };
    Recipe::new(vec![header], Arc::default())
}

fn writer(capacity: usize) -> (SubjectWriter<()>, Subjects<()>) {
    let (mut writer, subjects) = subjects(capacity);
    assert_eq!(writer.add(recipe(vec![Part::Token])), 0);
    (writer, subjects)
}

/// A digest for each name.
fn digests<const N: usize>(names: [&str; N]) -> [SubjectDigest; N] {
    let digester = Digester::new().unwrap();
    names.map(|name| digester.subject(name).unwrap().digest)
}

fn token(text: &str, lifetime: Duration, now: Moment) -> Arc<Token> {
    Arc::new(token::testing::token(1, text, lifetime, now))
}

fn failed(now: Moment) -> Failed {
    Failed { blame: Blame::Subject, cause: String::new(), until: now.after(MINUTE), failures: 1 }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_used_for_the_longest_time_goes_first_and_failures_before_it() {
    let clock = Clock::fake();
    let (writer, subjects) = writer(3);
    let [a, b, c, d, e] = digests(["a", "b", "c", "d", "e"]);
    for digest in [a, b] {
        writer.publish(digest, token("x", 100 * MINUTE, clock.now()), None, clock.now());
        tokio::time::sleep(MINUTE).await;
    }
    writer.fail(c, failed(clock.now()), clock.now());
    subjects.find(&a).unwrap().use_now(clock.now());
    let held = |digest| subjects.find(&digest).is_some();
    writer.publish(d, token("x", 100 * MINUTE, clock.now()), None, clock.now());
    assert_eq!([held(a), held(b), held(c), held(d)], [true, true, false, true], "the failure");
    tokio::time::sleep(MINUTE).await;
    writer.publish(e, token("x", 100 * MINUTE, clock.now()), None, clock.now());
    assert_eq!([held(a), held(b), held(d), held(e)], [true, false, true, true], "the one that nobody used");
    assert_eq!(subjects.load().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_swept_out() {
    let clock = Clock::fake();
    let (writer, subjects) = writer(10);
    let [a, b, c] = digests(["a", "b", "c"]);
    writer.publish(a, token("x", MINUTE, clock.now()), None, clock.now());
    writer.publish(b, token("x", 60 * MINUTE, clock.now()), None, clock.now());
    writer.fail(c, failed(clock.now()), clock.now());
    tokio::time::sleep(2 * MINUTE).await;
    writer.sweep(clock.now());
    let held = |digest| subjects.find(&digest).is_some();
    assert_eq!(
        [held(a), held(b), held(c)],
        [false, true, true],
        "how often it failed is remembered for a while"
    );
    tokio::time::sleep(10 * MINUTE).await;
    writer.sweep(clock.now());
    assert_eq!([held(a), held(b), held(c)], [false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn one_request_of_the_last_quarter_is_to_have_it_renewed() {
    let clock = Clock::fake();
    let (writer, subjects) = writer(10);
    let [a] = digests(["a"]);
    writer.publish(a, token("x", 4 * MINUTE, clock.now()), None, clock.now());
    let entry = subjects.find(&a).unwrap();
    assert!(!entry.use_now(clock.now()));
    tokio::time::sleep(3 * MINUTE).await;
    assert!(entry.use_now(clock.now()));
    assert!(!entry.use_now(clock.now()), "once");
    entry.not_asked();
    assert!(entry.use_now(clock.now()));
    assert!(entry.usable(0, clock.now()).is_some());
    tokio::time::sleep(MINUTE).await;
    assert!(entry.usable(0, clock.now()).is_none(), "it has expired");
}

#[test]
fn each_route_makes_its_own_of_a_token() {
    let clock = Clock::system();
    let (mut writer, subjects) = writer(10);
    let lacking = writer.add(recipe(vec![Part::Field("zone".into())]));
    let [a] = digests(["a"]);
    writer.publish(a, token("text", MINUTE, clock.now()), None, clock.now());
    let entry = subjects.find(&a).unwrap();
    let prepared = entry.usable(0, clock.now()).unwrap();
    assert_eq!(prepared.headers().next().unwrap().1, "text");
    assert!(entry.usable(lacking, clock.now()).is_none() && entry.unfit(0).is_none());
    assert!(entry.unfit(lacking).unwrap().to_string().contains("no field `zone`"));
    assert!(entry.usable(7, clock.now()).is_none(), "a route that there is not");
}
