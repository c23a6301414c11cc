//! How a token lives, seen from outside: fetched once, renewed unnoticed, replaced after a 401.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::support::client::Connection;
use crate::support::idp::Issue;
use crate::support::patience::{eventually, eventually_within, patience};
use crate::support::reply::Reply;
use crate::support::rig::Rig;
use crate::support::setup::{Setup, mount_secret};
use crate::support::tokens::Verdict;
use crate::support::upstream::refusal;

const SECOND: Duration = Duration::from_secs(1);

/// The credentials that reached the upstream, without repetition.
fn credentials(rig: &Rig) -> Vec<String> {
    let mut all: Vec<_> =
        rig.upstream.seen().iter().filter_map(|s| s.header("authorization").map(str::to_owned)).collect();
    all.dedup();
    all
}

// G 1
#[test]
fn a_cold_start_under_a_thousand_callers_is_one_fetch() {
    let setup = Setup::new().profile("token_wait: 20s").cold();
    let gate = setup.idp.hold();
    let rig = setup.start();
    let mut callers: Vec<_> = (0..1000).map(|_| rig.connect()).collect();
    for caller in &mut callers {
        caller.send(rig.request("GET", "/together", &[], b""));
    }
    eventually("the token service was asked", || rig.idp.count() > 0);
    std::thread::sleep(SECOND / 2);
    gate.open();
    let refused = callers.iter_mut().map(Connection::read).filter(|answer| answer.status != 200).count();
    assert_eq!((refused, rig.idp.count(), rig.upstream.count()), (0, 1, 1000));
    assert_eq!(credentials(&rig).len(), 1, "everybody got the same token");
}

// G 2
#[test]
fn a_caller_that_leaves_takes_no_fetch_with_it() {
    let setup = Setup::new().cold();
    let gate = setup.idp.hold();
    let rig = setup.start();
    let ask = |rig: &Rig| {
        let mut caller = rig.connect();
        caller.send(rig.request("GET", "/", &[], b""));
        caller
    };
    let first = ask(&rig);
    eventually("the token service was asked", || rig.idp.count() == 1);
    let others: Vec<_> = (0..9).map(|_| ask(&rig)).collect();
    drop(first);
    std::thread::sleep(SECOND / 5);
    gate.open();
    for mut other in others {
        assert_eq!(other.read().status, 200);
    }
    assert_eq!(rig.idp.count(), 1);
}

