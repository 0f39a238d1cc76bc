//! What is known of peers: where they are, what is thought of them, and who is banned.
//!
//! Knows nothing of messages, sockets or threads, and never looks at a clock: times come from the caller.
//!
//! - [`Peer`] and its [`PeerStatus`]: enough to choose whom to dial and whom to forget.
//! - [`BanList`] says who is refused, and by which rule; [`Subnet`] is what a rule covers.
//! - [`AddressKind`], [`is_routable`] and [`group`] tell where an address leads to, and with which others it is counted.

mod address;
mod ban;
mod ban_config;
mod ban_list;
mod ban_reason;
mod peer;
mod status;
mod subnet;
mod subnet_map;
mod user_agent;

pub use address::{AddressKind, group, is_routable};
pub use ban::{Ban, BanError, BannedBy};
pub use ban_config::BanConfig;
pub use ban_list::{BanList, NewBan};
pub use ban_reason::BanReason;
pub use peer::{Peer, PeerSource, PeerVersion};
pub use status::{InvalidStatusChange, PeerStatus, PeerStatusKind};
pub use subnet::{Subnet, SubnetError};
pub use user_agent::UserAgent;
