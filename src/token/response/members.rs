//! The members of an answer, whatever it is written in.

use serde_json::{Map, Value};

use super::Answer;
use crate::config::profile::{AnswerRules, MemberPath};
use crate::token::form;

/// What an answer holds.
pub(super) enum Content {
    /// Members, and what they were written in.
    Members(Map<String, Value>, Syntax),
    /// A JSON string.
    Text(String),
    /// None of these.
    Other,
}

/// What members are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// An object; or an array, whose items are called by their numbers.
    Json,
    /// A form. Any text with a `=` in it may pass for one, a bare token too.
    Form,
}

/// Reads an answer: JSON whatever its type says, else a form if its type says so, and no rule says that it is a token.
pub(super) fn content(answer: &Answer, rules: &AnswerRules) -> Content {
    let whole = rules.token.as_ref().is_some_and(MemberPath::is_whole);
    let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(members)) => Content::Members(members, Syntax::Json),
        Ok(Value::Array(items)) => {
            let numbered = items.into_iter().enumerate().map(|(number, item)| (number.to_string(), item));
            Content::Members(numbered.collect(), Syntax::Json)
        }
        Ok(Value::String(text)) => Content::Text(text),
        Ok(_) if whole => Content::Other,
        Ok(_) => Content::Members(Map::new(), Syntax::Json),
        Err(_) if whole => Content::Other,
        Err(_) => {
            form(answer, body).map_or(Content::Other, |members| Content::Members(members, Syntax::Form))
        }
    }
}

fn form(answer: &Answer, body: &[u8]) -> Option<Map<String, Value>> {
    let media_type = answer.content_type.as_deref().unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let may_be_form = matches!(&*media_type, "application/x-www-form-urlencoded" | "text/plain");
    let text = std::str::from_utf8(body).ok().filter(|text| may_be_form && text.contains('='))?;
    Some(form::pairs(text.trim()).map(|(key, value)| (key, Value::String(value))).collect())
}

impl Content {
    /// The members; none where there are none to speak of.
    pub(super) fn members(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Members(members, _) => Some(members),
            Self::Text(_) | Self::Other => None,
        }
    }
}
