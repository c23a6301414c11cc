//! The state file of a profile: its newest refresh token, kept beyond the life of the process.
//!
//! Invariants: what stands under the file's name is whole at any moment (written aside, synced, renamed, and the
//! directory synced); only the owner of the lock writes it; whoever else has a new token (`sidepass authorize`) leaves
//! it beside the file as `<state_file>.new`, for the owner to take. No error shows what a file holds. Others may write to
//! the directory: no link of theirs is followed to a file of ours, and no token of theirs is taken.

mod format;
mod lock;

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

pub use self::format::{Fingerprint, Kept};
use self::lock::Lock;

/// Behind the name of a state file: a token that somebody else left for its owner.
const OFFER: &str = ".new";

/// More than any token answer, and so than any refresh token.
const MAX_FILE: u64 = 1024 * 1024;

/// Why a state file cannot be used; names the file and what to do, never what stands in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StateError(pub String);

impl StateError {
    fn new(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self(format!("state_file {}: {reason}", path.display()))
    }
}

/// A state file that we own: while this lives, no other process writes it.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// Whose a file is that we make there, as that file system tells it.
    uid: u32,
    _lock: Lock,
}

impl StateFile {
    /// Takes the file for this process and reads it; nothing, if there is none yet. That it can be written is proven by
    /// doing it: better no start than a token that is lost later.
    pub fn open(path: &Path) -> Result<(Self, Option<Kept>), StateError> {
        let path = usable(path)?;
        let lock = Lock::take(&path)?;
        let (kept, uid) = (read(&path, Writer::Any)?, probe(&path)?);
        if let Some(kept) = &kept {
            write(&path, kept)?;
        }
        Ok((Self { path, uid, _lock: lock }, kept))
    }

    /// Whether it could be opened, but for another process that owns it, and what it holds; makes no file that stays.
    pub fn check(path: &Path) -> Result<Option<Kept>, StateError> {
        let path = usable(path)?;
        let kept = read(&path, Writer::Any)?;
        probe(&path)?;
        Ok(kept)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces what it holds. It is on the disk when this returns.
    pub fn write(&self, kept: &Kept) -> Result<(), StateError> {
        write(&self.path, kept)
    }

    /// Whether somebody left a token for this profile beside it; an error, if what was left cannot be used.
    pub fn is_offered(&self, profile: &Fingerprint) -> Result<bool, StateError> {
        let offer = beside(&self.path, OFFER);
        match read(&offer, Writer::Trusted(self.uid))? {
            None => Ok(false),
            Some(offered) if offered.profile == *profile => Ok(true),
            Some(_) => Err(StateError::new(
                &offer,
                "is for another client or token service than this profile; was proxy.yaml changed since sidepass \
                 started?",
            )),
        }
    }

    /// Puts what was left beside it in its place, and reads it.
    pub fn take_offered(&self) -> Result<Option<Kept>, StateError> {
        self.take_offered_from(self.uid)
    }

    fn take_offered_from(&self, uid: u32) -> Result<Option<Kept>, StateError> {
        let moved =
            fs::rename(beside(&self.path, OFFER), &self.path).and_then(|()| sync_directory(&self.path));
        moved.map_err(|error| unwritable(&self.path, &error))?;
        // Read only now: a newer one may have come in between.
        read(&self.path, Writer::Trusted(uid))
    }
}

/// How a token from elsewhere got into a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is in the file.
    Kept,
    /// It lies beside the file; the process that owns the file takes it within seconds.
    Offered,
}

/// Brings a token that was got outside of the process that owns the file.
pub fn deliver(path: &Path, kept: &Kept) -> Result<Delivery, StateError> {
    let path = usable(path)?;
    let offer = beside(&path, OFFER);
    let aside = beside(&path, &format!("{OFFER}.{}.tmp", std::process::id()));
    let owner = other_owner(&path);
    replace(&offer, &aside, &kept.to_bytes(), owner).map_err(|error| match owner {
        // Nobody but that user could read it.
        Some(owner) if error.kind() == io::ErrorKind::PermissionDenied => StateError::new(
            &path,
            format!("sidepass uses it as uid {owner}; authorize as that user ({error})"),
        ),
        _ => unwritable(&path, &error),
    })?;
    match Lock::try_take(&path)? {
        Some(lock) => {
            let uid = probe(&path)?;
            StateFile { path, uid, _lock: lock }.take_offered_from(owner.unwrap_or(uid))?;
            Ok(Delivery::Kept)
        }
        None => Ok(Delivery::Offered),
    }
}

/// The user who runs the owner, if that is somebody else: only that one may read what is left for it.
fn other_owner(path: &Path) -> Option<u32> {
    let lock = fs::symlink_metadata(beside(path, lock::SUFFIX)).ok()?;
    Some(lock.uid()).filter(|owner| *owner != rustix::process::geteuid().as_raw())
}

