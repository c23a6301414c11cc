//! Writes that need a CSRF token: fetched once, kept with its cookies, fetched again when the session is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;

use crate::support::client::Connection;
use crate::support::gate::Gate;
use crate::support::http2::{Http2Upstream, Manners, Request2};
use crate::support::leaks;
use crate::support::patience::eventually;
use crate::support::reply::{Reply, Step};
use crate::support::rig::Rig;
use crate::support::server::Seen;
use crate::support::setup::Setup;
use crate::support::tokens::Verdict;
use crate::support::upstream::{Strictness, refusal};

const SERVICE: &str = "/sap/opu/odata/sap/API_BP/";

/// An OData service of SAP: a token is good for one session, which is known by its cookie.
#[derive(Clone)]
struct OData {
    /// Token by session.
    sessions: Arc<Mutex<BTreeMap<String, String>>>,
    mark: String,
}

impl OData {
    fn new(setup: &Setup) -> Self {
        let odata = Self { sessions: Arc::default(), mark: setup.idp.mark().to_owned() };
        let answers = odata.clone();
        setup.upstream.answer_with(move |seen| answers.answer(seen));
        odata
    }

    fn answer(&self, seen: &Seen) -> Option<Reply> {
        let asks = seen.header("x-csrf-token").is_some_and(|value| value == "Fetch");
        let service = seen.target().split('?').next() == Some(SERVICE);
        match seen.method() {
            "GET" | "HEAD" if asks && service => Some(self.open()),
            "GET" | "HEAD" => None,
            _ => self.refuses(seen).then(required),
        }
    }

    fn open(&self) -> Reply {
        let number = leaks::number();
        let (session, token) = (format!("s{number}-{}", self.mark), format!("t{number}-{}==", self.mark));
        self.sessions.lock().unwrap().insert(session.clone(), token.clone());
        let id = format!("SAP_SESSIONID_ABC_100={session}; path=/; secure; HttpOnly");
        let headers = [
            ("X-CSRF-Token", token.as_str()),
            ("Set-Cookie", "sap-usercontext=sap-client=100; path=/"),
            ("Set-Cookie", &id),
            ("Set-Cookie", "old=x; Max-Age=0"),
        ];
        Reply::new(200, &headers, "{\"d\":{\"EntitySets\":[]}}")
    }

    fn refuses(&self, seen: &Seen) -> bool {
        let session = cookies(seen).get("SAP_SESSIONID_ABC_100").cloned().unwrap_or_default();
        let sessions = self.sessions.lock().unwrap();
        sessions.get(&session).is_none_or(|token| seen.head.all("x-csrf-token") != [token])
    }

    /// Every session has run out.
    fn forget(&self) {
        self.sessions.lock().unwrap().clear();
    }
}

fn required() -> Reply {
    Reply::new(403, &[("X-CSRF-Token", "Required")], "CSRF token validation failed")
}

