//! Handling of closed connections: bans, retries and cool-downs.

use super::dialing::NO_ROOM_PAUSE;
use super::{Attachment, LASTING, Link, LinkState, Plan, Retry};
use crate::manager::clock::Now;
use crate::peers::{Peer, PeerId, PeerRef, PeerStatus};
use crate::session::{Direction, DisconnectAction, DisconnectReason};

impl Plan {
    /// Handles a connection that is closed permanently and has emitted its last event.
    pub(in crate::manager) fn on_over(
        &mut self,
        peer_id: PeerId,
        reason: &DisconnectReason,
        now: Now,
    ) {
        if let Some(address) = self.turned_away.remove(&peer_id) {
            // A connection without a slot can still lead to a ban, but to nothing else.
            self.ban_peer(PeerRef::new(peer_id, address), reason, now);
            return;
        }
        let Some(link) = self.links.remove(peer_id) else {
            return;
        };
        if link.is_connected() {
            self.note_seen(peer_id, now);
        }
        let banned = self.ban_peer(PeerRef::new(peer_id, link.address), reason, now);
        if link.direction == Direction::Inbound {
            return;
        }
        self.note_local_fault(link.address.ip(), reason, now);
        // Another peer may now be dialed, including one in the same address group.
        self.look_again(now);
        if banned {
            return;
        }
        if link.again && !self.stopping && !self.is_banned(peer_id, now) {
            self.retries.remove(&peer_id);
            return self.dial_anew(peer_id, now);
        }
        match reason.action() {
            // The slot was taken by another connection.
            DisconnectAction::None if *reason == DisconnectReason::AtCapacity => {
                let pauses = self.retries.get(&peer_id).map_or(0, |retry| retry.pauses);
                self.retry_after(peer_id, NO_ROOM_PAUSE, pauses, reason, now);
            }
            DisconnectAction::None => {}
            // The restart policy of the connection permits no further restart.
            DisconnectAction::Backoff | DisconnectAction::Reconnect => {
                self.pause(peer_id, &link, reason, now)
            }
            DisconnectAction::RetrySoon => self.retry_soon(peer_id, reason, now),
            // The ban was not applied, because the peer is manual or its address is exempt.
            DisconnectAction::Cooldown | DisconnectAction::Ban => {
                self.cooldown(peer_id, reason, now)
            }
            DisconnectAction::ManualOnly => {
                let pause = self.config.cooldown;
                self.retry_after(peer_id, pause, 0, reason, now);
            }
        }
    }

    /// Schedules the next dial of a peer with exponential backoff, or starts its cool-down if its
    /// attempts are exhausted.
    fn pause(&mut self, peer_id: PeerId, link: &Link, reason: &DisconnectReason, now: Now) {
        let lasted = match link.state {
            LinkState::Connected(since) => now.instant.saturating_duration_since(since) >= LASTING,
            _ => {
                self.change(peer_id, Peer::record_failure);
                false
            }
        };
        let before = self.retries.get(&peer_id).map_or(0, |retry| retry.pauses);
        let pauses = if lasted { 0 } else { before };
        let restarts = &self.config.restarts;
        let is_spent = restarts
            .max_delayed_restarts
            .is_some_and(|max| pauses >= max);
        let is_given_up = match link.attachment {
            Attachment::Candidate => is_spent,
            // The restart policy of the connection has used all attempts.
            Attachment::Named => true,
            Attachment::Fixed => false,
        };
        if is_given_up {
            return self.cooldown(peer_id, reason, now);
        }
        let pause = restarts.pause(pauses, (self.random)());
        self.retry_after(peer_id, pause, pauses.saturating_add(1), reason, now);
    }

    /// Marks a peer as inaccessible until its cool-down has expired. A fixed peer keeps its status,
    /// and is dialed again after the maximum backoff.
    fn cooldown(&mut self, peer_id: PeerId, reason: &DisconnectReason, now: Now) {
        if self.is_fixed(peer_id) {
            let pause = self.config.restarts.max_backoff;
            return self.retry_after(peer_id, pause, 0, reason, now);
        }
        self.change(peer_id, |peer| {
            // A banned peer keeps its status.
            let _ = peer.set_status(PeerStatus::Inaccessible, now.wall);
        });
        let pause = self.config.cooldown;
        self.retry_after(peer_id, pause, 0, reason, now);
    }

    fn retry_after(
        &mut self,
        peer_id: PeerId,
        pause: std::time::Duration,
        pauses: u32,
        reason: &DisconnectReason,
        now: Now,
    ) {
        let retry = Retry {
            at: now.after(pause),
            reason: reason.clone(),
            pauses,
            local_faults: 0,
        };
        self.remember_retry(peer_id, retry);
    }

    pub(super) fn remember_retry(&mut self, peer_id: PeerId, retry: Retry) {
        // A retry entry of an unknown peer would never be removed.
        if self.table.get(peer_id).is_some() {
            self.retries.insert(peer_id, retry);
        }
    }
}
