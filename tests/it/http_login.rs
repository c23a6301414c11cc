//! `http_login`: requests by template, what signs in first, and what comes of a refusal.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::patience::eventually;
use crate::support::reply::Reply;
use crate::support::setup::Setup;
use crate::support::tokens::Verdict;

/// A profile `main` with these further lines, and a route that uses it.
fn setup(profile: &str) -> Setup {
    let profile = profile.lines().map(|line| format!("    {line}\n")).collect::<String>();
    Setup::new().yaml(&format!(
        "secure_parameters:\n  pw: {{ env: CLIENT_SECRET }}\nprofiles:\n  main:\n    type: http_login\n    \
         token_service_url: ${{TOKEN_URL}}\n{profile}routes:\n  main:\n    upstream: ${{UPSTREAM}}\n    profile: main\n"
    ))
}

/// The token service answers with a token in this member.
fn issue(setup: &Setup, member: &str) {
    let token = setup.idp.mint("login", 0, Duration::from_secs(3600));
    setup.idp.always(Reply::json(200, json!({ member: token, "expires_in": 3600 }).to_string()));
}

#[test]
fn a_json_body_is_written_as_it_stands_with_secrets_as_strings() {
    let setup = setup(
        "request:\n  headers: { X-Tenant: acme }\n  body:\n    user: ${USER_NAME}\n    password: \"{pw}\"\n    \
         braces: \"{{x}} \\\"{pw}\\\"\"\n    n: 7\n    on: true\n    none: null\n    quoted: \"7\"\n    \
         site: { contentUrl: \"\", more: [a, 1, { b: { env: CLIENT_ID } }] }",
    );
    let setup = setup.variable("USER_NAME", "a\"b\\{pw}");
    issue(&setup, "token");
    let rig = setup.start();
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.upstream.verdicts(), [Verdict::Valid]);
    let seen = rig.idp.calls().remove(0);
    assert_eq!((seen.method(), seen.target()), ("POST", "/token"));
    assert_eq!(seen.head.all("content-type"), ["application/json"]);
    assert_eq!(seen.head.all("x-tenant"), ["acme"]);
    assert_eq!(seen.head.all("accept"), ["application/json"]);
    assert!(seen.header("authorization").is_none());
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let expected = json!({
        "user": "a\"b\\{pw}", "password": rig.secret, "braces": format!("{{x}} \"{}\"", rig.secret), "n": 7,
        "on": true, "none": null, "quoted": "7",
        "site": { "contentUrl": "", "more": ["a", 1, { "b": crate::support::setup::CLIENT }] },
    });
    assert_eq!(body, expected);
    assert!(seen.text().starts_with("{\"user\":"), "in the order of the file: {}", seen.text());
}

#[test]
fn a_form_a_query_and_headers_carry_secrets_in_their_own_way() {
    let setup = setup(
        "request:\n  method: put\n  content_type: form\n  query: { api key: \"{pw}\" }\n  \
         headers: { X-Key: \"Key {pw}\", X-Env: { env: CLIENT_ID } }\n  body: { a b: \"{pw}\", c: 007 }",
    );
    issue(&setup, "access_token");
    let rig = setup.start();
    let seen = rig.idp.calls().remove(0);
    let form = |text: &str| crate::support::message::form_pairs(text.as_bytes());
    assert_eq!(seen.method(), "PUT");
    let (path, query) = seen.target().split_once('?').unwrap();
    assert_eq!((path, form(query)), ("/token", vec![("api key".to_owned(), rig.secret.clone())]));
    assert_eq!(seen.head.all("content-type"), ["application/x-www-form-urlencoded"]);
    assert_eq!(seen.head.all("x-key"), [format!("Key {}", rig.secret)]);
    assert_eq!(seen.head.all("x-env"), [crate::support::setup::CLIENT]);
    let body = form(&seen.text());
    assert_eq!(body, [("a b".to_owned(), rig.secret.clone()), ("c".to_owned(), "007".to_owned())]);
}