fn cookies(seen: &Seen) -> BTreeMap<String, String> {
    let lines = seen.head.all("cookie");
    assert!(lines.len() <= 1, "one Cookie line: {lines:?}");
    let pairs = lines.iter().flat_map(|line| line.split("; ")).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn fetches(rig: &Rig) -> usize {
    rig.upstream.seen().iter().filter(|seen| seen.header("x-csrf-token") == Some("Fetch")).count()
}

fn writes(rig: &Rig) -> Vec<Seen> {
    rig.upstream.seen().into_iter().filter(|seen| !["GET", "HEAD"].contains(&seen.method())).collect()
}

fn csrf() -> Setup {
    Setup::new().route(&format!("csrf: {{ path: {SERVICE} }}"))
}

#[test]
fn a_write_carries_a_token_and_its_cookies_and_the_caller_sees_neither() {
    let setup = csrf();
    OData::new(&setup);
    let rig = setup.start();
    for method in ["POST", "PUT", "PATCH", "DELETE", "MERGE"] {
        let answer = rig.call(method, "/sap/opu/odata/sap/API_BP/A_BusinessPartner", &[], b"{}");
        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
        assert_eq!((answer.header("set-cookie"), answer.header("x-csrf-token")), (None, None));
    }
    assert_eq!(fetches(&rig), 1, "one token for all of them");
    let first = &rig.upstream.seen()[0];
    assert_eq!((first.method(), first.target()), ("GET", SERVICE));
    assert_eq!(first.header("host"), Some(rig.upstream.address().to_string().as_str()));
    assert_eq!(first.head.all("authorization").len(), 1, "with the route's credential");
    assert_eq!(cookies(&writes(&rig)[4])["sap-usercontext"], "sap-client=100");
    assert!(!cookies(&writes(&rig)[4]).contains_key("old"), "it was set only to be gone");
    assert!(rig.upstream.verdicts().iter().all(|verdict| *verdict == Verdict::Valid));
}

#[test]
fn the_default_place_is_the_base_path_of_the_upstream() {
    let setup = Setup::new();
    OData::new(&setup);
    setup.upstream.set_strictness(Strictness::Ignores);
    let base = setup.upstream.url() + SERVICE.trim_end_matches('/');
    let yaml = "routes:\n  main:\n    match: { path_prefix: /bp }\n    strip_prefix: true\n    upstream: ${BASE}\n    csrf: true\n";
    let rig = setup.variable("BASE", base).yaml(yaml).start();
    assert_eq!(rig.call("POST", "/bp/A_BusinessPartner", &[], b"{}").status, 200);
    let targets: Vec<_> = rig.upstream.seen().iter().map(|seen| seen.target().to_owned()).collect();
    assert_eq!(targets, [SERVICE, "/sap/opu/odata/sap/API_BP/A_BusinessPartner"]);
}

#[test]
fn head_and_a_query_can_be_what_it_is_fetched_with() {
    let setup = Setup::new()
        .route(&format!("csrf: {{ path: \"{SERVICE}?sap-client=100\", fetch: HEAD, methods: [post] }}"));
    let odata = OData::new(&setup);
    setup.upstream.answer_with(move |seen| {
        let mut reply = odata.answer(seen)?;
        if seen.method() == "HEAD" {
            // As a server answers HEAD: the length is told, the body is not sent.
            let Step::Bytes(bytes) = &mut reply.steps[0] else { return None };
            bytes.truncate(bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4);
        }
        Some(reply)
    });
    let rig = setup.start();
    assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
    let first = &rig.upstream.seen()[0];
    assert_eq!((first.method(), first.target()), ("HEAD", format!("{SERVICE}?sap-client=100").as_str()));
    assert_eq!(rig.upstream.server().connections(), 1, "the connection was kept");
    // PUT is none of the methods: it goes as it is.
    let answer = rig.call("PUT", "/x", &[("X-CSRF-Token", "mine")], b"{}");
    assert_eq!((answer.status, answer.header("x-csrf-token")), (403, Some("Required")));
    assert_eq!(rig.upstream.last().header("x-csrf-token"), Some("mine"));
    assert_eq!(rig.upstream.count(), 3);
}

#[test]
fn reads_are_left_alone() {
    let setup = csrf();
    OData::new(&setup);
    let rig = setup.start();
    assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
    let headers = [("X-CSRF-Token", "anything"), ("Cookie", "a=1")];
    assert_eq!(rig.call("GET", "/x", &headers, b"").status, 200);
    let seen = rig.upstream.last();
    assert_eq!((seen.header("x-csrf-token"), seen.header("cookie")), (Some("anything"), Some("a=1")));
    assert_eq!(fetches(&rig), 1);
}

#[test]
fn what_the_caller_brings_is_replaced_and_its_other_cookies_go_along() {
    let setup = csrf();
    OData::new(&setup);
    let rig = setup.start();
    let headers = [
        ("X-CSRF-Token", "Fetch"),
        ("X_CSRF_Token", "mine"),
        ("x-csrf-token", "mine"),
        ("Cookie", "a=1; SAP_SESSIONID_ABC_100=mine"),
        ("Cookie", "b=2"),
    ];
    assert_eq!(rig.call("POST", "/x", &headers, b"{}").status, 200);
    let seen = rig.upstream.last();
    assert_eq!(seen.head.all("x_csrf_token").len(), 0);
    let cookies = cookies(&seen);
    assert_eq!((cookies["a"].as_str(), cookies["b"].as_str()), ("1", "2"));
    assert_ne!(cookies["SAP_SESSIONID_ABC_100"], "mine");
    assert_eq!(cookies.len(), 4, "{cookies:?}");
}

#[test]
fn writes_at_the_same_time_wait_for_one_fetch() {
    let setup = csrf().proxy("workers: 2");
    let gate = Gate::closed();
    let (odata, held) = (OData::new(&setup), gate.clone());
    setup.upstream.answer_with(move |seen| {
        let reply = odata.answer(seen)?;
        Some(if seen.method() == "GET" { reply.held(&held) } else { reply })
    });
    let rig = setup.start();
    let mut callers: Vec<_> = (0..50).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        caller.send(rig.request("POST", "/x", &[], b"{}"));
    }
    eventually("the token is being fetched", || rig.upstream.count() == 1);
    gate.open();
    let answers: Vec<_> = callers.iter_mut().map(|caller| caller.read().status).collect();
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!((fetches(&rig), writes(&rig).len()), (1, 50));
}

