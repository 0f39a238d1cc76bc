//! The store's file: whole at every moment, and in one store's hands.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::document::{self, Unreadable};
use super::{Ban, Peer, StoreError};
use crate::Network;

/// The file of one store. As long as this lives no other has the same.
#[derive(Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
    network: Network,
    /// Locked; the system unlocks it when the process ends, however that happens.
    _lock: File,
}

/// What was in a file.
#[derive(Debug)]
pub(super) enum Loaded {
    /// There is no file.
    Nothing,
    /// It could not be read, and was set aside.
    Damaged(DamagedFile),
    /// It holds these.
    Whole {
        /// No two have the same id or address.
        peers: Vec<Peer>,
        bans: Vec<Ban>,
    },
}

/// A file that could not be read was set aside, and the store has started empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// The store's file.
    pub path: PathBuf,
    /// Where that which was there is now.
    pub set_aside: PathBuf,
    /// What is wrong with it, in words: one line of plain text.
    pub reason: String,
}

impl fmt::Display for DamagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is damaged ({}); it is {:?} now, and the store starts empty",
            self.path, self.reason, self.set_aside
        )
    }
}

impl StoreFile {
    /// Takes the file, whether it exists or not.
    pub(super) fn open(path: &Path, network: Network) -> Result<Self, StoreError> {
        let lock_path = beside(path, ".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed("opening", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.into(),
                network,
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.into() }),
            Err(TryLockError::Error(error)) => Err(failed("locking", &lock_path)(error)),
        }
    }

    pub(super) fn load(&self, now: SystemTime) -> Result<Loaded, StoreError> {
        let reading = || failed("reading", &self.path);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Nothing),
            Err(error) => return Err(reading()(error)),
        };
        let path = || self.path.clone();
        match document::read(&mut file, self.network, now) {
            Ok((peers, bans)) => Ok(Loaded::Whole { peers, bans }),
            Err(Unreadable::Io(error)) => Err(reading()(error)),
            Err(Unreadable::Network(got)) => Err(StoreError::WrongNetwork {
                path: path(),
                expected: self.network,
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

    fn set_aside(&self, reason: String) -> Result<DamagedFile, StoreError> {
        let set_aside = beside(&self.path, ".damaged");
        fs::rename(&self.path, &set_aside).map_err(failed("setting aside", &self.path))?;
        self.sync_folder()?;
        Ok(DamagedFile {
            path: self.path.clone(),
            set_aside,
            reason,
        })
    }

    /// Replaces what is in the file, all of it or nothing.
    pub(super) fn save(&mut self, peers: Vec<Peer>, bans: Vec<Ban>) -> Result<(), StoreError> {
        let temporary = beside(&self.path, ".tmp");
        let write = || {
            // What a killed process has left there goes, and nothing is written through a link that somebody put there.
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => (),
            }
            let file = OpenOptions::new()
                .create_new(true)
                .write(true)
                .open(&temporary)?;
            let mut writer = BufWriter::new(file);
            document::write(&mut writer, self.network, peers, bans)?;
            writer.flush()?;
            writer.get_ref().sync_all()
        };
        let written = write().map_err(failed("writing", &temporary));
        let saved = written.and_then(|()| {
            fs::rename(&temporary, &self.path).map_err(failed("replacing", &self.path))
        });
        if saved.is_err() {
            // What failed matters more than that this may fail too; the next try removes it.
            let _ = fs::remove_file(&temporary);
        }
        saved?;
        self.sync_folder()
    }

    /// Lets a change of names survive a failure of power. Elsewhere than on Unix folders cannot be synced.
    fn sync_folder(&self) -> Result<(), StoreError> {
        if cfg!(unix) {
            let folder = match self.path.parent() {
                Some(folder) if folder != Path::new("") => folder,
                _ => Path::new("."),
            };
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(failed("syncing", folder))?;
        }
        Ok(())
    }
}

/// The path of a file in the same folder whose name has more at its end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io {
        what,
        path,
        kind: error.kind(),
    }
}
