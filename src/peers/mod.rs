//! The peer database: addresses, status, bans and persistence.
//!
//! This module does not depend on messages, sockets or threads. The caller passes the time.
//!
//! - [`Peer`] and [`PeerStatus`] contain the data that selects peers for dialing and eviction.
//! - [`PeerStore`] stores peers and bans. [`InMemoryPeerStore`] implements it, with a JSON file
//!   that is replaced atomically.
//! - [`BanList`] returns the ban of an address. A ban covers a [`Subnet`].
//! - [`AddressKind`] and [`is_routable`] classify an address. [`address_group`] returns its network
//!   group.
//! - [`is_service_port`] returns whether a port belongs to a service that is not a node.
//!
//! ```
//! use std::time::SystemTime;
//! use bsv_p2p::Network;
//! use bsv_p2p::peers::{
//!     BanConfig, BanList, BanReason, InMemoryPeerStore, Peer, PeerSource, PeerStatusKind, PeerStore,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("peers.json");
//! let now = SystemTime::now();
//! let (store, damaged) = InMemoryPeerStore::open(&path, Network::Mainnet, 10_000, now)?;
//! assert_eq!(damaged, None);
//! let mut bans = BanList::new(BanConfig::default());
//! bans.load(store.read_bans()?, now);
//!
//! let mut peer = Peer::new("203.0.113.7:8333".parse()?, PeerSource::Manual, now)?;
//! store.create(peer.clone(), now)?;
//! let ban = bans.ban_automatically(peer.ip_address, BanReason::WrongChain, now)?.ban;
//! peer.record_ban(ban.reason, ban.until, now);
//! store.update(peer)?;
//! assert_eq!(store.count_by_status(PeerStatusKind::Banned)?, 1);
//!
//! store.write_bans(bans.list())?;
//! store.save()?;
//! # Ok(())
//! # }
//! ```

mod address;
mod ban;
mod ban_config;
mod ban_list;
mod ban_reason;
mod file_format;
mod in_memory_store;
mod json_limits;
mod parse_peer_error;
mod peer;
mod peer_id;
mod peer_ref;
mod peer_table;
mod serde_repr;
mod service_port;
mod status;
mod store;
mod store_file;
mod subnet;
mod subnet_map;
mod user_agent;

pub use address::{AddressKind, address_group, is_routable};
pub use ban::{Ban, BanError, BanOrigin, BanOutcome};
pub use ban_config::BanConfig;
pub use ban_list::BanList;
pub use ban_reason::BanReason;
pub use in_memory_store::InMemoryPeerStore;
pub use parse_peer_error::ParsePeerError;
pub(crate) use peer::canonical;
pub use peer::{Peer, PeerSource, PeerVersion, ScopedAddressError};
pub use peer_id::{ParsePeerIdError, PeerId};
pub use peer_ref::PeerRef;
pub(crate) use peer_table::PeerTable;
pub use service_port::is_service_port;
pub use status::{InvalidStatusChange, PeerStatus, PeerStatusKind};
pub use store::{PeerStore, StoreError};
pub use store_file::CorruptFile;
pub use subnet::{Subnet, SubnetError};
pub use user_agent::UserAgent;