#[test]
fn a_caller_that_gives_up_leaves_the_fetch_to_the_next() {
    let setup = csrf();
    let gate = Gate::closed();
    let (odata, held) = (OData::new(&setup), gate.clone());
    setup.upstream.answer_with(move |seen| {
        let reply = odata.answer(seen)?;
        Some(if seen.number == 0 { reply.held(&held) } else { reply })
    });
    let rig = setup.start();
    let mut first = rig.connect();
    first.send(rig.request("POST", "/x", &[], b"{}"));
    eventually("the token is being fetched", || rig.upstream.count() == 1);
    let mut others: Vec<_> = (0..5).map(|_| rig.connect()).collect();
    for other in &mut others {
        other.send(rig.request("POST", "/x", &[], b"{}"));
    }
    eventually("all of them are in", || rig.metric("sidepass_requests_in_flight", &[]) == 6.0);
    first.reset();
    for mut other in others {
        assert_eq!(other.read().status, 200);
    }
    gate.open();
    assert_eq!((fetches(&rig), writes(&rig).len()), (2, 5));
}

#[test]
fn a_session_that_ran_out_is_replaced_and_the_write_sent_once_more() {
    let setup = csrf();
    let odata = OData::new(&setup);
    let rig = setup.start();
    assert_eq!(rig.call("POST", "/x", &[("Cookie", "a=1")], b"one").status, 200);
    odata.forget();
    assert_eq!(rig.call("POST", "/x", &[("Cookie", "a=1")], b"two").status, 200);
    let seen = rig.upstream.seen();
    let told: Vec<_> = seen.iter().map(|seen| (seen.method(), seen.answered)).collect();
    assert_eq!(told, [("GET", 200), ("POST", 200), ("POST", 403), ("GET", 200), ("POST", 200)]);
    assert_eq!((seen[2].text(), seen[4].text()), ("two".to_owned(), "two".to_owned()));
    assert_eq!(seen[3].header("cookie"), None, "a new session begins without the old one's cookies");
    assert_eq!(cookies(&seen[4])["a"], "1");
    assert_eq!(rig.metric("sidepass_replays_total", &["cause=\"csrf\""]), 1.0);
}

#[test]
fn many_writes_that_lose_their_session_at_once_fetch_one_new_token() {
    let setup = csrf();
    let odata = OData::new(&setup);
    let rig = setup.start();
    assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
    odata.forget();
    let mut callers: Vec<_> = (0..30).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        caller.send(rig.request("PATCH", "/x", &[], b"{}"));
    }
    assert!(callers.iter_mut().map(Connection::read).all(|answer| answer.status == 200));
    assert_eq!(fetches(&rig), 2);
}

#[test]
fn a_body_that_was_not_kept_is_not_sent_again_and_the_next_write_gets_a_new_token() {
    let setup = csrf().route("replay_buffer: 1KiB");
    let odata = OData::new(&setup);
    let rig = setup.start();
    assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
    odata.forget();
    let answer = rig.call("POST", "/x", &[], &vec![b'x'; 5000]);
    assert_eq!((answer.status, answer.header("x-csrf-token")), (403, Some("Required")));
    assert_eq!(answer.text(), "CSRF token validation failed");
    assert_eq!((fetches(&rig), writes(&rig).len()), (1, 2));
    assert_eq!(rig.call("POST", "/x", &[], &vec![b'x'; 5000]).status, 200);
    assert_eq!((fetches(&rig), writes(&rig).len()), (2, 3));
}

#[test]
fn an_upstream_that_is_never_content_is_asked_twice() {
    let setup = csrf();
    let odata = OData::new(&setup);
    setup.upstream.answer_with(move |seen| {
        odata.forget();
        odata.answer(seen)
    });
    let rig = setup.start();
    // Its token is gone with the next request, whatever that is.
    let answer = rig.call("POST", "/x", &[], b"{}");
    assert_eq!((answer.status, answer.reason()), (403, String::new()));
    assert_eq!((fetches(&rig), writes(&rig).len()), (2, 2));
}

#[test]
fn a_403_of_another_kind_is_nobodys_remedy() {
    let setup = csrf();
    let odata = OData::new(&setup);
    setup.upstream.answer_with(move |seen| match seen.method() {
        "POST" => Some(Reply::new(403, &[], "not yours")),
        _ => odata.answer(seen),
    });
    let rig = setup.start();
    let answer = rig.call("POST", "/x", &[], b"{}");
    assert_eq!((answer.status, answer.text().as_str()), (403, "not yours"));
    assert_eq!((fetches(&rig), writes(&rig).len()), (1, 1));
}