/// The path to work with: a link is followed, or the next write would put a file in its place.
fn usable(path: &Path) -> Result<PathBuf, StateError> {
    let link = fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink());
    let path = match (link, fs::canonicalize(path)) {
        (true, Ok(target)) => target,
        (true, Err(_)) => {
            return Err(StateError::new(
                path,
                "is a link to nothing; remove the link, or make what it names",
            ));
        }
        (false, _) => path.to_owned(),
    };
    folder(&path)?;
    match fs::metadata(&path) {
        Ok(there) if !there.is_file() => {
            Err(StateError::new(&path, "is no file; name a file that may be made"))
        }
        _ => Ok(path),
    }
}

/// The directory that the file is in.
fn folder(path: &Path) -> Result<(), StateError> {
    let directory = directory(path);
    let shown = directory.display();
    match fs::metadata(directory) {
        Ok(there) if there.is_dir() => Ok(()),
        Ok(_) => Err(StateError::new(path, format!("{shown} is no directory"))),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(StateError::new(path, format!("{shown} is no directory")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let hint = "make it, or mount a volume there";
            Err(StateError::new(path, format!("the directory {shown} does not exist; {hint}")))
        }
        Err(error) => Err(unwritable(path, &error)),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// Whose file is read.
#[derive(Clone, Copy)]
enum Writer {
    /// Anybody's: the operator has named it.
    Any,
    /// Only this user's, or root's.
    Trusted(u32),
}

fn read(path: &Path, writer: Writer) -> Result<Option<Kept>, StateError> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    // A pipe that somebody has put there would be waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let opened = opened.and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((there, _)) if !there.is_file() => return Err(StateError::new(path, "is no file; remove it")),
        Ok((there, _)) if !writer.is(there.uid()) => {
            return Err(StateError::new(
                path,
                format!(
                    "belongs to uid {}, which sidepass does not take a token from; remove it",
                    there.uid()
                ),
            ));
        }
        _ => {}
    }
    match opened.and_then(|(_, file)| file.take(MAX_FILE + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let user = rustix::process::geteuid().as_raw();
            return Err(StateError::new(path, format!("cannot be read by uid {user}: {error}")));
        }
    }
    let kept = if bytes.len() as u64 > MAX_FILE { Err("is larger than 1 MiB") } else { Kept::parse(&bytes) };
    kept.map(Some).map_err(|flaw| {
        StateError::new(
            path,
            format!("{flaw}; restore it from a backup, or remove it to begin anew: with the configured refresh token, or with `sidepass authorize`"),
        )
    })
}

impl Writer {
    fn is(self, owner: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Trusted(uid) => owner == uid || owner == 0,
        }
    }
}

fn write(path: &Path, kept: &Kept) -> Result<(), StateError> {
    let replaced = replace(path, &beside(path, ".tmp"), &kept.to_bytes(), None);
    replaced.map_err(|error| unwritable(path, &error))
}

/// Makes a file where the next one will be written, and removes it; whose it was.
fn probe(path: &Path) -> Result<u32, StateError> {
    let aside = beside(path, &format!(".check.{}.tmp", std::process::id()));
    let made = create(&aside).and_then(|mut file| {
        file.write_all(b"{}\n")?;
        file.sync_all()?;
        file.metadata().map(|there| there.uid())
    });
    let removed = fs::remove_file(&aside);
    made.and_then(|uid| removed.map(|()| uid)).map_err(|error| unwritable(path, &error))
}

fn create(path: &Path) -> io::Result<fs::File> {
    // A file that a crash left behind may have another owner or mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Replaces a file at once; `owner` gets it, if it is somebody else's. That goes by the open file: by its name, it could
/// be made a link in between.
fn replace(path: &Path, aside: &Path, bytes: &[u8], owner: Option<u32>) -> io::Result<()> {
    let mut file = create(aside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let handed = written.and_then(|()| match owner {
        Some(_) => fchown(&file, owner, None),
        None => Ok(()),
    });
    let written = handed.and_then(|()| fs::rename(aside, path));
    if let Err(error) = written {
        // What is left of it holds a token; the next write would remove it too.
        let _ = fs::remove_file(aside);
        return Err(error);
    }
    sync_directory(path)
}

/// Without it, a power failure may bring the old file back.
fn sync_directory(path: &Path) -> io::Result<()> {
    match fs::File::open(directory(path))?.sync_all() {
        // Some network file systems know no such thing.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        outcome => outcome,
    }
}

fn unwritable(path: &Path, error: &io::Error) -> StateError {
    let user = rustix::process::geteuid().as_raw();
    let hint = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "; put it on a volume that can be written",
        io::ErrorKind::PermissionDenied => "; give that user the directory (chown, or fsGroup in Kubernetes)",
        // A file that is mounted by itself cannot be replaced.
        io::ErrorKind::ResourceBusy => "; mount its directory, not the file alone",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        _ => "",
    };
    StateError::new(path, format!("uid {user} cannot write it: {error}{hint}"))
}

#[cfg(test)]
mod tests;
