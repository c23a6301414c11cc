//! What the answer of a token service looks like, where it is not RFC 6749's.

use serde_json::{Map, Value};

/// Where things stand in an answer. The default is RFC 6749 §5.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerRules {
    /// Where the token stands (`access_token`).
    pub token: Option<MemberPath>,
    /// Where the lifetime stands (`expires_in`, and the absolute members).
    pub lifetime: Option<MemberPath>,
    /// What the number there means; only with `lifetime`, or for `expires_in`.
    pub lifetime_unit: LifetimeUnit,
    /// What a success looks like, beyond the status and the token (Slack's `ok`).
    pub success: Option<Success>,
    /// Where a new refresh token stands (`refresh_token`).
    pub refresh_token: Option<MemberPath>,
}

/// What a lifetime is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifetimeUnit {
    /// Seconds from now.
    #[default]
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Minutes from now.
    Minutes,
    /// A point in time: seconds or milliseconds since the epoch, ISO 8601, or an HTTP date.
    Timestamp,
    /// `hours:minutes:seconds` from now.
    Clock,
}

/// A member that says whether it worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Where it stands.
    pub path: MemberPath,
    /// What it says on success; nothing means `true`, or anything else that is neither false, null, empty nor zero.
    pub value: Option<String>,
}

/// The way to a member of a JSON document: names of members and numbers of items, with dots between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(Vec<String>);

impl MemberPath {
    /// Reads `data.tokens.0.accessToken`; nothing, if a part of it is empty.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        (!parts.iter().any(String::is_empty)).then_some(Self(parts))
    }

    /// What stands there.
    pub fn find<'a>(&self, members: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(members.get(first)?, |value, part| match value {
            Value::Object(members) => members.get(part),
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

impl std::fmt::Display for MemberPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_members_and_items() {
        let answer = json!({"tokens": [{"access": {"token": "t"}}], "a.b": 1});
        let answer = answer.as_object().unwrap();
        let find = |path: &str| MemberPath::parse(path).unwrap().find(answer);
        assert_eq!(find("tokens.0.access.token"), Some(&json!("t")));
        for path in ["tokens.1", "tokens.x", "tokens.0.access.token.more", "a.b"] {
            assert_eq!(find(path), None, "{path}");
        }
        assert!(["", ".", "a.", ".a", "a..b"].iter().all(|path| MemberPath::parse(path).is_none()));
    }
}
