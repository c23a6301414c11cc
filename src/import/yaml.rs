//! A small emitter of the YAML that [`crate::config::load`] reads: maps, lists, texts and comments.
//!
//! Invariant: whatever a text holds, the configuration reads that text back: no variable (`${…}`), placeholder, number,
//! comment or key of YAML comes out of it.

/// A value to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A text of the input.
    Text(String),
    /// A text of the input as the value of a header, where braces mean something.
    Template(String),
    /// A text with a variable of ours in it (`https://${TENANT}.example`).
    Expanded(String),
    /// What we write ourselves, as it is: `true`, `{ env: NAME }`.
    Ours(String),
    Map(Vec<Entry>),
    List(Vec<Self>),
}

/// A key, its value, and what is said about it in the lines above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) comments: Vec<String>,
    pub(super) key: String,
    pub(super) value: Yaml,
}

impl Entry {
    pub(super) fn new(key: impl Into<String>, value: Yaml) -> Self {
        Self { comments: Vec::new(), key: key.into(), value }
    }
}

/// How many nodes of a YAML tree the value is, at most: the configuration counts them.
pub(super) fn nodes(value: &Yaml) -> usize {
    match value {
        Yaml::Text(_) | Yaml::Template(_) | Yaml::Expanded(_) => 1,
        Yaml::Ours(text) => 1 + 2 * text.matches(':').count(),
        Yaml::Map(entries) => 1 + entries.iter().map(|entry| 1 + nodes(&entry.value)).sum::<usize>(),
        Yaml::List(items) => 1 + items.iter().map(nodes).sum::<usize>(),
    }
}

/// Columns of a line of comment.
const WIDTH: usize = 118;

/// Adds comments, wrapped unless they begin with two spaces (a command to copy); control characters become spaces, so that
/// a comment stays one.
pub(super) fn comments(comments: &[String], depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for comment in comments {
        let clean: String = comment.chars().map(|c| if unprintable(c) { ' ' } else { c }).collect();
        if clean.starts_with("  ") {
            out.push_str(&format!("{indent}# {}\n", clean.trim_end()));
            continue;
        }
        let mut line = String::new();
        for word in clean.split_whitespace() {
            if !line.is_empty() && indent.len() + line.chars().count() + word.chars().count() + 3 > WIDTH {
                out.push_str(&format!("{indent}# {line}\n"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            out.push_str(&format!("{indent}# {line}\n"));
        }
    }
}

/// Adds the entries of a map.
pub(super) fn entries(entries: &[Entry], depth: usize, out: &mut String) {
    for entry in entries {
        comments(&entry.comments, depth, out);
        out.push_str(&"  ".repeat(depth));
        // `${` in a key is refused by the configuration; whoever makes entries looks for it.
        out.push_str(&quoted(&entry.key));
        out.push(':');
        match &entry.value {
            Yaml::Map(map) if !map.is_empty() => {
                out.push('\n');
                self::entries(map, depth + 1, out);
            }
            Yaml::List(items) if !items.is_empty() => {
                out.push('\n');
                for item in items {
                    out.push_str(&format!("{}- {}\n", "  ".repeat(depth + 1), scalar(item)));
                }
            }
            value => out.push_str(&format!(" {}\n", scalar(value))),
        }
    }
}

fn scalar(value: &Yaml) -> String {
    match value {
        Yaml::Text(text) => quoted(&text.replace("${", "$${")),
        Yaml::Template(text) => quoted(&template(text)),
        Yaml::Expanded(text) => quoted(text),
        Yaml::Ours(text) => text.clone(),
        Yaml::Map(_) => "{}".into(),
        Yaml::List(_) => "[]".into(),
    }
}

/// A text whose braces and dollar signs are text in the template of a header.
fn template(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}', '$']) {
        out.push_str(&rest[..at]);
        let from = &rest[at..];
        if let Some(after) = from.strip_prefix("${") {
            out.push_str("$${");
            // The configuration takes `$${…}` as a whole for text; a brace in it would be doubled once too often.
            let closed = after.find(['}', '{', '$']).filter(|end| after[*end..].starts_with('}'));
            let length = closed.map_or(0, |end| end + 1);
            out.push_str(&after[..length]);
            rest = &after[length..];
        } else {
            out.push_str(&from[..1]);
            if !from.starts_with('$') {
                out.push_str(&from[..1]);
            }
            rest = &from[1..];
        }
    }
    out + rest
}

/// A scalar in the plainest style that keeps it a text.
fn quoted(text: &str) -> String {
    if text.chars().any(unprintable) {
        return format!("\"{}\"", text.chars().map(escaped).collect::<String>());
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Words that no reader of YAML takes for anything but text. Digits in front could be numbers in a scope object.
fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || "_./:@+=~-?&()|!".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let words = text.split(' ').all(|part| {
        part.chars().all(word)
            && !part.ends_with(':')
            && part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '(')
    });
    let literal = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    begins && words && !literal.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// What YAML 1.2 §5.1 calls not printable, and what some take for a line break or a mark.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(c: char) -> String {
    match c {
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\n' => "\\n".into(),
        '\t' => "\\t".into(),
        '\r' => "\\r".into(),
        c if !unprintable(c) => c.into(),
        c if u32::from(c) <= 0xFF => format!("\\x{:02X}", u32::from(c)),
        c => format!("\\u{:04X}", u32::from(c)),
    }
}

#[cfg(test)]
mod tests;
