//! Questions to a peer of a manager, named or the best there is.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Manager;
use crate::connection::{BlockReader, PeerConnectionHandle};
use crate::error::Error;
use crate::session::ConnectionState;
use crate::wire::{Block, BlockHash, BlockHeader, Services, TimestampedAddress, Tx, Txid};

/// Which peer is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PeerSelector {
    /// The connected peer that answers pings soonest, of those that serve blocks if there are any.
    #[default]
    Best,
    /// The peer with this identity.
    Peer(Uuid),
}

impl From<Uuid> for PeerSelector {
    fn from(peer_id: Uuid) -> Self {
        PeerSelector::Peer(peer_id)
    }
}

/// Requests, as [`PeerConnectionHandle`] has them, to a peer that is named or chosen. Each blocks at most for its `timeout`, and from any
/// number of threads at once.
///
/// A peer that is [`Best`](PeerSelector::Best) is chosen for each request anew; a request that fails is not sent to another.
///
/// # Errors
///
/// [`Error::UnknownPeer`] without a connection to the peer, [`Error::NoPeers`] if none is connected, and those of the method of the same name.
impl Manager {
    /// See [`PeerConnectionHandle::ping`].
    pub fn ping(
        &self,
        peer: impl Into<PeerSelector>,
        timeout: Duration,
    ) -> Result<Duration, Error> {
        self.choose(peer.into())?.ping(timeout)
    }

    /// See [`PeerConnectionHandle::headers`].
    pub fn headers(
        &self,
        peer: impl Into<PeerSelector>,
        locator: &[BlockHash],
        stop: BlockHash,
        timeout: Duration,
    ) -> Result<Vec<BlockHeader>, Error> {
        self.choose(peer.into())?.headers(locator, stop, timeout)
    }

    /// See [`PeerConnectionHandle::block`].
    pub fn block(
        &self,
        peer: impl Into<PeerSelector>,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<Block, Error> {
        self.choose(peer.into())?.block(hash, timeout)
    }

    /// See [`PeerConnectionHandle::block_reader`].
    pub fn block_reader(
        &self,
        peer: impl Into<PeerSelector>,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<BlockReader, Error> {
        self.choose(peer.into())?.block_reader(hash, timeout)
    }

    /// See [`PeerConnectionHandle::transactions`].
    pub fn transactions(
        &self,
        peer: impl Into<PeerSelector>,
        txids: &[Txid],
        timeout: Duration,
    ) -> Result<Vec<Option<Tx>>, Error> {
        self.choose(peer.into())?.transactions(txids, timeout)
    }

    /// See [`PeerConnectionHandle::addresses`].
    pub fn addresses(
        &self,
        peer: impl Into<PeerSelector>,
        timeout: Duration,
    ) -> Result<Vec<TimestampedAddress>, Error> {
        self.choose(peer.into())?.addresses(timeout)
    }

    /// The connection to a peer, for whatever else is to be done with it. It lives on, without a peer at its other end, for as long as
    /// this is held; the manager does not wait for that.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPeer`] and [`Error::NoPeers`].
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
