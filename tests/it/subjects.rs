//! Routes that speak for their callers: each one's token is exchanged, and never goes with another's request.

use std::time::Duration;

use crate::support::leaks;
use crate::support::message::form_pairs;
use crate::support::patience::eventually;
use crate::support::reply::Reply;
use crate::support::rig::Rig;
use crate::support::server::Seen;
use crate::support::setup::Setup;
use crate::support::upstream::{Strictness, refusal};

/// What a call of the token service shows.
fn shown(seen: &Seen) -> String {
    let subject = form_pairs(&seen.body).into_iter().find(|(key, _)| key == "subject_token");
    subject.map(|(_, subject)| subject).unwrap_or_default()
}

/// A profile whose callers show their token in this header, and two routes; `more` are lines of the route `main`.
fn setup(header: &str, more: &str) -> Setup {
    let setup = Setup::new().upstream("OTHER");
    let yaml = format!(
        "profiles:\n  main:\n    type: oauth2_token_exchange\n    token_service_url: ${{TOKEN_URL}}\n    client_id: ${{CLIENT_ID}}\n    \
         client_secret: {{ env: CLIENT_SECRET }}\n    subject_token: {{ header: {header} }}\nroutes:\n  main:\n    \
         upstream: ${{UPSTREAM}}\n    profile: main\n{more}  other:\n    match: {{ path_prefix: /other }}\n    \
         upstream: ${{OTHER}}\n    profile: main\n"
    );
    let (tokens, mark) = (setup.idp.tokens(), setup.idp.mark().to_owned());
    setup.idp.answer_with(move |seen| {
        // What it is exchanged for names whose it is, but not by the token.
        let token = format!("tok-{mark}-{}-{}", shown(seen).replace("cAnArY7q", "s"), seen.number);
        tokens.issue(&token, &shown(seen), seen.number, Duration::from_secs(3600));
        Some(Reply::json(200, format!(r#"{{"access_token":"{token}","expires_in":3600}}"#)))
    });
    setup.yaml(&yaml)
}

fn get(rig: &Rig, target: &str, subject: &str) -> u16 {
    rig.call("GET", target, &[("Authorization", &format!("Bearer {subject}"))], b"").status
}

/// Whose token arrived last.
fn arrived(rig: &Rig) -> String {
    let seen = rig.upstream.last();
    let token = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    rig.idp.tokens().find(&token).unwrap().client
}

#[test]
fn each_caller_goes_with_a_token_of_its_own() {
    let rig = setup("Authorization", "").start();
    assert!(rig.idp.calls().is_empty(), "nobody has called yet");
    let (anna, bert) = (leaks::mint(), leaks::mint());
    for _ in 0..3 {
        for subject in [&anna, &bert] {
            assert_eq!(get(&rig, "/", subject), 200);
            assert_eq!(&arrived(&rig), subject);
        }
    }
    assert_eq!(get(&rig, "/other", &anna), 200);
    assert_eq!(rig.idp.count(), 2, "one exchange a subject, whatever the route");
    let call = &rig.idp.calls()[0];
    let grant = form_pairs(&call.body).into_iter().find(|(key, _)| key == "grant_type").unwrap().1;
    assert_eq!((grant.as_str(), shown(call)), ("urn:ietf:params:oauth:grant-type:token-exchange", anna));
    assert_eq!(rig.profile_status("main")["state"], "per_subject");
    assert_eq!(
        rig.metric("sidepass_token_refreshes_total", &["profile=\"main\"", "result=\"success\""]) as usize,
        2
    );
}

#[test]
fn a_request_that_speaks_for_nobody_is_refused() {
    let rig = setup("Authorization", "").start();
    let token = leaks::mint();
    let basic = format!("Basic {token}");
    let twice = format!("Bearer {token}");
    let cases: [&[(&str, &str)]; 4] = [
        &[],
        &[("Authorization", "")],
        &[("Authorization", &basic)],
        &[("Authorization", &twice), ("Authorization", &twice)],
    ];
    for headers in cases {
        let answer = rig.call("GET", "/", headers, b"");
        assert_eq!((answer.status, answer.reason().as_str()), (401, "subject_missing"), "{headers:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!((rig.idp.count(), rig.upstream.count()), (0, 0));
}

#[test]
fn a_caller_that_the_token_service_refuses_is_refused() {
    let setup = setup("Authorization", "");
    setup.idp.script([Reply::json(400, r#"{"error":"invalid_grant"}"#)]);
    let rig = setup.start();
    let (anna, bert) = (leaks::mint(), leaks::mint());
    for _ in 0..5 {
        let answer = rig.call("GET", "/", &[("Authorization", &format!("Bearer {anna}"))], b"");
        assert_eq!((answer.status, answer.reason().as_str()), (401, "subject_rejected"));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    }
    assert_eq!((rig.idp.count(), rig.upstream.count()), (1, 0));
    assert_eq!(get(&rig, "/", &bert), 200);
}

#[test]
fn a_token_service_in_trouble_is_no_fault_of_the_caller() {
    let setup = setup("Authorization", "");
    setup.idp.script([Reply::new(500, &[], "")]);
    let rig = setup.start();
    let anna = leaks::mint();
    let answer = rig.call("GET", "/", &[("Authorization", &format!("Bearer {anna}"))], b"");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "token_unavailable"));
    eventually("its backoff is over", || get(&rig, "/", &anna) == 200);
}

#[test]
fn what_is_exchanged_for_no_access_token_goes_nowhere() {
    let setup = setup("Authorization", "");
    let issued = |kind: &str| {
        let body = r#"{"access_token":"x","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:KIND"}"#;
        Reply::json(200, body.replace("KIND", kind))
    };
    setup.idp.script(["refresh_token", "id_token", "saml2"].map(issued));
    let rig = setup.start();
    for _ in 0..3 {
        let answer = rig.call("GET", "/", &[("Authorization", &format!("Bearer {}", leaks::mint()))], b"");
        assert_eq!((answer.status, answer.reason().as_str()), (503, "token_unavailable"));
    }
    assert_eq!((rig.idp.count(), rig.upstream.count()), (3, 0));
    let refused = ["profile=\"main\"", "result=\"token_type_unsupported\""];
    assert_eq!(rig.metric("sidepass_token_refreshes_total", &refused) as usize, 3);
}

#[test]
fn a_header_of_another_name_is_shown_to_nobody_else() {
    let rig = setup("X-User-Token", "").start();
    let anna = leaks::mint();
    let headers =
        [("X-User-Token", anna.as_str()), ("X_User_Token", "look-alike"), ("Authorization", "Bearer mine")];
    assert_eq!(rig.call("GET", "/", &headers, b"").status, 200);
    assert_eq!(arrived(&rig), anna);
    let seen = rig.upstream.last();
    assert_eq!((seen.header("x-user-token"), seen.header("x_user_token")), (None, None));
}

#[test]
fn a_token_that_the_upstream_refuses_is_exchanged_once_more_for_its_subject_only() {
    let rig = setup("Authorization", "").start();
    let (anna, bert) = (leaks::mint(), leaks::mint());
    assert_eq!((get(&rig, "/", &anna), get(&rig, "/", &bert)), (200, 200));
    rig.upstream.script([refusal()]);
    let headers = [("Authorization", format!("Bearer {anna}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(rig.call("POST", "/", &headers, b"again").status, 200);
    assert_eq!((arrived(&rig), rig.upstream.last().text()), (anna.clone(), "again".to_owned()));
    assert_eq!(rig.idp.count(), 3);
    rig.upstream.script([refusal()]);
    assert_eq!(rig.call("POST", "/", &headers, b"again").status, 401, "once in a while");
    assert_eq!(get(&rig, "/", &bert), 200);
    assert_eq!(rig.idp.count(), 3);
}

#[test]
fn many_callers_at_once_get_their_own() {
    let rig = setup("Authorization", "").rate(100).start();
    let subjects: Vec<String> = (0..20).map(|_| leaks::mint()).collect();
    rig.upstream.set_strictness(Strictness::Wants);
    std::thread::scope(|scope| {
        for subject in &subjects {
            let rig = &rig;
            scope.spawn(move || {
                for _ in 0..3 {
                    assert_eq!(get(rig, "/", subject), 200);
                }
            });
        }
    });
    assert_eq!(rig.idp.count(), subjects.len());
    for subject in &subjects {
        let clients = rig.upstream.seen().into_iter().filter(|seen| {
            let token = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
            &rig.idp.tokens().find(token).unwrap().client == subject
        });
        assert_eq!(clients.count(), 3);
    }
}

#[test]
fn a_caller_goes_where_its_token_leads_and_nobody_else_does() {
    let setup = Setup::new().upstream("OTHER");
    let (anna, bert) = (leaks::mint(), leaks::mint());
    let host = |setup: &Setup, name: &str| setup.value(name).trim_start_matches("http://").to_owned();
    let (one, other) = (host(&setup, "UPSTREAM"), host(&setup, "OTHER"));
    let (tokens, mark) = (setup.idp.tokens(), setup.idp.mark().to_owned());
    let (led, to) = (anna.clone(), (setup.value("UPSTREAM").to_owned(), setup.value("OTHER").to_owned()));
    setup.idp.answer_with(move |seen| {
        let (subject, token) = (shown(seen), format!("tok-{mark}-{}", seen.number));
        tokens.issue(&token, &subject, seen.number, Duration::from_secs(3600));
        let url = if subject == led { &to.0 } else { &to.1 };
        Some(Reply::json(
            200,
            format!(r#"{{"access_token":"{token}","expires_in":3600,"instance_url":"{url}"}}"#),
        ))
    });
    let yaml = format!(
        "profiles:\n  main:\n    type: oauth2_token_exchange\n    token_service_url: ${{TOKEN_URL}}\n    client_id: ${{CLIENT_ID}}\n    \
         client_secret: {{ env: CLIENT_SECRET }}\n    subject_token: {{ header: Authorization }}\nroutes:\n  main:\n    \
         upstream: \"{{token.instance_url}}\"\n    upstream_hosts: [\"{one}\", \"{other}\"]\n    profile: main\n"
    );
    let rig = setup.yaml(&yaml).start();
    rig.upstream.only_for(&anna);
    rig.others[0].only_for(&bert);
    for _ in 0..3 {
        assert_eq!((get(&rig, "/", &anna), get(&rig, "/", &bert)), (200, 200));
    }
    assert_eq!((rig.upstream.count(), rig.others[0].count(), rig.idp.count()), (3, 3, 2));
    assert_eq!(rig.upstream.server().connections(), 1, "the connection is kept");
}
