//! The state of one broadcast transaction.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::{BroadcastReport, MAX_LISTED, MAX_SERVED, Rejection, SERVED_FOR, WAVE_EVERY};
use crate::connection::EncodedMessage;
use crate::network::Magic;
use crate::peers::{PeerId, PeerRef};
use crate::wire::{Inv, Inventory, Reject, Tx, Txid};
use parking_lot::{Condvar, Mutex};

/// A broadcast transaction, encoded once for all peers.
pub(in crate::manager) struct Offer {
    txid: Txid,
    bytes: u64,
    transaction: EncodedMessage,
    announcement: EncodedMessage,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    expires: Instant,
    /// When the next wave of announcements is due.
    wave_at: Option<Instant>,
    /// Whether the first wave, to half of the peers, was sent. Further waves go to all others.
    half_told: bool,
    announced_to: HashSet<PeerId>,
    served: HashMap<PeerId, u32>,
    requested_by: Vec<PeerRef>,
    relayed_by: Vec<PeerRef>,
    rejected_by: Vec<Rejection>,
    is_finished: bool,
}

impl Offer {
    /// Creates a broadcast that starts at `now`.
    pub(super) fn new(magic: Magic, transaction: Tx, now: Instant) -> Self {
        // Copied, because a slice of a block or message would keep all of it in memory.
        let transaction = Tx::from(transaction.view());
        let txid = transaction.txid();
        let announcement = Inv::from(vec![Inventory::Tx(txid)]);
        Self {
            txid,
            bytes: transaction.bytes().len() as u64,
            transaction: EncodedMessage::new(magic, transaction),
            announcement: EncodedMessage::new(magic, announcement),
            state: Mutex::new(State {
                expires: now + SERVED_FOR,
                wave_at: Some(now),
                half_told: false,
                announced_to: HashSet::new(),
                served: HashMap::new(),
                requested_by: Vec::new(),
                relayed_by: Vec::new(),
                rejected_by: Vec::new(),
                is_finished: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(in crate::manager) fn txid(&self) -> Txid {
        self.txid
    }

    /// Returns the size of the transaction in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(in crate::manager) fn transaction(&self) -> &EncodedMessage {
        &self.transaction
    }

    pub(in crate::manager) fn announcement(&self) -> &EncodedMessage {
        &self.announcement
    }

    /// Restarts the broadcast. Peers that neither requested nor announced it get a new
    /// announcement.
    pub(super) fn renew(&self, now: Instant) {
        let mut state = self.state.lock();
        let State {
            announced_to,
            requested_by,
            relayed_by,
            ..
        } = &mut *state;
        announced_to
            .retain(|peer_id| contains(requested_by, peer_id) || contains(relayed_by, peer_id));
        state.expires = now + SERVED_FOR;
        state.wave_at = Some(now);
        state.half_told = false;
    }

    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.state.lock().expires <= now
    }

    /// Returns when the next wave is due or the broadcast expires.
    pub(super) fn next_deadline(&self) -> Instant {
        let state = self.state.lock();
        let wave = state.wave_at.into_iter();
        wave.fold(state.expires, Instant::min)
    }

    /// Returns the peers to announce to: a random half at first, and 5 s later all others.
    pub(in crate::manager) fn wave(
        &self,
        peers: &[PeerId],
        mut random: impl FnMut() -> u64,
        now: Instant,
    ) -> Vec<PeerId> {
        let mut state = self.state.lock();
        if state.wave_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let knows = |peer_id: &&PeerId| state.knows(peer_id);
        let mut untold: Vec<PeerId> = peers.iter().filter(|id| !knows(id)).copied().collect();
        if !state.half_told {
            let half = untold.len().div_ceil(2);
            for place in 0..half {
                let left = (untold.len() - place) as u64;
                let chosen = random().checked_rem(left).unwrap_or_default();
                untold.swap(place, place + chosen as usize);
            }
            untold.truncate(half);
        }
        let was_first = !std::mem::replace(&mut state.half_told, true);
        state.wave_at = was_first.then_some(now + WAVE_EVERY);
        untold
    }

    /// Returns whether a newly connected peer should get an announcement.
    pub(in crate::manager) fn is_news_to(&self, peer_id: PeerId) -> bool {
        !self.state.lock().knows(&peer_id)
    }

    /// Records the announcement to a peer. Must be called before it is sent.
    pub(in crate::manager) fn on_told(&self, peer_id: PeerId) {
        self.state.lock().announced_to.insert(peer_id);
    }

    /// Records that the announcement or the transaction could not be sent to a peer.
    ///
    /// The peer gets another announcement in a later wave.
    pub(in crate::manager) fn on_not_taken(&self, peer_id: PeerId, now: Instant) {
        let mut state = self.state.lock();
        state.announced_to.remove(&peer_id);
        state.wave_at.get_or_insert(now + WAVE_EVERY);
    }

    /// Records a request. Returns whether to send the transaction, at most [`MAX_SERVED`] times.
    pub(super) fn on_asked(&self, peer_id: PeerId) -> bool {
        let mut state = self.state.lock();
        if state.is_finished
            || !state.served.contains_key(&peer_id) && state.served.len() >= MAX_LISTED
        {
            return false;
        }
        let served = state.served.entry(peer_id).or_default();
        let is_often = *served >= MAX_SERVED;
        *served += u32::from(!is_often);
        !is_often
    }

    /// Records that the transaction was sent to a peer that requested it.
    pub(in crate::manager) fn on_served(&self, peer: PeerRef) {
        note(&mut self.state.lock().requested_by, peer);
        self.changed.notify_all();
    }

    /// Records the announcement of a peer, unless it can have the transaction from this manager.
    pub(super) fn on_announced(&self, peer: PeerRef) {
        let mut state = self.state.lock();
        let is_expected = state.announced_to.contains(&peer.peer_id)
            || contains(&state.requested_by, &peer.peer_id);
        if !state.is_finished && !is_expected {
            note(&mut state.relayed_by, peer);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Records the rejection of a peer.
    pub(super) fn on_rejected(&self, peer: PeerRef, reject: &Reject) {
        let mut state = self.state.lock();
        let is_known = state
            .rejected_by
            .iter()
            .any(|one| one.peer.peer_id == peer.peer_id);
        if state.is_finished || is_known || state.rejected_by.len() >= MAX_LISTED {
            return;
        }
        state.rejected_by.push(Rejection {
            peer,
            code: reject.code,
            reason: reject.reason.clone(),
        });
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the broadcast.
    pub(super) fn end(&self) {
        self.state.lock().is_finished = true;
        self.changed.notify_all();
    }

    pub(super) fn report(&self) -> BroadcastReport {
        self.state.lock().report(self.txid)
    }

    /// Blocks until `wanted` peers have the transaction, the broadcast ends, or the deadline
    /// passes.
    pub(super) fn wait_for(&self, wanted: usize, deadline: Instant) -> BroadcastReport {
        let mut state = self.state.lock();
        while !state.is_finished
            && state.reached() < wanted
            && !self.changed.wait_until(&mut state, deadline).timed_out()
        {}
        state.report(self.txid)
    }
}

impl State {
    fn knows(&self, peer_id: &PeerId) -> bool {
        self.announced_to.contains(peer_id)
            || contains(&self.requested_by, peer_id)
            || contains(&self.relayed_by, peer_id)
    }

    fn reached(&self) -> usize {
        let requested = |peer: &&PeerRef| contains(&self.requested_by, &peer.peer_id);
        let both = self.relayed_by.iter().filter(requested).count();
        self.requested_by.len() + self.relayed_by.len() - both
    }

    fn report(&self, txid: Txid) -> BroadcastReport {
        BroadcastReport {
            txid,
            announced_to: self.announced_to.len(),
            requested_by: self.requested_by.clone(),
            relayed_by: self.relayed_by.clone(),
            rejected_by: self.rejected_by.clone(),
            is_finished: self.is_finished,
        }
    }
}

fn note(list: &mut Vec<PeerRef>, peer: PeerRef) {
    if list.len() < MAX_LISTED && !contains(list, &peer.peer_id) {
        list.push(peer);
    }
}

fn contains(list: &[PeerRef], peer_id: &PeerId) -> bool {
    list.iter().any(|peer| peer.peer_id == *peer_id)
}
