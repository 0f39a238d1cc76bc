//! Trust classes of peers, and the keys under which their behavior is remembered.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::session::Direction;
use crate::wire::SourceId;

/// The trust class of a peer, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::manager) enum PeerClass {
    /// The peer dialed us.
    Inbound,
    /// The manager chose and dialed the peer.
    Outbound,
    /// A fixed or manual peer, or one on the whitelist.
    Configured,
}

/// The key under which the behavior of a source is remembered.
///
/// Unlike a peer id it stays the same when the peer reconnects. An inbound peer cannot choose it
/// freely: its port is ignored, and an IPv6 address counts as its /64 subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SourceKey {
    Dialed(SocketAddr),
    Host(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    Subnet([u8; 8]),
}

impl SourceKey {
    pub(super) fn new(direction: Direction, address: SocketAddr) -> Self {
        match (direction, address.ip().to_canonical()) {
            (Direction::Outbound, _) => SourceKey::Dialed(address),
            (Direction::Inbound, IpAddr::V4(host)) => SourceKey::Host(host),
            (Direction::Inbound, IpAddr::V6(host)) => {
                let mut subnet = [0; 8];
                subnet.copy_from_slice(&host.octets()[..8]);
                SourceKey::Subnet(subnet)
            }
        }
    }

    /// Returns the key under which the chain accounts side headers.
    pub(super) fn source_id(&self, hasher: &RandomState) -> SourceId {
        // 0 is reserved for headers without a source.
        SourceId(hasher.hash_one(self).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(direction: Direction, address: &str) -> SourceKey {
        SourceKey::new(direction, address.parse().unwrap())
    }

    #[test]
    fn key_ignores_inbound_port_and_interface_id() {
        use Direction::{Inbound, Outbound};
        let pairs = [
            ("203.0.113.7:1", "203.0.113.7:2"),
            ("203.0.113.7:1", "[::ffff:203.0.113.7]:2"),
            ("[2001:db8::1]:1", "[2001:db8::ffff:1]:2"),
        ];
        for (one, other) in pairs {
            assert_eq!(key(Inbound, one), key(Inbound, other));
            assert_ne!(key(Outbound, one), key(Outbound, other));
            assert_ne!(key(Inbound, one), key(Outbound, one));
        }
        assert_ne!(
            key(Inbound, "[2001:db8::1]:1"),
            key(Inbound, "[2001:db8:0:1::1]:1")
        );
        assert_ne!(key(Inbound, "203.0.113.7:1"), key(Inbound, "203.0.113.8:1"));
    }

    #[test]
    fn source_id_is_stable_and_not_local() {
        let hasher = RandomState::new();
        let one = key(Direction::Inbound, "203.0.113.7:1");
        assert_eq!(one.source_id(&hasher), one.source_id(&hasher));
        assert_ne!(one.source_id(&hasher), SourceId::LOCAL);
    }
}
