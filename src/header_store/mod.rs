//! Storage of headers in a file.

// rustdoc lists methods in the order of these modules, then those of this file. `HeaderStore::open` is
// the first one.
mod open;

mod error;
mod load;
mod record_file;
mod update;

pub use self::error::HeaderStoreError;
pub use self::load::{DamagedTail, LoadReport};
pub use self::update::HeaderUpdate;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use self::record_file::RecordFile;
use crate::Network;
use crate::files::{self, FileLock, failed};
use crate::wire::{BlockHash, ChainRules, HeaderChain};

/// A file that contains the active chain of a [`HeaderChain`].
///
/// The file is the concatenation of the headers, 80 bytes each, in the order of their heights, and
/// nothing else. Header services of Bitcoin SV exchange such files. It starts with the genesis
/// block, or, if the chain was started at a checkpoint, with the first header after the checkpoint
/// before it. A file of a chain that starts elsewhere is opened by [`open_with`](Self::open_with).
/// [`Manager::with_headers`](crate::Manager::with_headers) writes the chain of a manager to such a
/// file.
///
/// ```
/// use bsv_p2p::{HeaderStore, Network};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("headers");
/// let (mut store, mut chain, report) = HeaderStore::open(&path, Network::Mainnet)?;
/// if let Some(damaged) = &report.damaged {
///     eprintln!("{damaged}");
/// }
/// // Extend `chain` with headers from peers, then write the new ones:
/// store.update(&chain)?;
/// store.sync()?;
/// assert_eq!(store.tip(), Some(chain.tip()));
/// # assert_eq!(chain.extend(&[], 0)?, bsv_p2p::wire::ExtendOutcome::Known);
/// # Ok(())
/// # }
/// ```
///
/// # Verification
///
/// Opening a file verifies all rules again, with one exception. Headers may be more than two hours
/// ahead of the clock, because setting the clock back must not invalidate them.
///
/// - **Damage**: the file is truncated before the first header that is incomplete, does not link to
///   the previous one, or has no proof of work. [`LoadReport::damaged`] contains its height and the
///   number of removed bytes. The removed headers must be requested from peers again. If a chain
///   starts at a checkpoint and does not reach it, all of it is removed.
/// - **Another chain**: if the file starts with another block, or a mined header violates another
///   rule, the file belongs to another network or rule set. An error is returned, and the file
///   stays unchanged. A header was mined if its hash has 32 leading zero bits, or if the next
///   header links to it.
///
/// Testnet and STN have the same genesis block. On STN, a file of testnet is rejected at its first
/// header with a difficulty that STN does not allow. On testnet, a file of STN is rejected at the
/// checkpoint at height 546. A shorter file is valid on both networks.
///
/// On regtest, random bytes have a valid proof of work with a probability of one half. Damage in
/// the last two headers may therefore remain undetected until peers send a chain with more work.
///
/// # Crashes
///
/// Headers are only appended and removed at the end. After a crash, the file therefore contains a
/// valid chain, which a damaged tail may follow. If the headers must survive a power failure, call
/// [`sync`](Self::sync).
///
/// # Locking
///
/// One store at a time can open a file, in all processes. The lock is on a second file with the
/// suffix `.lock`, which remains. A symbolic link and its target share it.
#[derive(Debug)]
#[must_use = "dropping the store releases the lock of the file"]
pub struct HeaderStore {
    file: RecordFile,
    network: Network,
    /// The number of headers in the file. Bytes after them are left from a failed write.
    len: u32,
    /// The height of the first header. Meaningless without headers, like the hashes.
    first_height: u32,
    first: BlockHash,
    last: BlockHash,
    is_name_synced: bool,
    _lock: FileLock,
}

impl HeaderStore {
    /// Returns the canonical path of the file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns the height and the hash of the last header in the file.
    pub fn tip(&self) -> Option<(u32, BlockHash)> {
        let above = self.len.checked_sub(1)?;
        Some((self.first_height + above, self.last))
    }

    /// Makes the content survive a power failure. Blocks until the disk has it.
    ///
    /// # Errors
    ///
    /// [`HeaderStoreError::Io`] if the system reports an error of the disk.
    pub fn sync(&mut self) -> Result<(), HeaderStoreError> {
        self.file.sync()?;
        if !self.is_name_synced {
            files::sync_folder_of(self.path())?;
            self.is_name_synced = true;
        }
        Ok(())
    }

    /// Returns the chain in a header file, without locking or changing the file.
    ///
    /// A damaged end is reported, and is not part of the chain. If another program writes the file
    /// at the same time, the last headers may be missing. Blocks like [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), except [`HeaderStoreError::InUse`]; also
    /// [`HeaderStoreError::Io`] if there is no file.
    pub fn import(
        path: impl AsRef<Path>,
        rules: impl Into<ChainRules>,
    ) -> Result<(HeaderChain, LoadReport), HeaderStoreError> {
        let mut file = RecordFile::open_read_only(path.as_ref())?;
        let loaded = load::load(&mut file, rules.into())?;
        Ok((loaded.chain, loaded.report))
    }

    /// Writes the active chain of `chain` to a file. An existing file is replaced.
    ///
    /// The headers are first written to a temporary file with the suffix `.tmp`, which is then
    /// renamed. After an error or a crash, the file has either the old or the new content. If
    /// `path` is a symbolic link, its target is replaced. Blocks until all headers are synced to
    /// disk.
    ///
    /// # Errors
    ///
    /// - [`HeaderStoreError::Io`] if a file operation fails.
    /// - [`HeaderStoreError::InUse`] if a store has the file open.
    pub fn export(chain: &HeaderChain, path: impl AsRef<Path>) -> Result<(), HeaderStoreError> {
        let path = path.as_ref();
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            // The folder must exist; its canonical path names the lock.
            Err(_) => canonical_new_path(path)?,
        };
        let _lock =
            FileLock::acquire(&path).map_err(|error| HeaderStoreError::from_lock(error, &path))?;
        files::replace_file(&path, |writer| {
            let mut headers = chain.headers(..);
            headers.try_for_each(|header| writer.write_all(&header.to_bytes()))
        })?;
        Ok(())
    }
}

/// Resolves symbolic links in the path of an existing file.
fn canonical_path(path: &Path) -> Result<PathBuf, HeaderStoreError> {
    Ok(fs::canonicalize(path).map_err(failed("resolving", path))?)
}

/// Resolves symbolic links in the path of a file that may not exist, except for its last part.
fn canonical_new_path(path: &Path) -> Result<PathBuf, HeaderStoreError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut canonical = canonical_path(folder)?;
    canonical.extend(path.file_name());
    Ok(canonical)
}
