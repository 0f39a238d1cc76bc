//! Limits the addresses that a peer can advertise.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::manager::ManagerConfig;
use crate::manager::plan::is_near;
use crate::session::Direction;
use crate::wire::{MAX_ADDRESSES, TimestampedAddress};

/// Number of addresses that an outbound peer can advertise without a request.
const UNASKED: u32 = 50;
/// Interval after which a peer can advertise one more address.
const ONE_MORE: Duration = Duration::from_secs(10);

/// Limits the addresses accepted from one peer: the requested ones and a few more.
///
/// An inbound peer can advertise its own address only, as in the node (Bitcoin SV node 1.2.2,
/// `src/net/net_processing.cpp`, `ProcessAddrMessage`). If private addresses are allowed, a host
/// can have several. Any private or loopback address then counts as its own if the peer has such an
/// address.
pub(super) struct Hearing {
    direction: Direction,
    left: u32,
    /// The time up to which the allowance was replenished.
    counted: Instant,
    /// Whether the peer sent `getaddr` on the current connection.
    has_asked: bool,
}

impl Hearing {
    pub(super) fn new(direction: Direction, now: Instant) -> Self {
        Self {
            direction,
            left: 0,
            counted: now,
            has_asked: false,
        }
    }

    /// Resets the allowance for a new connection, on which `getaddr` is sent if `asked`.
    pub(super) fn begin(&mut self, asked: bool, now: Instant) {
        let answer = if asked { MAX_ADDRESSES as u32 } else { 0 };
        self.left = match self.direction {
            Direction::Outbound => UNASKED + answer,
            Direction::Inbound => 1,
        };
        self.counted = now;
        self.has_asked = false;
    }

    /// Returns whether to answer a `getaddr`: the first one of an inbound peer on each connection.
    pub(super) fn on_question(&mut self) -> bool {
        let had_asked = std::mem::replace(&mut self.has_asked, true);
        !had_asked && self.direction == Direction::Inbound
    }

    /// Returns the accepted entries of an `addr` from the peer at `address`.
    pub(super) fn on_addresses<'a>(
        &mut self,
        entries: &'a [TimestampedAddress],
        address: IpAddr,
        config: &ManagerConfig,
        now: Instant,
    ) -> &'a [TimestampedAddress] {
        self.count(now);
        let told = match self.direction {
            Direction::Outbound => &entries[..entries.len().min(self.left as usize)],
            Direction::Inbound if self.left == 0 => &[],
            Direction::Inbound => own_entry(entries, address, config),
        };
        self.left -= told.len() as u32;
        told
    }

    fn count(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted);
        let more = passed.as_secs() / ONE_MORE.as_secs();
        self.counted += ONE_MORE * u32::try_from(more).unwrap_or(u32::MAX);
        let most = match self.direction {
            Direction::Outbound => UNASKED,
            Direction::Inbound => 1,
        };
        // Keeps the allowance for a requested answer, which may still arrive.
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.left = self.left.max(self.left.saturating_add(more).min(most));
    }
}

