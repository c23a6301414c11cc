//! The forms in which a string may stand: a text, `{ env: NAME }`, `{ file: path }`, `{ systemd_credential: name }`.

use std::path::{Component, Path, PathBuf};

use super::SecretSource;
use super::node::{Flow, Origin, Scalar, Value};
use super::reader::{At, Keys, Read};
use super::source::{Flaw, clean, explain};
use super::suggest::nearest;
use crate::secret::Secret;

/// What a literal means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A literal is warned about.
    Secret,
    /// It may stand in the file.
    Plain,
}

const KUBERNETES: &str =
    "let Kubernetes set a variable of the container from the Secret, and name that variable: { env: NAME }";

/// The forms, and what may stand beside `file`: where in a JSON file the text stands, and what is put behind a URL.
const FORMS: Keys = Keys {
    known: &["env", "file", "systemd_credential", "pointer", "append"],
    aliases: &[
        ("environment", "env"),
        ("envvar", "env"),
        ("variable", "env"),
        ("path", "file"),
        ("filename", "file"),
        ("credential", "systemd_credential"),
        ("valueFrom", KUBERNETES),
        ("secretKeyRef", KUBERNETES),
    ],
};

/// Reads a string that may be a secret, and looks at once whether it can be read.
pub(crate) fn source(at: &At<'_>, kind: Kind) -> Read<SecretSource> {
    let source = unchecked(at, kind)?;
    check(at, &source)?;
    Ok(source)
}

/// The same for a text of several lines, such as PEM; what it holds is for the caller to check.
pub(crate) fn text_source(at: &At<'_>, kind: Kind) -> Read<SecretSource> {
    let source = unchecked(at, kind)?;
    source.read_text().map_err(|error| at.error(error.0))?;
    Ok(source)
}

fn unchecked(at: &At<'_>, kind: Kind) -> Read<SecretSource> {
    match &at.node.value {
        Value::Map(_) => form(at),
        _ => from_scalar(at, at.scalar()?, kind),
    }
}

fn from_scalar(at: &At<'_>, scalar: &Scalar, kind: Kind) -> Read<SecretSource> {
    if let Some((name, value)) = scalar.whole_variable() {
        return Ok(SecretSource::Env { name: name.to_owned(), value: Secret::new(value.to_owned()) });
    }
    let text = scalar.text();
    refuse_placeholder(at, scalar)?;
    if kind == Kind::Secret && !scalar.has_variable() {
        at.warn(
            "a secret stands in the file itself",
            "take it from a variable or a file: { env: NAME } or { file: path }",
        );
    }
    Ok(SecretSource::Literal(Secret::new(text)))
}

/// `{{YOUR-COMPANY-ID}}`, left from a template, would go out as it is.
pub(crate) fn refuse_placeholder(at: &At<'_>, scalar: &Scalar) -> Read<()> {
    match placeholder(&scalar.text()) {
        Some(found) if scalar.pieces.iter().all(|piece| piece.origin == Origin::Written) => {
            Err(at
                .error_hint(format!("`{found}` is left from a template"), "put your own value in its place"))
        }
        _ => Ok(()),
    }
}

/// `{{UPPER-CASE}}` in a text.
pub(crate) fn placeholder(text: &str) -> Option<&str> {
    let start = text.find("{{")?;
    let inside = &text[start + 2..];
    let end = inside.find("}}")?;
    let name = &inside[..end];
    let upper = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | ' '));
    upper.then(|| &text[start..start + end + 4])
}

fn form(at: &At<'_>) -> Read<SecretSource> {
    let Some(map) = at.map() else {
        return Err(at.error("a text or a form such as { env: NAME } is needed"));
    };
    // The keys of braces without quotes may be a secret: they are named only if they are a form, nearly.
    let is_form = |key: &str| {
        nearest(key, FORMS.known.iter().copied()).is_some()
            || FORMS.aliases.iter().any(|(alias, _)| alias.eq_ignore_ascii_case(key))
    };
    if !map.entries.iter().any(|entry| is_form(&entry.key)) {
        let hint = if map.flow == Flow::Braces {
            "a text that begins with `{` needs quotes: \"{…}\"; a secret comes from { env: NAME }, { file: path } or \
             { systemd_credential: name }"
        } else {
            "write { env: NAME }, { file: path } or { systemd_credential: name }"
        };
        return Err(at.error_hint("a text is needed, but a map stands here", hint));
    }
    let fields = at.fields(&FORMS)?;
    let forms: Vec<&At<'_>> = FORMS.known[..3].iter().filter_map(|key| fields.get(key)).collect();
    let (pointer, append) = (fields.get("pointer"), fields.get("append"));
    let known = forms.len() + usize::from(pointer.is_some()) + usize::from(append.is_some());
    match forms.as_slice() {
        _ if known < map.entries.len() => Err(super::reader::Broken),
        [one] => append_to(append, point_into(pointer, read_form(one)?)?),
        [] => {
            Err(at
                .error_hint("`pointer` and `append` need a file", "write { file: key.json, pointer: /name }"))
        }
        [..] => Err(at.error("only one of `env`, `file` and `systemd_credential` may stand here")),
    }
}