#[test]
fn a_text_goes_out_as_it_is_with_the_type_that_a_header_names() {
    let setup = setup(
        "request:\n  headers: { Content-Type: text/xml }\n  body: |\n    <login>\n      <ü>{pw}</ü>\n    </login>\nanswer: { token: \".\" }",
    );
    let token = setup.idp.mint("login", 0, Duration::from_secs(3600));
    setup.idp.always(Reply::new(200, &[("Content-Type", "text/plain")], format!("{token}\r\n")));
    let rig = setup.start();
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.upstream.verdicts(), [Verdict::Valid]);
    let seen = rig.idp.calls().remove(0);
    assert_eq!(seen.head.all("content-type"), ["text/xml"]);
    assert_eq!(seen.text(), format!("<login>\n  <ü>{}</ü>\n</login>\n", rig.secret));
}

#[test]
fn a_get_has_neither_body_nor_type() {
    let setup = setup("request: { method: GET, headers: { X-Key: \"{pw}\" } }");
    issue(&setup, "token");
    let rig = setup.start();
    let seen = rig.idp.calls().remove(0);
    assert_eq!((seen.method(), seen.body.len()), ("GET", 0));
    assert!(seen.header("content-type").is_none() && seen.header("content-length").is_none());
}

#[test]
fn a_post_without_a_body_says_so() {
    let setup = setup("");
    issue(&setup, "token");
    let rig = setup.start();
    let seen = rig.idp.calls().remove(0);
    assert_eq!(seen.head.all("content-length"), ["0"]);
    assert!(seen.header("content-type").is_none());
}

/// Two steps: `main` signs in with the token of `first`.
fn two_steps(request: &str) -> Setup {
    Setup::new().rate(9).yaml(&format!(
        "profiles:\n  first:\n    token_service_url: ${{TOKEN_URL}}\n    client_id: ${{CLIENT_ID}}\n    \
         client_secret: {{ env: CLIENT_SECRET }}\n    required: false\n  main:\n    type: http_login\n    \
         token_service_url: ${{LOGIN_URL}}\n    profile: first\n{request}routes:\n  main:\n    upstream: ${{UPSTREAM}}\n    profile: main\n"
    ))
}

/// The logins among the calls of the token service.
fn logins(rig: &crate::support::rig::Rig) -> Vec<crate::support::server::Seen> {
    rig.idp.calls().into_iter().filter(|seen| seen.target() == "/login").collect()
}

/// Logins are answered by `answer`, given how many there were before; everything else gets a token as ever.
fn answer_logins(setup: &Setup, answer: impl Fn(usize) -> Reply + Send + Sync + 'static) {
    let count = std::sync::atomic::AtomicUsize::new(0);
    setup.idp.answer_with(move |seen| {
        let before = || count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        (seen.target() == "/login").then(|| answer(before()))
    });
}

fn with_login_url(setup: Setup) -> Setup {
    let url = setup.idp.url().replace("/token", "/login");
    setup.variable("LOGIN_URL", url)
}

#[test]
fn the_token_of_the_first_profile_signs_in_as_bearer_by_default() {
    let setup = with_login_url(two_steps(""));
    let token = setup.idp.mint("second", 0, Duration::from_secs(3600));
    answer_logins(&setup, move |_| {
        Reply::json(201, json!({"token": token, "expires_at": "2099-01-01T00:00:00Z"}).to_string())
    });
    let rig = setup.start();
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.upstream.verdicts(), [Verdict::Valid]);
    let login = logins(&rig).remove(0);
    let value = login.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    assert_eq!(rig.idp.tokens().find(&value).unwrap().client, crate::support::setup::CLIENT);
    assert_eq!(rig.profile_status("main")["lifetime_from"], "expires_at");
}

