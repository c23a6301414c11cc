//! What stands in a state file: a JSON object, readable by people who have to repair it.

use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The format that is written; others are not read.
const VERSION: u64 = 1;

/// For which profile a refresh token is: a digest of the token service, the client, and the token configured first. A
/// token is shown only to the service and by the client that it was issued for, and a token that was configured anew
/// wins over what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The digest of these parts, each of which may be a secret.
    pub fn of(parts: &[&str]) -> Self {
        let mut digest = Context::new(&SHA256);
        for part in parts {
            // With its length: no two lists of parts are the same text.
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self(digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// A refresh token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose it is.
    pub profile: Fingerprint,
    /// The token.
    pub refresh_token: Secret,
    /// When it came.
    pub since: SystemTime,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    profile: &'a str,
    since: String,
    refresh_token: &'a str,
}

impl Kept {
    /// The file's content. Fractions of a second are lost.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let written = Written {
            version: VERSION,
            profile: &self.profile.0,
            since: humantime::format_rfc3339_seconds(self.since).to_string(),
            refresh_token: self.refresh_token.expose(),
        };
        // Room for everything at once, so that no copy stays behind while it grows.
        let room = 512 + self.refresh_token.expose().len() * 6;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        // Plain data with string keys is always JSON.
        drop(serde_json::to_writer_pretty(&mut *bytes, &written));
        bytes.push(b'\n');
        bytes
    }

    /// Reads the file's content; an error says what is wrong without showing anything of it.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.is_empty() {
            return Err("is empty");
        }
        // serde's own words would quote what they do not like.
        let value: Value = serde_json::from_slice(bytes).map_err(|_| "is damaged: it is not JSON")?;
        let members = value.as_object().ok_or("is damaged: it is no JSON object")?;
        match members.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(1..) => return Err("was written by a newer sidepass, whose format this one does not know"),
            _ => return Err("is no state file of sidepass: it has no `version`"),
        }
        let since = humantime::parse_rfc3339(text(members, "since").ok_or("is damaged: `since` is missing")?);
        Ok(Self {
            profile: Fingerprint(
                text(members, "profile").ok_or("is damaged: `profile` is missing")?.to_owned(),
            ),
            refresh_token: text(members, "refresh_token")
                .map(|token| Secret::new(token.to_owned()))
                .ok_or("is damaged: `refresh_token` is missing")?,
            since: since.map_err(|_| "is damaged: `since` is no time")?,
        })
    }
}

fn text<'a>(members: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    members.get(key)?.as_str().filter(|text| !text.is_empty())
}
