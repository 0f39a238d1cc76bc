//! The store of peers and bans, which applications can replace.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

use super::{Ban, CorruptFile, Peer, PeerId, PeerStatusKind};
use crate::Network;
use crate::system_error::SystemError;

/// Stores peers and bans.
///
/// [`InMemoryPeerStore`](super::InMemoryPeerStore) implements it; an application can provide
/// another store, such as a database.
///
/// Every method may block as long as the store needs. [`Manager`](crate::Manager) never calls them
/// on a thread that a connection or a listener waits for. Each method must be atomic: another
/// thread sees all of its effect or nothing. A read followed by an update is not atomic, and the
/// last update wins. Hence one thread should own the changes.
///
/// Addresses must be compared in the form of [`IpAddr::to_canonical`]. Ids must be unique, and so
/// must pairs of address and port.
///
/// # Examples
///
/// A minimal store that keeps neither bans nor files:
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::SystemTime;
/// use bsv_p2p::peers::{Peer, PeerId, PeerSource, PeerStatusKind, PeerStore, StoreError};
///
/// #[derive(Default)]
/// struct MapStore(Mutex<HashMap<PeerId, Peer>>);
///
/// impl PeerStore for MapStore {
///     fn create(&self, peer: Peer, _now: SystemTime) -> Result<Option<Peer>, StoreError> {
///         let mut peers = self.0.lock().unwrap();
///         let address = peer.socket_address();
///         if peers.contains_key(&peer.id) {
///             return Err(StoreError::DuplicateId(peer.id));
///         }
///         if peers.values().any(|known| known.socket_address() == address) {
///             return Err(StoreError::DuplicateAddress(address));
///         }
///         peers.insert(peer.id, peer);
///         Ok(None)
///     }
///
///     fn update(&self, peer: Peer) -> Result<(), StoreError> {
///         let mut peers = self.0.lock().unwrap();
///         let (id, address) = (peer.id, peer.socket_address());
///         if !peers.contains_key(&id) {
///             return Err(StoreError::NotFound(id));
///         }
///         if peers.values().any(|other| other.id != id && other.socket_address() == address) {
///             return Err(StoreError::DuplicateAddress(address));
///         }
///         peers.insert(id, peer);
///         Ok(())
///     }
///
///     fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
///         Ok(self.0.lock().unwrap().remove(&id))
///     }
///
///     fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
///         Ok(self.0.lock().unwrap().values().cloned().collect())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MapStore::default();
/// let now = SystemTime::now();
/// store.create(Peer::new("203.0.113.7:8333".parse()?, PeerSource::Seed, now)?, now)?;
/// assert_eq!(store.count_by_status(PeerStatusKind::Unknown)?, 1);
/// # Ok(())
/// # }
/// ```
///
/// In tests, a store can be mocked with `mockall`. Methods with a default need not be mocked:
///
/// ```
/// use std::time::SystemTime;
/// use bsv_p2p::peers::{Peer, PeerId, PeerStatusKind, PeerStore, StoreError};
///
/// mockall::mock! {
///     Store {}
///     impl PeerStore for Store {
///         fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError>;
///         fn update(&self, peer: Peer) -> Result<(), StoreError>;
///         fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError>;
///         fn list_all(&self) -> Result<Vec<Peer>, StoreError>;
///     }
/// }
///
/// /// The function under test.
/// fn needs_seeds(store: &dyn PeerStore) -> Result<bool, StoreError> {
///     Ok(store.count_by_status(PeerStatusKind::Valid)? == 0)
/// }
///
/// fn main() {
///     let mut store = MockStore::new();
///     store.expect_list_all().times(1).returning(|| Ok(Vec::new()));
///     assert_eq!(needs_seeds(&store), Ok(true));
/// }
/// ```
pub trait PeerStore: Send + Sync {
    /// Adds a new peer. A store that is full may evict another peer and return it.
    ///
    /// # Errors
    ///
    /// The store must be unchanged after an error.
    ///
    /// - [`StoreError::DuplicateAddress`] if the address and port are stored already.
    /// - [`StoreError::DuplicateId`] if the id is stored already.
    /// - [`StoreError::Full`] if the store is full of peers with higher ranks.
    /// - Another error if the medium of the store failed.
    fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError>;

    /// Replaces the peer with the same id, regardless of its status.
    ///
    /// # Errors
    ///
    /// The store must be unchanged after an error.
    ///
    /// - [`StoreError::NotFound`] if the id is not stored, for example because the peer was
    ///   evicted.
    /// - [`StoreError::DuplicateAddress`] if another peer has the new address and port.
    /// - Another error if the medium of the store failed.
    fn update(&self, peer: Peer) -> Result<(), StoreError>;

