//! A route whose upstream comes with its token: there and nowhere else, and a token only to the host of its own answer.

use std::time::Duration;

use crate::support::idp::MockIdp;
use crate::support::patience::eventually;
use crate::support::reply::Reply;
use crate::support::rig::Rig;
use crate::support::setup::{CLIENT, Setup};
use crate::support::tokens::Verdict;

/// An answer with a good token, and this instance URL.
fn leading_to(idp: &MockIdp, call: usize, url: &str) -> Reply {
    let token = idp.mint(CLIENT, call, Duration::from_secs(3600));
    Reply::json(200, format!(r#"{{"access_token":"{token}","expires_in":3600,"instance_url":"{url}"}}"#))
}

/// A route `main` that goes where its token leads: to the hosts of these variables.
fn setup(route: &str) -> Setup {
    let mut setup = Setup::new().upstream("OTHER").untouchable("EVIL");
    for (name, url) in [("HOST_A", "UPSTREAM"), ("HOST_B", "OTHER")] {
        let host = setup.value(url).trim_start_matches("http://").to_owned();
        setup = setup.variable(name, host);
    }
    let yaml = format!(
        "profiles:\n  main:\n    token_service_url: ${{TOKEN_URL}}\n    client_id: ${{CLIENT_ID}}\n    \
         client_secret: {{ env: CLIENT_SECRET }}\nroutes:\n  main:\n    upstream: \"{{token.instance_url}}/base\"\n    \
         upstream_hosts: [\"${{HOST_A}}\", \"${{HOST_B}}\"]\n    profile: main\n{route}"
    );
    setup.yaml(&yaml)
}

fn start(setup: Setup) -> Rig {
    let url = setup.value("UPSTREAM").to_owned();
    setup.idp.script([leading_to(&setup.idp, 0, &url)]);
    setup.start()
}

#[test]
fn requests_go_where_the_token_leads() {
    let rig = start(setup("    match: { path_prefix: /api }\n    strip_prefix: true\n"));
    rig.upstream.script([Reply::new(
        302,
        &[("Location", &format!("{}/base/next?x=1", rig.upstream.url()))],
        "",
    )]);
    let answer = rig.get("/api/v1/items?a=b");
    let location = answer.header("location").map(str::to_owned);
    assert_eq!((answer.status, location), (302, Some(format!("http://{}/api/next?x=1", rig.address))));
    let seen = rig.upstream.last();
    assert_eq!(
        (seen.target(), seen.header("host")),
        ("/base/v1/items?a=b", Some(&*rig.upstream.address().to_string()))
    );
    assert_eq!(rig.post("/api/v1/items", b"body").status, 200);
    assert_eq!(rig.upstream.last().text(), "body");
    assert_eq!(rig.upstream.server().connections(), 1, "the connection is kept");
}

#[test]
fn a_host_that_is_not_allowed_gets_nothing() {
    let setup = setup("").cold();
    let evil = setup.value("EVIL").to_owned();
    setup.idp.always(leading_to(&setup.idp, 0, &evil));
    let rig = setup.start();
    eventually("the route says why", || {
        rig.probe("/status").text().contains("is not on this route's upstream_hosts")
    });
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "token_unavailable"));
    assert_eq!((rig.upstream.count(), rig.others[0].count()), (0, 0));
}

#[test]
fn a_replay_never_goes_to_another_host_than_the_request() {
    let rig = start(setup(""));
    assert_eq!(rig.get("/").status, 200);
    rig.idp.revoke_all();
    rig.idp.script([leading_to(&rig.idp, 7, &rig.others[0].url())]);
    let answer = rig.get("/one");
    assert_eq!((answer.status, answer.text().as_str()), (401, "the upstream says no\n"));
    assert_eq!((rig.upstream.count(), rig.others[0].count()), (2, 0));
    assert_eq!(rig.get("/two").status, 200);
    assert_eq!((rig.upstream.count(), rig.others[0].last().target()), (2, "/base/two"));
    assert_eq!(rig.others[0].verdicts(), [Verdict::Valid]);
}

#[test]
fn a_replay_at_the_same_host_has_the_new_token() {
    let rig = start(setup(""));
    assert_eq!(rig.get("/").status, 200);
    rig.idp.revoke_all();
    rig.idp.script([leading_to(&rig.idp, 7, &rig.upstream.url())]);
    assert_eq!(rig.post("/one", b"again").status, 200);
    assert_eq!(rig.upstream.verdicts(), [Verdict::Valid, Verdict::Revoked, Verdict::Valid]);
    assert_eq!(rig.upstream.last().text(), "again");
}
