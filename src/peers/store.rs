//! Where peers are kept: the seam that a program may fill with a store of its own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

use uuid::Uuid;

use super::{Ban, CorruptFile, Peer, PeerStatusKind};
use crate::Network;

/// Where peers and bans are kept. [`InMemoryPeerStore`](super::InMemoryPeerStore) is one; a program may bring its own, such as a
/// database.
///
/// Every method may block, for as long as the store takes: none is called by a thread that a peer or a listener waits for. Each
/// is atomic: another thread sees all of its effect or none. What one thread reads and later writes back is not: the last
/// writer wins, so let one thread own what it changes.
///
/// Addresses are compared as [`IpAddr::to_canonical`] shows them. No two peers have the same address and port, nor the same id.
///
/// A program mocks it for its tests with `mockall`; what has a default need not be in the mock:
///
/// ```
/// use std::{net::IpAddr, time::SystemTime};
/// use bsv_p2p::peers::{Peer, PeerStatusKind, PeerStore, StoreError};
/// use uuid::Uuid;
///
/// mockall::mock! {
///     Store {}
///     impl PeerStore for Store {
///         fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError>;
///         fn read(&self, id: Uuid) -> Result<Option<Peer>, StoreError>;
///         fn update(&self, peer: Peer) -> Result<(), StoreError>;
///         fn delete(&self, id: Uuid) -> Result<Option<Peer>, StoreError>;
///         fn list_all(&self) -> Result<Vec<Peer>, StoreError>;
///         fn find_by_status(&self, status: PeerStatusKind) -> Result<Vec<Peer>, StoreError>;
///         fn find_by_ip_port(&self, ip_address: IpAddr, port: u16) -> Result<Option<Peer>, StoreError>;
///         fn count_by_status(&self, status: PeerStatusKind) -> Result<usize, StoreError>;
///     }
/// }
///
/// /// What the program has written and wants to test.
/// fn needs_seeds(store: &dyn PeerStore) -> Result<bool, StoreError> {
///     Ok(store.count_by_status(PeerStatusKind::Valid)? == 0)
/// }
///
/// fn main() {
///     let mut store = MockStore::new();
///     store.expect_count_by_status().times(1).returning(|_| Ok(0));
///     assert_eq!(needs_seeds(&store), Ok(true));
/// }
/// ```
pub trait PeerStore: Send + Sync {
    /// Keeps a new peer. A store that is bounded and full may forget another for it, and returns that.
    ///
    /// # Errors
    ///
    /// [`StoreError::DuplicateAddress`] and [`StoreError::DuplicateId`] if there is such a peer already; [`StoreError::Full`] if the store
    /// is full of peers that are worth more. Nothing is changed then.
    fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError>;

    /// The peer with this id, if there is one.
    ///
    /// # Errors
    ///
    /// Only those of the store's own medium.
    fn read(&self, id: Uuid) -> Result<Option<Peer>, StoreError>;

    /// Replaces the peer that has the same id, whatever its status was.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none, as when it was forgotten meanwhile; [`StoreError::DuplicateAddress`] if its address is now
    /// that of another peer. Nothing is changed then.
    fn update(&self, peer: Peer) -> Result<(), StoreError>;

    /// Forgets the peer with this id, and returns it; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Only those of the store's own medium.
    fn delete(&self, id: Uuid) -> Result<Option<Peer>, StoreError>;

    /// A copy of every peer, in no order.
    ///
    /// # Errors
    ///
    /// Only those of the store's own medium.
    fn list_all(&self) -> Result<Vec<Peer>, StoreError>;

    /// A copy of every peer of this status, whatever its reason, in no order.
    ///
    /// # Errors
    ///
    /// Only those of the store's own medium.
    fn find_by_status(&self, status: PeerStatusKind) -> Result<Vec<Peer>, StoreError>;

    /// The peer at this address and port, if there is one.
    ///
    /// # Errors
    ///
    /// Only those of the store's own medium.
    fn find_by_ip_port(&self, ip_address: IpAddr, port: u16) -> Result<Option<Peer>, StoreError>;

    /// How many peers have this status, whatever its reason.
    ///
    /// # Errors
    ///
    /// Only those of the store's own medium.
    fn count_by_status(&self, status: PeerStatusKind) -> Result<usize, StoreError>;

