//! Opens a header file and verifies its headers.

use std::path::Path;

use super::load::{self, LoadedHeaders};
use super::record_file::RecordFile;
use super::{HeaderStore, HeaderStoreError, LoadReport, canonical_path};
use crate::files::FileLock;
use crate::wire::{ChainRules, HeaderChain};

impl HeaderStore {
    /// Opens a header file, or creates an empty one, and returns the chain that it contains.
    ///
    /// The chain of an empty file has the genesis header only. A damaged end is removed; see the
    /// [type](HeaderStore#verification).
    ///
    /// Blocks until the file is read and verified: about a second for a million headers.
    ///
    /// # Errors
    ///
    /// - [`HeaderStoreError::Io`] if a file operation fails, for example because the folder does not
    ///   exist or the file is read-only.
    /// - [`HeaderStoreError::NotRegularFile`] if the path is that of a folder or a device.
    /// - [`HeaderStoreError::InUse`] if another store has the file open.
    /// - [`HeaderStoreError::StartMismatch`] or [`HeaderStoreError::NotHeaders`] if the file starts
    ///   with another block than the chains of the network.
    /// - [`HeaderStoreError::UnconfirmedStart`] if it starts after the last checkpoint.
    /// - [`HeaderStoreError::InvalidHeader`] if a header that was mined violates a rule.
    /// - [`HeaderStoreError::Chain`] if a height exceeds 2^31 - 1.
    pub fn open(
        path: impl AsRef<Path>,
        rules: impl Into<ChainRules>,
    ) -> Result<(Self, HeaderChain, LoadReport), HeaderStoreError> {
        let rules = rules.into();
        Self::open_locked(path.as_ref(), |file| load::load(file, rules))
    }

    /// Opens or creates the file of a chain that starts with the first header of `start`, which the
    /// caller trusts.
    ///
    /// The chain that is returned contains the headers of `start` and of the file, with the best
    /// branch active. See [`HeaderChain::from_trusted`]. Otherwise like [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`HeaderStoreError::Chain`] if the file has a long
    /// branch with less work than `start`.
    pub fn open_with(
        path: impl AsRef<Path>,
        start: HeaderChain,
    ) -> Result<(Self, HeaderChain, LoadReport), HeaderStoreError> {
        Self::open_locked(path.as_ref(), |file| load::load_from(file, start))
    }

    fn open_locked(
        path: &Path,
        load: impl FnOnce(&mut RecordFile) -> Result<LoadedHeaders, HeaderStoreError>,
    ) -> Result<(Self, HeaderChain, LoadReport), HeaderStoreError> {
        // The file must exist before its canonical path, and so the name of its lock, is known.
        drop(RecordFile::open(path)?);
        let path = canonical_path(path)?;
        let lock =
            FileLock::acquire(&path).map_err(|error| HeaderStoreError::from_lock(error, &path))?;
        // Opened again: an export may have replaced the file before it was locked.
        let mut file = RecordFile::open(&path)?;
        let loaded = load(&mut file)?;
        let LoadedHeaders {
            chain,
            first_height,
            last,
            report,
        } = loaded;
        if report.damaged.is_some() {
            file.truncate(report.headers)?;
        }
        let store = Self {
            network: chain.network().clone(),
            len: report.headers,
            first_height,
            first: chain.hash_at(first_height).unwrap_or_default(),
            last,
            is_name_synced: false,
            _lock: lock,
            file,
        };
        Ok((store, chain, report))
    }
}
