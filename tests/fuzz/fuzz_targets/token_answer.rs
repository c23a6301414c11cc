//! Answers of a token service, by every kind of rule, to a token or to an error that an operator may read.
//!
//! The first four bytes choose status, content type, where the token stands and what its lifetime is counted in; the text up to the first line end
//! is the value of the other headers; the rest is the body, in which `%T` is a token and `%S` the client secret. Whatever the
//! input was: a token fits a header and lives for a while, but not for ever; an error shows neither token nor secret, on one
//! line; a good answer in the RFC's own shape is never refused; and the same answer is read in the same way twice.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sidepass::clock::Clock;
use sidepass::config::profile::{AnswerRules, AuthorizationScheme, LifetimeUnit, MemberPath, Success};
use sidepass::secret::Secret;
use sidepass::token::error::FetchError;
use sidepass::token::redact::Redactor;
use sidepass::token::response::{self, Answer, Expectation, Issued, MAX_TOKEN, Service};

/// A token, as long as one is.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJmdXp6In0.c2lnbmF0dXJl";

/// The client secret: short, and with characters that a form encodes.
const SECRET: &str = "s3cr3t+/=";

/// More than a hundred years is no lifetime.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86400);

const STATUSES: [u16; 12] = [200, 201, 204, 302, 400, 401, 403, 408, 429, 500, 503, 299];
const TYPES: [Option<&str>; 6] = [
    Some("application/json"),
    Some("application/x-www-form-urlencoded"),
    Some("text/plain; charset=utf-8"),
    Some("text/html"),
    Some(""),
    None,
];
const TOKENS: [Option<&str>; 5] =
    [None, Some("."), Some("token"), Some("data.tokens.0.accessToken"), Some("0.a")];
const UNITS: [LifetimeUnit; 5] = [
    LifetimeUnit::Seconds,
    LifetimeUnit::Milliseconds,
    LifetimeUnit::Minutes,
    LifetimeUnit::Timestamp,
    LifetimeUnit::Clock,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choices, text)) = bytes.split_first_chunk::<4>() else { return };
    let answer = answer(choices, text);
    let rules = rules(choices);
    let service = if choices[1] & 0x80 == 0 { Service::OAuth2 } else { Service::Login };
    let read = judge(&answer, &rules, service);
    match &read {
        Ok(issued) => check_token(&answer, issued),
        Err(error) => check_error(&answer, error),
    }
    if rules == AnswerRules::default() && service == Service::OAuth2 {
        check_plain(&answer, read.as_ref());
    }
    let renewed = response::renewed(&answer, &rules);
    assert!(renewed.is_none_or(|token| !token.expose().is_empty()), "an empty refresh token");
    let again = judge(&answer, &rules, service);
    let shown = |read: &Result<Issued, FetchError>| match read {
        Ok(issued) => format!("{:?}", issued.access.text.expose()),
        Err(error) => error.message.clone(),
    };
    assert_eq!(shown(&read), shown(&again), "it is read the same way twice");
});

fn answer(choices: &[u8; 4], text: &[u8]) -> Answer {
    let pick = |choice: u8, of: usize| usize::from(choice & 0x7f) % of;
    let (header, body) = match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (&[][..], text),
    };
    let header = (!header.is_empty()).then(|| String::from_utf8_lossy(header).into_owned());
    let mut filled = Vec::new();
    let mut rest = body;
    while let Some((first, tail)) = rest.split_first() {
        let (with, tail) = match (first, tail.first()) {
            (b'%', Some(b'T')) => (TOKEN.as_bytes(), &tail[1..]),
            (b'%', Some(b'S')) => (SECRET.as_bytes(), &tail[1..]),
            _ => (&rest[..1], tail),
        };
        filled.extend_from_slice(with);
        rest = tail;
    }
    Answer {
        status: STATUSES[pick(choices[0], STATUSES.len())],
        content_type: TYPES[pick(choices[1], TYPES.len())].map(str::to_owned),
        content_encoding: None,
        date: header.clone(),
        retry_after: header.clone(),
        location: header,
        dpop_nonce: None,
        body: filled,
        cut: choices[0] & 0x80 != 0,
    }
}

