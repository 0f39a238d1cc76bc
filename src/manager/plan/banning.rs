//! Bans, and their effects on connections and known peers.

use std::net::IpAddr;
use std::time::Duration;

use super::Plan;
use super::dialing::{is_near, keeps_away};
use crate::event::ControlEvent;
use crate::manager::clock::Now;
use crate::peers::{
    Ban, BanError, BanOutcome, BanReason, PeerId, PeerRef, PeerStatus, PeerStatusKind, Subnet,
};
use crate::session::DisconnectReason;

impl Plan {
    /// Bans the address of a peer if the disconnect reason requires it. Returns whether the ban was
    /// applied.
    ///
    /// Manual peers and whitelisted addresses are exempt. So are loopback and private addresses if
    /// the configuration allows them.
    pub(super) fn ban_peer(&mut self, peer: PeerRef, reason: &DisconnectReason, now: Now) -> bool {
        let (peer_id, address) = (peer.peer_id, peer.address.ip());
        let is_named = self.table.get(peer_id).is_some_and(|peer| peer.manual);
        let is_exempt = self.config.allows_private() && is_near(address);
        let Some(reason) = ban_reason(reason).filter(|_| !is_named && !is_exempt) else {
            return false;
        };
        let banned = self
            .bans
            .write()
            .ban_automatically(address, reason, now.wall);
        match banned {
            Ok(new) => {
                self.change(peer_id, |peer| {
                    peer.record_ban(new.ban.reason, new.ban.until, now.wall);
                });
                self.on_ban(Some(peer), &new);
                true
            }
            // The address is whitelisted, or the list is full of manual bans. Closing the
            // connection suffices.
            Err(
                BanError::Whitelisted { .. } | BanError::Full { .. } | BanError::Expired { .. },
            ) => false,
        }
    }

    /// Adds a manual ban, and closes the connections that it covers.
    pub(in crate::manager) fn ban(
        &mut self,
        subnet: Subnet,
        duration: Option<Duration>,
        now: Now,
    ) -> Result<Ban, BanError> {
        let until = duration.and_then(|duration| now.wall.checked_add(duration));
        let new = self
            .bans
            .write()
            .ban(subnet, BanReason::Manual, until, now.wall)?;
        for peer_id in self.known_in(subnet) {
            self.change(peer_id, |peer| {
                peer.record_ban(new.ban.reason, new.ban.until, now.wall);
            });
        }
        self.on_ban(None, &new);
        Ok(new.ban)
    }

    /// Lifts the bans of exactly this subnet.
    pub(in crate::manager) fn unban(&mut self, subnet: Subnet, now: Now) -> Vec<Ban> {
        let lifted = self.bans.write().unban(&subnet);
        self.on_lifted(&lifted, now);
        lifted
    }

    /// Lifts all bans that cover an address.
    pub(in crate::manager) fn unban_address(&mut self, address: IpAddr, now: Now) -> Vec<Ban> {
        let lifted = self.bans.write().unban_address(address);
        self.on_lifted(&lifted, now);
        lifted
    }

    fn on_ban(&mut self, peer: Option<PeerRef>, new: &BanOutcome) {
        self.bans_differ = true;
        self.tell(ControlEvent::PeerBanned { peer, ban: new.ban });
        let covered: Vec<PeerId> = self
            .links
            .iter()
            .filter(|(_, link)| new.ban.subnet.contains(link.address.ip()))
            .filter(|(_, link)| self.bans.read().whitelisted_by(link.address.ip()).is_none())
            .filter(|(peer_id, _)| {
                let known = self.table.get(*peer_id);
                known.is_none_or(|peer| keeps_away(&new.ban, peer))
            })
            .map(|(peer_id, _)| peer_id)
            .collect();
        for peer_id in covered {
            self.close(peer_id, DisconnectReason::AddressBanned);
        }
        self.close_banned_sockets(new.ban.subnet, new.ban.reason);
    }

    fn on_lifted(&mut self, lifted: &[Ban], now: Now) {
        if lifted.is_empty() {
            return;
        }
        self.bans_differ = true;
        for ban in lifted {
            for peer_id in self.known_in(ban.subnet) {
                let is_free = |address| self.bans.read().is_banned(address, now.wall).is_none();
                let was_banned = self.table.get(peer_id).is_some_and(|peer| {
                    peer.status.kind() == PeerStatusKind::Banned && is_free(peer.ip_address)
                });
                if was_banned {
                    self.change(peer_id, |peer| {
                        // The transition from this status is always valid.
                        let _ = peer.set_status(PeerStatus::Unknown, now.wall);
                    });
                }
            }
        }
        self.look_again(now);
    }

    /// Returns the known peers in a subnet that are not whitelisted.
    fn known_in(&self, subnet: Subnet) -> Vec<PeerId> {
        let bans = self.bans.read();
        let inside = self.table.iter().filter(|peer| {
            subnet.contains(peer.ip_address) && bans.whitelisted_by(peer.ip_address).is_none()
        });
        inside.map(|peer| peer.id).collect()
    }
}

/// Returns the ban reason for a disconnect reason that leads to a ban.
fn ban_reason(reason: &DisconnectReason) -> Option<BanReason> {
    match reason {
        DisconnectReason::Misbehaved { score } => Some(BanReason::Misbehaved { score: *score }),
        DisconnectReason::FrameTooLarge { .. } => Some(BanReason::FrameTooLarge),
        DisconnectReason::WrongMagic(_) => Some(BanReason::WrongMagic),
        DisconnectReason::WrongChain => Some(BanReason::WrongChain),
        DisconnectReason::StreamAddressMismatch => Some(BanReason::StreamAddressMismatch),
        _ => None,
    }
}
