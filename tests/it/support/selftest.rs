//! The harness is tested too: a scanner that finds nothing proves nothing.

use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::client::{self, Connection};
use super::gate::Gate;
use super::idp::{Issue, MockIdp, Proof};
use super::leaks;
use super::message::{Chunked, form_decode, read_chunked};
use super::patience::eventually;
use super::reply::{Reply, Step};
use super::tokens::Verdict;
use super::upstream::MockUpstream;

const HOUR: Duration = Duration::from_secs(3600);

/// Asks the token service as the client `app` would.
fn ask(idp: &MockIdp, id: &str, secret: &str) -> client::Response {
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let headers = [("Authorization", basic.as_str())];
    let address = idp.server().address();
    // Not through `call`: its answers are looked through for tokens, and this one is full of them.
    let mut stream = TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut stream, &client::request(address, "POST", "/token", &headers, b"x=1"))
        .unwrap();
    let mut raw = Vec::new();
    while super::message::head_end(&raw).is_none_or(|end| !raw[end..].ends_with(b"}")) {
        let mut some = [0; 4096];
        match std::io::Read::read(&mut stream, &mut some).unwrap() {
            0 => break,
            read => raw.extend_from_slice(&some[..read]),
        }
    }
    let end = super::message::head_end(&raw).unwrap();
    let head = super::message::Head::parse(&raw[..end]);
    let status = head.word(1).parse().unwrap();
    client::Response { status, head, body: raw[end..].to_vec(), took: Duration::ZERO }
}

