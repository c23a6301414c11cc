//! Where a string of a profile, a secure parameter or a header comes from.
//!
//! Invariant: a file is read anew at every [`SecretSource::read`], so that a rotated secret is seen; what was read is
//! never expanded, and one trailing newline is cut.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroize;

use crate::secret::Secret;

/// Bytes of a secret file.
const MAX_FILE: u64 = 64 * 1024;

/// A string that may be a secret, and where it stands.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// Written in proxy.yaml itself (a warning, where it is a secret).
    Literal(Secret),
    /// `{ env: NAME }` or a whole `${NAME}`: read once, at load; a process's environment does not change.
    Env {
        /// The variable's name, for messages.
        name: String,
        /// What it held at load.
        value: Secret,
    },
    /// `{ file: path }`, or `{ systemd_credential: name }` below `$CREDENTIALS_DIRECTORY`: read again whenever needed.
    File(PathBuf),
    /// A member of a JSON file (a service key, a binding): read again whenever needed.
    Member {
        /// The file.
        file: PathBuf,
        /// Where in it the text stands (RFC 6901).
        pointer: String,
    },
    /// A URL of one of these, with a path put behind it: keys and bindings name the host of a token service only.
    Url {
        /// Where the URL comes from.
        base: Box<SecretSource>,
        /// What is put behind it, unless it ends so.
        path: String,
    },
}

/// Why a source could not be read; names the file, never what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

impl SecretSource {
    /// The text as of now. One trailing newline and a UTF-8 byte order mark are cut; an empty text and control
    /// characters (a newline inside, NUL) are errors, because neither a header nor a form could carry them.
    pub fn read(&self) -> Result<Secret, SourceError> {
        let text = self.read_text()?;
        clean(text.expose())
            .map(|text| Secret::new(text.to_owned()))
            .map_err(|flaw| SourceError(format!("{self} {flaw}")))
    }

    /// The text as of now, line breaks and all: a PEM file, a template. Only what is no UTF-8, or too large, is an error.
    pub fn read_text(&self) -> Result<Secret, SourceError> {
        match self {
            Self::Literal(secret) | Self::Env { value: secret, .. } => Ok(secret.clone()),
            Self::File(path) => read_file(path),
            Self::Member { file, pointer } => member(&read_file(file)?, pointer)
                .map_err(|flaw| SourceError(format!("{} {flaw} {pointer}", file.display()))),
            Self::Url { base, path } => Ok(Secret::new(complete(base.read()?.expose(), path))),
        }
    }

    /// The file that it is read from, if it is.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Member { file: path, .. } => Some(path),
            Self::Url { base, .. } => base.file(),
            Self::Literal(_) | Self::Env { .. } => None,
        }
    }

    /// Where it comes from, for a message: the variable or the file, never the value.
    pub fn describe(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("the literal value"),
            Self::Env { name, .. } => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Member { file, pointer } => write!(f, "{} ({pointer})", file.display()),
            Self::Url { base, .. } => base.fmt(f),
        }
    }
}

/// A URL with a path behind it, unless it ends so. Hosts without a scheme, as some brokers hand them out, are https.
pub(crate) fn complete(base: &str, path: &str) -> String {
    let scheme = if base.contains("://") { "" } else { "https://" };
    let bare = base.trim_end_matches('/');
    match path.is_empty() || bare.ends_with(path) {
        true => format!("{scheme}{base}"),
        false => format!("{scheme}{bare}{path}"),
    }
}

/// What is wrong with a text that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("is empty")]
    Empty,
    #[error("holds a line break inside: only one at the end is cut")]
    LineBreak,
    #[error("holds a NUL or another control character")]
    Control,
}

/// A text without a byte order mark and one trailing newline.
pub(crate) fn clean(text: &str) -> Result<&str, Flaw> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(Flaw::Empty);
    }
    match text.chars().find(|c| c.is_control()) {
        Some('\n' | '\r') => Err(Flaw::LineBreak),
        Some(_) => Err(Flaw::Control),
        None => Ok(text),
    }
}

fn read_file(path: &Path) -> Result<Secret, SourceError> {
    let name = path.display();
    let fail = |error: &io::Error| SourceError(explain(path, error));
    let meta = fs::metadata(path).map_err(|error| fail(&error))?;
    if meta.is_dir() {
        return Err(SourceError(format!("{name} is a directory: name the file in it")));
    }
    if !meta.is_file() {
        return Err(SourceError(format!("{name} is not a regular file; it is read again and again")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(MAX_FILE)).unwrap_or(0) + 1);
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(&error))?;
    let secret = if bytes.len() as u64 > MAX_FILE {
        Err(format!("{name} is larger than 64 KiB: that is no secret"))
    } else {
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Secret::new(text.to_owned())),
            Err(_) => Err(format!("{name} is not UTF-8 text")),
        }
    };
    bytes.zeroize();
    secret.map_err(SourceError)
}

/// A text in a JSON document; a number or a boolean as it is written.
fn member(json: &Secret, pointer: &str) -> Result<Secret, &'static str> {
    let document: serde_json::Value = serde_json::from_str(json.expose().trim_start_matches('\u{feff}'))
        .map_err(|_| "is not JSON, and so holds nothing at")?;
    match document.pointer(pointer) {
        Some(serde_json::Value::String(text)) => Ok(Secret::new(text.clone())),
        Some(other @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
            Ok(Secret::new(other.to_string()))
        }
        Some(_) => Err("holds no text at"),
        None => Err("holds nothing at"),
    }
}