    /// Removes the peer with this id and returns it. Returns `None` if it is not stored.
    ///
    /// # Errors
    ///
    /// Fails only if the medium of the store failed.
    fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError>;

    /// Returns a copy of every peer, in any order.
    ///
    /// # Errors
    ///
    /// Fails only if the medium of the store failed.
    fn list_all(&self) -> Result<Vec<Peer>, StoreError>;

    /// Returns the peer with this id, if it is stored.
    ///
    /// The default implementation searches [`list_all`](Self::list_all).
    ///
    /// # Errors
    ///
    /// Fails only if the medium of the store failed.
    fn read(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
        Ok(self.list_all()?.into_iter().find(|peer| peer.id == id))
    }

    /// Updates several peers, and returns the result of [`update`](Self::update) for each of them,
    /// in the same order.
    ///
    /// [`Manager`](crate::Manager) writes all pending changes with one call. The default
    /// implementation calls [`update`](Self::update) for each peer. A database should override it
    /// to use one transaction. If the transaction fails, its error is the result of every peer.
    ///
    /// A missing result counts as a failure.
    fn update_all(&self, peers: &[Peer]) -> Vec<Result<(), StoreError>> {
        peers.iter().map(|peer| self.update(peer.clone())).collect()
    }

    /// Returns a copy of every peer with this status, in any order.
    ///
    /// The default implementation searches [`list_all`](Self::list_all).
    ///
    /// # Errors
    ///
    /// Fails only if the medium of the store failed.
    fn find_by_status(&self, status: PeerStatusKind) -> Result<Vec<Peer>, StoreError> {
        let mut peers = self.list_all()?;
        peers.retain(|peer| peer.status.kind() == status);
        Ok(peers)
    }

    /// Returns the peer with this address and port, if it is stored.
    ///
    /// The default implementation searches [`list_all`](Self::list_all).
    ///
    /// # Errors
    ///
    /// Fails only if the medium of the store failed.
    fn find_by_ip_port(&self, ip_address: IpAddr, port: u16) -> Result<Option<Peer>, StoreError> {
        let address = SocketAddr::new(ip_address.to_canonical(), port);
        let mut peers = self.list_all()?.into_iter();
        Ok(peers.find(|peer| peer.socket_address() == address))
    }

    /// Returns the number of peers with this status.
    ///
    /// The default implementation counts the peers of [`find_by_status`](Self::find_by_status).
    ///
    /// # Errors
    ///
    /// Fails only if the medium of the store failed.
    fn count_by_status(&self, status: PeerStatusKind) -> Result<usize, StoreError> {
        Ok(self.find_by_status(status)?.len())
    }

    /// Returns the bans that were stored last, for [`BanList::load`](super::BanList::load).
    ///
    /// The default implementation returns none.
    ///
    /// # Errors
    ///
    /// Fails only if the medium of the store failed.
    fn read_bans(&self) -> Result<Vec<Ban>, StoreError> {
        Ok(Vec::new())
    }

    /// Replaces the stored bans.
    ///
    /// The default implementation discards them, so that bans end with the process.
    ///
    /// # Errors
    ///
    /// The store must be unchanged after an error.
    ///
    /// - [`StoreError::TooManyBans`] if there are more bans than the store can hold.
    /// - Another error if the medium of the store failed.
    fn write_bans(&self, bans: Vec<Ban>) -> Result<(), StoreError> {
        drop(bans);
        Ok(())
    }

