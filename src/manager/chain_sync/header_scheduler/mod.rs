//! Whom to ask for headers next: a pure machine, which knows no thread, socket or clock.

mod peer_state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

pub(super) use self::peer_state::PeerState;
use crate::wire::BlockHash;

/// After so long without an answer another peer is asked as well.
pub(super) const HEDGE_AFTER: Duration = Duration::from_secs(2);
/// How many peers are asked at once at most.
pub(super) const MAX_REQUESTS: usize = 4;
/// How long a peer is left alone whose answer did not come or led nowhere.
pub(super) const AVOID_DURATION: Duration = Duration::from_secs(60);
/// How often the best peer is asked though nobody has announced anything.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How many answers in a row may lead to a side chain.
const MAX_SIDE_ROUNDS: u32 = 5;
/// How many times in a row a peer may have nothing of what it announces.
const MAX_FRUITLESS: u32 = 3;
/// Of how many peers is remembered that they are avoided, before those are forgotten for whom that is over.
const MANY_AVOIDED: usize = 1024;

/// What a peer answered, as far as it matters for whom to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It belongs to the chain. With `more` the peer may have further headers.
    Extended { more: bool },
    /// Headers of a side chain that ends with this header.
    SideChain { last: BlockHash, more: bool },
    /// Nothing new.
    Empty,
    /// None came.
    NoReply,
    /// Headers that break rules, or lead nowhere.
    Invalid,
}

/// Somebody who is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeaderRequest {
    pub(super) peer_id: Uuid,
    /// The side chain to continue; otherwise the active chain.
    pub(super) side_chain_tip: Option<BlockHash>,
}

/// The connected peers, and what is known of what they have.
#[derive(Debug)]
pub(super) struct HeaderScheduler {
    peers: HashMap<Uuid, PeerState>,
    avoided: HashMap<Uuid, Instant>,
    /// When the best peer is asked in any case.
    look_at: Instant,
    /// Which look was asked for last, and up to which there has been one that was answered to the end.
    wanted: u64,
    looked: u64,
    /// Numbers news.
    count: u64,
}

