//! What is known of peers: where they are, what is thought of them, who is banned, and where that is kept.
//!
//! Knows nothing of messages, sockets or threads, and never looks at a clock: times come from the caller.
//!
//! - [`Peer`] and its [`PeerStatus`]: enough to choose whom to dial and whom to forget.
//! - [`PeerStore`] keeps peers and bans; [`InMemoryPeerStore`] is one, with a JSON file that is whole at every moment.
//! - [`BanList`] says who is refused, and by which rule; [`Subnet`] is what a rule covers.
//! - [`AddressKind`], [`is_routable`] and [`group`] tell where an address leads to, and with which others it is counted.
//! - [`is_service_port`] names the ports at which no node listens.
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
//! let mut peer = Peer::new("203.0.113.7:8333".parse()?, PeerSource::Program, now)?;
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
mod document;
mod file;
mod form;
mod in_memory;
mod peer;
mod plain_json;
mod service_port;
mod status;
mod store;
mod subnet;
mod subnet_map;
mod table;
mod user_agent;

pub use address::{AddressKind, group, is_routable};
pub use ban::{Ban, BanError, BanOrigin, BanOutcome};
pub use ban_config::BanConfig;
pub use ban_list::BanList;
pub use ban_reason::BanReason;
pub use file::CorruptFile;
pub use in_memory::InMemoryPeerStore;
pub(crate) use peer::canonical;
pub use peer::{Peer, PeerSource, PeerVersion, ScopedAddressError};
pub use service_port::is_service_port;
pub use status::{InvalidStatusChange, PeerStatus, PeerStatusKind};
pub use store::{PeerStore, StoreError};
pub use subnet::{Subnet, SubnetError};
pub(crate) use table::Table;
pub use user_agent::UserAgent;
