use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::config::route::HeaderConfig;
use crate::config::template::Part;
use crate::config::upstream::{Cleartext, HostPattern, UpstreamFault, UpstreamTemplate};
use crate::config::{HttpUrl, Name, SecretSource, Template};
use crate::secret::Secret;
use crate::token::cell::{self, TokenWriter};
use crate::token::{self, TokenFields, jwt};

fn header(name: &'static str, parts: Vec<Part>) -> HeaderConfig {
    HeaderConfig { name: HeaderName::from_static(name), value: Template(parts) }
}

/// Headers of a route whose upstream is fixed.
fn plain(headers: Vec<HeaderConfig>, parameters: Arc<BTreeMap<Name, SecretSource>>) -> Recipe {
    Recipe::new(headers, parameters)
}

fn literal(text: &str) -> SecretSource {
    SecretSource::Literal(Secret::new(text.to_owned()))
}

fn parameters(text: &str) -> Arc<BTreeMap<Name, SecretSource>> {
    Arc::new(BTreeMap::from([(Name::new("p").unwrap(), literal(text))]))
}

#[test]
fn a_template_of_text_and_a_parameter_is_prepared_without_a_token() {
    let parts = vec![Part::Literal("Token ".into()), Part::Parameter(Name::new("p").unwrap())];
    let (injector, injection) = injection(plain(vec![header("x-token", parts)], parameters("abc")), None);
    injector.prepare().unwrap();
    let mut headers = HeaderMap::new();
    headers.append("x-token", HeaderValue::from_static("mine"));
    headers.append("x-token", HeaderValue::from_static("twice"));
    injection.load().as_ref().unwrap().apply(&mut headers);
    assert_eq!(headers.get_all("x-token").iter().collect::<Vec<_>>(), ["Token abc"]);
    assert!(headers["x-token"].is_sensitive());
}

#[test]
fn a_value_that_does_not_fit_a_header_leaves_the_old_snapshot() {
    let headers = || vec![header("x-a", vec![Part::Parameter(Name::new("p").unwrap())])];
    let (injector, injection) = injection(plain(headers(), parameters("fine")), None);
    injector.prepare().unwrap();
    let broken = Injector { recipe: plain(headers(), parameters("a\r\nx-evil: 1")), ..injector };
    let error = broken.prepare().unwrap_err();
    assert!(!error.to_string().contains("evil"), "{error}");
    assert_eq!(injection.load().as_ref().unwrap().values[0].1, "fine");
    assert_eq!(*injection.subscribe().borrow(), Err(error));
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_prepared_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "one\n").unwrap();
    let parts = vec![Part::Secret(SecretSource::File(path.clone()))];
    let (injector, injection) = injection(plain(vec![header("x-key", parts)], Arc::default()), None);
    let mut changes = injection.subscribe();
    let task = tokio::spawn(injector.run(|_| ()));
    changes.changed().await.unwrap();
    assert_eq!(injection.load().as_ref().unwrap().values[0].1, "one");
    std::fs::write(&path, "two\n").unwrap();
    changes.changed().await.unwrap();
    assert_eq!(injection.load().as_ref().unwrap().values[0].1, "two");
    task.abort();
}

/// A token whose answer said these things, and a cell that holds it.
fn with_token(fields: serde_json::Value, text: &str) -> (TokenWriter, TokenCell) {
    let now = Clock::system().now();
    let (mut writer, cell) = cell::cell();
    let mut token = token::testing::token(1, text, Duration::from_secs(60), now);
    let serde_json::Value::Object(fields) = fields else { panic!("an object is needed") };
    token.access.fields = TokenFields::of_answer(fields);
    writer.succeeded(Arc::new(token), now, SystemTime::now());
    (writer, cell)
}

/// The values, in order.
fn texts(prepared: &Prepared) -> Vec<&str> {
    prepared.headers().map(|(_, value)| value.to_str().unwrap()).collect()
}

fn field(path: &str) -> Part {
    Part::Field(path.to_owned())
}

fn claim(path: &str) -> Part {
    Part::Claim(path.to_owned())
}

#[test]
fn fields_of_the_answer_and_claims_of_the_token_fill_headers() {
    let jwt = jwt::testing::jwt(&json!({"sub": "s", "ext_attr": {"zdn": "zone"}}));
    let (_writer, cell) = with_token(json!({"instance_url": "https://i", "n": 5}), &jwt);
    let headers = vec![
        header("x-a", vec![field("instance_url"), Part::Literal("/".into()), field("n")]),
        header("x-b", vec![claim("ext_attr.zdn")]),
    ];
    let (injector, injection) = injection(plain(headers, Arc::default()), Some(cell));
    injector.prepare().unwrap();
    let snapshot = injection.load();
    let prepared = snapshot.as_ref().unwrap();
    assert_eq!(texts(prepared), ["https://i/5", "zone"]);
    assert!(prepared.values.iter().all(|(_, value)| value.is_sensitive()));
    assert_eq!(prepared.generation(), Some(Generation(1)), "the snapshot goes with its token");
    assert!(!prepared.is_usable(Clock::system().now().after(Duration::from_secs(61))));
}

