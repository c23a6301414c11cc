//! The injection path: from the snapshot's load to the headers set, and the look-up and stripping around it.
//!
//! `cargo bench --bench inject`
#![allow(clippy::unwrap_used, reason = "a bench has nobody to report to")]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sidepass::clock::Clock;
use sidepass::config::route::{HeaderConfig, PathMatch, RouteMatch};
use sidepass::config::template::Part;
use sidepass::config::{Name, SecretSource, Template};
use sidepass::credential::Credential;
use sidepass::forward;
use sidepass::inject::{Managed, Recipe, injection};
use sidepass::route::RouteTable;
use sidepass::secret::Secret;
use sidepass::token::cell::cell;
use sidepass::token::{AccessToken, Generation, LifetimeFrom, Token};

fn credential() -> Credential {
    let name = Name::new("request_token").unwrap();
    let headers = vec![
        HeaderConfig {
            name: HeaderName::from_static("authorization"),
            value: Template(vec![Part::Literal("Bearer ".into()), Part::Token]),
        },
        HeaderConfig {
            name: HeaderName::from_static("x-token"),
            value: Template(vec![Part::Literal("Token ".into()), Part::Parameter(name.clone())]),
        },
    ];
    let (mut writer, cell) = cell();
    let parameter = SecretSource::Literal(Secret::new("request-token".to_owned()));
    let parameters = Arc::new(BTreeMap::from([(name, parameter)]));
    let (injector, injection) = injection(Recipe::new(headers, parameters), Some(cell.clone()));
    let now = Clock::system().now();
    let access = AccessToken::new(
        Secret::new("x".repeat(443)),
        now,
        (Duration::from_secs(86_400), LifetimeFrom::ExpiresIn),
    );
    let token = Arc::new(Token { generation: Generation(1), access });
    writer.succeeded(token, now.after(Duration::from_secs(43_200)), SystemTime::now());
    injector.prepare().unwrap();
    Credential::shared(injection, Some(cell), Duration::from_secs(5))
}

fn request() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(32);
    for (name, value) in [
        ("host", "localhost:4080"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, br"),
        ("user-agent", "curl/8"),
        ("connection", "keep-alive"),
        ("cookie", "a=b"),
        ("x-request-id", "1"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn inject(bench: &mut Criterion) {
    let (credential, clock) = (credential(), Clock::system());
    bench.bench_function("snapshot load to header set", |bench| {
        bench.iter_batched_ref(
            request,
            |headers| credential.bind(None).apply(headers, clock.now()),
            BatchSize::SmallInput,
        );
    });
    let managed = Managed::new([HeaderName::from_static("x-token")]);
    bench.bench_function("strip a request", |bench| {
        bench.iter_batched_ref(
            request,
            |headers| forward::strip_request(headers, &managed, None),
            BatchSize::SmallInput,
        );
    });
    for count in [10, 1000] {
        let routes = (0..count).map(|n| PathMatch::Prefix(format!("/r{n}")));
        let table = RouteTable::new(routes.map(|path| (RouteMatch { path, ..RouteMatch::default() }, ())));
        bench.bench_function(&format!("find one of {count} routes"), |bench| {
            bench.iter(|| table.find("localhost", std::hint::black_box("/r7/a/b?x"), &Method::GET));
        });
    }
}

criterion_group!(benches, inject);
criterion_main!(benches);
