//! What happens when the token service misbehaves: keep the valid token, fail closed, name the reason.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::idp::token_answer;
use crate::support::net::Deaf;
use crate::support::patience::{eventually, eventually_within, patience};
use crate::support::reply::{Reply, Step};
use crate::support::rig::Rig;
use crate::support::server::Seen;
use crate::support::setup::{CLIENT, Setup};
use crate::support::tokens::Verdict;

const SECOND: Duration = Duration::from_secs(1);

// G 4
#[test]
fn requests_succeed_until_the_token_expires_and_are_refused_from_then_on() {
    let lifetime = SECOND * 4;
    let rig = Setup::new().lifetime(lifetime).start();
    let issued = rig.idp.calls()[0].at;
    rig.idp.server().stop();
    let refusal = loop {
        let answer = rig.get("/");
        if answer.status != 200 {
            break answer;
        }
        assert!(
            issued.elapsed() < lifetime + SECOND,
            "still served {:?} after the token was issued",
            issued.elapsed()
        );
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(
        issued.elapsed() > lifetime - SECOND / 2,
        "the valid token was kept for {:?} only",
        issued.elapsed()
    );
    assert_eq!((refusal.status, refusal.reason().as_str()), (503, "token_unavailable"));
    assert!(refusal.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()));
    let hits = rig.upstream.count();
    for _ in 0..10 {
        assert_eq!(rig.get("/").status, 503);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(rig.upstream.count(), hits, "nothing went to the upstream");
    rig.idp.server().resume();
    eventually("it recovers by itself", || rig.get("/").status == 200);
}

// G 4, with the opt-out
#[test]
fn stale_if_error_stretches_an_outage_and_no_further() {
    let rig = Setup::new().lifetime(SECOND * 2).profile("stale_if_error: 3s").start();
    rig.allow(Verdict::Expired);
    let issued = rig.idp.calls()[0].at;
    rig.idp.server().stop();
    let mut last_good = Duration::ZERO;
    loop {
        let at = issued.elapsed();
        match rig.get("/").status {
            // The upstream knows that it has expired.
            200 | 401 => last_good = at,
            503 if at > SECOND * 4 => break,
            status => assert!(at > SECOND * 4, "{status} after {at:?}"),
        }
        assert!(at < SECOND * 7, "still served after {at:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(last_good > SECOND * 4, "served {last_good:?} only");
}

// G 4: not for a token service that answers
#[test]
fn stale_if_error_is_not_for_a_client_that_was_refused() {
    let rig = Setup::new().lifetime(SECOND * 2).profile("stale_if_error: 1m").start();
    rig.idp.always(Reply::json(401, r#"{"error":"invalid_client"}"#));
    eventually("fails closed", || rig.get("/").status == 503);
    std::thread::sleep(SECOND);
    assert_eq!(rig.get("/").reason(), "token_unavailable");
}

// G 5
#[test]
fn a_token_service_that_is_down_at_start_stops_nothing_else() {
    let setup = Setup::new()
        .cold()
        .more("  plain:\n    match: { path_prefix: /plain }\n    upstream: ${OPEN}\n")
        .upstream("OPEN");
    setup.idp.server().stop();
    let rig = setup.start();
    rig.others[0].set_strictness(crate::support::upstream::Strictness::Ignores);
    assert_eq!(rig.get("/plain").status, 200, "a route without a profile works");
    assert_eq!(rig.probe("/livez").status, 200);
    let ready = rig.probe("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("main"), "names what it waits for: {}", ready.text());
    assert_eq!(rig.probe("/startupz").status, 503);
    let refused = rig.get("/");
    assert_eq!((refused.status, refused.reason().as_str()), (503, "token_unavailable"));
    eventually("the reason is known", || !rig.last_failure("main").is_empty());
    rig.idp.server().resume();
    rig.wait_until_ready();
    assert_eq!((rig.get("/").status, rig.probe("/startupz").status), (200, 200));
}

/// The times between calls of the token service.
fn gaps(rig: &Rig) -> Vec<Duration> {
    let calls = rig.idp.calls();
    calls.windows(2).map(|two: &[Seen]| two[1].at - two[0].at).collect()
}

/// Asks for so long, and checks that every caller is answered with the recorded failure.
fn ask_in_vain(rig: &Rig, length: Duration) {
    let start = Instant::now();
    let mut caller = rig.connect();
    while start.elapsed() < length {
        let answer = caller.send(rig.request("GET", "/", &[], b"")).read();
        assert_eq!((answer.status, answer.reason().as_str()), (503, "token_unavailable"));
        assert!(answer.header("retry-after").is_some());
        std::thread::sleep(Duration::from_millis(10));
    }
}

// G 19: 429
#[test]
fn retry_after_is_obeyed_and_callers_are_answered_meanwhile() {
    let setup = Setup::new().cold();
    setup.idp.script([Reply::new(429, &[("Retry-After", "4")], "slow down")]);
    let rig = setup.start();
    eventually("the failure is known", || !rig.last_failure("main").is_empty());
    ask_in_vain(&rig, SECOND * 2);
    assert_eq!(rig.idp.count(), 1, "nobody's request became a call");
    rig.wait_until_ready();
    assert!(gaps(&rig)[0] > Duration::from_millis(3900), "{:?}", gaps(&rig));
}

// G 19: Retry-After that makes no sense
#[test]
fn a_retry_after_that_makes_no_sense_is_not_believed() {
    for value in ["-5", "abc", "", "99999999999999999999999"] {
        let setup = Setup::new().cold();
        setup.idp.script([Reply::new(429, &[("Retry-After", value)], "")]);
        let rig = setup.start();
        eventually("the failure is known", || !rig.last_failure("main").is_empty());
        if value.len() < 5 {
            rig.wait_until_ready();
            assert!(gaps(&rig)[0] < SECOND * 5, "{value:?}: {:?}", gaps(&rig));
        }
    }
}

// G 19: 5xx
#[test]
fn server_errors_are_retried_with_growing_pauses() {
    let setup = Setup::new().cold();
    setup.idp.always(Reply::new(503, &[], "<html>maintenance</html>"));
    let rig = setup.start();
    eventually("the failure is known", || !rig.last_failure("main").is_empty());
    ask_in_vain(&rig, SECOND * 6);
    let calls = rig.idp.count();
    assert!((2..=7).contains(&calls), "{calls} calls in 6 s: {:?}", gaps(&rig));
    rig.idp.behave();
    eventually_within(patience() * 2, "it recovers by itself", || rig.get("/").status == 200);
}

// G 19: invalid_client; A27: a changed secret ends the backoff
#[test]
fn a_refused_client_is_retried_slowly_and_at_once_when_its_secret_changes() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "wrong").unwrap();
    let setup = Setup::new().cold();
    let text = setup.text().replace("{ env: CLIENT_SECRET }", &format!("{{ file: {} }}", file.display()));
    let rig = setup.yaml(&text[text.find("profiles:").unwrap()..]).start();
    eventually("the failure is known", || !rig.last_failure("main").is_empty());
    assert_eq!(rig.last_failure("main"), "token_invalid_client");
    ask_in_vain(&rig, SECOND * 4);
    let calls = rig.idp.count();
    assert!(calls <= 2, "{calls} calls with a secret that is wrong: {:?}", gaps(&rig));
    std::fs::write(&file, &rig.secret).unwrap();
    let fixed = Instant::now();
    eventually("the new secret is tried", || rig.get("/").status == 200);
    assert!(fixed.elapsed() < SECOND * 7);
}

/// A bad answer of the token service: what it is, the answer, the failure code that names it.
type Row = (&'static str, Reply, &'static str);

/// Codes that somebody has to do something about: they are retried, but not within the length of a test.
const SLOW: [&str; 3] = ["token_redirect", "token_type_unsupported", "token_oauth_error"];

/// One profile a row: each gets a good token first, then the bad answer until the failure is known, then good tokens again.
/// Every request meanwhile must succeed with the old token, and the codes must be as the rows say.
fn old_token_survives(rows: &[Row]) {
    let setup = Setup::new().lifetime(SECOND * 10).rate(4 * rows.len());
    let rig = setup.yaml(&one_profile_a_row(rows.len(), "")).start();
    let replies: Vec<Reply> = rows.iter().map(|(_, reply, _)| reply.clone()).collect();
    rig.idp.answer_with(move |seen| {
        replies.get(seen.target().rsplit('/').next()?.parse::<usize>().ok()?).cloned()
    });
    let mut codes = vec![String::new(); rows.len()];
    eventually("every renewal failed", || {
        for (n, code) in codes.iter_mut().enumerate().filter(|(_, code)| code.is_empty()) {
            assert_eq!(rig.get(&format!("/{n}")).status, 200, "{}", rows[n].0);
            *code = rig.last_failure(&format!("p{n}"));
        }
        codes.iter().all(|code| !code.is_empty())
    });
    for ((row, _, expected), code) in rows.iter().zip(&codes) {
        assert_eq!(code, expected, "{row}");
    }
    rig.idp.behave();
    eventually_within(patience() * 2, "every profile that can recovers", || {
        (0..rows.len()).filter(|n| !SLOW.contains(&rows[*n].2)).all(|n| {
            assert_eq!(rig.get(&format!("/{n}")).status, 200, "{}", rows[n].0);
            rig.last_failure(&format!("p{n}")).is_empty()
        })
    });
}

/// Profiles `p0`, `p1`, ... with token services `${TOKEN_URL}/0`, ..., each with a route `/0`, ...
fn one_profile_a_row(count: usize, line: &str) -> String {
    let (mut profiles, mut routes) = ("profiles:\n".to_owned(), "routes:\n".to_owned());
    for n in 0..count {
        profiles += &format!(
            "  p{n}:\n    token_service_url: ${{TOKEN_URL}}/{n}\n    client_id: ${{CLIENT_ID}}\n    \
             client_secret: {{ env: CLIENT_SECRET }}\n    {line}\n"
        );
        routes += &format!(
            "  r{n}:\n    match: {{ path_prefix: /{n} }}\n    upstream: ${{UPSTREAM}}\n    profile: p{n}\n"
        );
    }
    profiles + &routes
}

// G 21
#[test]
fn an_answer_that_is_no_token_is_named_retried_and_costs_nothing() {
    let json = |body: &str| Reply::json(200, body);
    let html = |status, body: &str| Reply::new(status, &[("Content-Type", "text/html")], body);
    let huge =
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
    let half = Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_tok");
    old_token_survives(&[
        (
            "200 with an error",
            json(r#"{"error":"access_denied","error_description":"no"}"#),
            "token_oauth_error",
        ),
        ("an empty object", json("{}"), "token_missing"),
        ("an array", json("[]"), "token_missing"),
        ("null", json("null"), "token_missing"),
        ("a null token", json(r#"{"access_token":null}"#), "token_missing"),
        ("an empty token", json(r#"{"access_token":"","token_type":"bearer"}"#), "token_missing"),
        ("HTML", html(200, "<html><body>Log in</body></html>"), "token_not_json"),
        ("HTML that says it is JSON", json("<!doctype html><p>portal"), "token_not_json"),
        ("HTML 502", html(502, "<html>Bad gateway</html>"), "token_server_error"),
        ("nothing at all", json(""), "token_missing"),
        ("a gigabyte", huge.then(Step::Endless(chunk)), "token_too_large"),
        ("half an answer", half.then(Step::Reset), "token_interrupted"),
        ("no HTTP", Reply::raw("SSH-2.0-OpenSSH_9.6\r\n\r\n").then(Step::Close), "token_interrupted"),
        ("a closed connection", Reply::close(), "token_interrupted"),
        (
            "a redirect",
            Reply::new(302, &[("Location", "http://127.0.0.1:9/elsewhere")], ""),
            "token_redirect",
        ),
        (
            "a MAC token",
            json(r#"{"access_token":"abc","token_type":"mac","expires_in":3600}"#),
            "token_type_unsupported",
        ),
        (
            "a DPoP token",
            json(r#"{"access_token":"abc","token_type":"DPoP","expires_in":3600}"#),
            "token_type_unsupported",
        ),
    ]);
}

// G 25
#[test]
fn a_token_that_does_not_fit_a_header_is_refused_and_the_old_one_stays() {
    let token = |text: &str| {
        let body = format!(r#"{{"access_token":"{text}","token_type":"bearer","expires_in":3600}}"#);
        (Reply::json(200, body), "token_unfit")
    };
    let rows = [
        ("CR LF", token(r"a\r\nX-Evil: 1")),
        ("LF", token(r"a\nb")),
        ("NUL", token(r"a\u0000b")),
        ("DEL", token("a\u{7f}b")),
        ("a space", token("a b")),
        ("not ASCII", token("é")),
        ("64 KiB", token(&"x".repeat(64 * 1024))),
    ];
    old_token_survives(&rows.map(|(row, (reply, code))| (row, reply, code)));
}

// G 21: a harmless oddity is none
#[test]
fn an_odd_answer_that_holds_a_token_is_taken() {
    let rows: [&[u8]; 4] = [
        br#"{"access_token":"TOKEN","error":"","expires_in":3600}"#,
        b"\xef\xbb\xbf{\"access_token\":\"TOKEN\",\"token_type\":\"BEARER\"}",
        br#"{"access_token":"TOKEN","expires_in":3600,"scope":null,"refresh_expires_in":0,"not-before-policy":0}"#,
        b"access_token=TOKEN&token_type=bearer&expires_in=3600",
    ];
    for row in rows {
        let setup = Setup::new().cold();
        let token = setup.idp.mint(CLIENT, 0, SECOND * 3600);
        let body = String::from_utf8(row.to_vec()).unwrap().replace("TOKEN", &token);
        let kind =
            if body.starts_with("access") { "application/x-www-form-urlencoded" } else { "text/plain" };
        setup.idp.script([Reply::new(200, &[("Content-Type", kind)], body)]);
        let rig = setup.start();
        rig.wait_until_ready();
        assert_eq!((rig.get("/").status, rig.idp.count()), (200, 1), "{}", String::from_utf8_lossy(row));
    }
}

// G 25: what fits is used, even if it is long
#[test]
fn a_long_token_that_fits_is_used() {
    let setup = Setup::new().cold();
    let text = format!("tok-{}-{}", setup.idp.mark(), "x".repeat(16 * 1024));
    setup.idp.tokens().issue(&text, CLIENT, 0, SECOND * 3600);
    setup.idp.script([token_answer(&text, "3600")]);
    let rig = setup.start();
    rig.wait_until_ready();
    assert_eq!(rig.get("/").status, 200);
}

// G 26: the token service, at each phase
#[test]
fn a_token_service_that_stalls_is_given_up_and_the_phase_is_named() {
    let deaf = Deaf::bind();
    let setup = Setup::new().cold().rate(16).variable("DEAF", format!("http://{}/token", deaf.address()));
    let good = token_answer("never-used", "3600");
    let replies = [
        Reply::stall(),
        good.clone().stalling_after(30),
        good.clone().stalling_after(120),
        good.dribbled(SECOND),
    ];
    let count = replies.len();
    setup.idp.answer_with(move |seen| {
        replies.get(seen.target().rsplit('/').next()?.parse::<usize>().ok()?).cloned()
    });
    let yaml =
        one_profile_a_row(count + 1, "token_wait: 1s").replace(&format!("${{TOKEN_URL}}/{count}"), "${DEAF}");
    let rig = setup.yaml(&yaml).start();
    let waiting = rig.get("/0");
    assert_eq!((waiting.status, waiting.reason().as_str()), (503, "token_unavailable"));
    assert!(waiting.took < SECOND * 5, "callers wait for `token_wait` and no longer");
    let mut codes = vec![String::new(); count + 1];
    eventually_within(patience() * 2, "every fetch ends", || {
        for (n, code) in codes.iter_mut().enumerate().filter(|(_, code)| code.is_empty()) {
            *code = rig.last_failure(&format!("p{n}"));
        }
        codes.iter().all(|code| !code.is_empty())
    });
    assert_eq!(codes, vec!["token_timeout"; count + 1]);
    for n in 0..=count {
        assert_eq!(rig.get(&format!("/{n}")).status, 503);
    }
    assert_eq!(rig.upstream.count(), 0);
}

// G 9 (A33): the secret goes to the configured address and to no other
#[test]
fn a_redirected_token_request_is_a_failure_and_nobody_else_is_called() {
    for status in [301, 302, 303, 307, 308] {
        let setup = Setup::new().cold().untouchable("ELSEWHERE");
        let location = format!("{}/token", setup.value("ELSEWHERE"));
        setup.idp.always(Reply::new(status, &[("Location", &location)], ""));
        let rig = setup.start();
        eventually("the failure is known", || !rig.last_failure("main").is_empty());
        let failure: Value = rig.profile_status("main")["last_failure"].clone();
        assert_eq!(rig.get("/").status, 503, "{failure}");
    }
}
