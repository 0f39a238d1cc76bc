//! File operations that stores share: locking and atomic replacement.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The maximum number of symbolic links that are followed, as on Linux.
const MAX_LINKS: usize = 40;

/// An exclusive lock on a file, released when it is dropped.
///
/// The lock is on a second file with the suffix `.lock`. That file is never removed: otherwise two
/// owners could lock different files of the same name. The system releases the lock if the process
/// ends without dropping it.
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

/// The error of an operation on a file.
#[derive(Debug)]
pub(crate) struct FileError {
    /// The operation as a gerund, such as `writing`.
    pub(crate) operation: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl FileLock {
    /// Locks the file at `path`, which need not exist. Does not wait for another owner.
    ///
    /// # Errors
    ///
    /// - [`LockError::InUse`] if another owner holds the lock.
    /// - [`LockError::Io`] if the lock file cannot be opened or locked.
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
        // Closing the file is not sufficient. A child process shares the handle, and therefore the
        // lock, between `fork` and `exec`.
        let _ = self.file.unlock();
    }
}

/// Replaces the content of a file atomically: after a crash or an error the file has the old or the
/// new content.
///
/// The caller must hold the lock of `path`. A symbolic link at `path` is replaced.
///
/// # Errors
///
/// [`FileError`], with the operation that failed. The old content remains, unless syncing the
/// folder failed: then the new content is in place, but may not survive a power failure.
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
    // Removes the temporary file of a killed process. A new file is required, so that nothing is
    // written through a symbolic link at this path.
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
        // The target of a relative link starts in the folder of the link. An absolute target
        // replaces the whole path.
        target.pop();
        target.push(next);
    }
    // The links form a cycle: opening the path fails with the error of the system.
    path.to_owned()
}

/// Syncs the folder of `path`, so that a new or changed file name survives a power failure. Does
/// nothing if the system is not Unix, because other systems cannot sync folders.
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
