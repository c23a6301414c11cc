//! Notices that a file which a token request is made of has changed: by content, since mounted secrets change without a
//! new timestamp and behind symlinks.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{self, SHA256};

use crate::config::profile::ProfileConfig;

/// More than any secret or bundle of certificates.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What a file held: its SHA-256, the way in which it could not be read, or that there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Snapshot {
    Digest([u8; 32]),
    Unreadable(io::ErrorKind),
    NoFile,
}

impl Snapshot {
    pub(super) fn of(content: Option<Result<&[u8], io::ErrorKind>>) -> Self {
        match content {
            None => Self::NoFile,
            Some(Err(kind)) => Self::Unreadable(kind),
            Some(Ok(bytes)) => {
                let mut digest = [0; 32];
                digest.copy_from_slice(digest::digest(&SHA256, bytes).as_ref());
                Self::Digest(digest)
            }
        }
    }

    fn of_file(path: &Path) -> Self {
        Self::of(Some(read_file(path).as_deref().map_err(io::Error::kind)))
    }
}

/// A file's content, up to a sane size.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files of a profile, and what they held when they were last remembered.
#[derive(Debug)]
pub(super) struct Inputs {
    files: Vec<PathBuf>,
    remembered: Mutex<Option<Vec<Snapshot>>>,
}

impl Inputs {
    /// Every file that a profile's request is made of.
    pub(super) fn of(profile: &ProfileConfig) -> Self {
        let files = profile.sources().into_iter().filter_map(|source| source.file().map(Path::to_owned));
        Self { files: files.chain(profile.transport.ca_file.clone()).collect(), remembered: Mutex::new(None) }
    }

    /// Takes what the files hold now for known.
    pub(super) fn remember(&self) {
        let now = self.look();
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Whether a file holds something else than when it was remembered.
    pub(super) fn changed(&self) -> bool {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        remembered.is_some_and(|remembered| remembered != self.look())
    }

    fn look(&self) -> Vec<Snapshot> {
        self.files.iter().map(|path| Snapshot::of_file(path)).collect()
    }
}
