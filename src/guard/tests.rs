//! Whom a listener lets in.

use http::Request;

use super::*;
use crate::config::SecretSource;
use std::time::Duration;

use crate::config::server::{AccessRules, Limits};
use crate::secret::Secret;

fn limits() -> Limits {
    Limits {
        connections: 1,
        connections_per_caller: 0,
        header_bytes: 1000,
        headers: 10,
        uri_bytes: 1024,
        body_bytes: 0,
        streams: 1,
        pending_resets: 1,
        first_byte_timeout: Duration::ZERO,
        header_timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
    }
}

fn guard(address: &str, access: Access) -> Guard {
    let address = match address {
        "localhost" => ListenAddress::Localhost { port: 0 },
        other => ListenAddress::Tcp(other.parse().unwrap()),
    };
    let hosts = Arc::new(HashSet::from(["crm.internal.example".to_owned()]));
    let (guard, injector) = Guard::new(&address, &access, hosts, &limits());
    if let Some(injector) = injector {
        injector.prepare().unwrap();
    }
    guard
}

fn request(headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::get("/x");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
}

fn caller(ip: &str) -> Caller {
    Caller::new(Some(SocketAddr::new(ip.parse().unwrap(), 4711)))
}

fn ask(guard: &Guard, request: &Request<()>, caller: &Caller) -> Result<Host, Refusal> {
    guard.check(&request.clone().into_parts().0, caller)
}

fn check(guard: &Guard, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    ask(guard, &request(headers), &caller("127.0.0.1")).map(|_| ())
}

#[test]
fn loopback_takes_loopback_names_and_configured_ones_only() {
    let guard = guard("localhost", Access::Local);
    for host in [
        "localhost",
        "LOCALHOST:4080",
        "127.0.0.1:1",
        "[::1]:4080",
        "127.8.9.1",
        "localhost.",
        "CRM.internal.example:80",
    ] {
        assert_eq!(check(&guard, &[("host", host)]), Ok(()), "{host}");
    }
    for host in ["evil.com", "localhost.evil.com", "127.0.0.1.nip.io", "sidepass", "10.0.0.1", "[fe80::1]"] {
        assert_eq!(check(&guard, &[("host", host)]).unwrap_err(), refused(host), "{host}");
    }
}

fn refused(host: &str) -> Refusal {
    Refusal::HostNotAllowed(host.to_owned())
}

#[test]
fn another_listener_also_takes_addresses_and_names_without_a_dot() {
    let guard = guard("0.0.0.0:4080", Access::Open);
    for host in ["sidepass:4080", "10.1.2.3:4080", "[fd00::1]", "localhost", "crm.internal.example"] {
        assert_eq!(check(&guard, &[("host", host)]), Ok(()), "{host}");
    }
    assert!(check(&guard, &[("host", "evil.com")]).is_err());
}

#[test]
fn the_dot_that_ends_a_full_name_is_not_part_of_it() {
    let guard = guard("localhost", Access::Local);
    let request = request(&[("host", "crm.internal.example.:80")]);
    assert_eq!(ask(&guard, &request, &caller("127.0.0.1")).unwrap().name(), "crm.internal.example");
}

#[test]
fn exactly_one_valid_host_is_needed() {
    let guard = guard("localhost", Access::Local);
    for headers in [
        &[][..],
        &[("host", "localhost"), ("host", "localhost")],
        &[("host", "")],
        &[("host", ".")],
        &[("host", "u:p@localhost")],
        &[("host", "localhost:http")],
        &[("host", "local host")],
        &[("host", "localhost/x")],
    ] {
        assert_eq!(check(&guard, headers), Err(Refusal::HostInvalid), "{headers:?}");
    }
    let old = Request::get("/").version(http::Version::HTTP_10).body(()).unwrap();
    assert!(ask(&guard, &old, &caller("127.0.0.1")).is_ok(), "HTTP/1.0 may omit it on loopback");
}

#[test]
fn an_old_caller_without_a_host_is_served_on_this_machine_only() {
    let old = Request::get("/").version(http::Version::HTTP_10).body(()).unwrap();
    assert!(ask(&guard("[::1]:1", Access::Local), &old, &caller("::1")).is_ok());
    let check = ask(&guard("0.0.0.0:4080", Access::Open), &old, &caller("10.0.0.1"));
    assert_eq!(check, Err(Refusal::HostInvalid));
}

#[test]
fn in_http2_the_authority_is_the_host_and_a_header_must_agree() {
    let guard = guard("localhost", Access::Local);
    let check = |target: &str, host: &[&str]| {
        let request = Request::get(target).version(http::Version::HTTP_2);
        let request = host.iter().fold(request, |request, host| request.header("host", *host));
        let host = ask(&guard, &request.body(()).unwrap(), &caller("127.0.0.1"))?;
        Ok(host.as_sent().to_owned())
    };
    let own = Ok("localhost:4080".to_owned());
    assert_eq!(check("http://localhost:4080/x", &[]), own, "the header may be missing");
    assert_eq!(check("http://localhost:4080/x", &["LocalHost:4080"]), own, "or say the same");
    assert_eq!(check("https://localhost:4080/x", &[]), own, "what a caller behind TLS says");
    assert_eq!(check("/x", &["localhost:4080"]), own, "or stand alone");
    for (target, host) in [
        ("http://localhost:4080/x", &["localhost"][..]),
        ("http://localhost:4080/x", &["evil.com"]),
        ("http://localhost:4080/x", &["localhost:4080", "localhost:4080"]),
        ("http://u@localhost:4080/x", &[]),
        ("/x", &[]),
        ("/x", &[""]),
    ] {
        assert_eq!(check(target, host), Err(Refusal::HostInvalid), "{target} {host:?}");
    }
    assert_eq!(check("http://evil.com/x", &[]), Err(refused("evil.com")));
}