/// `pointer`: the text is a member of a JSON file.
fn point_into(pointer: Option<&At<'_>>, source: SecretSource) -> Read<SecretSource> {
    let Some(at) = pointer else { return Ok(source) };
    let pointer = at.text()?;
    match source {
        SecretSource::File(file) if pointer.starts_with('/') => Ok(SecretSource::Member { file, pointer }),
        SecretSource::File(_) => Err(at.error_hint(
            "this is no JSON pointer (RFC 6901)",
            "write the names on the way, each behind a slash: /uaa/clientid",
        )),
        _ => Err(at.key_error("`pointer` needs a file", None)),
    }
}

/// `append`: what was read is a URL without its path.
fn append_to(append: Option<&At<'_>>, source: SecretSource) -> Read<SecretSource> {
    let Some(at) = append else { return Ok(source) };
    let path = at.text()?;
    match path.starts_with('/') {
        true => Ok(SecretSource::Url { base: Box::new(source), path }),
        false => Err(at.error_hint("this is no path of a URL", "write it with its slash: /oauth/token")),
    }
}

fn read_form(at: &At<'_>) -> Read<SecretSource> {
    let text = at.text()?;
    match at.key {
        "env" => environment(at, text),
        "file" => Ok(SecretSource::File(relative(at, &text)?)),
        _ => systemd(at, &text),
    }
}

fn environment(at: &At<'_>, name: String) -> Read<SecretSource> {
    if name.is_empty() || name.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        return Err(at.error_hint(
            "this is not the name of a variable",
            "write the name as it stands, without `$`: { env: NAME }",
        ));
    }
    match at.cx.env.get(&name) {
        Some(value) => Ok(SecretSource::Env { name, value: Secret::new(value.clone()) }),
        None => {
            let near = nearest(&name, at.cx.env.keys().map(String::as_str));
            let hint = match near {
                Some(near) => format!("set it, or did you mean `{near}`?"),
                None => "set it where sidepass is started; the name stands without `$`".to_owned(),
            };
            Err(at.error_hint(format!("the environment variable {} is not set", at.quoted()), hint))
        }
    }
}

fn systemd(at: &At<'_>, name: &str) -> Read<SecretSource> {
    let mut parts = Path::new(name).components();
    if !(matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()) || name.ends_with('/')
    {
        return Err(at.error_hint(
            "a systemd credential is a name, not a path",
            "the name of LoadCredential= in the unit",
        ));
    }
    match at.cx.env.get("CREDENTIALS_DIRECTORY").filter(|directory| !directory.is_empty()) {
        Some(directory) => Ok(SecretSource::File(Path::new(directory).join(name))),
        None => Err(at.error_hint(
            "systemd handed over no credentials: $CREDENTIALS_DIRECTORY is not set",
            format!("add LoadCredential={name}:… or LoadCredentialEncrypted= to the unit"),
        )),
    }
}

/// A path, relative to the file it stands in.
pub(crate) fn relative(at: &At<'_>, text: &str) -> Read<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err(at.error("the path of a file is needed"));
    }
    if text.starts_with("~/") {
        return Err(at.error_hint("`~` is not filled in", "write ${HOME}/…"));
    }
    Ok(at.node.place.directory().map_or_else(|| PathBuf::from(text), |directory| directory.join(text)))
}

fn check(at: &At<'_>, source: &SecretSource) -> Read<()> {
    let result = match source {
        SecretSource::Literal(secret) => clean(secret.expose()).map(|_| ()).map_err(|flaw| match flaw {
            Flaw::Empty => "this text must not be empty".to_owned(),
            flaw => format!("this text {flaw}"),
        }),
        other => other.read().map(|_| ()).map_err(|error| error.0),
    };
    result.map_err(|message| at.error(message))
}

/// A file of certificates: it can be read and holds one.
pub(crate) fn ca_file(at: &At<'_>) -> Read<PathBuf> {
    let path = relative(at, &at.text()?)?;
    let regular = std::fs::metadata(&path).map(|meta| meta.is_file());
    if let Ok(false) = regular {
        return Err(at.error(format!("{} is not a regular file", path.display())));
    }
    match std::fs::read(&path) {
        Err(error) => Err(at.error(explain(&path, &error))),
        Ok(bytes) if find(&bytes, b"-----BEGIN CERTIFICATE-----") || find(&bytes, b"-----BEGIN TRUSTED CERTIFICATE-----") => {
            Ok(path)
        }
        Ok(_) => Err(at.error_hint(
            format!("{} holds no PEM certificate", path.display()),
            "a PEM file has a line `-----BEGIN CERTIFICATE-----`; convert DER with `openssl x509 -inform der`",
        )),
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_placeholders_of_templates() {
        assert_eq!(placeholder("x {{YOUR-COMPANY-ID}} y"), Some("{{YOUR-COMPANY-ID}}"));
        assert_eq!(placeholder("{{USER_ID}}"), Some("{{USER_ID}}"));
        for text in ["{{lower}}", "{{}}", "{{A", "{A}", "{{a}}{{B}}", "{{$X}}"] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }
}