fn rules(choices: &[u8; 4]) -> AnswerRules {
    let success = (choices[2] & 0x80 != 0).then(|| Success {
        path: MemberPath::parse("ok").expect("a path"),
        value: (choices[2] & 0x40 != 0).then(|| "true".to_owned()),
    });
    AnswerRules {
        token: TOKENS[usize::from(choices[2] & 0x3f) % TOKENS.len()].and_then(MemberPath::parse),
        lifetime: (choices[3] & 0x80 != 0).then(|| MemberPath::parse("data.life").expect("a path")),
        lifetime_unit: UNITS[usize::from(choices[3] & 0x3f) % UNITS.len()],
        success,
        refresh_token: (choices[3] & 0x40 != 0).then(|| MemberPath::parse("data.next").expect("a path")),
    }
}

fn judge(answer: &Answer, rules: &AnswerRules, service: Service) -> Result<Issued, FetchError> {
    let now = Clock::system().now();
    let mut redactor = Redactor::default();
    redactor.hide(&Secret::new(SECRET.to_owned()));
    let expected = Expectation {
        sent_at: now,
        received_at: now,
        last_lifetime: None,
        default_lifetime: Duration::from_secs(300),
        rules,
        scheme: AuthorizationScheme::Bearer,
        service,
        redactor: &redactor,
        invalid_client_hint: "a hint",
    };
    response::read(answer, &expected)
}

fn check_token(answer: &Answer, issued: &Issued) {
    assert!((200..300).contains(&answer.status) && !answer.cut, "a token of {}", answer.status);
    let text = issued.access.text.expose();
    assert!(!text.is_empty() && text.len() <= MAX_TOKEN, "{} bytes", text.len());
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?} fits no header");
    let lifetime = issued.access.lifetime;
    assert!(lifetime >= Duration::from_millis(1) && lifetime <= LONGEST, "{lifetime:?}");
    // Names of members are shown, whatever they are.
    let shown = format!("{:?} {:?}", issued.access.text, issued.refresh_token);
    assert!(!shown.contains(TOKEN), "Debug shows the token: {shown}");
    for name in ["access_token", "refresh_token", "accessToken", "refreshToken"] {
        assert_eq!(issued.access.fields.get(name), None, "{name} is kept");
    }
    assert!(issued.refresh_token.as_ref().is_none_or(|token| !token.expose().is_empty()));
}

fn check_error(answer: &Answer, error: &FetchError) {
    let message = &error.message;
    assert!(!message.is_empty() && message.chars().count() < 1000, "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(!message.contains(TOKEN), "the token is shown: {message}");
    // What the request says of itself, and a host, are not made of the body.
    assert!(answer.status == 302 || !message.contains(SECRET), "the secret is shown: {message}");
}

/// What RFC 6749 §5.1 has, and nothing else, is a token.
fn check_plain(answer: &Answer, read: Result<&Issued, &FetchError>) {
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(&answer.body) else { return };
    let known =
        |name: &String| ["access_token", "expires_in", "scope", "token_type"].contains(&name.as_str());
    let Some(Value::String(token)) = members.get("access_token") else { return };
    let bearer = members.get("token_type").is_none_or(|kind| kind.as_str() == Some("Bearer"));
    let fits =
        !token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    if answer.status == 200 && !answer.cut && members.keys().all(known) && bearer && fits {
        let issued = read.unwrap_or_else(|error| panic!("refused: {error}"));
        assert_eq!(issued.access.text.expose(), token);
        if let Some(seconds @ 1..=3_000_000_000) = members.get("expires_in").and_then(Value::as_u64) {
            assert_eq!(issued.access.lifetime, Duration::from_secs(seconds));
        }
    }
}
