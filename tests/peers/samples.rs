//! Peers, bans and stores for the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bsv_p2p::Network;
use bsv_p2p::peers::{
    BanConfig, BanList, BanReason, CorruptFile, InMemoryPeerStore, Peer, PeerSource, PeerStore,
    PeerVersion, StoreError, UserAgent,
};
use tempfile::TempDir;

/// Returns a whole second, like all times in a file.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// Returns a distinct peer for each number.
pub(crate) fn peer(number: u32) -> Peer {
    let address = (0x0100_0000 + number).to_be_bytes();
    Peer::new((address, 8333).into(), PeerSource::Seed, now()).unwrap()
}

/// Returns a peer of each kind, with all optional fields.
pub(crate) fn peers() -> Vec<Peer> {
    let mut connected = peer(1);
    let version = PeerVersion {
        protocol_version: 70016,
        user_agent: UserAgent::new(b"/node:1/\n\xff\0\""),
        start_height: 800_000,
    };
    connected.record_attempt(now());
    connected.record_connected(0x25, version, now()).unwrap();
    let mut banned = peer(2);
    let reason = BanReason::Misbehaved { score: 120 };
    banned.record_ban(reason, Some(now() + Duration::from_secs(86_400)), now());
    let named = Peer::new(
        "[2001:db8::1]:18333".parse().unwrap(),
        PeerSource::Manual,
        now(),
    )
    .unwrap();
    vec![connected, banned, named, peer(3)]
}

/// Returns a list with a permanent manual ban and an automatic one.
pub(crate) fn bans() -> BanList {
    let mut bans = BanList::new(BanConfig::default());
    let subnet = "198.51.100.0/24".parse().unwrap();
    bans.ban(subnet, BanReason::Manual, None, now()).unwrap();
    let address = "2001:db8::7".parse().unwrap();
    bans.ban_automatically(address, BanReason::WrongMagic, now())
        .unwrap();
    bans
}

/// A temporary folder, and the path of the store's file in it.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the store's file, or of a file with this suffix.
    pub(crate) fn file(&self, end: &str) -> PathBuf {
        self.folder.path().join(format!("peers.json{end}"))
    }

    /// Returns the suffixes of all file names, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_prefix("peers.json").unwrap().to_owned()
        };
        let mut names: Vec<String> = fs::read_dir(self.path()).unwrap().map(name).collect();
        names.sort();
        names
    }

    pub(crate) fn try_open(&self) -> Result<(InMemoryPeerStore, Option<CorruptFile>), StoreError> {
        InMemoryPeerStore::open(&self.file(""), Network::Regtest, 10_000, now())
    }

    /// Opens a store whose file is valid or missing.
    pub(crate) fn open(&self) -> InMemoryPeerStore {
        let (store, damaged) = self.try_open().unwrap();
        assert_eq!(damaged, None);
        store
    }

    /// Creates a folder whose file has a peer of each kind.
    pub(crate) fn filled() -> Self {
        let folder = Self::new();
        let store = folder.open();
        for peer in peers() {
            store.create(peer, now()).unwrap();
        }
        store.write_bans(bans().list()).unwrap();
        store.save().unwrap();
        folder
    }
}

/// Returns the content of a store by address, without the IDs, which differ in each run.
pub(crate) fn contents(store: &InMemoryPeerStore) -> Vec<Peer> {
    let mut peers = store.list_all().unwrap();
    peers.sort_by_key(Peer::socket_address);
    for peer in &mut peers {
        peer.id = bsv_p2p::peers::PeerId::from_u128(0);
    }
    peers
}