#[test]
fn without_a_token_the_write_stays_here_and_the_reason_is_told() {
    let answers = [
        Reply::new(404, &[], "no such service"),
        Reply::new(503, &[], ""),
        Reply::new(200, &[], "{}"),
        Reply::new(302, &[("Location", "/login")], ""),
        Reply::new(403, &[("X-CSRF-Token", "Required")], ""),
    ];
    for answer in answers {
        let setup = csrf();
        let status = answer.status;
        setup.upstream.script([answer]);
        OData::new(&setup);
        let rig = setup.start();
        let answer = rig.call("POST", "/x", &[], b"{}");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "csrf_unavailable"), "{status}");
        assert_eq!((rig.upstream.count(), writes(&rig).len()), (1, 0), "{status}");
        // The next write asks again.
        assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200, "{status}");
    }
}

#[test]
fn a_token_that_comes_with_an_error_is_a_token() {
    let setup = csrf();
    let odata = OData::new(&setup);
    setup.upstream.answer_with(move |seen| {
        let reply = odata.answer(seen)?;
        let ok = matches!(seen.method(), "GET");
        let Step::Bytes(bytes) = &reply.steps[0] else { return None };
        let text = String::from_utf8_lossy(bytes).replacen("200 OK", "405 No", 1);
        Some(if ok { Reply::raw(text) } else { reply })
    });
    let rig = setup.start();
    assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
}

#[test]
fn an_upstream_that_is_away_is_told_as_ever() {
    let setup = csrf();
    OData::new(&setup);
    let rig = setup.start();
    rig.upstream.server().stop();
    let answer = rig.call("POST", "/x", &[], b"{}");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_unreachable"));
}

#[test]
fn a_fetch_that_is_refused_for_its_token_gets_a_new_one() {
    let setup = csrf();
    OData::new(&setup);
    setup.upstream.script([refusal()]);
    let rig = setup.start();
    assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
    let told: Vec<_> =
        rig.upstream.seen().iter().map(|seen| (seen.method().to_owned(), seen.answered)).collect();
    assert_eq!(told, [("GET".to_owned(), 401), ("GET".to_owned(), 200), ("POST".to_owned(), 200)]);
    assert_eq!(rig.idp.count(), 2);
}

#[test]
fn where_no_credential_helps_the_write_gets_the_upstreams_own_401() {
    let setup = csrf();
    setup.upstream.always(refusal());
    let rig = setup.start();
    let answer = rig.call("POST", "/x", &[("X-CSRF-Token", "mine")], b"{}");
    assert_eq!((answer.status, answer.header("x-upstream")), (401, Some("refused")));
    assert_eq!(rig.upstream.last().header("x-csrf-token"), None);
}

#[test]
fn cookies_that_an_upstream_changes_on_the_way_are_kept_and_not_shown() {
    let setup = csrf();
    let odata = OData::new(&setup);
    setup.upstream.answer_with(move |seen| match seen.method() {
        "POST" if !odata.refuses(seen) => {
            let headers = [
                ("Set-Cookie", "sap-usercontext=sap-client=200; path=/"),
                ("Set-Cookie", "theirs=1; path=/"),
                ("X-CSRF-Token", seen.header("x-csrf-token")?),
            ];
            Some(Reply::new(201, &headers, ""))
        }
        _ => odata.answer(seen),
    });
    let rig = setup.start();
    for client in ["sap-client=100", "sap-client=200"] {
        let answer = rig.call("POST", "/x", &[], b"{}");
        assert_eq!(answer.status, 201);
        assert_eq!(answer.head.all("set-cookie"), ["theirs=1; path=/"]);
        assert_eq!(answer.header("x-csrf-token"), None, "an echo of the token");
        assert_eq!(cookies(&rig.upstream.last())["sap-usercontext"], client);
    }
}

#[test]
fn the_most_talkative_log_says_no_csrf_token() {
    let setup = csrf().more("log: { level: trace }\n");
    let odata = OData::new(&setup);
    let mut rig = setup.start_process();
    for _ in 0..2 {
        assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
        odata.forget();
    }
    // What a process says is read beside the test.
    eventually("it is talkative", || rig.process().stderr().matches("answered").count() >= 2);
    // Dropping the rig looks through everything that was said for the mark of this rig, which both of them carry.
}

