//! Whom a listener lets in.

use super::*;
use crate::config::SecretSource;
use crate::config::server::AccessRules;
use crate::secret::Secret;

fn guard(address: &str, access: Access) -> Guard {
    let address = match address {
        "localhost" => ListenAddress::Localhost { port: 0 },
        other => ListenAddress::Tcp(other.parse().unwrap()),
    };
    let hosts = Arc::new(HashSet::from(["crm.internal.example".to_owned()]));
    let (guard, injector) = Guard::new(&address, &access, hosts);
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
    Caller { peer: Some(SocketAddr::new(ip.parse().unwrap(), 4711)) }
}

fn check(guard: &Guard, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    guard.check(&request(headers), &caller("127.0.0.1")).map(|_| ())
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
    assert_eq!(guard.check(&request, &caller("127.0.0.1")).unwrap().name(), "crm.internal.example");
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
    assert!(guard.check(&old, &caller("127.0.0.1")).is_ok(), "HTTP/1.0 may omit it on loopback");
}

#[test]
fn an_absolute_target_is_judged_by_its_own_host() {
    let guard = guard("localhost", Access::Local);
    let absolute = Request::get("http://evil.com/").header("host", "localhost").body(()).unwrap();
    assert_eq!(guard.check(&absolute, &caller("127.0.0.1")), Err(refused("evil.com")));
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
        guard.check(&request(&headers), &caller(ip)).map(|_| ())
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
    assert_eq!(guard.check(&trace, &caller("127.0.0.1")), Err(Refusal::Method));
    for coding in ["gzip, chunked", "identity", "xchunked", "chunked, chunked"] {
        let headers = [("host", "localhost"), ("transfer-encoding", coding)];
        assert_eq!(check(&guard, &headers), Err(Refusal::TransferCoding), "{coding}");
    }
    for expectations in [&[("expect", "200-ok")][..], &[("expect", "100-continue"), ("expect", "200-ok")]] {
        let headers: Vec<_> = [("host", "localhost")].iter().chain(expectations).copied().collect();
        assert_eq!(check(&guard, &headers), Err(Refusal::Expectation));
    }
}
