//! Raw bytes of an upstream's answer, through a running proxy on loopback, to the bytes that its caller gets.
//!
//! Behind the input the upstream closes its side, unless the strict reader says that the answer is complete and the
//! connection may be kept. Whatever the input was: the caller gets one answer that the strict reader accepts, and nothing
//! behind it, or one that is visibly cut; an answer whose length is a guess becomes 502; an ordinary one passes unchanged;
//! and the next request gets its own answer, on another connection unless framing was exact.

#![no_main]

use std::net::SocketAddr;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sidepass_fuzz::proxy::{self, MANAGED};
use sidepass_fuzz::rules::{self, is_stripped_from_response};
use sidepass_fuzz::script::{Behind, Scripted};
use sidepass_fuzz::strict::{self, Answer, Fault};

/// What an answer cannot say: the names that are injected, and the one that marks our own answers.
const HIDDEN: [&str; 4] = [MANAGED[0], MANAGED[1], MANAGED[2], "x-sidepass-reason"];

fuzz_target!(|bytes: &[u8]| {
    let (upstream, address) = rig();
    let to_head = bytes.len() % 4 == 3;
    let said = strict::answer(bytes, to_head);
    upstream.say(bytes, behind(&said, bytes));
    let method = if to_head { "HEAD" } else { "GET" };
    let got = ask(*address, method, "/fuzz");
    match caller(&got, to_head) {
        Ok(answer) => {
            assert_eq!(
                answer.taken,
                Some(got.len()),
                "one answer and nothing behind it: {}",
                got.escape_ascii()
            );
            match is_refusal(&answer) {
                true => assert!(
                    !said.as_ref().is_ok_and(|said| is_ordinary(said, to_head)),
                    "{said:?} is refused"
                ),
                false => check_passed(&said, &answer, to_head),
            }
        }
        Err(Fault::Incomplete) => assert!(said.is_err(), "{said:?} is cut: {}", got.escape_ascii()),
        Err(fault) => {
            panic!("the caller got what no strict reader accepts: {fault:?}: {}", got.escape_ascii())
        }
    }
    let next = strict::answer(&ask(*address, "GET", "/probe"), false).expect("the next request is answered");
    assert_eq!(
        String::from_utf8_lossy(&next.body),
        upstream.probe(),
        "the next request gets its own answer: {next:?}"
    );
    let reused = upstream.reused();
    assert!(reused.is_empty(), "{said:?}: a connection was used again: {reused:?}");
});

fn rig() -> &'static (Scripted, SocketAddr) {
    static RIG: OnceLock<(Scripted, SocketAddr)> = OnceLock::new();
    RIG.get_or_init(|| {
        let upstream = Scripted::start();
        let proxy = proxy::start(upstream.address);
        (upstream, proxy)
    })
}

fn ask(address: SocketAddr, method: &str, target: &str) -> Vec<u8> {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n"
    );
    proxy::exchange(address, request.as_bytes())
}

/// What the caller got. Where the answer is cut in the bytes that its head came with, hyper closes before it writes anything.
fn caller(got: &[u8], to_head: bool) -> Result<Answer, Fault> {
    if got.is_empty() { Err(Fault::Incomplete) } else { strict::answer(got, to_head) }
}

/// The connection may carry another exchange where the answer takes up all that was said, and does not say otherwise. Of
/// what may be read with some kindness (RFC 9112 §2.2: a bare LF) only the next answer is judged.
fn behind(said: &Result<Answer, Fault>, bytes: &[u8]) -> Behind {
    let answer = match said {
        Ok(answer) => answer,
        Err(Fault::Syntax(_)) => return Behind::Closed,
        Err(_) => return Behind::Forbidden,
    };
    let connection = rules::values(&answer.lines, b"connection").join(&b","[..]).to_ascii_lowercase();
    let closes = connection.split(|byte| *byte == b',').any(|option| option.trim_ascii() == b"close");
    let kept = answer.taken == Some(bytes.len()) && answer.version == b"HTTP/1.1" && !closes;
    if kept { Behind::Kept } else { Behind::Forbidden }
}

fn is_refusal(answer: &Answer) -> bool {
    answer.status == 502 && !rules::values(&answer.lines, b"x-sidepass-reason").is_empty()
}

/// Whether nothing about an answer could be a reason to refuse it.
fn is_ordinary(answer: &Answer, to_head: bool) -> bool {
    let has = |name: &str| !rules::values(&answer.lines, name.as_bytes()).is_empty();
    let bare = to_head || matches!(answer.status, 204 | 304);
    answer.lines.len() < 90 && !(has("transfer-encoding") && (bare || answer.version == b"HTTP/1.0"))
}

/// What passed was understood: by the strict reader, too, or its length at least was no guess.
fn check_passed(said: &Result<Answer, Fault>, got: &Answer, to_head: bool) {
    match said {
        Ok(said) => check_same(said, got),
        // The coding wins, and the connection is not used again (RFC 9112 §6.3).
        Err(Fault::Syntax(_) | Fault::Framing("length and coding")) => {}
        // There is no body, and the lines that say how long it is stay behind.
        Err(Fault::Framing("not chunked alone")) if to_head || matches!(got.status, 204 | 304) => {}
        Err(Fault::Framing(_)) if got.status == 204 => {}
        Err(fault) => panic!("{fault:?}, and it passed: {got:?}"),
    }
}

/// The answer as said, but for what has to go and what is added.
fn check_same(said: &Answer, got: &Answer) {
    assert_eq!((said.status, &said.body), (got.status, &got.body));
    let own = ["connection", "content-length", "transfer-encoding", "trailer", "date"];
    let is_own = |name: &[u8]| own.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
    for (name, _) in said.lines.iter().filter(|(name, _)| !is_own(name)) {
        // Redirects to the upstream itself lead back to the proxy.
        if name.eq_ignore_ascii_case(b"location") {
            continue;
        }
        let gone = is_stripped_from_response(&said.lines, name, &HIDDEN);
        let wanted = if gone { Vec::new() } else { rules::values(&said.lines, name) };
        assert_eq!(rules::values(&got.lines, name), wanted, "{}: {got:?}", String::from_utf8_lossy(name));
    }
    for (name, _) in got.lines.iter().filter(|(name, _)| !is_own(name)) {
        let known = !rules::values(&said.lines, name).is_empty();
        assert!(known, "{} was never said", String::from_utf8_lossy(name));
    }
}