#[test]
fn a_head_has_exactly_as_much_as_the_limits_say() {
    let guard = guard("localhost", Access::Local);
    let target = |length: usize| {
        let target = format!("/{}?{}", "a".repeat(length / 2), "b".repeat(length - length / 2 - 2));
        Request::get(target).header("host", "localhost").body(()).unwrap()
    };
    let check = |request: &Request<()>| ask(&guard, request, &caller("127.0.0.1")).map(|_| ());
    assert_eq!(check(&target(1024)), Ok(()));
    assert_eq!(check(&target(1025)), Err(Refusal::UriTooLong));
    let fields = |count: usize| -> Vec<(&str, &str)> {
        [("host", "localhost")].into_iter().chain(std::iter::repeat_n(("x-a", "1"), count - 1)).collect()
    };
    assert_eq!(check(&request(&fields(10))), Ok(()));
    assert_eq!(check(&request(&fields(11))), Err(Refusal::TooManyHeaders), "lines of one name count each");
    // `host: localhost` takes 17 bytes, `x: ` and its line break 5.
    let large = |length: usize| "v".repeat(length - 17 - 5);
    assert_eq!(check(&request(&[("host", "localhost"), ("x", &large(1000))])), Ok(()));
    assert_eq!(check(&request(&[("host", "localhost"), ("x", &large(1001))])), Err(Refusal::HeadersTooLarge));
}

#[test]
fn an_absolute_target_is_for_http_only() {
    let guard = guard("localhost", Access::Local);
    for (target, outcome) in [
        ("http://localhost/", Ok(())),
        ("HTTP://localhost/", Ok(())),
        ("https://localhost/", Err(Refusal::HostInvalid)),
        ("ftp://localhost/", Err(Refusal::HostInvalid)),
        ("http://u:p@localhost/", Err(Refusal::HostInvalid)),
    ] {
        let request = Request::get(target).header("host", "localhost").body(()).unwrap();
        assert_eq!(ask(&guard, &request, &caller("127.0.0.1")).map(|_| ()), outcome, "{target}");
    }
}

#[test]
fn an_absolute_target_is_judged_by_its_own_host() {
    let guard = guard("localhost", Access::Local);
    let absolute = Request::get("http://evil.com/").header("host", "localhost").body(()).unwrap();
    assert_eq!(ask(&guard, &absolute, &caller("127.0.0.1")), Err(refused("evil.com")));
}

#[test]
fn pages_of_other_origins_are_refused() {
    let guard = guard("localhost", Access::Local);
    let check = |name, value| check(&guard, &[("host", "localhost:4080"), (name, value)]);
    assert_eq!(check("origin", "http://localhost:4080"), Ok(()));
    assert_eq!(check("sec-fetch-site", "same-origin"), Ok(()));
    assert_eq!(check("sec-fetch-site", "none"), Ok(()));
    for origin in
        ["https://localhost:4080", "http://localhost:8080", "http://localhost", "null", "http://evil.com"]
    {
        assert_eq!(check("origin", origin), Err(Refusal::Browser), "{origin}");
    }
    for site in ["cross-site", "same-site", "", "None"] {
        assert_eq!(check("sec-fetch-site", site), Err(Refusal::Browser), "{site}");
    }
}

#[test]
fn every_part_of_an_access_rule_must_hold() {
    let secret = SecretSource::Literal(Secret::new("k3y".to_owned()));
    let rules = AccessRules {
        allow_from: vec!["10.0.0.0/8".parse().unwrap()],
        header: Some((HeaderName::from_static("x-key"), secret)),
    };
    let guard = guard("0.0.0.0:4080", Access::Rules(rules));
    let check = |ip, key: &[(&str, &str)]| {
        let headers: Vec<_> = [("host", "sidepass")].into_iter().chain(key.iter().copied()).collect();
        ask(&guard, &request(&headers), &caller(ip)).map(|_| ())
    };
    assert_eq!(check("10.9.9.9", &[("x-key", "k3y")]), Ok(()));
    assert_eq!(
        check("::ffff:10.9.9.9", &[("x-key", "k3y")]),
        Ok(()),
        "an IPv4 caller of a dual-stack socket"
    );
    for (ip, key) in [
        ("11.0.0.1", &[("x-key", "k3y")][..]),
        ("10.9.9.9", &[]),
        ("10.9.9.9", &[("x-key", "k3")]),
        ("10.9.9.9", &[("x-key", "k3y"), ("x-key", "k3y")]),
    ] {
        assert_eq!(check(ip, key), Err(Refusal::Access), "{ip} {key:?}");
    }
}

#[test]
fn tunnels_echoes_and_odd_framing_are_refused() {
    let guard = guard("localhost", Access::Local);
    let trace = Request::trace("/").header("host", "localhost").body(()).unwrap();
    assert_eq!(ask(&guard, &trace, &caller("127.0.0.1")), Err(Refusal::Method));
    for coding in ["gzip, chunked", "identity", "xchunked", "chunked, chunked"] {
        let headers = [("host", "localhost"), ("transfer-encoding", coding)];
        assert_eq!(check(&guard, &headers), Err(Refusal::TransferCoding), "{coding}");
    }
    for expectations in [&[("expect", "200-ok")][..], &[("expect", "100-continue"), ("expect", "200-ok")]] {
        let headers: Vec<_> = [("host", "localhost")].iter().chain(expectations).copied().collect();
        assert_eq!(check(&guard, &headers), Err(Refusal::Expectation));
    }
}
