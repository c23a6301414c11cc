//! `${VAR}`, `${VAR:-default}` and `${VAR:?why}` in the values of a file, as Docker Compose reads them.
//!
//! Invariant: what a variable brings stays a piece of its own ([`Origin::Variable`]) and is not looked at again.

use super::diagnostic::Diagnostic;
use super::node::{Node, Origin, Piece, Scalar, Value};
use super::{Environment, suggest};

/// Why a text cannot be filled in. Neither text holds the value of a variable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpandError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Fills in every value below a node; one that cannot be filled in becomes [`Value::Broken`].
pub(crate) fn expand_tree(node: &mut Node, path: &str, env: &Environment, problems: &mut Vec<Diagnostic>) {
    match &mut node.value {
        Value::Scalar(scalar) => match expand_scalar(scalar, env) {
            Ok(pieces) => scalar.pieces = pieces,
            Err(error) => {
                problems.push(Diagnostic {
                    place: node.place.clone(),
                    key: path.to_owned(),
                    message: error.message,
                    hint: error.hint,
                });
                node.value = Value::Broken;
            }
        },
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_tree(item, &format!("{path}[{index}]"), env, problems);
            }
        }
        Value::Map(map) => {
            for entry in &mut map.entries {
                let path = join(path, &entry.key);
                expand_tree(&mut entry.value, &path, env, problems);
            }
        }
        Value::Broken => {}
    }
}

/// The path of a key below a path.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn expand_scalar(scalar: &Scalar, env: &Environment) -> Result<Vec<Piece>, ExpandError> {
    expand(&scalar.text(), env)
}

/// Splits a text into what is written and what variables bring. Always at least one piece.
pub(crate) fn expand(text: &str, env: &Environment) -> Result<Vec<Piece>, ExpandError> {
    let mut pieces = Vec::new();
    let mut written = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        written.push_str(before);
        if let Some(after) = from.strip_prefix("$${") {
            flush(&mut written, &mut pieces);
            // With the brace that closes it: in the template of a header that one would stand alone.
            let inside = match after.find(['}', '{', '$']) {
                Some(end) if after[end..].starts_with('}') => end + 1,
                _ => 0,
            };
            pieces.push(Piece { text: format!("${{{}", &after[..inside]), origin: Origin::Escaped });
            rest = &after[inside..];
        } else if let Some(after) = from.strip_prefix("${") {
            let end = after.find('}').ok_or_else(unterminated)?;
            flush(&mut written, &mut pieces);
            pieces.push(variable(&after[..end], env)?);
            rest = &after[end + 1..];
        } else {
            written.push('$');
            rest = &from[1..];
        }
    }
    written.push_str(rest);
    flush(&mut written, &mut pieces);
    if pieces.is_empty() {
        pieces.push(Piece { text: String::new(), origin: Origin::Written });
    }
    Ok(pieces)
}

fn flush(written: &mut String, pieces: &mut Vec<Piece>) {
    if !written.is_empty() {
        pieces.push(Piece { text: std::mem::take(written), origin: Origin::Written });
    }
}

/// What stands between the braces of `${…}`.
fn variable(inside: &str, env: &Environment) -> Result<Piece, ExpandError> {
    let length = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
    let (name, operator) = inside.split_at(length);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad_form("what stands in `${…}` does not begin with the name of a variable"));
    }
    let value = env.get(name);
    let filled = value.filter(|value| !value.is_empty());
    let from_environment =
        |value: &String| Piece { text: value.clone(), origin: Origin::Variable(name.into()) };
    if operator.is_empty() {
        return value.map(from_environment).ok_or_else(|| unset(name, env));
    }
    if let Some(default) = operator.strip_prefix(":-") {
        if default.contains('{') {
            return Err(ExpandError {
                message: format!("the default of `{name}` holds a brace; variables and braces do not nest"),
                hint: Some("set the variable instead, or write the value without a variable".into()),
            });
        }
        let default = || Piece { text: default.to_owned(), origin: Origin::Default };
        return Ok(filled.map_or_else(default, from_environment));
    }
    if let Some(why) = operator.strip_prefix(":?") {
        let why = if why.is_empty() { "it is needed" } else { why };
        return filled.map(from_environment).ok_or_else(|| ExpandError {
            message: format!("the environment variable `{name}` is not set, or empty: {why}"),
            hint: None,
        });
    }
    Err(bad_form("this form of `${…}` is not known"))
}

