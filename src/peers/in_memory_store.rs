//! A peer store in memory, with an optional file.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};

use super::peer_table::PeerTable;
use super::store_file::{CorruptFile, LoadedFile, StoreFile};
use super::{Ban, BanList, Peer, PeerId, PeerStatusKind, PeerStore, StoreError};
use crate::Network;

/// A bounded [`PeerStore`] in memory, written to a JSON file by [`PeerStore::save`].
///
/// # Eviction
///
/// When the store is full, the peer with the lowest rank is evicted for a new one. If the new peer
/// has the lowest rank, it is rejected ([`StoreError::Full`]). Ranks in ascending order:
///
/// 1. Inaccessible peers and peers whose ban has ended, the earliest change of status or end of the
///    ban first.
/// 2. Unknown peers, the least recently seen first.
/// 3. Banned peers, the earliest end of the ban first, permanent bans last. The ban itself stays in
///    the [`BanList`].
/// 4. Valid peers, the least recently confirmed first.
///
/// Manual peers are never evicted.
///
/// # File
///
/// The file has a version and belongs to one network. A file of another network is rejected.
///
/// The file is replaced atomically. The store writes a temporary file in the same folder, syncs and
/// renames it, and then syncs the folder (on Unix). A crash of the process or of the machine never
/// leaves a truncated file. A crash may leave one temporary file, which the next save replaces.
/// Times are whole seconds since 1970, rounded down.
///
/// An empty lock file, whose name ends in `.lock`, is created in the same folder, so that only one
/// store can have the file open.
///
/// A corrupt file is moved to a name that ends in `.corrupt`, and the store starts empty. An
/// earlier corrupt file is replaced. [`InMemoryPeerStore::open`] reports the corrupt file. The
/// memory for reading a file is limited to that of the maximum number of peers and bans.
///
/// # Threads
///
/// The store can be shared between threads. Its methods except [`PeerStore::save`] block only while
/// another thread searches or copies the peers, which takes some milliseconds for 10,000 peers.
/// `save` writes and syncs the file. The other methods do not wait for it.
#[derive(Debug)]
#[must_use = "dropping the store releases the lock of its file"]
pub struct InMemoryPeerStore {
    contents: RwLock<StoreContents>,
    file: Option<Mutex<StoreFile>>,
}

#[derive(Debug)]
struct StoreContents {
    peers: PeerTable,
    bans: Vec<Ban>,
}

impl InMemoryPeerStore {
    /// The default maximum number of peers.
    pub const DEFAULT_MAX_PEERS: usize = 10_000;

    /// The maximum number of peers of any store.
    pub const MAX_PEERS: usize = super::file_format::MAX_PEERS;

    /// The maximum size of a file, in bytes. It is sufficient for the maximum number of peers and
    /// bans.
    pub const MAX_FILE_BYTES: u64 = super::file_format::MAX_BYTES;

    /// Creates an empty store without a file, for which saving does nothing.
    ///
    /// A `max_peers` above [`InMemoryPeerStore::MAX_PEERS`] is lowered to it.
    pub fn new(max_peers: usize) -> Self {
        Self {
            contents: RwLock::new(StoreContents {
                peers: PeerTable::new(max_peers.min(Self::MAX_PEERS)),
                bans: Vec::new(),
            }),
            file: None,
        }
    }

