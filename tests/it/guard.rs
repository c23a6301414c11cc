//! Who may ask: Host names, browsers, access rules. What is refused never reaches an upstream.

use crate::support::client;
use crate::support::leaks;
use crate::support::proxy::TestProxy;
use crate::support::rig::Rig;
use crate::support::setup::Setup;

fn with_host(rig: &Rig, host: &str) -> client::Response {
    let mut caller = rig.connect();
    caller.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).read()
}

// G 15
#[test]
fn a_foreign_host_name_is_refused_before_any_upstream_contact() {
    let rig = Setup::new().start();
    let port = rig.address.port();
    let foreign = [
        "evil.com".to_owned(),
        format!("evil.com:{port}"),
        format!("localhost.evil.com:{port}"),
        format!("127.0.0.1.nip.io:{port}"),
        format!("127.0.0.1:{port}.evil.com"),
        "localhost@evil.com".to_owned(),
        "evil".to_owned(),
        "192.168.1.1".to_owned(),
        "[fe80::1]".to_owned(),
        "0x7f000001.evil.com".to_owned(),
    ];
    for host in &foreign {
        let answer = with_host(&rig, host);
        assert!([400, 403, 421].contains(&answer.status), "{host}: {}", answer.status);
        assert!(!answer.reason().is_empty(), "{host}");
        assert!(!answer.text().contains("evil"), "the refusal does not repeat what was sent");
    }
    assert_eq!(rig.upstream.count(), 0);
    let own = [
        format!("localhost:{port}"),
        "localhost".to_owned(),
        format!("LOCALHOST:{port}"),
        format!("127.0.0.1:{port}"),
        "127.0.0.1".to_owned(),
        format!("[::1]:{port}"),
    ];
    for host in &own {
        assert_eq!(with_host(&rig, host).status, 200, "{host}");
    }
}

#[test]
fn a_refused_host_is_logged_with_the_line_to_add() {
    let rig = Setup::new().start();
    let name = format!("app-{}.internal", leaks::number());
    with_host(&rig, &name);
    let lines = leaks::log_lines(&[&name]);
    assert!(lines.iter().any(|line| line.contains("hosts")), "{lines:?}");
}

#[test]
fn a_configured_host_is_taken() {
    let rig = Setup::new()
        .proxy("hosts: [sidepass.internal]")
        .more("  named:\n    match: { host: Api.Example }\n    upstream: ${UPSTREAM}\n    profile: main\n")
        .start();
    for host in ["sidepass.internal", "SIDEPASS.internal:4080", "api.example", "api.example:80"] {
        assert_eq!(with_host(&rig, host).status, 200, "{host}");
    }
    assert_ne!(with_host(&rig, "other.internal").status, 200);
}

// G 15: absolute-form names a host too
#[test]
fn an_absolute_target_of_another_host_is_refused() {
    let rig = Setup::new().start();
    let address = rig.address;
    let mut caller = rig.connect();
    let answer = caller.send(format!("GET http://evil.com/ HTTP/1.1\r\nHost: {address}\r\n\r\n")).read();
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    let mut caller = rig.connect();
    assert_eq!(rig.upstream.count(), 0);
    // The target counts, and Host does not (RFC 9112 §3.2.2): what leaves is the upstream's name anyway.
    let answer = caller.send(format!("GET http://{address}/ HTTP/1.1\r\nHost: evil.com\r\n\r\n")).read();
    if answer.status == 200 {
        assert_eq!(rig.upstream.last().head.all("host"), [rig.upstream.address().to_string()]);
    } else {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
}

// G 15: browsers
#[test]
fn a_web_page_of_somebody_else_is_refused_before_any_upstream_contact() {
    let rig = Setup::new().start();
    let refused: [&[(&str, &str)]; 10] = [
        &[("Origin", "https://evil.com")],
        &[("Origin", "null")],
        &[("Origin", "http://localhost")],
        &[("Origin", "http://localhost:1")],
        &[("Origin", "")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "")],
        &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", "https://evil.com")],
    ];
    for headers in refused {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = rig.call(method, "/", headers, b"");
            assert_eq!(answer.status, 403, "{method} {headers:?}");
            assert!(!answer.reason().is_empty());
            assert!(
                answer
                    .head
                    .fields
                    .iter()
                    .all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control"))
            );
        }
    }
    assert_eq!(rig.upstream.count(), 0);
    let origin = format!("http://{}", rig.address);
    let taken: [&[(&str, &str)]; 4] = [
        &[("Sec-Fetch-Site", "none")],
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Origin", &origin)],
        &[("Origin", &origin), ("Sec-Fetch-Site", "same-origin")],
    ];
    for headers in taken {
        assert_eq!(rig.call("GET", "/", headers, b"").status, 200, "{headers:?}");
    }
}

#[test]
fn a_request_that_no_route_takes_gets_no_credential() {
    let rig = Setup::new().route("match: { path_prefix: /api, methods: [GET] }").start();
    for (method, target) in
        [("GET", "/"), ("GET", "/apix"), ("POST", "/api"), ("GET", "/Api"), ("DELETE", "/api/x")]
    {
        let answer = rig.call(method, target, &[], b"");
        assert_eq!((answer.status, answer.reason().as_str()), (404, "no_route"), "{method} {target}");
    }
    assert_eq!(rig.upstream.count(), 0);
    assert_eq!(rig.get("/api/x").status, 200);
}

