//! Which headers leave: ours exactly once, the caller's copies never, hop-by-hop names not at all.

use std::time::Duration;

use crate::support::rig::Rig;
use crate::support::server::Seen;
use crate::support::setup::Setup;
use crate::support::upstream::Strictness;

/// As the chatbot route of the README: a bearer token and a second secret header; beside it a route without a profile.
fn chatbot() -> Rig {
    let request_token = crate::support::leaks::mint();
    let setup = Setup::new().variable("REQUEST_TOKEN", request_token).upstream("OPEN");
    let text = setup.text();
    let yaml = format!(
        "{}    headers:\n      X-Token: \"Token {{request_token}}\"\n  plain:\n    match: {{ path_prefix: /plain }}\n    \
         upstream: ${{OPEN}}\nsecure_parameters:\n  request_token: {{ env: REQUEST_TOKEN }}\n",
        &text[text.find("profiles:").unwrap()..]
    );
    let rig = setup.yaml(&yaml).start();
    rig.others[0].set_strictness(Strictness::Ignores);
    rig
}

/// Both headers of [`chatbot`], exactly once, and ours.
#[track_caller]
fn assert_ours(seen: &Seen) {
    let (authorization, token) = (seen.head.all("authorization"), seen.head.all("x-token"));
    assert!(matches!(authorization[..], [value] if value.starts_with("Bearer tok-")), "{}", seen.head.first);
    assert!(matches!(token[..], [value] if value.starts_with("Token cAnArY")), "{token:?}");
    let folded = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let managed = |name: &str| ["authorization", "x-token"].contains(&folded(name).as_str());
    let lookalikes = seen.head.fields.iter().filter(|(name, _)| managed(name));
    assert_eq!(lookalikes.count(), 2, "{}", String::from_utf8_lossy(&seen.head.raw));
}

// G 14
#[test]
fn the_callers_copies_of_a_managed_header_never_leave() {
    let rig = chatbot();
    let copies: [&[(&str, &str)]; 7] = [
        &[],
        &[("Authorization", "Bearer mine")],
        &[("AUTHORIZATION", "Basic bWluZQ=="), ("authorization", "Bearer mine"), ("X-TOKEN", "mine")],
        &[("X-Token", "one"), ("x-token", "two"), ("X-tOkEn", "three")],
        &[("X_Token", "mine"), ("authorization", ""), ("X_TOKEN", "")],
        &[("Proxy-Authorization", "Basic bWluZQ=="), ("Authorization", "x")],
        &[("Connection", "X-Token"), ("X-Token", "mine")],
    ];
    for headers in copies {
        assert_eq!(rig.call("GET", "/", headers, b"").status, 200, "{headers:?}");
        assert_ours(&rig.upstream.last());
        assert_eq!(rig.upstream.last().head.all("proxy-authorization").len(), 0);
        assert_eq!(rig.call("GET", "/plain", headers, b"").status, 200, "{headers:?}");
        let seen = rig.others[0].last();
        for name in ["authorization", "proxy-authorization", "x-token", "x_token"] {
            assert_eq!(seen.head.all(name).len(), 0, "a route without a profile sends no `{name}`");
        }
    }
}

// G 14: a trailer is a header that comes late
#[test]
fn the_callers_trailers_bring_no_credential() {
    let rig = chatbot();
    for target in ["/", "/plain"] {
        let mut caller = rig.connect();
        caller.send(format!(
            "POST {target} HTTP/1.1\r\nHost: {}\r\nTE: trailers\r\nTrailer: X-Token, Authorization\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\nX-Token: late\r\nAuthorization: Bearer late\r\n\r\n",
            rig.address
        ));
        assert_eq!(caller.read().status, 200);
    }
    assert_ours(&rig.upstream.last());
    assert_eq!(rig.upstream.last().text(), "abc");
    for upstream in [&rig.upstream, &rig.others[0]] {
        let trailers = upstream.last().trailers;
        assert!(!trailers.contains("late"), "{trailers}");
    }
}

// G 11
#[test]
fn connection_options_cannot_strip_what_is_injected() {
    let rig = chatbot();
    let headers = [("Connection", "Authorization, X-Token, X-Foo"), ("X-Foo", "hop"), ("X-Bar", "kept")];
    assert_eq!(rig.call("GET", "/", &headers, b"").status, 200);
    let seen = rig.upstream.last();
    assert_ours(&seen);
    assert_eq!((seen.header("x-foo"), seen.header("x-bar")), (None, Some("kept")));
    assert!(seen.header("connection").is_none_or(|value| !value.to_ascii_lowercase().contains("x-token")));
}

