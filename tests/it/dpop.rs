//! DPoP (RFC 9449) on both sides: every token request and every proxied request with a proof of its own, nonces followed.

use std::sync::Arc;

use http::Response;
use sidepass::config::{ConfigFile, load};

use crate::support::client::Connection;
use crate::support::dpop::{Checker, Proof, hash};
use crate::support::http2::{Http2Upstream, Manners, Request2};
use crate::support::patience::eventually;
use crate::support::reply::Reply;
use crate::support::rig::Rig;
use crate::support::server::Seen;
use crate::support::setup::Setup;

fn bound() -> Setup {
    Setup::new().profile("dpop: true")
}

fn proof(seen: &Seen) -> Proof {
    Proof::verify(seen.header("dpop").expect("a proof")).expect("a good proof")
}

/// What the proofs of all requests to the upstream said of the nonce.
fn nonces(rig: &Rig) -> Vec<String> {
    rig.upstream.seen().iter().map(|seen| proof(seen).claim("nonce").to_owned()).collect()
}

fn invalid_token() -> Reply {
    Reply::new(401, &[("WWW-Authenticate", r#"DPoP error="invalid_token""#)], "the token is revoked")
}

#[test]
fn every_request_carries_the_bound_token_and_a_proof_of_its_own() {
    let setup = bound().route("match: { path_prefix: /api }").route("strip_prefix: true");
    let checker = Checker::watch(&setup);
    let rig = setup.start();
    for (method, target) in
        [("GET", "/api"), ("POST", "/api/a?b=c"), ("DELETE", "/api/%7Ea/\u{e4}"), ("HEAD", "/api/x")]
    {
        let own =
            [("DPoP", "mine"), ("dpop", "twice"), ("Authorization", "DPoP mine"), ("DPoP-Nonce", "mine")];
        let mut caller = rig.connect();
        let answer = caller.send(rig.request(method, target, &own, b"")).try_read(method).unwrap();
        assert_eq!(answer.status, 200, "{method} {target}: {:?}", checker.wrong());
    }
    assert_eq!(checker.wrong(), [""; 0]);
    let thumbprints: Vec<_> = rig.upstream.seen().iter().map(|seen| proof(seen).thumbprint).collect();
    assert_eq!(thumbprints[0], proof(&rig.idp.calls()[0]).thumbprint, "one key on both sides");
    assert_eq!(rig.profile_status("main")["bound_to"], thumbprints[0]);
    assert_eq!(rig.idp.calls()[0].head.all("dpop").len(), 1);
}

#[test]
fn a_busy_worker_makes_no_proof_twice() {
    let setup = bound().proxy("workers: 2");
    let checker = Checker::watch(&setup);
    let rig = setup.start();
    let mut callers: Vec<_> = (0..20).map(|_| rig.connect()).collect();
    for _ in 0..10 {
        for caller in &mut callers {
            caller.send(rig.request("GET", "/", &[], b""));
        }
        assert!(callers.iter_mut().map(Connection::read).all(|answer| answer.status == 200));
    }
    assert_eq!(checker.wrong(), [""; 0]);
    assert_eq!(rig.upstream.count(), 200);
}

#[test]
fn a_nonce_of_the_token_service_is_followed_at_once_and_kept() {
    let setup = bound();
    let checker = Checker::watch(&setup);
    checker.want_at_token_service("n-1");
    let rig = setup.start();
    assert_eq!(rig.get("/").status, 200, "{:?}", checker.wrong());
    rig.upstream.script([invalid_token()]);
    assert_eq!(rig.get("/").status, 200);
    let told: Vec<_> = rig.idp.calls().iter().map(|call| proof(call).claim("nonce").to_owned()).collect();
    assert_eq!(told, ["", "n-1", "n-1"]);
    assert_eq!(checker.wrong(), [""; 0]);
}

#[test]
fn a_token_service_that_is_never_content_is_asked_twice_a_fetch() {
    let setup = bound().cold().profile("token_wait: 1s");
    setup.idp.answer_with(|seen| {
        let nonce = format!("n-{}", seen.number);
        let headers = [("DPoP-Nonce", nonce.as_str())];
        Some(Reply::new(400, &headers, r#"{"error":"use_dpop_nonce"}"#))
    });
    let rig = setup.start();
    assert_eq!(rig.get("/").reason(), "token_unavailable");
    assert_eq!(rig.last_failure("main"), "token_oauth_error");
    assert_eq!(rig.idp.count(), 2);
}

#[test]
fn a_nonce_of_the_upstream_is_followed_once_and_never_a_reason_to_refresh() {
    let setup = bound();
    let checker = Checker::watch(&setup);
    checker.want_at_upstream("u-1");
    let rig = setup.start();
    let answer = rig.post("/", b"a body");
    assert_eq!((answer.status, answer.header("dpop-nonce")), (200, None), "{:?}", checker.wrong());
    assert_eq!(rig.upstream.last().text(), "a body");
    assert_eq!(rig.get("/").status, 200);
    checker.want_at_upstream("u-2");
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(nonces(&rig), ["", "u-1", "u-1", "u-1", "u-2"]);
    assert_eq!(rig.idp.count(), 1, "the token is not suspect");
    assert_eq!(rig.metric("sidepass_replays_total", &["cause=\"dpop_nonce\""]), 2.0);
    assert_eq!(rig.metric("sidepass_replays_total", &["cause=\"rejected\""]), 0.0);
    assert_eq!(checker.wrong(), [""; 0]);
}

#[test]
fn a_nonce_that_comes_with_a_good_answer_is_for_the_next_request() {
    let setup = bound();
    let checker = Checker::watch(&setup);
    let rig = setup.start();
    rig.upstream.script([Reply::new(200, &[("DPoP-Nonce", "next")], "")]);
    assert_eq!(rig.get("/").header("dpop-nonce"), None);
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(nonces(&rig), ["", "next"]);
    assert_eq!(checker.wrong(), [""; 0]);
}

#[test]
fn an_upstream_that_wants_ever_new_nonces_gets_one_more_try_a_request() {
    let setup = bound();
    let checker = Checker::watch(&setup);
    let inner = checker.clone();
    setup.upstream.answer_with(move |seen| {
        inner.want_at_upstream(&format!("u-{}", seen.number));
        inner.answer(seen)
    });
    let rig = setup.start();
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (401, "a nonce is needed"));
    assert_eq!(answer.header("dpop-nonce"), None);
    assert_eq!((rig.upstream.count(), rig.idp.count()), (2, 1));
    assert_eq!(checker.wrong(), [""; 0]);
}

#[test]
fn a_body_that_was_not_kept_meets_the_401_and_the_next_one_has_the_nonce() {
    let setup = bound().route("replay_buffer: 1KiB");
    let checker = Checker::watch(&setup);
    checker.want_at_upstream("u-1");
    let rig = setup.start();
    let body = vec![b'x'; 5000];
    let answer = rig.post("/", &body);
    assert_eq!((answer.status, answer.text().as_str()), (401, "a nonce is needed"));
    assert_eq!(rig.post("/", &body).status, 200);
    assert_eq!(nonces(&rig), ["", "u-1"]);
    assert_eq!((rig.upstream.count(), rig.idp.count()), (2, 1));
}

#[test]
fn nonces_are_followed_where_a_401_is_passed_on() {
    let setup = bound().route("on_401: pass");
    let checker = Checker::watch(&setup);
    checker.want_at_upstream("u-1");
    let rig = setup.start();
    assert_eq!(rig.post("/", b"a body").status, 200, "{:?}", checker.wrong());
    rig.upstream.script([invalid_token()]);
    assert_eq!(rig.get("/").status, 401);
    assert_eq!(rig.idp.count(), 1);
}

#[test]
fn a_refused_token_is_renewed_and_shown_with_its_own_proof() {
    let setup = bound();
    let checker = Checker::watch(&setup);
    let rig = setup.start();
    rig.upstream.script([invalid_token()]);
    assert_eq!(rig.post("/", b"{}").status, 200, "{:?}", checker.wrong());
    let seen = rig.upstream.seen();
    let tokens: Vec<_> = seen.iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_ne!(tokens[0], tokens[1]);
    for (seen, token) in seen.iter().zip(&tokens) {
        assert_eq!(proof(seen).claim("ath"), hash(token.strip_prefix("DPoP ").unwrap()));
    }
    assert_eq!(rig.idp.count(), 2);
}

#[test]
fn a_proof_that_the_upstream_refuses_is_no_reason_to_refresh() {
    let setup = bound();
    Checker::watch(&setup);
    let rig = setup.start();
    let challenge = r#"DPoP error="invalid_dpop_proof", algs="PS256""#;
    rig.upstream.script([Reply::new(401, &[("WWW-Authenticate", challenge)], "your clock is wrong")]);
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (401, "your clock is wrong"));
    assert_eq!((rig.idp.count(), rig.upstream.count()), (1, 1));
}

#[test]
fn a_request_that_is_sent_again_has_another_proof() {
    let setup = bound();
    let checker = Checker::watch(&setup);
    let rig = setup.start();
    assert_eq!(rig.get("/").status, 200);
    rig.upstream.script([Reply::close()]);
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.upstream.count(), 3);
    assert_eq!(checker.wrong(), [""; 0]);
}

#[test]
fn a_bearer_token_is_not_taken_where_it_should_be_bound() {
    let rig = bound().cold().start();
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "token_unavailable"));
    assert_eq!(rig.last_failure("main"), "token_type_unsupported");
    let message = rig.profile_status("main")["last_failure"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("not bound to our key"), "{message}");
    assert_eq!(rig.upstream.count(), 0);
}