fn token(response: &client::Response) -> String {
    response.json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn the_scanner_finds_a_secret_in_every_dress() {
    for prefix in ["", "a", "ab", "abc"] {
        let secret = leaks::mint();
        assert!(leaks::leaks_of(&secret).is_empty());
        leaks::scan("test", format!("Basic {}", STANDARD.encode(format!("{prefix}{secret}/x"))).as_bytes());
        assert_eq!(leaks::leaks_of(&secret).len(), 1, "behind {prefix:?}");
        assert!(leaks::leaks_of(&leaks::mint()).is_empty(), "a leak belongs to its own test");
    }
    let secret = leaks::mint();
    leaks::scan("test", format!("nothing here\nhere: %22{secret}%22\n").as_bytes());
    assert_eq!(leaks::leaks_of(&secret).len(), 1);
}

#[test]
fn the_scanner_reads_the_log_at_trace() {
    let secret = leaks::mint();
    tracing::trace!(target: "anything", "oops {secret}");
    assert_eq!(leaks::leaks_of(&secret).len(), 1);
}

#[test]
fn a_panic_of_a_program_thread_is_noted() {
    leaks::mint();
    let thread = std::thread::Builder::new().name("worker-7".to_owned());
    assert!(thread.spawn(|| panic!("{}", leaks::MEANT)).unwrap().join().is_err());
    assert!(leaks::noted_panic("worker-7"));
    assert!(!leaks::noted_panic("worker-8"));
}

#[test]
fn the_token_service_knows_its_clients() {
    let idp = MockIdp::start(HOUR);
    idp.set_client("a b", "p+q%");
    assert_eq!(ask(&idp, "a+b", "p%2Bq%25").status, 200);
    assert_eq!(ask(&idp, "a b", "p+q%").status, 401, "form-decoded, it is another secret");
    idp.set_proof(Proof::RawBasic);
    assert_eq!(ask(&idp, "a b", "p+q%").status, 200);
    assert_eq!(idp.count(), 3);
    assert_eq!(idp.calls()[0].body, b"x=1");
}

#[test]
fn the_token_service_rotates_or_repeats_tokens() {
    let idp = MockIdp::start(HOUR);
    idp.set_client("app", "s");
    assert_ne!(token(&ask(&idp, "app", "s")), token(&ask(&idp, "app", "s")));
    idp.set_issue(Issue::SameUntilExpiry);
    assert_eq!(token(&ask(&idp, "app", "s")), token(&ask(&idp, "app", "s")));
}

#[test]
fn a_script_comes_before_everything_else() {
    let idp = MockIdp::start(HOUR);
    idp.set_proof(Proof::Anything);
    idp.script([Reply::json(503, "{}")]);
    idp.always(Reply::json(400, "{}"));
    let statuses: Vec<u16> = (0..2).map(|_| ask(&idp, "", "").status).collect();
    idp.behave();
    assert_eq!((statuses, ask(&idp, "", "").status), (vec![503, 400], 200));
}

#[test]
fn a_stopped_server_refuses_and_comes_back_on_its_port() {
    let idp = MockIdp::start(HOUR);
    let address = idp.server().address();
    let mut kept = Connection::open(address);
    idp.server().stop();
    assert!(kept.is_closed());
    assert!(TcpStream::connect(address).is_err());
    idp.server().resume();
    idp.set_client("app", "s");
    assert_eq!(ask(&idp, "app", "s").status, 200);
}

#[test]
fn the_upstream_judges_every_credential() {
    let idp = MockIdp::start(HOUR);
    let upstream = MockUpstream::start(idp.tokens());
    let good = idp.mint("app", 1, HOUR);
    let old = idp.mint("app", 2, Duration::ZERO);
    std::thread::sleep(Duration::from_millis(800));
    let calls: [(&[&str], u16); 5] =
        [(&[], 401), (&[&good], 200), (&[&old], 401), (&["never-issued"], 401), (&[&good, &good], 401)];
    for (tokens, status) in calls {
        let values: Vec<String> = tokens.iter().map(|token| format!("Bearer {token}")).collect();
        let headers: Vec<_> = values.iter().map(|value| ("Authorization", value.as_str())).collect();
        assert_eq!(client::call(upstream.address(), "GET", "/", &headers, b"").status, status, "{tokens:?}");
    }
    use Verdict::{Duplicate, Expired, Foreign, Missing, Valid};
    assert_eq!(upstream.verdicts(), [Missing, Valid, Expired, Foreign, Duplicate]);
    assert_eq!(upstream.violations(None).len(), 3);
    upstream.only_for("somebody else");
    client::call(upstream.address(), "GET", "/", &[("Authorization", &format!("Bearer {good}"))], b"");
    assert_eq!(upstream.violations(None).len(), 4);
}

#[test]
fn a_post_executed_twice_is_a_violation_and_one_after_a_401_is_not() {
    let upstream = MockUpstream::start(MockIdp::start(HOUR).tokens());
    let post = || drop(client::call(upstream.address(), "POST", "/", &[("X-Test-Id", "7")], b"body"));
    upstream.script([Reply::new(401, &[], ""), Reply::new(200, &[], "")]);
    post();
    post();
    assert!(upstream.violations(None).is_empty());
    upstream.script([Reply::new(200, &[], "")]);
    post();
    assert_eq!(upstream.violations(None).len(), 1);
}

#[test]
fn bodies_are_kept_byte_for_byte_on_one_connection() {
    let upstream = MockUpstream::start(MockIdp::start(HOUR).tokens());
    let mut connection = Connection::open(upstream.address());
    connection.send("POST /a?%7e HTTP/1.1\r\nX-odd:  1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    connection.send("1\r\nd\r\n0\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nef");
    assert_eq!((connection.read().status, connection.read().status), (401, 401));
    let seen = upstream.seen();
    assert_eq!((seen[0].text(), seen[1].text(), seen[0].target()), ("abcd".into(), "ef".into(), "/a?%7e"));
    assert!(seen[0].head.raw.starts_with(b"POST /a?%7e HTTP/1.1\r\nX-odd:  1\r\n"));
    assert_eq!((seen[1].connection, upstream.server().connections()), (0, 1));
}

#[test]
fn answers_can_stall_dribble_reset_and_wait_for_a_gate() {
    let upstream = MockUpstream::start(MockIdp::start(HOUR).tokens());
    let fast = Duration::from_millis(1);
    let gate = Gate::closed();
    upstream.script([
        Reply::new(200, &[], "slow").dribbled(fast),
        Reply::reset(),
        Reply::new(200, &[], "held").held(&gate),
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .then(Step::Endless(b"1\r\nx\r\n".to_vec())),
        Reply::new(200, &[], "never whole").stalling_after(20),
    ]);
    assert_eq!(client::get(upstream.address(), "/").text(), "slow");
    let mut connection = Connection::open(upstream.address());
    assert!(
        connection.send(client::request(upstream.address(), "GET", "/", &[], b"")).try_read("GET").is_err()
    );
    let mut held = Connection::open(upstream.address());
    held.send(client::request(upstream.address(), "GET", "/", &[], b""));
    held.stream().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(held.try_read("GET").is_err(), "the gate is closed");
    gate.open();
    eventually("the gate lets the answer through", || {
        held.try_read("GET").is_ok_and(|held| held.text() == "held")
    });
    let mut endless = Connection::open(upstream.address());
    endless.send(client::request(upstream.address(), "GET", "/", &[], b""));
    assert_eq!(endless.read_head().unwrap().word(1), "200");
    assert!(endless.read_bytes(100_000).unwrap().len() >= 100_000);
    drop(endless);
    let mut stalled = Connection::open(upstream.address());
    stalled.send(client::request(upstream.address(), "GET", "/", &[], b""));
    assert_eq!(stalled.read_bytes(20).unwrap(), b"HTTP/1.1 200 OK\r\nCon");
    drop((stalled, held, connection));
    eventually("every connection is closed", || upstream.server().open_connections() == 0);
}

#[test]
fn chunks_and_forms_are_read_by_the_book() {
    assert_eq!(read_chunked(b"3\r\nab"), Some(Chunked::Partial(b"ab".to_vec())));
    assert_eq!(
        read_chunked(b"2;x=y\r\nab\r\n0\r\nT: 1\r\n\r\nrest"),
        Some(Chunked::Whole(b"ab".to_vec(), "T: 1".into(), 22))
    );
    assert_eq!(read_chunked(b"zz\r\n"), None);
    assert_eq!(form_decode("a+b%2Bc%"), "a b+c%");
}
