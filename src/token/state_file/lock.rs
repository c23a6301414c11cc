//! One process owns a state file: an advisory lock on a file beside it, which the system takes back when the process ends,
//! however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::{StateError, beside, unwritable};

/// Behind the name of a state file.
pub(super) const SUFFIX: &str = ".lock";

/// Held as long as it lives. The file stays: removing it would let two processes lock two files of one name.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock goes when the file is closed")] File);

impl Lock {
    /// Takes the lock that goes with a state file, without waiting; an error names who has it.
    pub(super) fn take(path: &Path) -> Result<Self, StateError> {
        Self::try_take(path)?.ok_or_else(|| taken(path))
    }

    /// The same; nothing, if somebody has it.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, StateError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // A link that somebody has put there leads to a file that we would empty.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(beside(path, SUFFIX))
            .map_err(|error| unopened(path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(StateError::new(path, format!("cannot be locked: {error}")));
            }
        }
        // For whoever comes second; the lock itself does not need it.
        let noted = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        noted.map_err(|error| unwritable(path, &error))?;
        Ok(Some(Self(file)))
    }
}

fn unopened(path: &Path, error: &io::Error) -> StateError {
    let lock = beside(path, SUFFIX);
    match fs::symlink_metadata(&lock).is_ok_and(|there| there.is_symlink()) {
        true => StateError::new(&lock, "is a link, and a lock is none; remove it"),
        false => unwritable(path, error),
    }
}

fn taken(path: &Path) -> StateError {
    let mut owner = String::new();
    // Only for the message: without it, it is another process.
    let _ = File::open(beside(path, SUFFIX)).and_then(|file| file.take(20).read_to_string(&mut owner));
    let owner = owner.trim();
    let owner = if !owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("the sidepass with process id {owner}")
    } else {
        "another process".to_owned()
    };
    StateError::new(
        path,
        format!(
            "{owner} uses it; a refresh token may be used by one process only, so end that one, \
             or give this profile a state_file (and a refresh token) of its own"
        ),
    )
}