// G 11: every Connection line counts, the empty one first (CVE-2021-33197)
#[test]
fn hop_by_hop_headers_stay_behind() {
    let rig = chatbot();
    let headers = [
        ("Connection", ""),
        ("Connection", "x-Secret, Close"),
        ("X-Secret", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("TE", "gzip"),
        ("Upgrade", "h2c"),
        ("Trailer", "X-Later"),
        ("X-End-To-End", "kept"),
    ];
    assert_eq!(rig.call("GET", "/", &headers, b"").status, 200);
    let seen = rig.upstream.last();
    for name in
        ["x-secret", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade", "trailer"]
    {
        assert_eq!(seen.head.all(name).len(), 0, "{name} is for one hop");
    }
    assert_eq!(seen.header("x-end-to-end"), Some("kept"));
    assert_ours(&seen);
}

#[test]
fn hop_by_hop_headers_of_an_answer_stay_behind() {
    let rig = Setup::new().start();
    let headers = [
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Authorization", "Bearer echoed"),
        ("X-Kept", "1"),
        ("X-Kept", "2"),
    ];
    rig.upstream.always(crate::support::reply::Reply::new(200, &headers, "body"));
    let answer = rig.get("/");
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "authorization"] {
        assert_eq!(answer.head.all(name).len(), 0, "{name}");
    }
    assert_eq!((answer.head.all("x-kept"), answer.text().as_str()), (vec!["1", "2"], "body"));
}

// G 16
#[test]
fn credentials_that_differ_in_one_field_never_share_a_token() {
    let fields = [
        "",
        "scope: a",
        "scope: b",
        "audience: a",
        "resource: a",
        "client_authentication: body_parameter",
        "custom_parameters: { body: { tenant: a } }",
        "custom_parameters: { body: { tenant: b } }",
        "custom_parameters: { header: { X-Tenant: a } }",
        "custom_parameters: { url: { tenant: a } }",
        "grant_type_in: url",
        "basic_encoding: raw",
    ];
    let setup = Setup::new().rate(4 * fields.len() + 8);
    setup.idp.set_client("other", &setup.secret);
    setup.idp.set_proof(crate::support::idp::Proof::Anything);
    let (mut yaml, mut routes) = ("profiles:\n".to_owned(), "routes:\n".to_owned());
    for (n, field) in fields.iter().enumerate() {
        yaml += &format!(
            "  p{n}:\n    token_service_url: ${{TOKEN_URL}}\n    client_id: ${{CLIENT_ID}}\n    client_secret: {{ env: CLIENT_SECRET }}\n    {field}\n"
        );
        routes += &format!(
            "  r{n}:\n    match: {{ path_prefix: /{n} }}\n    upstream: ${{UPSTREAM}}\n    profile: p{n}\n"
        );
    }
    let rig = setup.yaml(&(yaml + &routes)).start();
    let mut calls = Vec::new();
    for round in 0..3 {
        for n in 0..fields.len() {
            assert_eq!(rig.get(&format!("/{n}/{round}")).status, 200);
            let value = rig.upstream.last().header("authorization").unwrap().to_owned();
            let token = value.strip_prefix("Bearer ").unwrap().to_owned();
            calls.push((n, rig.idp.tokens().find(&token).unwrap().call));
        }
    }
    calls.sort_unstable();
    calls.dedup();
    assert_eq!(calls.len(), fields.len(), "one token a profile: {calls:?}");
    let mut requests: Vec<_> = calls.iter().map(|(_, call)| rig.idp.calls()[*call].clone()).collect();
    requests.sort_by_key(|seen| (seen.head.raw.clone(), seen.body.clone()));
    // `basic_encoding: raw` and the default differ because the secret has characters that are encoded.
    requests.dedup_by_key(|seen| (seen.head.raw.clone(), seen.body.clone()));
    assert_eq!(requests.len(), fields.len(), "and each was asked for in its own words");
}

// G 24
#[test]
fn ids_and_secrets_of_any_character_are_understood_by_strict_and_raw_servers() {
    use crate::support::idp::Proof;
    let special = r#"~!@#$%^&*()_+{}|"<>?`-=[]\;',./ "#;
    let modes = [
        ("basic_encoding: form", Proof::FormBasic),
        ("basic_encoding: raw", Proof::RawBasic),
        ("client_authentication: body_parameter", Proof::FormBody),
    ];
    for (line, proof) in modes {
        let id = format!("id{special}");
        // A colon ends the id where nothing is encoded (RFC 7617 §2); everywhere else ids may have one.
        let id = if proof == Proof::RawBasic { id } else { id + ":" };
        let secret = format!("{}:{special}ä€", crate::support::leaks::mint());
        let setup =
            Setup::new().profile(line).cold().variable("CLIENT_ID", &id).variable("CLIENT_SECRET", &secret);
        setup.idp.set_client(&id, &secret);
        setup.idp.set_proof(proof);
        let mut rig = setup.start();
        rig.secret.clone_from(&secret);
        rig.wait_until_ready();
        assert_eq!((rig.get("/").status, rig.idp.count()), (200, 1), "{line}");
        let call = &rig.idp.calls()[0];
        let told = call.header("x-cf-encoded-credentials") == Some("true");
        assert_eq!(told, proof == Proof::FormBasic, "XSUAA is told of the encoding, and only then");
    }
}

#[test]
fn an_answer_never_shows_the_injected_headers() {
    let rig = chatbot();
    rig.upstream.answer_with(|seen| {
        let echo = [("X-Token", seen.header("x-token")?), ("Authorization", seen.header("authorization")?)];
        Some(crate::support::reply::Reply::new(200, &echo, "echo"))
    });
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.header("x-token"), answer.header("authorization")), (200, None, None));
}

#[test]
fn headers_of_the_caller_that_name_other_hops_stay_behind() {
    let rig = Setup::new().start();
    let headers = [
        ("Forwarded", "for=1.2.3.4"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "1.2.3.4"),
        ("Cookie", "kept=1"),
    ];
    assert_eq!(rig.call("GET", "/", &headers, b"").status, 200);
    let seen = rig.upstream.last();
    for (name, _) in &headers[..5] {
        assert_eq!(seen.head.all(name).len(), 0, "{name}");
    }
    assert_eq!(seen.header("cookie"), Some("kept=1"));
    assert_eq!(seen.head.all("host"), [rig.upstream.address().to_string()], "Host is the upstream's");
    assert!(
        seen.header("via").unwrap().starts_with("1.1 sidepass-"),
        "RFC 9110 §7.6.3: no address, no version"
    );
    assert!(seen.at.elapsed() < Duration::from_secs(60));
}
