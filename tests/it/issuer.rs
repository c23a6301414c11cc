//! `issuer` in place of `token_service_url`: through the proxy, and in the commands that show it.

use crate::support::process::{folder_with, sidepass};
use crate::support::reply::Reply;
use crate::support::setup::Setup;
use crate::support::tokens::Verdict;

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// A rig whose profile names the issuer only; `more` are further members of the metadata.
fn setup(more: &'static str) -> Setup {
    let setup = Setup::new();
    let text = "profiles:\n  main:\n    issuer: ${ISSUER}\n    client_id: ${CLIENT_ID}\n    client_secret: { env: CLIENT_SECRET }\n\
                routes:\n  main:\n    upstream: ${UPSTREAM}\n    profile: main\n";
    let issuer = setup.idp.url().trim_end_matches("/token").to_owned();
    let named = issuer.clone();
    setup.idp.answer_with(move |seen| {
        (seen.target() == WELL_KNOWN).then(|| {
            let metadata = format!(r#"{{"issuer":"{named}","token_endpoint":"{named}/token"{more}}}"#);
            Reply::json(200, metadata)
        })
    });
    setup.yaml(text).variable("ISSUER", issuer)
}

#[test]
fn a_profile_with_an_issuer_finds_its_token_endpoint() {
    let rig = setup("").start();
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.upstream.verdicts(), [Verdict::Valid]);
    let targets: Vec<_> = rig.idp.calls().iter().map(|call| call.target().to_owned()).collect();
    assert_eq!(targets, [WELL_KNOWN, "/token"]);
    assert_eq!(rig.idp.calls()[0].header("authorization"), None, "an issuer is told nothing");
}

#[test]
fn commands_show_the_endpoints_of_an_issuer() {
    let setup = setup(r#","authorization_endpoint":"https://consent.example/authorize?x=hunter2""#);
    let mut variables = crate::support::proxy::Variables::new();
    for name in ["ISSUER", "UPSTREAM", "CLIENT_ID", "CLIENT_SECRET"] {
        variables.insert(name.to_owned(), setup.value(name).to_owned());
    }
    let (folder, file) = folder_with(&setup.text());
    let mut run = |arguments: &[&str], issuer: Option<&str>| {
        if let Some(issuer) = issuer {
            variables.insert("ISSUER".to_owned(), issuer.to_owned());
        }
        let all = [arguments, &["--config", file.to_str().unwrap()]].concat();
        sidepass(&all, &variables, folder.path())
    };
    let offline = run(&["check", "--offline"], None);
    assert_eq!((offline.code, setup.idp.count()), (0, 0), "{}", offline.err);
    let checked = run(&["check"], None);
    assert_eq!(checked.code, 0, "{}", checked.err);
    let endpoint = format!("profiles.main: token endpoint {}", setup.idp.url());
    assert!(checked.out.contains(&endpoint), "{}", checked.out);
    assert!(
        checked.out.contains("authorization endpoint https://consent.example/authorize?…"),
        "{}",
        checked.out
    );
    let token = run(&["token", "main"], None);
    assert!(token.code == 0 && token.out.contains(&setup.idp.url()), "{}{}", token.out, token.err);
    let nowhere = run(&["check"], Some("https://127.0.0.1:1/tenant"));
    assert_eq!(nowhere.code, 0, "what cannot be reached from here is a warning: {}", nowhere.err);
    assert!(nowhere.err.contains("warning: profiles.main.issuer: "), "{}", nowhere.err);
}
