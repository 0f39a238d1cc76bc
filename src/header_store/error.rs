//! Errors of header files.

use std::fmt;
use std::path::{Path, PathBuf};

use super::DamagedTail;
use crate::Network;
use crate::files::{FileError, LockError};
use crate::system_error::SystemError;
use crate::wire::{BlockHash, ChainRuleError, HeaderChainError};

/// The reason why a header file could not be opened, read or written.
///
/// A file that is refused is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderStoreError {
    /// An operation on a file failed, for example because the disk is full.
    #[error("{operation} {path:?} failed")]
    Io {
        /// The operation, such as `writing`.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        #[source]
        error: SystemError,
    },
    /// The path is that of a folder, a device or another special file.
    #[error("{path:?} is not a regular file")]
    NotRegularFile {
        /// The path.
        path: PathBuf,
    },
    /// Another store, in this process or another one, has the file open.
    #[error("{path:?} is already in use by another header store")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is too short for a header, and is not the beginning of the first one.
    #[error("{path:?} is not a header file: expected headers of 80 bytes, got {len} bytes")]
    NotHeaders {
        /// The file.
        path: PathBuf,
        /// The length of the file in bytes.
        len: u64,
    },
    /// The file starts with another block: it is of another network or not a header file.
    #[error(
        "{path:?} starts with block {got}{}, expected {expected} of {network}",
        OfNetwork(got_network)
    )]
    StartMismatch {
        /// The file.
        path: PathBuf,
        /// The network whose headers were expected.
        network: Network,
        /// The hash of the expected first header.
        expected: BlockHash,
        /// The hash of the first 80 bytes.
        got: BlockHash,
        /// The network whose genesis block it is. Testnet and STN share theirs, for which this is
        /// testnet.
        got_network: Option<Network>,
    },
    /// The file starts after a checkpoint, and no later checkpoint can confirm its first headers.
    ///
    /// [`HeaderStore::open_with`](super::HeaderStore::open_with) opens such a file.
    #[error("{path:?}: no checkpoint after height {height} confirms the headers")]
    UnconfirmedStart {
        /// The file.
        path: PathBuf,
        /// The height of the first header.
        height: u32,
    },
    /// A header that was mined violates a rule: the file is of another network or rule set.
    ///
    /// The source contains the height.
    #[error("{path:?}: header {hash} is invalid")]
    InvalidHeader {
        /// The file.
        path: PathBuf,
        /// The hash of the header.
        hash: BlockHash,
        /// The violated rule. Boxed to keep results small.
        #[source]
        error: Box<ChainRuleError>,
    },
    /// The chain cannot take the headers, for example because the file has too many.
    #[error("{path:?}: headers cannot be added to the chain")]
    Chain {
        /// The file.
        path: PathBuf,
        /// The reason. Boxed to keep results small.
        #[source]
        error: Box<HeaderChainError>,
    },
    /// A chain of another network cannot be written to the file.
    #[error("{path:?}: expected a chain of {expected}, got a chain of {got}")]
    NetworkMismatch {
        /// The file.
        path: PathBuf,
        /// The network of the file.
        expected: Network,
        /// The network of the chain.
        got: Network,
    },
    /// A chain that starts with another header cannot be written to the file.
    #[error(
        "{path:?}: expected a chain from block {} at height {}, got a chain from block {} at height {}",
        expected.1, expected.0, got.1, got.0
    )]
    ChainMismatch {
        /// The file.
        path: PathBuf,
        /// The height and the hash of the first header in the file.
        expected: (u32, BlockHash),
        /// The height and the hash of the first header of the chain.
        got: (u32, BlockHash),
    },
    /// An update does not link to the last header in the file, which changed after the update was
    /// planned.
    #[error("{path:?}: update at height {height} does not link to the last header")]
    StaleUpdate {
        /// The file.
        path: PathBuf,
        /// The height of the first header of the update.
        height: u32,
    },
    /// Another program has shortened the file.
    #[error("{path:?} was changed by another program: expected {expected} bytes, got {got}")]
    UnexpectedLength {
        /// The file.
        path: PathBuf,
        /// The length as written, in bytes.
        expected: u64,
        /// The length found, in bytes.
        got: u64,
    },
    /// A damaged end was removed when the file was opened. The file is in use.
    ///
    /// Only contained in
    /// [`ControlEvent::HeaderStoreFailed`](crate::event::ControlEvent::HeaderStoreFailed).
    #[error("{path:?}: {tail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The end that was removed.
        tail: DamagedTail,
    },
}

impl HeaderStoreError {
    pub(super) fn from_lock(error: LockError, path: &Path) -> Self {
        match error {
            LockError::InUse => Self::InUse { path: path.into() },
            LockError::Io(error) => error.into(),
        }
    }
}

impl From<FileError> for HeaderStoreError {
    fn from(error: FileError) -> Self {
        Self::Io {
            operation: error.operation,
            path: error.path,
            error: error.error.into(),
        }
    }
}

/// Formats the network of a file, if it is known.
struct OfNetwork<'a>(&'a Option<Network>);

impl fmt::Display for OfNetwork<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(network) => write!(f, " of {network}"),
            None => Ok(()),
        }
    }
}
