//! The store's file: replaced atomically, and locked by one store.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::document::{self, Unreadable};
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
pub(super) enum Loaded {
    /// The file does not exist.
    Nothing,
    /// The file was corrupt and was moved aside.
    Damaged(CorruptFile),
    /// The file was read.
    Whole {
        /// Ids and addresses are unique.
        peers: Vec<Peer>,
        bans: Vec<Ban>,
    },
}

/// A corrupt file that was moved aside; the store has started empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorruptFile {
    /// The path of the store's file.
    pub path: PathBuf,
    /// The new path of the corrupt file.
    pub set_aside: PathBuf,
    /// The defect, as one line of printable ASCII.
    pub reason: String,
}

impl fmt::Display for CorruptFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is damaged ({}); it is {:?} now, and the store starts empty",
            self.path, self.reason, self.set_aside
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

    pub(super) fn load(&self, now: SystemTime) -> Result<Loaded, StoreError> {
        let reading = |error| StoreError::from(files::failed("reading", &self.path)(error));
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Nothing),
            Err(error) => return Err(reading(error)),
        };
        let path = || self.path.clone();
        match document::read(&mut file, &self.network, now) {
            Ok((peers, bans)) => Ok(Loaded::Whole { peers, bans }),
            Err(Unreadable::Io(error)) => Err(reading(error)),
            Err(Unreadable::Network(got)) => Err(StoreError::WrongNetwork {
                path: path(),
                expected: self.network.clone(),
                got,
            }),
            Err(Unreadable::Version(got)) => Err(StoreError::UnsupportedVersion {
                path: path(),
                expected: document::VERSION,
                got,
            }),
            Err(Unreadable::Damaged(reason)) => self.set_aside(reason).map(Loaded::Damaged),
        }
    }

    fn set_aside(&self, reason: String) -> Result<CorruptFile, StoreError> {
        let set_aside = files::sibling_path(&self.path, ".damaged");
        fs::rename(&self.path, &set_aside).map_err(files::failed("setting aside", &self.path))?;
        files::sync_folder_of(&self.path)?;
        Ok(CorruptFile {
            path: self.path.clone(),
            set_aside,
            reason,
        })
    }

    /// Replaces the file atomically.
    pub(super) fn save(&mut self, peers: Vec<Peer>, bans: Vec<Ban>) -> Result<(), StoreError> {
        let network = &self.network;
        files::replace_file(&self.path, |writer| {
            document::write(writer, network, peers, bans)
        })?;
        Ok(())
    }
}

impl From<FileError> for StoreError {
    fn from(error: FileError) -> Self {
        StoreError::Io {
            what: error.operation,
            path: error.path,
            kind: error.error.kind(),
        }
    }
}
