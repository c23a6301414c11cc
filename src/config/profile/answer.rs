//! What the answer of a token service looks like, where it is not RFC 6749's.

use serde_json::{Map, Value};

/// Where things stand in an answer. The default is RFC 6749 §5.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerRules {
    /// Where the token stands (`access_token`, `accessToken`); [`MemberPath::is_whole`] if the answer is the token.
    pub token: Option<MemberPath>,
    /// Where the lifetime stands (`expires_in`, and the absolute members).
    pub lifetime: Option<MemberPath>,
    /// What the number there means; without `lifetime`, what `expires_in` means.
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
    /// `hours:minutes:seconds` or `days.hours:minutes:seconds` from now.
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

impl Success {
    /// Whether these members are those of a success.
    pub fn holds(&self, members: &Map<String, Value>) -> bool {
        let text = match self.path.find(members) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => return false,
            Some(Value::Array(items)) if items.is_empty() => return false,
            Some(other) => other.to_string(),
        };
        match &self.value {
            Some(value) => text.eq_ignore_ascii_case(value),
            None => !matches!(&*text.to_ascii_lowercase(), "" | "false" | "0" | "0.0" | "{}"),
        }
    }
}

/// The way to a member of a JSON document: names of members and numbers of items, with dots between them. No names at
/// all, written `.`, is the document itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(Vec<String>);

impl MemberPath {
    /// Reads `data.tokens.0.accessToken`; nothing, if a part of it is empty.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "." {
            return Some(Self(Vec::new()));
        }
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        (!parts.iter().any(String::is_empty)).then_some(Self(parts))
    }

    /// Whether it is the whole document rather than a member of it.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
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

    /// Takes what stands there out of the document; `null` stays in its place.
    pub fn take(&self, members: &mut Map<String, Value>) -> Option<Value> {
        let (first, rest) = self.0.split_first()?;
        let found = rest.iter().try_fold(members.get_mut(first)?, |value, part| match value {
            Value::Object(members) => members.get_mut(part),
            Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
            _ => None,
        });
        found.map(Value::take)
    }
}

impl std::fmt::Display for MemberPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_whole() { f.write_str(".") } else { f.write_str(&self.0.join(".")) }
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
        assert!(["", "..", "a.", ".a", "a..b"].iter().all(|path| MemberPath::parse(path).is_none()));
    }

    #[test]
    fn success_is_a_member_that_says_yes_or_what_is_wanted() {
        let holds = |answer: Value, value: Option<&str>| {
            let path = MemberPath::parse("ok").unwrap();
            Success { path, value: value.map(str::to_owned) }.holds(answer.as_object().unwrap())
        };
        for yes in [json!(true), json!("true"), json!(1), json!("yes"), json!([1])] {
            assert!(holds(json!({"ok": yes}), None), "{yes}");
        }
        for no in [json!(false), json!(null), json!(0), json!(""), json!("False"), json!([]), json!({})] {
            assert!(!holds(json!({"ok": no}), None), "{no}");
        }
        assert!(!holds(json!({}), None) && !holds(json!({}), Some("true")));
        assert!(holds(json!({"ok": "SUCCESS"}), Some("success")) && holds(json!({"ok": 0}), Some("0")));
        assert!(!holds(json!({"ok": true}), Some("success")));
    }

    #[test]
    fn the_whole_document_is_no_member() {
        let whole = MemberPath::parse(".").unwrap();
        assert!(whole.is_whole() && whole.to_string() == ".");
        assert_eq!(whole.find(json!({"": 1}).as_object().unwrap()), None);
    }

    #[test]
    fn takes_out_what_it_finds() {
        let mut answer = json!({"tokens": [{"token": "t", "id": 1}]}).as_object().unwrap().clone();
        let path = MemberPath::parse("tokens.0.token").unwrap();
        assert_eq!(path.take(&mut answer), Some(json!("t")));
        assert_eq!(Value::Object(answer.clone()), json!({"tokens": [{"token": null, "id": 1}]}));
        assert_eq!(MemberPath::parse("tokens.1").unwrap().take(&mut answer), None);
    }
}
