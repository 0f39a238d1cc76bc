//! Requests to a selected peer of a manager, or to the best one.

use std::sync::Arc;
use std::time::Duration;

use super::Manager;
use crate::connection::{BlockReader, PeerConnectionHandle};
use crate::error::Error;
use crate::peers::PeerId;
use crate::session::ConnectionState;
use crate::wire::{Block, BlockHash, BlockHeader, Services, TimestampedAddress, Tx, Txid};

/// Selects the peer to which a request of a [`Manager`] is sent.
///
/// A peer id converts into this type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PeerSelector {
    /// The connected peer with the shortest average round trip. Peers that serve blocks
    /// ([`Services::NETWORK`]) are preferred. The default.
    #[default]
    Best,
    /// The peer with this id.
    Peer(PeerId),
}

impl From<PeerId> for PeerSelector {
    fn from(peer_id: PeerId) -> Self {
        PeerSelector::Peer(peer_id)
    }
}

/// Requests to one peer, like those of [`PeerConnectionHandle`].
///
/// Any number of threads can send requests at the same time. [`PeerSelector::Best`] selects a peer
/// for each request. A failed request is not repeated at another peer; [`Manager::fetch_block`]
/// does that for blocks.
impl Manager {
    /// Sends a `ping` and returns the round-trip time. Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeers`] if no peer is connected and `peer` is [`PeerSelector::Best`].
    /// - [`Error::UnknownPeer`] if there is no connection to the selected peer.
    /// - The errors of [`PeerConnectionHandle::ping`].
    pub fn ping(
        &self,
        peer: impl Into<PeerSelector>,
        timeout: Duration,
    ) -> Result<Duration, Error> {
        self.choose(peer.into())?.ping(timeout)
    }

    /// Requests the headers that follow `locator` on the chain of the peer, up to `stop`.
    ///
    /// With [`BlockHash::ZERO`] as `stop`, the number of headers is limited by the peer only.
    /// Header requests to one peer are sent one at a time; see [`PeerConnectionHandle::headers`].
    /// Blocks for at most `timeout`. [`Manager::sync_headers`] downloads a whole chain.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeers`] if no peer is connected and `peer` is [`PeerSelector::Best`].
    /// - [`Error::UnknownPeer`] if there is no connection to the selected peer.
    /// - The errors of [`PeerConnectionHandle::headers`].
    pub fn headers(
        &self,
        peer: impl Into<PeerSelector>,
        locator: &[BlockHash],
        stop: BlockHash,
        timeout: Duration,
    ) -> Result<Vec<BlockHeader>, Error> {
        self.choose(peer.into())?.headers(locator, stop, timeout)
    }

    /// Requests a block and verifies that its transactions match its header.
    ///
    /// Blocks for at most `timeout`, and for the verification. [`Manager::fetch_block`] tries
    /// several peers.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeers`] if no peer is connected and `peer` is [`PeerSelector::Best`].
    /// - [`Error::UnknownPeer`] if there is no connection to the selected peer.
    /// - The errors of [`PeerConnectionHandle::block`].
    pub fn block(
        &self,
        peer: impl Into<PeerSelector>,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<Block, Error> {
        self.choose(peer.into())?.block(hash, timeout)
    }

    /// Requests a block of any size and returns when its header has arrived.
    ///
    /// The transactions are read from the [`BlockReader`] while they arrive. Blocks for at most
    /// `timeout`. [`Manager::fetch_block_reader`] tries several peers.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeers`] if no peer is connected and `peer` is [`PeerSelector::Best`].
    /// - [`Error::UnknownPeer`] if there is no connection to the selected peer.
    /// - The errors of [`PeerConnectionHandle::block_reader`].
    pub fn block_reader(
        &self,
        peer: impl Into<PeerSelector>,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<BlockReader<'static>, Error> {
        self.choose(peer.into())?.block_reader(hash, timeout)
    }

    /// Requests transactions and returns them in the order of `txids`.
    ///
    /// A result is `None` if the peer does not have the transaction. A node returns transactions
    /// that it announced in the last 15 minutes, and few others. Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeers`] if no peer is connected and `peer` is [`PeerSelector::Best`].
    /// - [`Error::UnknownPeer`] if there is no connection to the selected peer.
    /// - The errors of [`PeerConnectionHandle::transactions`].
    pub fn transactions(
        &self,
        peer: impl Into<PeerSelector>,
        txids: &[Txid],
        timeout: Duration,
    ) -> Result<Vec<Option<Tx>>, Error> {
        self.choose(peer.into())?.transactions(txids, timeout)
    }

    /// Requests addresses of other nodes (`getaddr`). Blocks for at most `timeout`.
    ///
    /// A node answers once per connection. With the default configuration the manager sends this
    /// request itself, and the call fails for outbound peers; see
    /// [`DiscoveryConfig::request_addresses`](super::DiscoveryConfig::request_addresses).
    /// [`Manager::peers`] returns the addresses that are known.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeers`] if no peer is connected and `peer` is [`PeerSelector::Best`].
    /// - [`Error::UnknownPeer`] if there is no connection to the selected peer.
    /// - The errors of [`PeerConnectionHandle::addresses`].
    pub fn addresses(
        &self,
        peer: impl Into<PeerSelector>,
        timeout: Duration,
    ) -> Result<Vec<TimestampedAddress>, Error> {
        self.choose(peer.into())?.addresses(timeout)
    }

    /// Returns the handle of the connection to a peer. Does not block.
    ///
    /// The handle remains usable after the connection has ended, and its methods then fail. It does
    /// not delay the end of the connection or the shutdown of the manager.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeers`] if no peer is connected and `peer` is [`PeerSelector::Best`].
    /// - [`Error::UnknownPeer`] if there is no connection to the selected peer.
    pub fn connection(
        &self,
        peer: impl Into<PeerSelector>,
    ) -> Result<Arc<PeerConnectionHandle>, Error> {
        self.choose(peer.into())
    }

    fn choose(&self, peer: PeerSelector) -> Result<Arc<PeerConnectionHandle>, Error> {
        match peer {
            PeerSelector::Peer(peer_id) => self
                .shared
                .connections
                .get(peer_id)
                .ok_or(Error::UnknownPeer { peer_id }),
            PeerSelector::Best => self.best().ok_or(Error::NoPeers),
        }
    }

    fn best(&self) -> Option<Arc<PeerConnectionHandle>> {
        let connections = self.shared.connections.all().into_iter();
        let connected = connections.filter(|one| one.state() == ConnectionState::Connected);
        connected.min_by_key(|one| {
            let peer = one.peer_info();
            let serves = peer.is_some_and(|peer| peer.services.contains(Services::NETWORK));
            let smoothed = one.round_trip().smoothed.unwrap_or(Duration::MAX);
            (!serves, smoothed)
        })
    }
}