#[test]
fn the_token_of_the_first_profile_and_its_fields_stand_where_the_request_says() {
    let request = "    request:\n      headers: { X-Assertion: \"{token}\" }\n      body: { kind: \"{token.token_type}\" }\n";
    let setup = with_login_url(two_steps(request));
    let token = setup.idp.mint("second", 0, Duration::from_secs(3600));
    answer_logins(&setup, move |_| Reply::json(200, json!({"token": token, "expires_in": 60}).to_string()));
    let rig = setup.start();
    let login = logins(&rig).remove(0);
    assert!(login.header("authorization").is_none());
    assert!(rig.idp.tokens().find(login.header("x-assertion").unwrap()).is_some());
    assert_eq!(login.text(), r#"{"kind":"bearer"}"#);
}

#[test]
fn the_first_token_is_kept_and_made_anew_where_the_login_refuses_it() {
    let setup = with_login_url(two_steps(""));
    let tokens =
        [0, 1].map(|n| setup.idp.mint("second", n, Duration::from_secs(if n == 0 { 3 } else { 3600 })));
    // The second login is refused once: its first token is the one that was kept.
    answer_logins(&setup, move |n| match n {
        0 => Reply::json(200, json!({"token": tokens[0], "expires_in": 3}).to_string()),
        1 => Reply::json(401, "{}"),
        _ => Reply::json(200, json!({"token": tokens[1], "expires_in": 3600}).to_string()),
    });
    let rig = setup.start();
    eventually("three logins", || logins(&rig).len() == 3);
    let shown: Vec<String> =
        logins(&rig).iter().map(|login| login.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(shown[0], shown[1], "kept");
    assert_ne!(shown[1], shown[2], "refused, so there is a new one at once");
    eventually("the second token is there", || rig.profile_status("main")["lifetime"] == "1h");
    assert_eq!(rig.last_failure("main"), "");
}

#[test]
fn a_refused_login_is_told_without_its_secrets() {
    let setup = setup("request: { body: { password: \"{pw}\" } }").cold();
    let echo = format!("no such user {}", setup.secret);
    setup.idp.always(Reply::json(403, json!({"message": echo, "code": "E1"}).to_string()));
    let rig = setup.start();
    eventually("it is told", || rig.last_failure("main") == "token_invalid_client");
    let message = rig.profile_status("main")["last_failure"]["message"].to_string();
    assert!(message.contains("E1 (no such user [redacted])"), "{message}");
    assert_eq!(rig.get("/").status, 503);
    assert_eq!(rig.upstream.count(), 0);
}

#[test]
fn a_secret_that_stands_in_the_file_is_not_told_either() {
    let setup = setup(
        "request: { headers: { X-Api-Key: Key plain-hunter-1 }, body: { password: plain-hunter-2, pin: 471147 } }",
    );
    let setup = setup.cold();
    let echo = "not plain-hunter-1, plain-hunter-2, 471147";
    setup.idp.always(Reply::json(403, json!({"message": echo, "code": "E1"}).to_string()));
    let rig = setup.start();
    eventually("it is told", || rig.last_failure("main") == "token_invalid_client");
    let message = rig.profile_status("main")["last_failure"]["message"].to_string();
    assert!(message.contains("E1 (not [redacted], [redacted], [redacted])"), "{message}");
}

#[test]
fn what_came_with_the_first_token_is_not_told_either() {
    let request = "    request: { body: { session: \"{token.session}\" } }\n";
    let setup = with_login_url(two_steps(request).cold());
    setup.idp.answer_with(|seen| {
        Some(match seen.target() {
            "/login" => Reply::json(400, r#"{"message":"no session s3ss-10n-77","code":"E1"}"#),
            _ => Reply::json(200, r#"{"access_token":"a","expires_in":60,"session":"s3ss-10n-77"}"#),
        })
    });
    let rig = setup.start();
    eventually("it is told", || !rig.last_failure("main").is_empty());
    let message = rig.profile_status("main")["last_failure"]["message"].to_string();
    assert!(message.contains("no session [redacted]"), "{message}");
}

#[test]
fn a_first_profile_that_fails_is_named() {
    let setup = with_login_url(two_steps("").cold());
    setup.idp.answer_with(|_| Some(Reply::json(400, r#"{"error":"invalid_scope"}"#)));
    let rig = setup.start();
    eventually("it is told", || rig.last_failure("main") == "token_invalid_scope");
    let message = rig.profile_status("main")["last_failure"]["message"].to_string();
    assert!(message.contains("profile first, which signs in first: "), "{message}");
    assert!(logins(&rig).is_empty());
}
