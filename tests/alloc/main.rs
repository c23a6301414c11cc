//! What the request path does not do: allocate, or wait for whoever publishes a token.
//!
//! A binary of its own, because its allocator counts. Everything from the snapshot's load to the headers set is
//! measured; the first request of a generation may allocate, the ones after it must not.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod rest;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sidepass::clock::Clock;
use sidepass::config::route::{HeaderConfig, PathMatch, RouteMatch};
use sidepass::config::template::Part;
use sidepass::config::{Name, SecretSource, Template};
use sidepass::credential::Credential;
use sidepass::forward;
use sidepass::inject::{Injector, Managed, Recipe, injection};
use sidepass::route::RouteTable;
use sidepass::secret::Secret;
use sidepass::token::cell::{TokenWriter, cell};
use sidepass::token::{AccessToken, Generation, LifetimeFrom, Token};

/// A route with a token and a secure parameter, as the chatbot's: what a request needs, and what renews it.
fn route(parameter: SecretSource) -> (Credential, Injector, TokenWriter) {
    let name = Name::new("request_token").unwrap();
    let authorization = Template(vec![Part::Literal("Bearer ".into()), Part::Token]);
    let x_token = Template(vec![Part::Literal("Token ".into()), Part::Parameter(name.clone())]);
    let headers = vec![
        HeaderConfig { name: HeaderName::from_static("authorization"), value: authorization },
        HeaderConfig { name: HeaderName::from_static("x-token"), value: x_token },
    ];
    let (writer, cell) = cell();
    let parameters = Arc::new(BTreeMap::from([(name, parameter)]));
    let (injector, injection) = injection(Recipe::new(headers, parameters), Some(cell.clone()));
    (Credential::shared(injection, Some(cell), Duration::from_secs(5)), injector, writer)
}

fn publish(writer: &mut TokenWriter, generation: u64) {
    let now = Clock::system().now();
    let access = AccessToken::new(
        Secret::new(format!("token-{generation}-{}", "x".repeat(400))),
        now,
        (Duration::from_secs(3600), LifetimeFrom::ExpiresIn),
    );
    let token = Arc::new(Token { generation: Generation(generation), access });
    writer.succeeded(token, now.after(Duration::from_secs(1800)), SystemTime::now());
}

fn literal() -> SecretSource {
    SecretSource::Literal(Secret::new("request-token".to_owned()))
}

/// A request's headers, with room for ours.
fn request() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(32);
    for (name, value) in
        [("host", "localhost:4080"), ("accept", "*/*"), ("user-agent", "curl/8"), ("x-id", "1")]
    {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn after_the_first_request_of_a_generation_injecting_allocates_nothing() {
    let clock = Clock::system();
    let (credential, injector, mut writer) = route(literal());
    for generation in 1..=3 {
        publish(&mut writer, generation);
        injector.prepare().unwrap();
        let mut first = request();
        assert_eq!(
            credential.bind(None).apply(&mut first, clock.now()).unwrap().generation,
            Some(Generation(generation))
        );
        let mut headers: Vec<HeaderMap> = (0..100).map(|_| request()).collect();
        let count = allocation_counter::measure(|| {
            for headers in &mut headers {
                assert_eq!(
                    credential.bind(None).apply(headers, clock.now()).unwrap().generation,
                    Some(Generation(generation))
                );
            }
        });
        assert_eq!((count.count_total, count.bytes_total), (0, 0), "generation {generation}");
        assert_eq!(headers[99]["x-token"], "Token request-token");
    }
}

#[test]
fn the_counter_sees_an_allocation() {
    let count = allocation_counter::measure(|| drop(std::hint::black_box(Box::new([0_u8; 64]))));
    assert_eq!(count.count_total, 1);
}

#[test]
fn looking_up_a_route_and_stripping_plain_headers_allocates_nothing() {
    let routes = (0..1000).map(|n| (PathMatch::Prefix(format!("/r{n}")), n));
    let table = RouteTable::new(routes.map(|(path, n)| (RouteMatch { path, ..RouteMatch::default() }, n)));
    let managed = Managed::new([HeaderName::from_static("x-token")]);
    let mut headers = request();
    let count = allocation_counter::measure(|| {
        assert_eq!(table.find("localhost", "/r777/a/b/c", &Method::GET), Some(&777));
        forward::strip_request(&mut headers, &managed, None);
    });
    assert_eq!(count.count_total, 0);
}

/// Two threads of requests while a third publishes as fast as it can: each request sees one snapshot as a whole.
#[test]
fn a_request_sees_one_generation_as_a_whole_while_others_are_published() {
    const GENERATIONS: u64 = 2000;
    let (credential, injector, mut writer) = route(literal());
    publish(&mut writer, 1);
    injector.prepare().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let clock = Clock::system();
                let mut seen = Generation(0);
                while !done.load(Ordering::SeqCst) {
                    let mut headers = request();
                    let used =
                        credential.bind(None).apply(&mut headers, clock.now()).unwrap().generation.unwrap();
                    let expected = format!("Bearer token-{used}-");
                    assert!(headers["authorization"].to_str().unwrap().starts_with(&expected));
                    assert!(used >= seen, "an older generation came back");
                    seen = used;
                }
            });
        }
        for generation in 2..=GENERATIONS {
            publish(&mut writer, generation);
            injector.prepare().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
}
