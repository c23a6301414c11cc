//! No secret and no token in anything that sidepass says. Every other test checks it too: see `support/leaks.rs`.

use std::time::Duration;

use crate::support::leaks;
use crate::support::patience::eventually;
use crate::support::reply::Reply;
use crate::support::setup::Setup;

const SECOND: Duration = Duration::from_secs(1);

// G 10: the binary, as talkative as it gets, while everything goes wrong
#[test]
fn the_most_talkative_log_says_no_secret() {
    for format in ["json", "text"] {
        let setup = Setup::new()
            .lifetime(SECOND * 2)
            .profile("token_wait: 1s")
            .more(&format!("log: {{ level: trace, format: {format} }}\n"));
        let secret = setup.secret.clone();
        let mut rig = setup.start_process();
        for target in ["/", "/x?access_token=1", "/a/../b"] {
            rig.get(target);
        }
        rig.call("GET", "/", &[("Authorization", &format!("Bearer {}", rig.idp.mark()))], b"");
        rig.post("/", format!("password={}", rig.idp.mark()).as_bytes());
        // What a careless token service says back.
        let held = rig.upstream.seen()[0].header("authorization").unwrap().to_owned();
        let token = held.strip_prefix("Bearer ").unwrap();
        let echo = serde_json::json!({ "error": "invalid_client", "error_description": format!("wrong secret {secret} / {token}") });
        let page = format!("<html>You sent {secret} and {token}</html>");
        let told = format!("sent {secret}");
        rig.idp.script([
            Reply::json(401, echo.to_string()),
            Reply::new(500, &[("X-Echo", rig.idp.mark())], &page),
            Reply::json(200, format!(r#"{{"access_token":"{token}\r\n","token_type":"bearer"}}"#)),
            Reply::json(200, format!(r#"{{"access_token":"{token}","token_type":"{token}"}}"#)),
            Reply::json(200, format!("{{\"error\":\"{told}\"}}")),
            Reply::json(200, &page),
        ]);
        rig.upstream.script([
            Reply::new(401, &[("WWW-Authenticate", &format!("Bearer error=\"{}\"", rig.idp.mark()))], ""),
            Reply::raw("nonsense\r\n\r\n"),
        ]);
        let start = tokio::time::Instant::now();
        while start.elapsed() < SECOND * 5 {
            let mut caller = rig.connect();
            caller.send(rig.request("GET", "/", &[], b""));
            // The 401 above goes back to the caller as it came: its head is the upstream's own words.
            if let Ok(head) = caller.read_head() {
                assert!(!head.first.is_empty());
            }
            rig.probe("/status");
            rig.probe("/metrics");
            std::thread::sleep(SECOND / 20);
        }
        let text = rig.process().stderr();
        assert!(text.lines().count() > 20, "it was talkative: {text}");
        // Dropping the rig looks through everything that was said.
    }
}

// G 10 (A34): queries are not logged
#[test]
fn what_stands_in_a_query_is_not_logged() {
    let mut rig = Setup::new().more("log: { level: trace }\n").start_process();
    let marked = format!("/x?access_token={}", rig.idp.mark());
    assert_eq!(rig.get(&marked).status, 200);
    assert_eq!(rig.upstream.last().target(), marked);
    rig.upstream.server().stop();
    let refused = rig.get(&marked);
    assert_eq!((refused.status, refused.reason().as_str()), (502, "upstream_unreachable"));
    let id = refused.header("x-request-id").unwrap().to_owned();
    eventually("the failure is logged under its id", || {
        rig.process().stderr().lines().any(|line| line.contains(&id) && line.contains("upstream_unreachable"))
    });
}

#[test]
fn an_error_of_the_token_service_is_not_handed_to_callers() {
    let setup = Setup::new().cold();
    setup.idp.always(Reply::json(
        400,
        r#"{"error":"invalid_scope","error_description":"tenant 4711 knows no such scope"}"#,
    ));
    let rig = setup.start();
    eventually("the failure is known", || !rig.last_failure("main").is_empty());
    let answer = rig.get("/");
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("4711"), "{}", answer.text());
    assert!(rig.probe("/status").text().contains("invalid_scope"), "the operator reads why");
}

#[test]
fn secrets_do_not_stand_in_the_arguments_or_in_a_core() {
    let mut rig = Setup::new().start_process();
    let pid = rig.process().id();
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    leaks::scan("argv", &line);
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}
