//! What is wrong with a configuration, and where: the only form in which the loader complains.
//!
//! Invariant: no value of a secret is ever put into a diagnostic; those who make one quote keys, names and words of
//! enumerations only.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where something of the configuration was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A position in a file; line and column count from 1.
    File {
        /// The file, as it was named to us.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
    },
    /// A file as a whole: it is missing, or too big.
    WholeFile(Arc<Path>),
    /// An environment variable of ours, `SIDEPASS_PROXY__LISTEN`.
    Environment(String),
    /// What a shorthand filled in.
    Filled {
        /// Who did: `preset entra`.
        by: String,
        /// Where the user asked for it.
        at: Box<Place>,
    },
    /// A built-in default.
    Default,
}

impl Place {
    /// The directory that a relative path written here starts from.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } | Self::WholeFile(path) => path.parent(),
            Self::Filled { at, .. } => at.directory(),
            Self::Environment(_) | Self::Default => None,
        }
    }

    /// Where a person wrote what led to this.
    fn written(&self) -> &Self {
        match self {
            Self::Filled { at, .. } => at.written(),
            other => other,
        }
    }

    fn order(&self) -> (usize, usize) {
        match self {
            Self::File { line, column, .. } => (*line, *column),
            Self::WholeFile(_) => (0, 0),
            Self::Filled { at, .. } => at.order(),
            Self::Environment(_) | Self::Default => (usize::MAX, 0),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::WholeFile(path) => write!(f, "{}", path.display()),
            Self::Filled { by, at } => write!(f, "{at} ({by})"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Default => f.write_str("built-in default"),
        }
    }
}

/// One mistake, or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it was written.
    pub place: Place,
    /// The keys that lead to it, `routes.cai.headers.X-Token`; empty for a file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// The same without a line break, for a log.
    pub fn one_line(&self) -> String {
        self.to_string().replace("\n    hint: ", "; ")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n    hint: {hint}"))
    }
}

/// Every mistake of a configuration; at least one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", blocks(.0))]
pub struct ConfigErrors(Vec<Diagnostic>);

impl ConfigErrors {
    /// The mistakes of the files in the order given, each from top to bottom.
    pub(crate) fn new(mut diagnostics: Vec<Diagnostic>, files: &[Arc<Path>]) -> Self {
        sort(&mut diagnostics, files);
        Self(diagnostics)
    }

    /// The mistakes.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }
}

/// Sorts by file, then from top to bottom; one that stands twice (an alias) is kept once.
pub(crate) fn sort(diagnostics: &mut Vec<Diagnostic>, files: &[Arc<Path>]) {
    let rank = |place: &Place| match place.written() {
        Place::File { path, .. } | Place::WholeFile(path) => files.iter().position(|file| file == path),
        Place::Environment(_) | Place::Filled { .. } | Place::Default => Some(files.len()),
    };
    diagnostics.sort_by_key(|d| (rank(&d.place), d.place.order()));
    diagnostics.dedup();
}

fn blocks(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
