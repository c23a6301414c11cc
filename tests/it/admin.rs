//! The admin listener: probes that name what is missing, metrics with few labels, a status without secrets.

use std::time::Duration;

use crate::support::client;
use crate::support::patience::eventually;
use crate::support::reply::Reply;
use crate::support::setup::Setup;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn probes_say_what_a_cold_a_warm_and_a_starved_proxy_is() {
    let setup = Setup::new().cold().lifetime(SECOND * 2);
    let gate = setup.idp.hold();
    let rig = setup.start();
    let probes = || ["/livez", "/startupz", "/readyz"].map(|target| rig.probe(target).status);
    assert_eq!(probes(), [200, 503, 503], "cold");
    assert!(rig.probe("/readyz").text().contains("main"), "{}", rig.probe("/readyz").text());
    gate.open();
    rig.wait_until_ready();
    assert_eq!(probes(), [200, 200, 200], "warm");
    rig.idp.server().stop();
    eventually("the token expires", || rig.get("/").status == 503);
    let [live, started, _] = probes();
    assert_eq!([live, started], [200, 200], "an outage of the token service restarts no pod");
    rig.idp.server().resume();
    eventually("and it comes back", || rig.get("/").status == 200);
}

#[test]
fn a_profile_that_is_not_required_holds_nothing_up() {
    let setup = Setup::new().cold().profile("required: false");
    setup.idp.always(Reply::json(401, r#"{"error":"invalid_client"}"#));
    let rig = setup.start();
    eventually("ready without it", || {
        rig.probe("/readyz").status == 200 && rig.probe("/startupz").status == 200
    });
    assert_eq!(rig.get("/").status, 503);
}

#[test]
fn the_status_tells_tokens_apart_and_gives_nothing_away() {
    let rig = Setup::new().start();
    let first = rig.profile_status("main");
    let fingerprint = first["fingerprint"].as_str().expect("a fingerprint").to_owned();
    assert!(fingerprint.len() == 8 && fingerprint.chars().all(|c| c.is_ascii_hexdigit()), "{fingerprint}");
    assert!(first["state"].is_string() && !first["expires_at"].is_null(), "{first}");
    assert!(first["last_failure"].is_null(), "{first}");
    rig.idp.revoke_all();
    assert_eq!(rig.get("/").status, 200);
    let second = rig.profile_status("main");
    assert_ne!(second["fingerprint"].as_str(), Some(fingerprint.as_str()));
    assert!(second["generation"].as_u64() > first["generation"].as_u64(), "{second}");
}

#[test]
fn metrics_count_what_happened_under_names_of_the_configuration() {
    let rig = Setup::new().start();
    for _ in 0..3 {
        rig.get("/x?secret=1");
    }
    rig.upstream.script([Reply::new(500, &[], "")]);
    rig.get("/");
    rig.upstream.server().stop();
    rig.get("/");
    rig.upstream.server().resume();
    assert_eq!(rig.metric("sidepass_requests_total", &["route=\"main\"", "2xx"]), 3.0);
    assert!(rig.metric("sidepass_requests_total", &["route=\"main\"", "5xx"]) >= 2.0);
    assert!(rig.metric("sidepass_requests_total", &["reason=\"upstream_"]) >= 1.0);
    let text = rig.probe("/metrics").text();
    assert!(text.contains("profile=\"main\""), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("sidepass_") || line.starts_with("process_"), "{line}");
    }
}

// D14
#[test]
fn what_callers_send_makes_no_new_series() {
    let rig = Setup::new().start();
    let series = || rig.probe("/metrics").text().lines().filter(|line| !line.starts_with('#')).count();
    rig.get("/");
    rig.call("BREW", "/", &[], b"");
    rig.call("GET", "/", &[("Origin", "http://x")], b"");
    let before = series();
    for n in 0..200 {
        let mut caller = rig.connect();
        let method = format!("M{n}");
        caller.send(rig.request(&method, &format!("/{n}?{n}"), &[("X-Test", &method)], b"")).read();
        rig.call("GET", &format!("/{n}"), &[("Origin", &format!("http://{n}"))], b"");
    }
    assert_eq!(series(), before);
}

// G 35 (D6): nothing changes by GET, and no web page reads it
#[test]
fn the_admin_listener_is_read_only_and_not_for_web_pages() {
    let rig = Setup::new().start();
    for target in ["/quitquitquit", "/shutdown", "/reload", "/", "/config", "/debug/pprof", "/tokens"] {
        let answer = rig.probe(target);
        assert!(answer.status == 404 || target == "/" && answer.status == 200, "{target}: {}", answer.status);
    }
    for method in ["POST", "PUT", "DELETE", "TRACE"] {
        let answer = client::call(rig.admin, method, "/status", &[], b"");
        assert!([404, 405].contains(&answer.status), "{method}: {}", answer.status);
    }
    assert_eq!(client::call(rig.admin, "GET", "/status", &[("Origin", "https://evil.com")], b"").status, 403);
    let mut caller = client::Connection::open(rig.admin);
    let answer = caller.send("GET /status HTTP/1.1\r\nHost: evil.com\r\n\r\n").read();
    assert!([400, 403, 421].contains(&answer.status), "{}", answer.status);
    assert_eq!(rig.get("/").status, 200, "still there");
}

#[test]
fn a_flood_of_callers_delays_no_probe() {
    let rig = Setup::new().start();
    rig.upstream.always(Reply::new(200, &[], "late").delayed(SECOND * 2));
    let mut callers: Vec<_> = (0..200).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        caller.send(rig.request("GET", "/", &[], b""));
    }
    assert_eq!(rig.probe("/livez").status, 200);
    assert!(rig.probe("/livez").took < SECOND);
    for mut caller in callers {
        assert_eq!(caller.read().status, 200);
    }
}

#[test]
fn a_route_whose_headers_cannot_be_prepared_says_so() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "fine").unwrap();
    let rig = Setup::new()
        .lifetime(Duration::from_secs(3))
        .route(&format!("headers: {{ X-Key: {{ file: {} }} }}", file.display()))
        .start();
    let route = || {
        let status: serde_json::Value = serde_json::from_slice(&rig.probe("/status").body).unwrap();
        status["routes"][0].clone()
    };
    assert_eq!(route()["headers"], "ready");
    std::fs::write(&file, "two\nlines").unwrap();
    eventually("the old headers run out with their token", || route()["headers"] == "failed");
    let failure = route()["last_failure"].as_str().unwrap().to_owned();
    assert!(failure.contains("x-key") && !failure.contains("two"), "{failure}");
    let pending = rig.probe("/readyz");
    assert_eq!(pending.status, 503);
    assert!(String::from_utf8_lossy(&pending.body).contains("headers of route "), "it is named");
    std::fs::write(&file, "fine again").unwrap();
    eventually("it heals", || rig.probe("/readyz").status == 200 && route()["headers"] == "ready");
    assert_eq!(rig.get("/").status, 200);
}