#[test]
fn what_the_token_does_not_say_is_named_together_with_what_it_says() {
    let jwt = jwt::testing::jwt(&json!({"sub": "hunter2", "aud": ["a"]}));
    let (_writer, cell) = with_token(json!({"instance": "hunter2", "scope": "hunter2"}), &jwt);
    let (_other, opaque) = with_token(json!({}), "opaque");
    for (cell, part, expected) in [
        (
            &cell,
            field("instance_url"),
            "the token answer has no field `instance_url` (it has: instance, scope)",
        ),
        (&opaque, field("x"), "the token answer has no field `x` (it has: none)"),
        (&cell, claim("zone"), "the access token has no claim `zone` (it has: aud, sub)"),
        (&cell, claim("aud"), "`{claim.aud}` is neither a text, nor a number, nor true or false"),
        (&opaque, claim("sub"), "`{claim.sub}` needs an access token that is a JWT, and this one is none"),
    ] {
        let (injector, _) =
            injection(plain(vec![header("x-a", vec![part])], Arc::default()), Some(cell.clone()));
        assert_eq!(injector.prepare().unwrap_err().to_string(), format!("header x-a: {expected}"));
    }
}

#[test]
fn an_answer_that_lacks_a_field_leaves_the_snapshot_of_the_token_before() {
    let (mut writer, cell) = with_token(json!({"zone": "one"}), "first");
    let headers = vec![header("x-a", vec![field("zone")]), header("authorization", vec![Part::Token])];
    let (injector, injection) = injection(plain(headers, Arc::default()), Some(cell));
    injector.prepare().unwrap();
    let now = Clock::system().now();
    let next = token::testing::token(2, "second", Duration::from_secs(60), now);
    writer.succeeded(Arc::new(next), now, SystemTime::now());
    injector.prepare().unwrap_err();
    let snapshot = injection.load();
    let prepared = snapshot.as_ref().unwrap();
    assert_eq!(texts(prepared), ["one", "first"]);
}

/// Headers with the token, and an upstream of these parts; a destination is its URL.
fn led(upstream: Vec<Part>, hosts: &[&str]) -> Recipe<HttpUrl> {
    let template = UpstreamTemplate {
        template: Template(upstream),
        hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
        cleartext: Cleartext::Loopback,
        listeners: Vec::new(),
    };
    let headers = vec![header("authorization", vec![Part::Token])];
    Recipe::new(headers, Arc::default()).leading(Destinations::new(template, |url| Ok(url.clone())))
}

fn publish(writer: &mut TokenWriter, generation: u64, fields: serde_json::Value) {
    let now = Clock::system().now();
    let mut token = token::testing::token(generation, "text", Duration::from_secs(60), now);
    let serde_json::Value::Object(fields) = fields else { panic!("an object is needed") };
    token.access.fields = TokenFields::of_answer(fields);
    writer.succeeded(Arc::new(token), now, SystemTime::now());
}

fn destination(injection: &Injection<HttpUrl>) -> Arc<HttpUrl> {
    Arc::clone(injection.load().as_ref().unwrap().destination().unwrap())
}

#[test]
fn tokens_that_lead_to_the_same_url_share_a_destination() {
    let (mut writer, cell) = cell::cell();
    let (injector, injection) = injection(led(vec![field("url")], &["*.my.test"]), Some(cell));
    injector.prepare().unwrap();
    assert!(injection.load().is_none(), "without a token there is nothing to do");
    publish(&mut writer, 1, json!({"url": "https://a.my.test/x"}));
    injector.prepare().unwrap();
    let first = destination(&injection);
    assert_eq!(first.to_string(), "https://a.my.test/x");
    publish(&mut writer, 2, json!({"url": "https://A.my.test/x"}));
    injector.prepare().unwrap();
    assert!(Arc::ptr_eq(&first, &destination(&injection)), "its connections are kept");
    publish(&mut writer, 3, json!({"url": "https://b.my.test/x"}));
    injector.prepare().unwrap();
    assert!(!Arc::ptr_eq(&first, &destination(&injection)));
    assert_eq!(injection.load().as_ref().unwrap().generation(), Some(Generation(3)));
}

#[test]
fn a_token_that_leads_elsewhere_than_allowed_is_not_used_at_all() {
    let (mut writer, cell) = cell::cell();
    let (injector, injection) = injection(led(vec![field("url")], &["*.my.test"]), Some(cell));
    publish(&mut writer, 1, json!({"url": "https://a.my.test"}));
    injector.prepare().unwrap();
    publish(&mut writer, 2, json!({"url": "https://evil.test/"}));
    let error = injector.prepare().unwrap_err();
    assert_eq!(error.to_string(), "upstream: `evil.test` is not on this route's upstream_hosts (*.my.test)");
    let snapshot = injection.load();
    let prepared = snapshot.as_ref().unwrap();
    assert_eq!(prepared.generation(), Some(Generation(1)), "headers and destination of the token before");
    publish(&mut writer, 3, json!({}));
    let error = injector.prepare().unwrap_err().to_string();
    assert_eq!(error, "upstream: the token answer has no field `url` (it has: none)");
    publish(&mut writer, 4, json!({"url": "hunter2"}));
    let error = injector.prepare().unwrap_err();
    assert!(matches!(error, PrepareError::Upstream(UpstreamFault::Url(_))), "{error}");
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn a_value_within_a_host_cannot_end_it_early() {
    let parts = || vec![Part::Literal("https://".into()), field("zone"), Part::Literal(".my.test/v1".into())];
    let (mut writer, cell) = cell::cell();
    let (injector, injection) = injection(led(parts(), &["*.my.test"]), Some(cell));
    publish(&mut writer, 1, json!({"zone": "eu10"}));
    injector.prepare().unwrap();
    assert_eq!(destination(&injection).to_string(), "https://eu10.my.test/v1");
    for zone in
        ["a.my.test/x", "evil.test?", "evil.test#", "u@a", "a:443", "evil.test\\", "", "a b", ".", "-\u{e4}"]
    {
        publish(&mut writer, 2, json!({"zone": zone}));
        let outcome = injector.prepare();
        assert!(outcome.is_err(), "{zone}: {}", destination(&injection));
    }
}
