//! A store in memory, with a file beside it if wanted.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::file::{CorruptFile, Loaded, StoreFile};
use super::table::Table;
use super::{Ban, BanList, Peer, PeerStatusKind, PeerStore, StoreError};
use crate::Network;

/// Peers and bans in memory, bounded in number, and written to a JSON file when [`PeerStore::save`] is called.
///
/// **When it is full**, the peer that is worth the least is forgotten for a new one, which may be the new one itself
/// ([`StoreError::Full`]). In this order:
///
/// 1. inaccessible peers and those whose ban is over, whichever has been so for longest;
/// 2. unknown peers, the one first that was last heard of longest ago;
/// 3. banned peers, the one first whose ban ends first, those banned for ever at last (the ban itself stays in the
///    [`BanList`]);
/// 4. valid peers, the one first for which that was found longest ago.
///
/// A peer that the program named is never forgotten.
///
/// **The file** has a version and belongs to one network; that of another is refused. It is written to a temporary file in the same
/// folder, which is synced and renamed, and then the folder is synced (on Unix): at every moment, also when the program or the machine
/// stops, the file is whole, and no more than one temporary file is left, which the next save replaces. Times are kept in whole
/// seconds since 1970, rounded down. Beside the file lies an empty one whose name ends in `.lock`, by which no two stores have the
/// same file open.
///
/// **A damaged file** is set aside under a name that ends in `.damaged`, in place of one that was set aside earlier, and the store starts
/// empty; [`InMemoryPeerStore::open`] tells. Whatever a file holds, reading it costs no more memory than the peers and bans that any
/// store may have.
///
/// Safe to use from several threads. Every method but [`PeerStore::save`] waits at most for another thread to look something up or copy
/// the peers; with 10,000 of them that is some milliseconds. `save` writes and syncs, which is as slow as the disk; the
/// other methods do not wait for that.
#[derive(Debug)]
pub struct InMemoryPeerStore {
    contents: RwLock<Contents>,
    file: Option<Mutex<StoreFile>>,
}

#[derive(Debug)]
struct Contents {
    peers: Table,
    bans: Vec<Ban>,
}

impl InMemoryPeerStore {
    /// How many peers there may be unless told otherwise.
    pub const DEFAULT_MAX_PEERS: usize = 10_000;

    /// How many peers any store may have.
    pub const MAX_PEERS: usize = super::document::MAX_PEERS;

    /// How many bytes a file may have: enough for as many peers and bans as any store may have.
    pub const MAX_FILE_BYTES: u64 = super::document::MAX_BYTES;

    /// An empty store without a file: saving does nothing. More than [`InMemoryPeerStore::MAX_PEERS`] are no more than that.
    pub fn new(max_peers: usize) -> Self {
        Self {
            contents: RwLock::new(Contents {
                peers: Table::new(max_peers.min(Self::MAX_PEERS)),
                bans: Vec::new(),
            }),
            file: None,
        }
    }

    /// A store with what the file holds, which is empty if there is no file yet; and what became of a damaged one. Reads the file,
    /// which blocks for as long as the disk takes.
    ///
    /// A symbolic link at `path` remains: its target is read and replaced, and both share the lock.
    ///
    /// Of more peers than there is room for, those that are worth the most are kept. Times later than `now` are taken for `now`,
    /// except the ends of bans.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`], [`StoreError::WrongNetwork`], [`StoreError::UnsupportedVersion`], and [`StoreError::Io`], as when the folder
    /// does not exist. Nothing is changed then.
    pub fn open(
        path: &Path,
        network: Network,
        max_peers: usize,
        now: SystemTime,
    ) -> Result<(Self, Option<CorruptFile>), StoreError> {
        let mut store = Self::new(max_peers);
        let file = StoreFile::open(path, network)?;
        let contents = store.contents.get_mut();
        let damaged = match file.load(now)? {
            Loaded::Nothing => None,
            Loaded::Damaged(damaged) => Some(damaged),
            Loaded::Whole { peers, bans } => {
                for peer in peers {
                    // What finds no room is forgotten; that nothing is there twice was checked.
                    let _ = contents.peers.create(peer, now);
                }
                contents.bans = bans;
                None
            }
        };
        store.file = Some(Mutex::new(file));
        Ok((store, damaged))
    }
}

impl Default for InMemoryPeerStore {
    /// An empty store without a file, for [`InMemoryPeerStore::DEFAULT_MAX_PEERS`] peers.
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_PEERS)
    }
}

impl PeerStore for InMemoryPeerStore {
    fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError> {
        self.contents.write().peers.create(peer, now)
    }

    fn read(&self, id: Uuid) -> Result<Option<Peer>, StoreError> {
        Ok(self.contents.read().peers.get(id).cloned())
    }

    fn update(&self, peer: Peer) -> Result<(), StoreError> {
        self.contents.write().peers.update(peer)
    }

    fn delete(&self, id: Uuid) -> Result<Option<Peer>, StoreError> {
        Ok(self.contents.write().peers.remove(id))
    }

    fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
        Ok(self.contents.read().peers.all().cloned().collect())
    }

    fn find_by_status(&self, status: PeerStatusKind) -> Result<Vec<Peer>, StoreError> {
        let contents = self.contents.read();
        let found = contents
            .peers
            .all()
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
            .all()
            .filter(|peer| peer.status.kind() == status);
        Ok(found.count())
    }

    fn read_bans(&self) -> Result<Vec<Ban>, StoreError> {
        Ok(self.contents.read().bans.clone())
    }

    /// Keeps up to [`BanList::MAX_BANS`].
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
        // The file first: of two that save at once, the later one writes what is later.
        let mut file = file.lock();
        let (mut peers, bans) = {
            let contents = self.contents.read();
            let peers: Vec<Peer> = contents.peers.all().cloned().collect();
            (peers, contents.bans.clone())
        };
        peers.sort_by_key(Peer::socket_address);
        file.save(peers, bans)
    }
}