/// G 3, for as long as it is told.
fn renewals_go_unnoticed(lifetime: Duration, margin: Duration, length: Duration) {
    let setup = Setup::new().lifetime(lifetime);
    let tokens = setup.idp.tokens();
    // As an upstream whose clock is ahead: it takes no token that is about to expire.
    setup.upstream.answer_with(move |seen| {
        let issued = tokens.find(seen.header("authorization")?.strip_prefix("Bearer ")?)?;
        (issued.expires < Instant::now() + margin).then(refusal)
    });
    let rig = Arc::new(setup.start());
    let (failures, slow, asked) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut caller = rig.connect();
                while start.elapsed() < length {
                    let answer = caller.send(rig.request("GET", "/poll", &[], b"")).read();
                    asked.fetch_add(1, Ordering::Relaxed);
                    failures.fetch_add(usize::from(answer.status != 200), Ordering::Relaxed);
                    slow.fetch_add(usize::from(answer.took > SECOND), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    assert_eq!((failures.into_inner(), slow.into_inner()), (0, 0), "of {asked:?} requests");
    let renewals = rig.idp.count() as f64;
    let lives = length.as_secs_f64() / lifetime.as_secs_f64();
    assert!((lives..=lives * 2.6 + 2.0).contains(&renewals), "{renewals} fetches in {lives} lifetimes");
    assert!(rig.upstream.verdicts().iter().all(|verdict| *verdict == Verdict::Valid));
}

// G 3
#[test]
fn no_request_notices_a_renewal() {
    renewals_go_unnoticed(SECOND * 3, SECOND / 2, SECOND * 10);
}

// G 3, in full: SIDEPASS_TEST_LONG=600 cargo test --test it -- --ignored no_request_notices
#[test]
#[ignore = "ten minutes; set SIDEPASS_TEST_LONG to another number of seconds"]
fn no_request_notices_a_renewal_for_ten_minutes() {
    renewals_go_unnoticed(SECOND * 60, SECOND * 2, SECOND * crate::long(600));
}

// G 3: while a renewal hangs, nobody waits for it
#[test]
fn requests_go_on_while_a_renewal_hangs() {
    let rig = Setup::new().lifetime(SECOND * 8).start();
    let gate = rig.idp.hold();
    eventually("the renewal is under way", || rig.idp.count() == 2);
    for _ in 0..100 {
        assert_eq!(rig.get("/").status, 200);
    }
    assert_eq!(credentials(&rig).len(), 1, "all with the old token: the new one has not come");
    gate.open();
    eventually("the new token is used", || rig.get("/").status == 200 && credentials(&rig).len() == 2);
}

// G 20: the table of lifetimes
#[test]
fn a_lifetime_that_makes_no_sense_never_becomes_a_hot_loop() {
    let table = [
        "\"3600\"",
        "3600.0",
        "null",
        "\"\"",
        "\"abc\"",
        "0",
        "-1",
        "2592000",
        "1e20",
        "18446744073709551616",
        "{}",
        "[]",
        "true",
    ];
    let setup = Setup::new().rate(4 * (table.len() + 1));
    let mut yaml = "profiles:\n".to_owned();
    let mut routes = "routes:\n".to_owned();
    for n in 0..=table.len() {
        yaml += &format!(
            "  p{n}:\n    token_service_url: ${{TOKEN_URL}}/{n}\n    client_id: ${{CLIENT_ID}}\n    client_secret: {{ env: CLIENT_SECRET }}\n"
        );
        routes += &format!(
            "  r{n}:\n    match: {{ path_prefix: /{n} }}\n    upstream: ${{UPSTREAM}}\n    profile: p{n}\n"
        );
    }
    let (tokens, mark) = (setup.idp.tokens(), setup.idp.mark().to_owned());
    setup.idp.answer_with(move |seen| {
        let row: usize = seen.target().rsplit('/').next()?.parse().ok()?;
        let text = format!("tok-{mark}-row{row}-call{}", seen.number);
        tokens.issue(&text, &format!("row{row}"), seen.number, Duration::from_secs(3600));
        let expires = table.get(row).map_or(String::new(), |value| format!(r#","expires_in":{value}"#));
        Some(Reply::json(200, format!(r#"{{"access_token":"{text}","token_type":"Bearer"{expires}}}"#)))
    });
    let rig = setup.yaml(&(yaml + &routes)).start();
    let start = Instant::now();
    while start.elapsed() < SECOND * 3 {
        for n in 0..=table.len() {
            assert_eq!(rig.get(&format!("/{n}/x")).status, 200, "row {n}: {:?}", table.get(n));
        }
    }
    for n in 0..=table.len() {
        let calls = rig.idp.calls().iter().filter(|call| call.target().ends_with(&format!("/{n}"))).count();
        assert_eq!(calls, 1, "row {n}: {:?}", table.get(n));
    }
}

// G 20: short lifetimes
#[test]
fn short_lifetimes_are_renewed_at_a_bounded_rate() {
    for seconds in [1, 2] {
        let rig = Setup::new().lifetime(SECOND * seconds).start();
        let (start, length) = (Instant::now(), SECOND * 5);
        while start.elapsed() < length {
            let answer = rig.get("/");
            // A token of one second may be on its last legs when the machine is busy: then it is a refusal, never an old token.
            assert!(answer.status == 200 || seconds == 1 && answer.status == 503, "{}", answer.text());
            std::thread::sleep(Duration::from_millis(20));
        }
        let most = 2 + 2 * length.as_secs() as usize / seconds as usize;
        assert!(
            rig.idp.count() <= most,
            "{} fetches in {length:?} with lifetimes of {seconds} s",
            rig.idp.count()
        );
    }
}

// G 20: the same token until it has expired
#[test]
fn a_token_service_that_repeats_its_token_is_not_hammered() {
    let setup = Setup::new().lifetime(SECOND * 6);
    setup.idp.set_issue(Issue::SameUntilExpiry);
    let rig = setup.start();
    let start = Instant::now();
    let mut gap = Duration::ZERO;
    let mut last_good = Instant::now();
    while start.elapsed() < SECOND * 9 {
        let good = rig.get("/").status == 200;
        gap = gap.max(last_good.elapsed());
        if good {
            last_good = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(rig.idp.count() <= 16, "{} calls in 9 s", rig.idp.count());
    assert!(gap < SECOND * 3, "no token for {gap:?} at the switch-over");
    assert_eq!(credentials(&rig).len(), 2);
}

// G 22
#[test]
fn the_first_request_after_a_long_sleep_has_a_fresh_token() {
    let mut rig = Setup::new().lifetime(SECOND * 3).start_process();
    assert_eq!(rig.get("/").status, 200);
    rig.process().signal(rustix::process::Signal::STOP);
    std::thread::sleep(SECOND * 4);
    // The request is there before the process wakes up.
    let mut caller = rig.connect();
    caller.send(rig.request("GET", "/", &[], b""));
    rig.process().signal(rustix::process::Signal::CONT);
    assert_eq!(caller.read().status, 200);
    assert_eq!(rig.upstream.verdicts(), [Verdict::Valid, Verdict::Valid]);
    assert_eq!(credentials(&rig).len(), 2);
}

// G 23
#[test]
fn a_rotated_secret_file_is_read_at_the_next_renewal() {
    let folder = tempfile::TempDir::new().unwrap();
    let setup = Setup::new().lifetime(SECOND * 4);
    let file = mount_secret(folder.path(), "1", &format!("{}\n", setup.secret));
    let text = setup.text().replace("{ env: CLIENT_SECRET }", &format!("{{ file: {} }}", file.display()));
    let text = text[text.find("profiles:").unwrap()..].to_owned();
    let rig = setup.yaml(&text).start();
    let stop = AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        let poll = scope.spawn(|| {
            let mut refused = 0;
            while !stop.load(Ordering::Relaxed) {
                refused += usize::from(rig.get("/").status != 200);
                std::thread::sleep(Duration::from_millis(20));
            }
            refused
        });
        // At one instant: a new secret at the token service and in the file.
        let next = format!("{}-next$", rig.secret);
        rig.idp.set_client(crate::support::setup::CLIENT, &next);
        mount_secret(folder.path(), "2", &format!("{next}\r\n"));
        let before = rig.idp.count();
        eventually_within(patience(), "three renewals", || rig.idp.count() >= before + 3);
        stop.store(true, Ordering::Relaxed);
        poll.join().unwrap()
    });
    assert_eq!(refused, 0);
    assert_eq!(rig.last_failure("main"), "");
}

#[test]
fn the_status_says_which_of_two_secrets_works() {
    let setup = Setup::new().variable("OTHER_SECRET", "one-that-is-over").lifetime(SECOND * 4);
    let two = "client_secret: { current: { env: OTHER_SECRET }, next: { env: CLIENT_SECRET } }";
    let text = setup.text().replace("client_secret: { env: CLIENT_SECRET }", two);
    let rig = setup.yaml(&text[text.find("profiles:").unwrap()..]).start();
    assert_eq!(rig.get("/").status, 200);
    assert_eq!(rig.idp.count(), 2, "the current one was refused, and the other tried at once");
    assert_eq!(rig.profile_status("main")["client_secret"], "next");
    rig.idp.set_client(crate::support::setup::CLIENT, "one-that-is-over");
    eventually_within(patience(), "the other one works", || {
        rig.profile_status("main")["client_secret"] == "current"
    });
    assert_eq!(rig.get("/").status, 200);
}

#[test]
fn a_lifetime_of_years_is_taken_and_warned_about() {
    let mut rig = Setup::new().lifetime(SECOND * 86_399_999).start_process();
    assert_eq!(rig.get("/").status, 200);
    eventually_within(patience(), "the warning", || {
        rig.process().stderr().contains("count in milliseconds?")
    });
}
