//! File operations that stores share: locking and atomic replacement.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The maximum number of symbolic links that are followed, as on Linux.
const MAX_LINKS: usize = 40;

/// An exclusive lock on a file, held until it is dropped.
///
/// The lock is on a second file with the suffix `.lock`, which remains, because removing it would
/// let two owners lock different files of the same name. The system releases the lock when the
/// process ends, however that happens.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

/// The reason why a file was not locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another owner, in this process or another one, holds the lock.
    InUse,
    /// An operation on the lock file failed.
    Io(FileError),
}

/// A failed operation on a file.
#[derive(Debug)]
pub(crate) struct FileError {
    /// The operation as a gerund, such as `writing`.
    pub(crate) operation: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl FileLock {
    /// Locks the file at `path`, whether it exists or not. Does not wait for another owner.
    pub(crate) fn acquire(path: &Path) -> Result<Self, LockError> {
        let lock_path = sibling_path(path, ".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed("opening", &lock_path))
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse),
            Err(TryLockError::Error(error)) => {
                Err(LockError::Io(failed("locking", &lock_path)(error)))
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that is being started has a copy of the
        // handle, and with it the lock, until it runs its program.
        let _ = self.file.unlock();
    }
}

/// Replaces the content of a file: after a crash or an error it is the old or the new one.
///
/// The caller must hold the lock of `path`. A symbolic link at `path` is replaced.
pub(crate) fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let temporary = sibling_path(path, ".tmp");
    let written = write_new(&temporary, write).map_err(failed("writing", &temporary));
    let replaced =
        written.and_then(|()| fs::rename(&temporary, path).map_err(failed("replacing", path)));
    if replaced.is_err() {
        // The first error is returned; the next call removes the file.
        let _ = fs::remove_file(&temporary);
    }
    replaced?;
    sync_folder_of(path)
}

fn write_new(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    // Removes what a killed process left. Nothing is written through a link at this path.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let file = OpenOptions::new().create_new(true).write(true).open(path)?;
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()
}

/// Returns the path to which the symbolic link at `path` leads, whether there is a file or not.
/// Returns `path` itself if it is not a link.
///
/// Replacing the target keeps the link, and the names of a file share one lock.
pub(crate) fn follow_links(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&target) else {
            return target;
        };
        // A relative link starts in its folder; an absolute one replaces the whole path.
        target.pop();
        target.push(next);
    }
    // A circle: opening the path reports it.
    path.to_owned()
}

/// Makes a new or changed name survive a power failure. Does nothing except on Unix, where alone
/// folders can be synced.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(failed("syncing", folder))?;
    }
    Ok(())
}

/// Returns the path of a file in the same folder, with a suffix after the whole name.
pub(crate) fn sibling_path(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Returns a function that adds the operation and the path to an error.
pub(crate) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |error| FileError {
        operation,
        path,
        error,
    }
}
