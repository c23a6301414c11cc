//! What a token answer says besides its token, and what a JWT says of itself, in the headers of a route.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::support::patience::eventually;
use crate::support::reply::Reply;
use crate::support::setup::{CLIENT, Setup};
use crate::support::tokens::Verdict;

/// A token that is a JWT with these claims, noted as issued, in an answer that says more.
fn answer(setup: &Setup, claims: &str, more: &str) -> Reply {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let token = format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), setup.idp.mark());
    setup.idp.tokens().issue(&token, CLIENT, 0, Duration::from_secs(3600));
    Reply::json(200, format!(r#"{{"access_token":"{token}","expires_in":3600{more}}}"#))
}

#[test]
fn fields_and_claims_go_out_beside_the_default_authorization() {
    let setup = Setup::new()
        .route("headers:")
        .route("  X-Instance: \"{token.instance_url}/v1\"")
        .route("  X-Zone: \"{claim.ext_attr.zdn}\"");
    let reply = answer(&setup, r#"{"ext_attr":{"zdn":"acme"}}"#, r#","instance_url":"https://i.example""#);
    setup.idp.always(reply);
    let rig = setup.start();
    assert_eq!(rig.call("GET", "/", &[("X-Zone", "mine")], b"").status, 200);
    let seen = rig.upstream.last();
    assert_eq!(seen.head.all("x-instance"), ["https://i.example/v1"]);
    assert_eq!(seen.head.all("x-zone"), ["acme"]);
    assert_eq!(rig.upstream.verdicts(), [Verdict::Valid], "{{token}} is still added");
}

#[test]
fn a_field_that_the_answer_lacks_is_named_and_nothing_is_sent() {
    let setup = Setup::new().cold().route("headers: { X-Instance: \"{token.instance_url}\" }");
    let reply = answer(&setup, "{}", r#","instance":"cAnArY-value","scope":"a""#);
    setup.idp.always(reply);
    let rig = setup.start();
    eventually("the route says why", || {
        rig.probe("/status").text().contains("X-Instance".to_lowercase().as_str())
    });
    let answer = rig.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "token_unavailable"));
    assert_eq!(rig.upstream.count(), 0);
    let status = rig.probe("/status").text();
    let said = "header x-instance: the token answer has no field `instance_url` (it has: expires_in, instance, scope)";
    assert!(status.contains(said), "{status}");
    assert!(!status.contains("cAnArY-value"), "{status}");
    assert!(rig.probe("/readyz").text().contains("headers of route main"));
}
