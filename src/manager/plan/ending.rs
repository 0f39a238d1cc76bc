//! What follows from the end of a connection.

use super::dialling::NO_ROOM_PAUSE;
use super::{Attachment, LASTING, Link, LinkState, Plan, Retry};
use crate::manager::clock::Now;
use crate::peers::{Peer, PeerId, PeerRef, PeerStatus};
use crate::session::{Direction, DisconnectAction, DisconnectReason};

impl Plan {
    /// A connection is over: its last event has been sent.
    pub(in crate::manager) fn on_over(
        &mut self,
        peer_id: PeerId,
        reason: &DisconnectReason,
        now: Now,
    ) {
        let turned_away = self.turned_away.remove(&peer_id);
        if let Some(address) = turned_away.or_else(|| self.stream_candidates.remove(&peer_id)) {
            // Without a place it may have deserved a ban all the same; there is nothing else to follow.
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
        // Another may take its place, or one of its group of addresses.
        self.look_again(now);
        if banned {
            return;
        }
        if link.again && !self.stopping && !self.is_banned(peer_id, now) {
            self.retries.remove(&peer_id);
            return self.dial_anew(peer_id, now);
        }
        match reason.action() {
            // There was no place after all.
            DisconnectAction::None if *reason == DisconnectReason::AtCapacity => {
                let pauses = self.retries.get(&peer_id).map_or(0, |retry| retry.pauses);
                self.retry_after(peer_id, NO_ROOM_PAUSE, pauses, reason, now);
            }
            DisconnectAction::None => {}
            // The pause after which its own plan would have begun a next life was its last one.
            DisconnectAction::Backoff | DisconnectAction::Reconnect => {
                self.pause(peer_id, &link, reason, now)
            }
            DisconnectAction::RetrySoon => self.retry_soon(peer_id, reason, now),
            // A ban that could not be made, because the program named the peer or its address is never banned.
            DisconnectAction::Cooldown | DisconnectAction::Ban => {
                self.cooldown(peer_id, reason, now)
            }
            DisconnectAction::ManualOnly => {
                let pause = self.config.cooldown;
                self.retry_after(peer_id, pause, 0, reason, now);
            }
        }
    }

    /// A candidate is dialled again after a pause that grows, until its tries are spent.
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
            // Its own plan has spent its tries.
            Attachment::Named => true,
            Attachment::Fixed => false,
        };
        if is_given_up {
            return self.cooldown(peer_id, reason, now);
        }
        let pause = restarts.pause(pauses, (self.random)());
        self.retry_after(peer_id, pause, pauses.saturating_add(1), reason, now);
    }

    /// A peer that cannot be reached, or is not one for us, is left alone for some time. A fixed one is dialled again all the same, after
    /// the longest pause.
    fn cooldown(&mut self, peer_id: PeerId, reason: &DisconnectReason, now: Now) {
        if self.is_fixed(peer_id) {
            let pause = self.config.restarts.max_backoff;
            return self.retry_after(peer_id, pause, 0, reason, now);
        }
        self.change(peer_id, |peer| {
            // One that is banned stays so.
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
        // The retry of an unknown peer would never be removed.
        if self.table.get(peer_id).is_some() {
            self.retries.insert(peer_id, retry);
        }
    }
}
