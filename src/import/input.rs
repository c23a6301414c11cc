//! From bytes to JSON: bounded, and a mistake is told with its line and column, never with what stands there.

use serde_json::Value;

use super::{ImportError, Origin};

/// Bytes of an export.
pub const MAX_BYTES: usize = 1 << 20;

/// Every JSON document of the text: exports that were put behind each other are read one by one.
pub(super) fn documents(text: &str, origin: Origin<'_>) -> Result<Vec<Value>, ImportError> {
    let fail = |message: String| Err(ImportError(vec![format!("{origin}: {message}")]));
    if text.len() > MAX_BYTES {
        return fail("larger than 1 MiB: is it an export?".into());
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = text.trim_start();
    if start.is_empty() {
        return fail("empty; JSON is needed".into());
    }
    if start.starts_with('<') {
        return fail(
            "this is XML or HTML; ask for JSON (`Accept: application/json`, or `?$format=json`)".into(),
        );
    }
    let mut documents = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match document {
            Ok(document) => documents.push(document),
            Err(error) => return fail(explain(&error, start)),
        }
    }
    Ok(documents)
}

/// serde_json's words may quote the input, so only the place and the class are taken.
fn explain(error: &serde_json::Error, start: &str) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Eof => "the JSON ends in the middle",
        _ if error.to_string().starts_with("recursion limit") => "the JSON is nested too deeply",
        _ => "not valid JSON",
    };
    let line = start.lines().next().unwrap_or_default();
    let properties = !start.starts_with(['{', '[', '"']) && (line.contains('=') || line.starts_with('#'));
    let hint = if properties {
        "; this looks like a properties file: take the JSON of the same thing (of a destination: the REST API's, or \
         the cockpit's JSON view)"
    } else {
        ""
    };
    format!("{what} at line {}, column {}{hint}", error.line(), error.column())
}

impl std::fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(name) => f.write_str(name),
            Self::Input => f.write_str("standard input"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// A member as text: a string, or a number or boolean as JSON spells it. Nothing, blank or `null` is none.
pub(super) fn text(object: &serde_json::Map<String, Value>, key: &str) -> Option<String> {
    let text = match object.get(key)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

/// A word for comparing: without case, spaces, `_`, `-` and CPI's "Send as (part of)".
pub(super) fn folded(text: &str) -> String {
    let word: String = text
        .chars()
        .filter(|c| !(c.is_whitespace() || matches!(c, '_' | '-')))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    ["sendaspartof", "sendas"].iter().find_map(|label| word.strip_prefix(label)).unwrap_or(&word).to_owned()
}
