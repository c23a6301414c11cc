//! `answer:` as written.

use super::super::profile::{AnswerRules, LifetimeUnit, MemberPath, Success};
use super::super::reader::{At, Broken, Keys, Read};

/// Bytes of a path.
const LONGEST_PATH: usize = 200;

const KEYS: Keys = Keys {
    known: &["token", "lifetime", "lifetime_unit", "success", "refresh_token"],
    aliases: &[
        ("access_token", "token"),
        ("token_path", "token"),
        ("expires_in", "lifetime"),
        ("expires", "lifetime"),
        ("expires_at", "write lifetime: MEMBER with lifetime_unit: timestamp"),
        ("expiry", "lifetime"),
        ("unit", "lifetime_unit"),
        ("expires_in_unit", "lifetime_unit"),
        ("kind", "lifetime_unit"),
        ("ok", "success"),
    ],
};

/// Reads the rules of an answer.
pub(super) fn answer(at: &At<'_>) -> Read<AnswerRules> {
    let fields = at.fields(&KEYS)?;
    let token = fields.optional("token", token);
    let lifetime = fields.optional("lifetime", path);
    let lifetime_unit = fields.or("lifetime_unit", LifetimeUnit::Seconds, unit);
    let success = fields.optional("success", success);
    let refresh_token = fields.optional("refresh_token", path);
    Ok(AnswerRules {
        token: token?,
        lifetime: lifetime?,
        lifetime_unit: lifetime_unit?,
        success: success?,
        refresh_token: refresh_token?,
    })
}

/// A path, or `.` for an answer that is the token.
fn token(at: &At<'_>) -> Read<MemberPath> {
    if at.text()? == "." { MemberPath::parse(".").ok_or(Broken) } else { path(at) }
}

fn path(at: &At<'_>) -> Read<MemberPath> {
    let text = at.text()?;
    let found = MemberPath::parse(&text).filter(|path| !path.is_whole() && text.len() <= LONGEST_PATH);
    found.ok_or_else(|| {
        at.error_hint(
            "this is no path to a member",
            "write the names with dots between them, numbers for the items of a list: data.tokens.0.accessToken",
        )
    })
}

fn unit(at: &At<'_>) -> Read<LifetimeUnit> {
    use LifetimeUnit::{Clock, Milliseconds, Minutes, Seconds, Timestamp};
    at.choice(
        &[
            ("seconds", Seconds),
            ("s", Seconds),
            ("milliseconds", Milliseconds),
            ("ms", Milliseconds),
            ("minutes", Minutes),
            ("m", Minutes),
            ("timestamp", Timestamp),
            ("absolute", Timestamp),
            ("clock", Clock),
            ("duration", Clock),
        ],
        "`seconds`, `milliseconds`, `minutes`, `timestamp` (a point in time) or `clock` (hours:minutes:seconds)",
    )
}

/// `ok`, or `{ ok: "true" }`.
fn success(at: &At<'_>) -> Read<Success> {
    if at.map().is_none() {
        return Ok(Success { path: path(at)?, value: None });
    }
    let entries = at.entries()?;
    let [one] = entries.as_slice() else {
        return Err(at.error_hint(
            "one member says whether it worked",
            "write success: ok, or success: { status: success }",
        ));
    };
    let found = MemberPath::parse(one.key).filter(|path| !path.is_whole());
    let path = found.ok_or_else(|| one.key_error("this is no path to a member", None))?;
    Ok(Success { path, value: Some(one.text()?) })
}