#[test]
fn a_bound_token_is_not_taken_where_nobody_asked_for_it() {
    let setup = Setup::new().cold();
    setup.idp.always(Reply::json(200, r#"{"access_token":"x","token_type":"DPoP","expires_in":60}"#));
    let rig = setup.start();
    assert_eq!(rig.get("/").reason(), "token_unavailable");
    assert_eq!(rig.last_failure("main"), "token_type_unsupported");
    assert!(rig.idp.calls()[0].header("dpop").is_none());
}

#[test]
fn a_key_from_a_file_proves_for_every_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    std::fs::write(&file, key.serialize_pem()).unwrap();
    let thumbprints: Vec<_> = (0..2)
        .map(|_| {
            let line = format!("dpop: {{ private_key: {{ file: {} }}, algorithm: ES256 }}", file.display());
            let setup = Setup::new().profile(&line);
            let checker = Checker::watch(&setup);
            let rig = setup.start();
            assert_eq!(rig.get("/").status, 200, "{:?}", checker.wrong());
            proof(&rig.upstream.last()).thumbprint
        })
        .collect();
    assert_eq!(thumbprints[0], thumbprints[1]);
}

#[test]
fn over_http2_too_a_nonce_is_followed() {
    let script = |seen: &Request2| {
        let proof = Proof::verify(seen.headers["dpop"].to_str().unwrap()).unwrap();
        let missing = proof.claim("nonce") != "h2-nonce";
        missing.then(|| {
            Response::builder()
                .status(401)
                .header("www-authenticate", r#"DPoP error="use_dpop_nonce""#)
                .header("dpop-nonce", "h2-nonce")
                .body(())
                .unwrap()
        })
    };
    let upstream = Http2Upstream::start(Manners { script: Some(Arc::new(script)), ..Manners::default() });
    let setup = bound()
        .variable("UPSTREAM", format!("http://{}", upstream.address()))
        .route("http2: prior_knowledge");
    Checker::watch(&setup);
    let rig = setup.start();
    assert_eq!(rig.post("/a?b", b"a body").status, 200);
    assert_eq!(rig.get("/c").status, 200);
    let seen = upstream.seen();
    assert_eq!((seen.len(), seen[1].body.as_slice(), upstream.connections()), (3, &b"a body"[..], 1));
    let proofs: Vec<_> =
        seen.iter().map(|seen| Proof::verify(seen.headers["dpop"].to_str().unwrap()).unwrap()).collect();
    let uris: Vec<_> = proofs.iter().map(|proof| proof.claim("htu").to_owned()).collect();
    let at = |path: &str| format!("http://{}{path}", upstream.address());
    assert_eq!(uris, [at("/a"), at("/a"), at("/c")]);
    assert_ne!(proofs[0].claim("jti"), proofs[1].claim("jti"));
}

#[test]
fn a_csrf_token_is_fetched_with_a_proof_as_well() {
    let setup = bound().route("csrf: { path: /root/ }");
    let checker = Checker::watch(&setup);
    checker.want_at_upstream("u-1");
    let inner = checker.clone();
    setup.upstream.answer_with(move |seen| {
        let refused = inner.answer(seen);
        match (refused, seen.method(), seen.header("x-csrf-token")) {
            (Some(refused), ..) => Some(refused),
            (None, "GET", Some("Fetch")) => Some(Reply::new(200, &[("X-CSRF-Token", "abc")], "")),
            (None, "POST", token) if token != Some("abc") => Some(Reply::new(403, &[], "")),
            _ => None,
        }
    });
    let rig = setup.start();
    assert_eq!(rig.post("/write", b"{}").status, 200, "{:?}", checker.wrong());
    assert_eq!(nonces(&rig), ["", "u-1", "u-1"]);
    eventually("it is counted", || rig.metric("sidepass_replays_total", &["cause=\"dpop_nonce\""]) == 1.0);
    assert_eq!(checker.wrong(), [""; 0]);
}

#[test]
fn a_refresh_token_that_outlives_its_key_is_warned_about() {
    let warnings = |dpop: &str, authentication: &str| -> Vec<String> {
        let text = format!(
            "profiles:\n  p:\n    type: oauth2_refresh_token\n    token_service_url: https://id.example/token\n    client_id: a\n    \
             refresh_token: {{ env: REFRESH }}\n    state_file: /tmp/nowhere\n    {authentication}\n    dpop: {dpop}\n\
             routes:\n  r:\n    upstream: https://api.example\n    profile: p\n"
        );
        let file = ConfigFile { path: "proxy.yaml".into(), text };
        let environment =
            [("REFRESH", "r"), ("SECRET", "s")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let loaded = load(&[file], &environment.into()).unwrap_or_else(|errors| panic!("{errors}"));
        loaded.warnings.iter().map(|warning| warning.key.clone()).collect()
    };
    assert_eq!(warnings("true", "client_authentication: none"), ["profiles.p.dpop"]);
    assert_eq!(warnings("true", "client_secret: { env: SECRET }"), [""; 0]);
}