impl HeaderScheduler {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            peers: HashMap::new(),
            avoided: HashMap::new(),
            look_at: now,
            wanted: 0,
            looked: 0,
            count: 0,
        }
    }

    /// A peer is connected. Without others anything may have been announced meanwhile.
    pub(super) fn on_connected(&mut self, peer_id: Uuid, standing: PeerState, now: Instant) {
        if self.peers.is_empty() {
            self.look_at = now;
        }
        self.peers.entry(peer_id).or_insert(standing);
    }

    /// A peer is connected no more.
    pub(super) fn on_disconnected(&mut self, peer_id: Uuid, now: Instant) {
        if let Some(gone) = self.peers.remove(&peer_id)
            && gone.asked_at.is_some()
        {
            self.look_at = now;
        }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.peers.keys().copied()
    }

    /// A peer has announced a block that is not known, above a chain of this height most often.
    pub(super) fn on_announced(&mut self, peer_id: Uuid, hash: BlockHash, height: u32) {
        self.count += 1;
        let count = self.count;
        if let Some(peer) = self.peers.get_mut(&peer_id) {
            peer.news.get_or_insert(count);
            peer.announced = Some(hash);
            peer.claims = peer.claims.max(height.saturating_add(1));
        }
    }

    /// Announcements may have been lost.
    pub(super) fn on_lagged(&mut self, now: Instant) {
        self.look_at = now;
    }

    /// Somebody wants to have looked; the number grows with every such wish.
    pub(super) fn on_wanted(&mut self, wanted: u64, now: Instant) {
        if wanted > self.wanted {
            self.wanted = wanted;
            self.look_at = now;
        }
    }

    /// A question has come to its end. The chain has `height` now; `knows` tells whether it has a block.
    pub(super) fn on_answer(
        &mut self,
        peer_id: Uuid,
        answer: Answer,
        height: u32,
        knows: impl Fn(&BlockHash) -> bool,
        now: Instant,
    ) {
        self.count += 1;
        let Some(peer) = self.peers.get_mut(&peer_id) else {
            return;
        };
        if peer.asked_at.take().is_none() {
            return;
        }
        let has_news = peer.news.is_some();
        match answer {
            Answer::Extended { more: true } => {
                (peer.side_chain_tip, peer.fruitless) = (None, 0);
                peer.news = Some(self.count);
                return;
            }
            Answer::SideChain { last, more: true } => {
                let round = peer.side_chain_tip.map_or(1, |(_, round)| round + 1);
                if round >= MAX_SIDE_ROUNDS {
                    return self.avoid(peer_id, now);
                }
                peer.side_chain_tip = Some((last, round));
                peer.news = Some(self.count);
                return;
            }
            // It has announced something since it was asked, and is asked again.
            Answer::Empty if has_news => {
                peer.fruitless += 1;
                if peer.fruitless >= MAX_FRUITLESS {
                    self.avoid(peer_id, now);
                }
                return;
            }
            Answer::Empty => {
                let has_announced = peer.announced.is_some_and(|announced| knows(&announced));
                if peer.claims > height && !has_announced {
                    return self.avoid(peer_id, now);
                }
            }
            Answer::Extended { more: false } | Answer::SideChain { more: false, .. } => {}
            Answer::NoReply => return self.avoid(peer_id, now),
            Answer::Invalid => return self.on_wrong(peer_id, now),
        }
        (peer.side_chain_tip, peer.fruitless) = (None, 0);
        if !has_news {
            // What it claims beyond that, it does not have.
            peer.announced = None;
            peer.claims = peer.claims.min(height);
        }
        self.looked = self.looked.max(peer.asked_for);
    }

    /// A peer has sent headers that break rules, or lead nowhere.
    pub(super) fn on_wrong(&mut self, peer_id: Uuid, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&peer_id) {
            peer.was_wrong = true;
            self.avoid(peer_id, now);
        }
    }

    /// Whom to ask now, if anybody; that counts as asked from then on. `round_trip` is asked of those who may be.
    pub(super) fn next(
        &mut self,
        height: u32,
        round_trip: impl Fn(Uuid) -> Duration,
        now: Instant,
    ) -> Option<HeaderRequest> {
        let open = self.peers.values().filter_map(|peer| peer.asked_at);
        let (mut count, mut all_late) = (0, true);
        for asked_at in open {
            count += 1;
            all_late &= now >= asked_at + HEDGE_AFTER;
        }
        if count >= MAX_REQUESTS || !all_late {
            return None;
        }
        let is_free = |(id, peer): &(&Uuid, &PeerState)| {
            peer.asked_at.is_none() && !self.is_avoided(**id, now)
        };
        let free = || self.peers.iter().filter(is_free);
        let news = free().filter_map(|(id, peer)| Some((peer.news?, *id)));
        let best = |(id, peer): &(&Uuid, &PeerState)| {
            let behind = height >= peer.claims;
            let claims = std::cmp::Reverse(peer.claims.max(height));
            (behind, !peer.serves, round_trip(**id), claims)
        };
        let chosen = news.min().map(|(_, id)| id);
        let chosen = chosen.or_else(|| {
            let ahead = free().filter(|(_, peer)| peer.claims > height);
            ahead.min_by_key(best).map(|(id, _)| *id)
        });
        let chosen = chosen.or_else(|| {
            let due = count == 0 && now >= self.look_at;
            let best = free().min_by_key(best).filter(|_| due);
            best.map(|(id, _)| *id)
        });
        let chosen = chosen.or_else(|| {
            // Better one that was avoided and has announced something since than nobody.
            let others = self.peers.iter().filter(|_| count == 0);
            let others = others.filter(|(_, peer)| peer.asked_at.is_none() && !peer.was_wrong);
            let news = others.filter_map(|(id, peer)| Some((peer.news?, *id)));
            news.min().map(|(_, id)| id)
        });
        let peer_id = chosen?;
        let wanted = self.wanted;
        let peer = self.peers.get_mut(&peer_id)?;
        peer.asked_at = Some(now);
        peer.asked_for = wanted;
        peer.news = None;
        self.look_at = now + LOOK_EVERY;
        let side_chain_tip = peer.side_chain_tip.map(|(last, _)| last);
        Some(HeaderRequest {
            peer_id,
            side_chain_tip,
        })
    }

    /// When [`HeaderScheduler::next`] may say something else though nothing has happened; after `now`.
    pub(super) fn next_deadline(&self, now: Instant) -> Instant {
        let late = self.peers.values().filter_map(|peer| peer.asked_at);
        let late = late.map(|asked_at| asked_at + HEDGE_AFTER);
        let free = self.avoided.values().copied();
        let others = late.chain(free).chain([self.look_at]);
        let others = others.filter(|at| *at > now);
        others.fold(now + LOOK_EVERY, Instant::min)
    }

    /// Up to which look everything is there that peers have or claim, those who are avoided aside; `None` while something is not.
    pub(super) fn settled(&self, height: u32, now: Instant) -> Option<u64> {
        let lacks = |(id, peer): (&Uuid, &PeerState)| {
            let has_more = peer.news.is_some() || peer.claims > height;
            has_more && !self.is_avoided(*id, now)
        };
        (!self.peers.iter().any(lacks)).then_some(self.looked)
    }

    fn is_avoided(&self, peer_id: Uuid, now: Instant) -> bool {
        self.avoided.get(&peer_id).is_some_and(|until| now < *until)
    }

    /// The peer is left alone for some time, and another one asked.
    fn avoid(&mut self, peer_id: Uuid, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&peer_id) {
            (peer.news, peer.announced, peer.side_chain_tip) = (None, None, None);
        }
        if self.avoided.len() >= MANY_AVOIDED {
            self.avoided.retain(|_, until| now < *until);
        }
        self.avoided.insert(peer_id, now + AVOID_DURATION);
        self.look_at = now;
    }
}