    /// The bans that were kept last, for [`BanList::load`](super::BanList::load). A store that keeps none, the default, has none.
    ///
    /// # Errors
    ///
    /// Only those of the store's own medium.
    fn read_bans(&self) -> Result<Vec<Ban>, StoreError> {
        Ok(Vec::new())
    }

    /// Keeps these bans in place of those before. By default they are dropped, and bans end with the program.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooManyBans`] if they are more than the store keeps; nothing is changed then.
    fn write_bans(&self, bans: Vec<Ban>) -> Result<(), StoreError> {
        drop(bans);
        Ok(())
    }

    /// Makes everything that was done before survive the end of the program and of the machine; what other threads do meanwhile may be
    /// part of it. Does nothing by default, as is right for a store where that holds anyhow.
    ///
    /// # Errors
    ///
    /// Those of the store's own medium. What was saved before is still there then.
    fn save(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a store cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is a peer with this address and port.
    #[error("there is a peer at {0} already")]
    DuplicateAddress(SocketAddr),
    /// There is a peer with this id.
    #[error("there is a peer with the id {0} already")]
    DuplicateId(Uuid),
    /// There is no peer with this id.
    #[error("there is no peer with the id {0}")]
    NotFound(Uuid),
    /// The store is full of peers that are worth more than the new one.
    #[error("there are {limit} peers, which is the limit, and none is worth less than the new one")]
    Full {
        /// How many peers there may be.
        limit: usize,
    },
    /// More bans than the store keeps.
    #[error("{got} bans are too many: at most {limit} are kept")]
    TooManyBans {
        /// How many there are.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The file belongs to another network; it was not touched.
    #[error("{path:?} holds peers of {got}, {expected} is expected")]
    WrongNetwork {
        /// The file.
        path: PathBuf,
        /// The network that was asked for.
        expected: Network,
        /// The network of the file: its name, followed by magic and genesis block if it is a custom
        /// network.
        got: String,
    },
    /// The file was written by a later version of this library; it was not touched.
    #[error("{path:?} has version {got} of the format, at most {expected} is expected")]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The latest version that can be read.
        expected: u64,
        /// The file's.
        got: u64,
    },
    /// The file was damaged: it has been set aside, and the store has started empty.
    #[error("{0}")]
    Damaged(CorruptFile),
    /// Another store, in this process or in another, has the file open.
    #[error("{path:?} is in use by another store")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("{what} {path:?}: {kind}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// What a store of the program's own says went wrong.
    #[error("{0}")]
    Other(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves out what has a default.
    struct Forgetful;

    impl PeerStore for Forgetful {
        fn create(&self, _: Peer, _: SystemTime) -> Result<Option<Peer>, StoreError> {
            Ok(None)
        }
        fn read(&self, _: Uuid) -> Result<Option<Peer>, StoreError> {
            Ok(None)
        }
        fn update(&self, peer: Peer) -> Result<(), StoreError> {
            Err(StoreError::NotFound(peer.id))
        }
        fn delete(&self, _: Uuid) -> Result<Option<Peer>, StoreError> {
            Ok(None)
        }
        fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
            Ok(Vec::new())
        }
        fn find_by_status(&self, _: PeerStatusKind) -> Result<Vec<Peer>, StoreError> {
            Ok(Vec::new())
        }
        fn find_by_ip_port(&self, _: IpAddr, _: u16) -> Result<Option<Peer>, StoreError> {
            Ok(None)
        }
        fn count_by_status(&self, _: PeerStatusKind) -> Result<usize, StoreError> {
            Ok(0)
        }
    }

    #[test]
    fn a_store_that_keeps_no_bans_and_no_files_is_a_store() {
        let store: Box<dyn PeerStore> = Box::new(Forgetful);
        assert_eq!(store.write_bans(Vec::new()), Ok(()));
        assert_eq!(store.read_bans(), Ok(Vec::new()));
        assert_eq!(store.save(), Ok(()));
    }

    #[test]
    fn an_error_names_the_file_in_one_line() {
        let error = StoreError::WrongNetwork {
            path: "a\nb".into(),
            expected: Network::Mainnet,
            got: "stn".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            r#""a\nb" holds peers of stn, mainnet is expected"#
        );
    }
}
