//! llhttp's public request vectors (`tests/fixtures/llhttp`), sent through the proxy as they are and with a Host added.
//!
//! What llhttp accepts in strict mode reaches the upstream as one canonical request a message, with its method, target
//! and body; what it refuses never does. Where we decide otherwise, `exceptions.txt` says so, and why. Of what it reads
//! only leniently, and of vectors without a Host, no more may arrive than it sees.

use std::collections::BTreeMap;
use std::net::Shutdown;

use super::recorder::Recorded;
use super::run_all;
use super::stage::Stage;
use super::text::{Entry, escape, folder};
use super::vectors::{self, Message, Vector};
use crate::support::patience::patience;

/// What was sent of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AsItIs,
    WithHosts,
}

#[test]
fn llhttps_request_vectors_reach_the_upstream_in_one_reading_or_not_at_all() {
    let exceptions: BTreeMap<_, _> =
        folder("llhttp").into_iter().map(|entry| (entry.name.clone(), entry)).collect();
    let vectors = vectors::all();
    for (name, entry) in &exceptions {
        assert!(vectors.iter().any(|vector| vector.name == *name), "no vector is called {name:?}");
        assert!(entry.get("why").is_some(), "{name}: why?");
    }
    let forms: Vec<_> =
        vectors.iter().flat_map(|vector| [(vector, Form::AsItIs), (vector, Form::WithHosts)]).collect();
    run_all(&forms, Stage::new, |stage, (vector, form)| {
        check(stage, vector, *form, exceptions.get(&vector.name))
            .map_err(|failure| format!("{} ({form:?}): {failure}", vector.name))
    });
}

fn check(stage: &Stage, vector: &Vector, form: Form, exception: Option<&Entry>) -> Result<(), String> {
    let input = match form {
        Form::AsItIs => vector.input.clone(),
        Form::WithHosts => vector.with_hosts(),
    };
    let allowed = exception.and_then(|entry| entry.get("upstream")?.parse().ok());
    let most = vector.complete().count().max(allowed.unwrap_or(0));
    let before = stage.recorder.count();
    let got = exchange(stage, vector, &input);
    let outcome = stage.next().and_then(|()| upstream(stage, before)).and_then(|seen| match form {
        Form::WithHosts if !vector.lenient => compare(vector, &seen, allowed),
        _ if seen.len() > most => Err(format!("{} requests of {most} messages", seen.len())),
        _ => Ok(()),
    });
    outcome.map_err(|failure| {
        let seen = stage.recorder.since(before);
        let seen: Vec<_> = seen.iter().map(|one| format!("    upstream saw: {}", escape(&one.raw))).collect();
        let llhttp = vector.error.as_deref().unwrap_or("accepted");
        format!(
            "{failure}\n    llhttp: {llhttp}\n    sent: {}\n    caller got: {}\n{}",
            escape(&input),
            got.join(", "),
            seen.join("\n")
        )
    })
}

/// Sends the bytes and reads an answer for each message, and whatever else comes once nothing more is sent.
fn exchange(stage: &Stage, vector: &Vector, input: &[u8]) -> Vec<String> {
    let mut caller = stage.rig.connect();
    caller.stream().set_read_timeout(Some(patience())).unwrap();
    caller.send(input);
    let mut got = Vec::new();
    let answered = vector.messages.iter().filter(|message| message.complete || vector.error.is_some());
    for message in answered {
        if !message.complete {
            // Refused at once, or, where we read on, waiting for more that does not come.
            caller.stream().set_read_timeout(Some(patience() / 20)).unwrap();
        }
        match caller.try_read(&message.method) {
            Ok(answer) => got.push(answer.head.first),
            Err(error) => {
                got.push(error.to_string());
                break;
            }
        }
    }
    let _ = caller.stream().shutdown(Shutdown::Write);
    caller.stream().set_read_timeout(Some(patience())).unwrap();
    got.push(escape(&caller.read_to_end()));
    got
}

/// The whole requests that the upstream saw before the one that followed, each checked.
fn upstream(stage: &Stage, before: usize) -> Result<Vec<Recorded>, String> {
    let mut seen = stage.recorder.since(before);
    seen.pop().filter(|next| next.target() == "/next").ok_or("the next request did not come last")?;
    for one in &seen {
        stage.check_common(one, |_| false)?;
    }
    seen.retain(|one| one.complete);
    Ok(seen)
}

fn compare(vector: &Vector, seen: &[Recorded], allowed: Option<usize>) -> Result<(), String> {
    if let Some(count) = allowed {
        return if seen.len() == count {
            Ok(())
        } else {
            Err(format!("{} requests reached the upstream, not {count}", seen.len()))
        };
    }
    let expected: Vec<_> = vector.complete().map(line).collect();
    let lines: Vec<_> = seen.iter().map(|one| one.head.line.clone()).collect();
    if lines != expected {
        return Err(format!("{lines:?} reached the upstream, not {expected:?}"));
    }
    match vector.complete().zip(seen).find(|(message, one)| message.body != one.body) {
        Some((message, one)) => {
            Err(format!("the body is {}, not {}", escape(&one.body), escape(&message.body)))
        }
        None => Ok(()),
    }
}

/// The request line that leaves: origin form, without the fragment that no target may have (RFC 9112 §3.2).
fn line(message: &Message) -> String {
    let url = message.url.split('#').next().unwrap_or_default();
    let path = match url.split_once("://") {
        Some((_, rest)) if !url.starts_with('/') => rest.find(['/', '?']).map_or("", |at| &rest[at..]),
        _ => url,
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{} {slash}{path} HTTP/1.1", message.method)
}