fn unset(name: &str, env: &Environment) -> ExpandError {
    let hint = if name == "token" || name == "claim" {
        format!("the template of a header is `{{{name}}}`, without the dollar sign")
    } else if let Some(near) = suggest::nearest(name, env.keys().map(String::as_str)) {
        format!("did you mean `${{{near}}}`?")
    } else {
        format!("set it, or write `${{{name}:-default}}`; a `${{` that is meant as text is written `$${{`")
    };
    ExpandError { message: format!("the environment variable `{name}` is not set"), hint: Some(hint) }
}

fn unterminated() -> ExpandError {
    ExpandError {
        message: "`${` has no closing `}`".into(),
        hint: Some("a `${` that is meant as text is written `$${`".into()),
    }
}

fn bad_form(message: &str) -> ExpandError {
    ExpandError {
        message: message.into(),
        hint: Some(
            "write `${VAR}`, `${VAR:-default}` or `${VAR:?why}`; a `${` that is meant as text is written `$${`"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn filled(text: &str, pairs: &[(&str, &str)]) -> String {
        expand(text, &env(pairs)).unwrap().into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn fills_in_variables_and_defaults() {
        assert_eq!(filled("a ${X} b", &[("X", "1")]), "a 1 b");
        assert_eq!(filled("${X:-http://h:1/p}", &[]), "http://h:1/p");
        assert_eq!(filled("${X:-d}", &[("X", "")]), "d");
        assert_eq!(filled("${X:-}", &[]), "");
        assert_eq!(filled("${X}", &[("X", "")]), "");
        assert_eq!(filled("", &[]), "");
    }

    #[test]
    fn keeps_dollars_that_are_no_variables() {
        assert_eq!(filled("a$X$$b$", &[("X", "no")]), "a$X$$b$");
        assert_eq!(filled("$${X}", &[("X", "no")]), "${X}");
        assert_eq!(filled("$$${X}", &[("X", "no")]), "$${X}");
        assert_eq!(filled("$${${X}}", &[("X", "x")]), "${x}");
        assert_eq!(filled("$$$", &[]), "$$$");
    }

    #[test]
    fn never_reads_a_variable_again() {
        assert_eq!(filled("${A}", &[("A", "${B}"), ("B", "no")]), "${B}");
        assert_eq!(filled("$${A}${A}", &[("A", "$${x")]), "${A}$${x");
    }

    #[test]
    fn says_what_is_wrong_with_a_form() {
        for text in ["${", "${A", "${}", "${1}", "${A-b}", "${A:+b}", "${A:-${B}}", "${a.b}", "${ A }"] {
            assert!(expand(text, &env(&[("A", "x")])).is_err(), "{text}");
        }
        let error = expand("${A:?ask ops}", &env(&[("A", "")])).err().unwrap();
        assert!(error.message.ends_with("ask ops"), "{}", error.message);
        assert!(expand("${token}", &env(&[])).err().unwrap().hint.unwrap().contains("`{token}`"));
        assert!(
            expand("${CLIENT_IDD}", &env(&[("CLIENT_ID", "")]))
                .err()
                .unwrap()
                .hint
                .unwrap()
                .contains("${CLIENT_ID}")
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "[${}:?\\-a-cü ]{0,24}", value in ".{0,12}") {
            let _ = expand(&text, &env(&[("a", &value), ("b", "${a}")]));
        }

        #[test]
        fn what_a_variable_brings_is_one_untouched_piece(value in "[${}:?\\-a-c\"'#\\n]{1,24}") {
            let pieces = expand("x{${a}}", &env(&[("a", &value)])).unwrap();
            prop_assert_eq!(pieces.len(), 3);
            prop_assert_eq!(&pieces[1].text, &value);
            prop_assert!(pieces[1].origin == Origin::Variable("a".into()));
        }

        #[test]
        fn text_without_dollars_is_left_alone(text in "[^$]{1,40}") {
            prop_assert_eq!(filled(&text, &[]), text);
        }
    }
}