    /// Opens a file and returns a store with its content. If the file was corrupt, it was moved
    /// aside and is returned as well.
    ///
    /// The store is empty if the file does not exist or was corrupt. If the file contains more
    /// peers than `max_peers`, those with the highest ranks are kept. Times later than `now` are
    /// replaced by `now`, except the ends of bans.
    ///
    /// A symbolic link at `path` remains: its target is read and replaced, and both share the lock.
    ///
    /// Reads the file, and blocks until this is done.
    ///
    /// # Errors
    ///
    /// Nothing is changed after an error.
    ///
    /// - [`StoreError::InUse`] if another store has the file open.
    /// - [`StoreError::NetworkMismatch`] if the file belongs to another network.
    /// - [`StoreError::UnsupportedVersion`] if a later version of this library wrote the file.
    /// - [`StoreError::Io`] if a system call failed, for example because the folder does not exist.
    pub fn open(
        path: &Path,
        network: Network,
        max_peers: usize,
        now: SystemTime,
    ) -> Result<(Self, Option<CorruptFile>), StoreError> {
        let mut store = Self::new(max_peers);
        let file = StoreFile::open(path, network)?;
        let contents = store.contents.get_mut();
        let corrupt = match file.load(now)? {
            LoadedFile::Missing => None,
            LoadedFile::Corrupt(corrupt) => Some(corrupt),
            LoadedFile::Valid { peers, bans } => {
                for peer in peers {
                    // Only the capacity can be exceeded: ids and addresses are unique.
                    let _ = contents.peers.create(peer, now);
                }
                contents.bans = bans;
                None
            }
        };
        store.file = Some(Mutex::new(file));
        Ok((store, corrupt))
    }
}

impl Default for InMemoryPeerStore {
    /// Creates an empty store without a file, for [`InMemoryPeerStore::DEFAULT_MAX_PEERS`] peers.
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_PEERS)
    }
}

impl PeerStore for InMemoryPeerStore {
    fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError> {
        self.contents.write().peers.create(peer, now)
    }

    fn read(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
        Ok(self.contents.read().peers.get(id).cloned())
    }

    fn update(&self, peer: Peer) -> Result<(), StoreError> {
        self.contents.write().peers.update(peer)
    }

    fn update_all(&self, peers: &[Peer]) -> Vec<Result<(), StoreError>> {
        let mut contents = self.contents.write();
        let updates = peers.iter().map(|peer| contents.peers.update(peer.clone()));
        updates.collect()
    }

    fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
        Ok(self.contents.write().peers.remove(id))
    }

    fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
        Ok(self.contents.read().peers.iter().cloned().collect())
    }

    fn find_by_status(&self, status: PeerStatusKind) -> Result<Vec<Peer>, StoreError> {
        let contents = self.contents.read();
        let found = contents
            .peers
            .iter()
            .filter(|peer| peer.status.kind() == status);
        Ok(found.cloned().collect())
    }

    fn find_by_ip_port(&self, ip_address: IpAddr, port: u16) -> Result<Option<Peer>, StoreError> {
        let contents = self.contents.read();
        let found = contents.peers.find(SocketAddr::new(ip_address, port));
        Ok(found.cloned())
    }

    fn count_by_status(&self, status: PeerStatusKind) -> Result<usize, StoreError> {
        let contents = self.contents.read();
        let found = contents
            .peers
            .iter()
            .filter(|peer| peer.status.kind() == status);
        Ok(found.count())
    }

    fn read_bans(&self) -> Result<Vec<Ban>, StoreError> {
        Ok(self.contents.read().bans.clone())
    }

    /// Stores up to [`BanList::MAX_BANS`] bans.
    fn write_bans(&self, bans: Vec<Ban>) -> Result<(), StoreError> {
        if bans.len() > BanList::MAX_BANS {
            return Err(StoreError::TooManyBans {
                got: bans.len(),
                limit: BanList::MAX_BANS,
            });
        }
        self.contents.write().bans = bans;
        Ok(())
    }

    fn save(&self) -> Result<(), StoreError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        // Locked before the peers are copied, so that concurrent saves write in the order of
        // their copies.
        let mut file = file.lock();
        let (mut peers, bans) = {
            let contents = self.contents.read();
            let peers: Vec<Peer> = contents.peers.iter().cloned().collect();
            (peers, contents.bans.clone())
        };
        peers.sort_by_key(Peer::socket_address);
        file.save(peers, bans)
    }
}