/// Why a file cannot be read, with what an operator needs: owner, mode, and who we are.
pub(crate) fn explain(path: &Path, error: &io::Error) -> String {
    let name = path.display();
    let us = rustix::process::geteuid().as_raw();
    match error.kind() {
        io::ErrorKind::NotFound => format!("{name} does not exist{}", beginning_of(path)),
        io::ErrorKind::PermissionDenied => match fs::metadata(path) {
            Ok(meta) => format!("cannot read {name}: {}", denied(meta.uid(), meta.gid(), meta.mode(), us)),
            Err(_) => format!(
                "cannot read {name}: a directory above it may not be entered, and we run as uid {us}; give uid {us} the \
                 x permission on it"
            ),
        },
        kind => format!("cannot read {name}: {kind}"),
    }
}

fn denied(owner: u32, group: u32, mode: u32, us: u32) -> String {
    let mode = mode & 0o7777;
    format!(
        "owned by uid {owner}, gid {group}, mode {mode:04o}, and we run as uid {us}; let uid {us} read it (chown {us}, or \
         in Kubernetes `fsGroup` and `defaultMode: 0440`)"
    )
}

/// How far a path exists: most often a volume is not mounted.
fn beginning_of(path: &Path) -> String {
    let there = path.ancestors().skip(1).find(|above| !above.as_os_str().is_empty() && above.exists());
    match (there, path.parent()) {
        (Some(there), Some(parent)) if there != parent => {
            format!("; of its path only {} exists: is the volume mounted?", there.display())
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, SecretSource) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, bytes).unwrap();
        (dir, SecretSource::File(path))
    }

    fn read(bytes: &[u8]) -> Result<String, String> {
        let (_dir, source) = file(bytes);
        source.read().map(|secret| secret.expose().to_owned()).map_err(|error| error.0)
    }

    #[test]
    fn cuts_one_newline_and_a_byte_order_mark() {
        for bytes in [&b"a$b+c="[..], b"a$b+c=\n", b"a$b+c=\r\n", b"\xef\xbb\xbfa$b+c=\n"] {
            assert_eq!(read(bytes).unwrap(), "a$b+c=");
        }
        assert_eq!(read(b"${X} {token} \n").unwrap(), "${X} {token} ", "never expanded, never trimmed");
    }

    #[test]
    fn refuses_what_no_header_could_carry_and_names_the_file_only() {
        for bytes in [
            &b"hunter2\nmore\n"[..],
            b"hunter2\n\n",
            b"hun\0ter2",
            b"hunter2\r",
            b"hunter2\xff",
            b"\t hunter2",
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains("/secret ") && !error.contains("hunter2"), "{error}");
        }
        assert!(read(b"").unwrap_err().contains("is empty"));
        assert!(read(b"\n").unwrap_err().contains("is empty"));
        assert!(read(&vec![b'x'; 70_000]).unwrap_err().contains("64 KiB"));
        assert!(read(&vec![b'x'; 65_536]).is_ok());
    }

    #[test]
    fn reads_a_file_anew() {
        let (dir, source) = file(b"one");
        assert_eq!(source.read().unwrap().expose(), "one");
        fs::write(dir.path().join("secret"), "two").unwrap();
        assert_eq!(source.read().unwrap().expose(), "two");
    }

    #[test]
    fn a_member_that_is_not_there_says_what_is_wrong_with_the_file() {
        let read = |bytes: &[u8], pointer: &str| {
            let (dir, _) = file(bytes);
            let source = SecretSource::Member { file: dir.path().join("secret"), pointer: pointer.into() };
            source.read().map(|secret| secret.expose().to_owned()).map_err(|error| error.0)
        };
        let json = br#"{"uaa": {"secret": "hunter2"}}"#;
        assert_eq!(read(json, "/uaa/secret").unwrap(), "hunter2");
        for (bytes, pointer, said) in [
            (&json[..], "/uaa", "holds no text at /uaa"),
            (json, "/uaa/gone", "holds nothing at /uaa/gone"),
            (b"hunter2", "/uaa", "is not JSON"),
        ] {
            let error = read(bytes, pointer).unwrap_err();
            assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_directory_and_a_missing_file_have_their_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let error = SecretSource::File(dir.path().into()).read().unwrap_err().0;
        assert!(error.contains("is a directory"), "{error}");
        let error = SecretSource::File(dir.path().join("gone")).read().unwrap_err().0;
        assert!(error.ends_with("gone does not exist"), "{error}");
        let error = SecretSource::File(dir.path().join("a/b/gone")).read().unwrap_err().0;
        assert!(error.contains("is the volume mounted?"), "{error}");
    }

    #[test]
    fn an_unreadable_file_names_owner_mode_and_us() {
        assert!(
            denied(1000, 1000, 0o100_600, 65532)
                .starts_with("owned by uid 1000, gid 1000, mode 0600, and we run as uid 65532; ")
        );
        let (dir, source) = file(b"hunter2");
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir.path().join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
        // Root reads it all the same.
        match source.read() {
            Ok(_) => assert!(rustix::process::geteuid().is_root()),
            Err(error) => assert!(error.0.contains("mode 0000, and we run as uid"), "{error}"),
        }
    }

    #[test]
    fn no_form_shows_its_value() {
        let sources = [
            SecretSource::Literal(Secret::new("hunter2\n\n".into())),
            SecretSource::Env { name: "X".into(), value: Secret::new("hunter2\0".into()) },
        ];
        for source in sources {
            let said = format!("{source:?} {} {}", source.describe(), source.read().unwrap_err());
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