#[test]
fn an_access_header_is_asked_for_and_never_forwarded() {
    let key = leaks::mint();
    let setup = Setup::new().variable("KEY", &key).variable("PROXY_LISTEN", "127.0.0.1:0");
    let rig = setup.proxy("access: { header: { X-Key: { env: KEY } } }").start();
    for headers in [&[][..], &[("X-Key", "wrong")], &[("X-Key", "")], &[("X-Key", &key), ("X-Key", "wrong")]]
    {
        let answer = rig.call("GET", "/", headers, b"");
        assert!([401, 403].contains(&answer.status), "{headers:?}: {}", answer.status);
        assert!(!answer.reason().is_empty());
    }
    assert_eq!(rig.upstream.count(), 0);
    // A CGI-like backend reads the second as the first.
    assert_eq!(rig.call("GET", "/", &[("X-Key", &key), ("X_Key", &key)], b"").status, 200);
    assert!(!String::from_utf8_lossy(&rig.upstream.last().head.raw).contains(&key));
}

#[test]
fn an_access_rule_on_addresses_holds() {
    let allowed = Setup::new().proxy("access: { allow_from: [private] }").start();
    assert_eq!(allowed.get("/").status, 200);
    let refused = Setup::new().proxy("access: { allow_from: [10.9.8.0/24] }").start();
    assert_eq!(refused.get("/").status, 403);
    assert_eq!(refused.upstream.count(), 0);
}

#[test]
fn a_listener_that_others_can_reach_needs_a_rule_to_start() {
    let setup = Setup::new().variable("PROXY_LISTEN", "0.0.0.0:0");
    let variables = [
        ("PROXY_LISTEN", "0.0.0.0:0"),
        ("TOKEN_URL", setup.value("TOKEN_URL")),
        ("UPSTREAM", setup.value("UPSTREAM")),
    ];
    let mut variables: std::collections::BTreeMap<String, String> =
        variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    variables.insert("CLIENT_ID".to_owned(), "a".to_owned());
    variables.insert("CLIENT_SECRET".to_owned(), setup.secret.clone());
    let error = TestProxy::start(&setup.text(), &variables).err().expect("refused");
    assert!(error.contains("access"), "says what to write: {error}");
}

#[test]
fn an_upstream_that_is_our_own_listener_is_refused() {
    let port = crate::support::process::free_port();
    let setup = Setup::new().variable("UPSTREAM", format!("http://127.0.0.1:{port}"));
    let text = setup.text();
    let mut variables = std::collections::BTreeMap::new();
    for (key, value) in [("TOKEN_URL", setup.value("TOKEN_URL")), ("UPSTREAM", setup.value("UPSTREAM"))] {
        variables.insert(key.to_owned(), value.to_owned());
    }
    variables.insert("PROXY_LISTEN".to_owned(), format!("127.0.0.1:{port}"));
    variables.insert("CLIENT_ID".to_owned(), "a".to_owned());
    variables.insert("CLIENT_SECRET".to_owned(), setup.secret.clone());
    assert!(TestProxy::start(&text, &variables).is_err(), "a request would go round in circles");
}

// B8: what is no request for a path of ours
#[test]
fn tunnels_echoes_and_targets_that_are_no_path_are_refused_before_any_upstream_contact() {
    let rig = Setup::new().start();
    let address = rig.address;
    let refused = [
        ("CONNECT evil.example:443", 405, "method_refused"),
        ("TRACE /", 405, "method_refused"),
        ("OPTIONS *", 404, "no_route"),
        ("GET http://evil.example/", 421, "host_not_allowed"),
        ("GET https://localhost/", 400, "host_invalid"),
        ("GET http://u:p@localhost/", 400, "host_invalid"),
    ];
    for (request, status, reason) in refused {
        let mut caller = rig.connect();
        let answer = caller.send(format!("{request} HTTP/1.1\r\nHost: {address}\r\n\r\n")).read();
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{request}");
    }
    assert_eq!(rig.upstream.count(), 0);
}

#[test]
fn an_old_caller_may_omit_the_host_on_this_machine() {
    let rig = Setup::new().start();
    let mut caller = rig.connect();
    assert_eq!(caller.send("GET /x HTTP/1.0\r\n\r\n").read().status, 200);
    assert_eq!(rig.upstream.last().head.all("host"), [rig.upstream.address().to_string()]);
    let answer = rig.connect().send("GET /x HTTP/1.1\r\n\r\n").read().reason();
    assert_eq!(answer, "host_invalid");
}

#[test]
fn a_target_has_exactly_as_many_bytes_as_the_limit_says() {
    let rig = Setup::new().proxy("limits: { uri_bytes: 1KiB }").start();
    let target = |length: usize| format!("/{}?{}", "a".repeat(500), "b".repeat(length - 502));
    assert_eq!(rig.get(&target(1024)).status, 200);
    let answer = rig.get(&target(1025));
    assert_eq!((answer.status, answer.reason().as_str()), (414, "uri_too_long"));
    assert_eq!(rig.upstream.count(), 1);
    // RFC 9112 §3: 8000 octets at least are to be taken; the default takes twice as much.
    let rig = Setup::new().start();
    assert_eq!(rig.get(&format!("/{}", "a".repeat(16_000))).status, 200);
    assert_eq!(rig.get(&format!("/{}", "a".repeat(16_384))).reason(), "uri_too_long");
}

#[test]
fn the_fields_of_a_head_have_exactly_as_many_bytes_as_the_limit_says() {
    let rig = Setup::new().proxy("limits: { header_bytes: 1KiB }").start();
    let head = |length: usize| {
        // `Host: localhost` takes 17 bytes, `x: ` with its line break 5.
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "v".repeat(length - 17 - 5))
    };
    assert_eq!(rig.connect().send(head(1024)).read().status, 200);
    let answer = rig.connect().send(head(1025)).read();
    assert_eq!((answer.status, answer.reason().as_str()), (431, "headers_too_large"));
    assert_eq!(rig.upstream.count(), 1);
}