fn own_entry<'a>(
    entries: &'a [TimestampedAddress],
    address: IpAddr,
    config: &ManagerConfig,
) -> &'a [TimestampedAddress] {
    let is_near_peer = |address| config.allows_private() && is_near(address);
    let own = entries.iter().position(|entry| {
        let told = entry.address.ip.to_canonical();
        told == address || is_near_peer(told) && is_near_peer(address)
    });
    own.map_or(&[], |at| &entries[at..=at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::wire::{NetworkAddress, Services};

    const SECOND: Duration = Duration::from_secs(1);

    fn entries(count: u8, first: [u8; 3]) -> Vec<TimestampedAddress> {
        let [a, b, c] = first;
        let entry = |last| TimestampedAddress {
            time: 1,
            address: NetworkAddress::new(Services::NETWORK, ([a, b, c, last], 8333).into()),
        };
        (0..count).map(entry).collect()
    }

    #[test]
    fn outbound_peer_may_exceed_getaddr_reply_slightly() {
        let config = ManagerConfig::new(Network::Mainnet);
        let begin = Instant::now();
        let mut hearing = Hearing::new(Direction::Outbound, begin);
        let source = [8, 8, 8, 8].into();
        let many = entries(250, [9, 9, 9]);
        let take = |hearing: &mut Hearing, now| {
            let taken = (0..10).map(|_| hearing.on_addresses(&many, source, &config, now).len());
            taken.sum::<usize>()
        };
        assert_eq!(take(&mut hearing, begin), 0, "before the handshake");
        hearing.begin(false, begin);
        assert_eq!(take(&mut hearing, begin), 50);
        hearing.begin(true, begin);
        assert_eq!(take(&mut hearing, begin), 1050);
        assert_eq!(take(&mut hearing, begin + 9 * SECOND), 0);
        assert_eq!(take(&mut hearing, begin + 10 * SECOND), 1);
        assert_eq!(take(&mut hearing, begin + 39 * SECOND), 2);
        assert_eq!(take(&mut hearing, begin + 40 * SECOND), 1);
        assert_eq!(take(&mut hearing, begin + 100_000 * SECOND), 50);
    }

    #[test]
    fn what_was_asked_for_may_come_late() {
        let config = ManagerConfig::new(Network::Mainnet);
        let begin = Instant::now();
        let mut hearing = Hearing::new(Direction::Outbound, begin);
        hearing.begin(true, begin);
        let many = entries(250, [9, 9, 9]);
        let late = begin + 3600 * SECOND;
        let took = hearing.on_addresses(&many, [8, 8, 8, 8].into(), &config, late);
        assert_eq!(took.len(), 250);
        assert_eq!(hearing.left, 800);
    }

    #[test]
    fn inbound_peer_may_advertise_itself() {
        let config = ManagerConfig::new(Network::Mainnet);
        let begin = Instant::now();
        let mut hearing = Hearing::new(Direction::Inbound, begin);
        hearing.begin(true, begin);
        let many = entries(9, [9, 9, 9]);
        let mut take = |address: [u8; 4], now| {
            let taken = hearing.on_addresses(&many, address.into(), &config, now);
            taken.to_vec()
        };
        assert_eq!(take([9, 9, 8, 7], begin), []);
        assert_eq!(take([9, 9, 9, 7], begin), [many[7]]);
        assert_eq!(take([9, 9, 9, 7], begin), []);
        assert_eq!(take([9, 9, 9, 7], begin + 10 * SECOND), [many[7]]);
    }

    #[test]
    fn private_network_accepts_other_address_of_host() {
        let begin = Instant::now();
        let many = entries(2, [127, 0, 1]);
        let mut regtest = ManagerConfig::new(Network::Regtest);
        let take = |config: &ManagerConfig, address: [u8; 4]| {
            let mut hearing = Hearing::new(Direction::Inbound, begin);
            hearing.begin(true, begin);
            let taken = hearing.on_addresses(&many, address.into(), config, begin);
            taken.to_vec()
        };
        assert_eq!(take(&regtest, [127, 0, 0, 1]), [many[0]]);
        assert_eq!(take(&regtest, [8, 8, 8, 8]), []);
        regtest.allow_private = Some(false);
        assert_eq!(take(&regtest, [127, 0, 0, 1]), []);
    }

    #[test]
    fn first_getaddr_of_inbound_peer_is_answered() {
        let begin = Instant::now();
        let mut inbound = Hearing::new(Direction::Inbound, begin);
        inbound.begin(false, begin);
        assert!(inbound.on_question());
        assert!(!inbound.on_question());
        inbound.begin(false, begin);
        assert!(inbound.on_question());
        assert!(!Hearing::new(Direction::Outbound, begin).on_question());
    }
}
