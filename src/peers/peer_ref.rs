//! The id of a peer together with its address.

use std::fmt;
use std::net::SocketAddr;

use super::PeerId;

/// The id and the address of a peer, as events and results name it.
///
/// Displays as the address.
///
/// ```
/// use bsv_p2p::peers::{PeerId, PeerRef};
///
/// let peer = PeerRef::new(PeerId::random(), "203.0.113.7:8333".parse()?);
/// assert_eq!(peer.to_string(), "203.0.113.7:8333");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerRef {
    /// The id of the peer.
    pub peer_id: PeerId,
    /// The address of the peer.
    pub address: SocketAddr,
}

impl PeerRef {
    /// Creates a reference to a peer.
    pub const fn new(peer_id: PeerId, address: SocketAddr) -> Self {
        Self { peer_id, address }
    }
}

impl fmt::Display for PeerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
