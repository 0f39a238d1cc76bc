//! The store's file: replaced atomically, and locked by one store.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file_format::{self, ReadError};
use super::{Ban, Peer, StoreError};
use crate::Network;
use crate::files::{self, FileError, FileLock, LockError};

/// The locked file of one store. The lock is released on drop.
#[derive(Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
    network: Network,
    _lock: FileLock,
}

/// The content of a file.
#[derive(Debug)]
pub(super) enum LoadedFile {
    /// The file does not exist.
    Missing,
    /// The file was corrupt and was moved aside.
    Corrupt(CorruptFile),
    /// The file was read.
    Valid {
        /// Ids and addresses are unique.
        peers: Vec<Peer>,
        bans: Vec<Ban>,
    },
}

/// A corrupt file that was moved aside; the store has started empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorruptFile {
    /// The path of the store's file.
    pub path: PathBuf,
    /// The new path of the corrupt file.
    pub moved_to: PathBuf,
    /// The defect, as one line of printable ASCII.
    pub reason: String,
}

impl fmt::Display for CorruptFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is corrupt ({}), moved to {:?}",
            self.path, self.reason, self.moved_to
        )
    }
}

impl StoreFile {
    /// Locks the file, which may not exist yet.
    pub(super) fn open(path: &Path, network: Network) -> Result<Self, StoreError> {
        let path = files::follow_links(path);
        let lock = FileLock::acquire(&path).map_err(|error| match error {
            LockError::InUse => StoreError::InUse { path: path.clone() },
            LockError::Io(error) => error.into(),
        })?;
        Ok(Self {
            path,
            network,
            _lock: lock,
        })
    }

    pub(super) fn load(&self, now: SystemTime) -> Result<LoadedFile, StoreError> {
        let reading = |error| StoreError::from(files::failed("reading", &self.path)(error));
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(LoadedFile::Missing);
            }
            Err(error) => return Err(reading(error)),
        };
        let path = || self.path.clone();
        match file_format::read(&mut file, &self.network, now) {
            Ok((peers, bans)) => Ok(LoadedFile::Valid { peers, bans }),
            Err(ReadError::Io(error)) => Err(reading(error)),
            Err(ReadError::Network(got)) => Err(StoreError::NetworkMismatch {
                path: path(),
                expected: self.network.clone(),
                got,
            }),
            Err(ReadError::Version(got)) => Err(StoreError::UnsupportedVersion {
                path: path(),
                expected: file_format::VERSION,
                got,
            }),
            Err(ReadError::Corrupt(reason)) => self.move_aside(reason).map(LoadedFile::Corrupt),
        }
    }

    fn move_aside(&self, reason: String) -> Result<CorruptFile, StoreError> {
        let moved_to = files::sibling_path(&self.path, ".damaged");
        fs::rename(&self.path, &moved_to).map_err(files::failed("moving", &self.path))?;
        files::sync_folder_of(&self.path)?;
        Ok(CorruptFile {
            path: self.path.clone(),
            moved_to,
            reason,
        })
    }

    /// Replaces the file atomically.
    pub(super) fn save(&mut self, peers: Vec<Peer>, bans: Vec<Ban>) -> Result<(), StoreError> {
        let network = &self.network;
        files::replace_file(&self.path, |writer| {
            file_format::write(writer, network, peers, bans)
        })?;
        Ok(())
    }
}

impl From<FileError> for StoreError {
    fn from(error: FileError) -> Self {
        StoreError::Io {
            operation: error.operation,
            path: error.path,
            error: error.error.into(),
        }
    }
}