    /// Makes all earlier changes durable, so that they survive a crash of the process and of the
    /// machine.
    ///
    /// Concurrent changes of other threads may be included. The default implementation does
    /// nothing, which suits stores whose changes are always durable.
    ///
    /// # Errors
    ///
    /// Fails only if the medium of the store failed. The data that was saved before must then
    /// remain.
    fn save(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The error of a peer store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address and port are stored already.
    #[error("address {0} is already stored")]
    DuplicateAddress(SocketAddr),
    /// The id is stored already.
    #[error("peer {0} is already stored")]
    DuplicateId(PeerId),
    /// The id is not stored.
    #[error("peer {0} not found")]
    NotFound(PeerId),
    /// The store is full of peers with higher ranks than the new one.
    #[error("limit of {limit} peers reached")]
    Full {
        /// The maximum number of peers.
        limit: usize,
    },
    /// There are more bans than the store can hold.
    #[error("expected at most {limit} bans, got {got}")]
    TooManyBans {
        /// The number of bans.
        got: usize,
        /// The maximum number of bans.
        limit: usize,
    },
    /// The file belongs to another network. It is unchanged.
    #[error("{path:?}: expected network {expected}, got {got}")]
    NetworkMismatch {
        /// The file.
        path: PathBuf,
        /// The network that was requested.
        expected: Network,
        /// The network of the file: its name, followed by magic and genesis block if it is a custom
        /// network.
        got: String,
    },
    /// A later version of this library wrote the file. It is unchanged.
    #[error("{path:?}: expected format version {expected} or earlier, got {got}")]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The latest supported version of the format.
        expected: u64,
        /// The version of the file.
        got: u64,
    },
    /// The file was corrupt. It was moved aside, and the store has started empty.
    #[error("{0}")]
    Corrupt(CorruptFile),
    /// Another store has the file open, in this process or in another one.
    #[error("{path:?} is already in use by another store")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A system call failed.
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
    /// An error of a store that the application provides.
    #[error("{0}")]
    Other(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{BanReason, InMemoryPeerStore, PeerSource};

    /// A store without the methods that have a default.
    struct MinimalStore(InMemoryPeerStore);

    impl PeerStore for MinimalStore {
        fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError> {
            self.0.create(peer, now)
        }
        fn update(&self, peer: Peer) -> Result<(), StoreError> {
            self.0.update(peer)
        }
        fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
            self.0.delete(id)
        }
        fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
            self.0.list_all()
        }
    }

    fn peer(port: u16, now: SystemTime) -> Peer {
        Peer::new(([203, 0, 113, 7], port).into(), PeerSource::Seed, now).unwrap()
    }

    #[test]
    fn default_methods_keep_no_bans() {
        let store: Box<dyn PeerStore> = Box::new(MinimalStore(InMemoryPeerStore::default()));
        assert_eq!(store.write_bans(Vec::new()), Ok(()));
        assert_eq!(store.read_bans(), Ok(Vec::new()));
        assert_eq!(store.save(), Ok(()));
    }

    #[test]
    fn default_queries_search_all_peers() {
        let now = SystemTime::UNIX_EPOCH;
        let own = InMemoryPeerStore::default();
        let minimal = MinimalStore(InMemoryPeerStore::default());
        let mut peers = [peer(1, now), peer(2, now), peer(3, now)];
        peers[1].record_ban(BanReason::Manual, None, now);
        for peer in &peers {
            own.create(peer.clone(), now).unwrap();
            minimal.create(peer.clone(), now).unwrap();
        }
        let stores: [&dyn PeerStore; 2] = [&own, &minimal];
        for store in stores {
            assert_eq!(store.read(peers[2].id), Ok(Some(peers[2].clone())));
            assert_eq!(store.read(PeerId::random()), Ok(None));
            let banned = PeerStatusKind::Banned;
            assert_eq!(store.find_by_status(banned), Ok(vec![peers[1].clone()]));
            assert_eq!(store.count_by_status(PeerStatusKind::Unknown), Ok(2));
            assert_eq!(store.count_by_status(PeerStatusKind::Valid), Ok(0));
            let mapped = "::ffff:203.0.113.7".parse().unwrap();
            assert_eq!(store.find_by_ip_port(mapped, 3), Ok(Some(peers[2].clone())));
            assert_eq!(store.find_by_ip_port(mapped, 4), Ok(None));
        }
    }

    #[test]
    fn batch_update_returns_one_result_per_peer() {
        let now = SystemTime::UNIX_EPOCH;
        let own = InMemoryPeerStore::default();
        let minimal = MinimalStore(InMemoryPeerStore::default());
        let stores: [&dyn PeerStore; 2] = [&own, &minimal];
        for store in stores {
            let mut known = [peer(1, now), peer(2, now)];
            for peer in &known {
                store.create(peer.clone(), now).unwrap();
            }
            known.iter_mut().for_each(Peer::record_failure);
            let mut duplicate = known[1].clone();
            duplicate.port = 1;
            let unknown = peer(3, now);
            let batch = [
                known[0].clone(),
                unknown.clone(),
                duplicate,
                known[1].clone(),
            ];
            let expected = vec![
                Ok(()),
                Err(StoreError::NotFound(unknown.id)),
                Err(StoreError::DuplicateAddress(known[0].socket_address())),
                Ok(()),
            ];
            assert_eq!(store.update_all(&batch), expected);
            assert_eq!(store.update_all(&[]), []);
            for peer in known {
                assert_eq!(store.read(peer.id), Ok(Some(peer)));
            }
        }
    }

    #[test]
    fn io_error_has_system_error_as_source() {
        let error = StoreError::Io {
            operation: "writing",
            path: "peers.json".into(),
            error: std::io::Error::from_raw_os_error(28).into(),
        };
        assert_eq!(error.to_string(), r#"writing "peers.json" failed"#);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.ends_with("(os error 28)"), "{source}");
    }

    #[test]
    fn error_shows_the_path_in_one_line() {
        let error = StoreError::NetworkMismatch {
            path: "a\nb".into(),
            expected: Network::Mainnet,
            got: "stn".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            r#""a\nb": expected network mainnet, got stn"#
        );
    }
}