#[test]
fn a_token_that_is_renewed_keeps_the_session() {
    let setup = csrf();
    OData::new(&setup);
    let rig = setup.start();
    assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
    rig.upstream.script([refusal()]);
    assert_eq!(rig.call("POST", "/x", &[], b"{}").status, 200);
    assert_eq!((fetches(&rig), rig.idp.count()), (1, 2));
}

#[test]
fn over_http2_too_a_write_carries_a_token_and_its_cookies() {
    let script = |seen: &Request2| {
        let field = |name: &str| seen.headers.get(name).and_then(|value| value.to_str().ok());
        let answer = |status: u16| http::Response::builder().status(status);
        match (seen.head.split(' ').next(), field("x-csrf-token"), field("cookie")) {
            (Some("GET"), Some("Fetch"), None) => {
                let answer = answer(200).header("x-csrf-token", "t1").header("set-cookie", "s=1; path=/");
                answer.body(()).ok()
            }
            (Some("POST"), Some("t1"), Some("s=1; a=b; c=d")) => None,
            _ => answer(403).header("x-csrf-token", "Required").body(()).ok(),
        }
    };
    let upstream = Http2Upstream::start(Manners { script: Some(Arc::new(script)), ..Manners::default() });
    let setup = Setup::new().variable("UPSTREAM", format!("http://{}", upstream.address()));
    let rig = setup.route("http2: prior_knowledge").route("csrf: { path: /root/ }").start();
    for _ in 0..2 {
        let answer = rig.call("POST", "/x", &[("Cookie", "a=b; c=d")], b"a body");
        assert_eq!(answer.status, 200, "{:?}", upstream.seen());
    }
    assert_eq!((upstream.seen().len(), upstream.connections()), (3, 1));
}

/// A route where each caller has a credential of its own, and an upstream that knows whose session is whose.
fn per_subject() -> Rig {
    let setup = Setup::new();
    let (tokens, mark) = (setup.idp.tokens(), setup.idp.mark().to_owned());
    setup.idp.answer_with(move |seen| {
        let text = format!("tok-{mark}-{}", seen.number);
        tokens.issue(&text, &format!("subject-{}", seen.number), seen.number, Duration::from_secs(3600));
        Some(Reply::json(200, format!(r#"{{"access_token":"{text}","expires_in":3600}}"#)))
    });
    let tokens = setup.idp.tokens();
    setup.upstream.answer_with(move |seen| {
        let who = tokens.find(seen.header("authorization")?.strip_prefix("Bearer ")?)?.client;
        if seen.header("x-csrf-token") == Some("Fetch") {
            let cookie = format!("session={who}");
            let headers = [("X-CSRF-Token", who.as_str()), ("Set-Cookie", cookie.as_str())];
            return Some(Reply::new(200, &headers, ""));
        }
        let own = cookies(seen).get("session") == Some(&who) && seen.header("x-csrf-token") == Some(&who);
        // A session of somebody else is worse than none.
        (!own).then(|| Reply::new(409, &[], "whose session is this?"))
    });
    let yaml = "profiles:\n  main:\n    type: oauth2_token_exchange\n    token_service_url: ${TOKEN_URL}\n    client_id: ${CLIENT_ID}\n    \
                client_secret: { env: CLIENT_SECRET }\n    subject_token: { header: Authorization }\nroutes:\n  main:\n    \
                upstream: ${UPSTREAM}\n    profile: main\n    csrf: { path: /root/ }\n";
    setup.yaml(yaml).start()
}

#[test]
fn each_caller_with_a_credential_of_its_own_has_a_session_of_its_own() {
    let rig = per_subject();
    let subjects = [leaks::mint(), leaks::mint(), leaks::mint()];
    for _ in 0..2 {
        for subject in &subjects {
            let answer = rig.call("POST", "/x", &[("Authorization", &format!("Bearer {subject}"))], b"{}");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    assert_eq!((fetches(&rig), writes(&rig).len()), (3, 6));
}

#[test]
fn callers_whose_tokens_are_no_good_push_nobodys_session_out() {
    let rig = per_subject();
    let write = |subject: &str| {
        rig.call("POST", "/x", &[("Authorization", &format!("Bearer {subject}"))], b"{}").status
    };
    let good = leaks::mint();
    assert_eq!(write(&good), 200);
    // As many as there may be sessions; each has expired, which is seen without a token service.
    for number in 0..1001 {
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(format!(r#"{{"exp":1,"jti":"{number}"}}"#));
        assert_eq!(write(&format!("eyJhbGciOiJub25lIn0.{claims}.x")), 401);
    }
    assert_eq!(write(&good), 200);
    assert_eq!(fetches(&rig), 1);
}
