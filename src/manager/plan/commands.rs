//! Commands of the application.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{LinkState, Plan};
use crate::error::Error;
use crate::manager::ManagerConfig;
use crate::manager::clock::Now;
use crate::peers::{Ban, PeerId, ScopedAddressError, canonical};
use crate::session::DisconnectReason;

/// The reason for which a manual peer was not dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum NotDialed {
    /// The address of the peer is banned.
    Banned(Ban),
    /// No slot is free.
    NoRoom { max: usize },
    /// The peer table is full of manual peers, none of which can be evicted.
    TooManyManualPeers { max: usize },
    /// The address of the peer has an IPv6 scope.
    Scoped(ScopedAddressError),
}

impl From<ScopedAddressError> for NotDialed {
    fn from(error: ScopedAddressError) -> Self {
        NotDialed::Scoped(error)
    }
}

impl NotDialed {
    pub(in crate::manager) fn into_error(self, address: SocketAddr) -> Error {
        match self {
            NotDialed::Banned(ban) => Error::Banned {
                address,
                ban: Box::new(ban),
            },
            NotDialed::NoRoom { max } => Error::ConnectionLimit { address, max },
            NotDialed::TooManyManualPeers { max } => Error::TooManyManualPeers { address, max },
            NotDialed::Scoped(error) => error.into(),
        }
    }
}

impl Plan {
    /// Dials a manual peer, whatever its status, and returns its identity. An existing connection
    /// is kept.
    ///
    /// `has_ended` returns whether a connection has ended although the plan has not processed the
    /// event.
    pub(in crate::manager) fn connect(
        &mut self,
        address: SocketAddr,
        has_ended: impl Fn(PeerId) -> bool,
        now: Now,
    ) -> Result<PeerId, NotDialed> {
        let address = canonical(address)?;
        if let Some(ban) = self.bans.read().is_banned(address.ip(), now.wall) {
            return Err(NotDialed::Banned(*ban));
        }
        if let Some(peer_id) = self.links.outbound_to(address) {
            self.name(address, now)?;
            if let Some(link) = self.links.get_mut(peer_id) {
                if link.closing {
                    link.again = true;
                } else if matches!(link.state, LinkState::Waiting(_)) {
                    // Dial immediately instead of at the end of the pause.
                    link.state = LinkState::Waiting(now.instant);
                } else {
                    link.again = has_ended(peer_id);
                }
            }
            return Ok(peer_id);
        }
        if self.free_places() == 0 {
            let max = self.config.max_connections;
            return Err(NotDialed::NoRoom { max });
        }
        let peer_id = self.name(address, now)?;
        self.retries.remove(&peer_id);
        self.dial_anew(peer_id, now);
        Ok(peer_id)
    }

    /// Closes a connection on request of the application. Returns whether the peer has one.
    pub(in crate::manager) fn disconnect(&mut self, peer_id: PeerId) -> bool {
        self.close(peer_id, DisconnectReason::Requested);
        self.links.get(peer_id).is_some()
    }

    /// Replaces the configuration. It must be valid.
    pub(in crate::manager) fn update_config(&mut self, config: Arc<ManagerConfig>, now: Now) {
        for peer in self.table.set_max(config.max_known_peers, now.wall) {
            self.forget(peer.id);
        }
        let mut bans = self.bans.write();
        bans.set_whitelist(config.whitelist.iter().copied());
        let displaced = bans.set_config(config.bans.clone(), now.wall);
        drop(bans);
        self.bans_differ |= !displaced.is_empty();
        self.save_at = self.save_at.min(now.after(config.save_interval));
        let (before, discovery) = (&self.config.discovery, &config.discovery);
        if before.seeds != discovery.seeds || before.addresses != discovery.addresses {
            self.seed_again(now);
        }
        let announces = self.config.listener.external_address != config.listener.external_address;
        self.config = config;
        if announces {
            self.announce_to_all(now);
        }
        self.look_again(now);
    }
}
