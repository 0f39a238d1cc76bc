//! Decides which peers to query for headers. Has no thread, socket or clock.

mod peer_state;
mod source_memory;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(super) use self::peer_state::OpenRequest;
use self::peer_state::{HEDGE_AFTER, PeerState, Progress, Purpose};
pub(super) use self::source_memory::AvoidReason;
use self::source_memory::SourceMemory;
use super::source::{PeerClass, SourceKey};
use crate::peers::PeerId;
use crate::wire::BlockHash;

/// Maximum number of open requests.
///
/// Silent sources must not prevent queries to the others. In any usual configuration fewer sources
/// than this can be silent at the same time.
pub(super) const MAX_REQUESTS: usize = 64;
/// Interval at which all sources are queried, also without announcements.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Interval at which the least bad source is queried while all sources are avoided.
pub(super) const FORCED_INTERVAL: Duration = Duration::from_secs(5);

/// Delay before a request that could not be sent is repeated.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// The effect of an answer from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The answer continued the active chain by this number of headers.
    Extended { headers: usize },
    /// The answer continued a side chain up to `tip` by this number of headers.
    SideChain {
        tip: BlockHash,
        height: u32,
        headers: usize,
    },
    /// All headers of the answer were known. `last` is the last one.
    Known { last: BlockHash, height: u32 },
    /// The answer had no headers.
    Empty,
    /// The timestamp of the first new header is too far in the future.
    TooNew,
    /// The connection closed or the request timed out.
    NoReply,
    /// The headers violate a rule.
    Invalid,
    /// The side chain has too little work for the space that its source may use.
    NoSpace,
}

/// A request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeaderRequest {
    pub(super) id: u64,
    pub(super) peer_id: PeerId,
    /// The header to continue from instead of the tip of the active chain.
    pub(super) resume: Option<BlockHash>,
}

/// A request that timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpiredRequest {
    pub(super) id: u64,
    pub(super) peer_id: PeerId,
    /// The age of the request if the peer should be disconnected, or else `None`.
    pub(super) disconnect_after: Option<Duration>,
}

/// The connected peers, their open requests, and what is known about their headers.
#[derive(Debug)]
pub(super) struct HeaderScheduler {
    peers: BTreeMap<PeerId, PeerState>,
    memory: SourceMemory,
    requests: u64,
    announcements: u64,
    /// The number of the current round. Each round queries all sources again.
    round: u64,
    waiter: u64,
    refresh_at: Instant,
    /// When a source may be queried although all sources are avoided.
    forced_at: Instant,
    /// The time of the last answer of any source.
    last_reply: Option<Instant>,
    cancelled: Vec<u64>,
}

impl HeaderScheduler {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            peers: BTreeMap::new(),
            memory: SourceMemory::default(),
            requests: 0,
            announcements: 0,
            round: 1,
            waiter: 0,
            refresh_at: now + REFRESH_INTERVAL,
            forced_at: now,
            last_reply: None,
            cancelled: Vec::new(),
        }
    }

    /// Adds a connected peer. Does nothing if it is known.
    pub(super) fn on_connected(&mut self, peer_id: PeerId, class: PeerClass, key: SourceKey) {
        let had_trusted = self.has_trusted();
        let memory = &mut self.memory;
        let state = || {
            let mut peer = PeerState::new(class, key);
            peer.streak = memory.take_streak(key);
            peer
        };
        self.peers.entry(peer_id).or_insert_with(state);
        if !had_trusted && self.has_trusted() {
            // Inbound peers are no longer sources.
            for peer in self.peers.values_mut() {
                if peer.class == PeerClass::Inbound {
                    peer.reset();
                    self.cancelled.extend(peer.request.take().map(|one| one.id));
                }
            }
        }
    }

    /// Removes a peer. An open request counts as unanswered.
    ///
    /// Its series of answers continues when the source reconnects.
    pub(super) fn on_disconnected(&mut self, peer_id: PeerId, now: Instant) {
        let Some(mut peer) = self.peers.remove(&peer_id) else {
            return;
        };
        if let Some(request) = peer.request {
            self.memory.on_no_reply(peer.key, request.sent_at, now);
            self.cancelled.push(request.id);
            if let Some(streak) = &mut peer.streak {
                streak.add_unanswered(now.saturating_duration_since(request.sent_at));
            }
        }
        if let Some(streak) = peer.streak {
            self.memory.keep_streak(peer.key, streak, now);
        }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.keys().copied()
    }

    /// Returns whether the headers of a peer can change the chain.
    ///
    /// Inbound peers are sources only while no peer of a higher class is connected.
    pub(super) fn is_source(&self, peer_id: PeerId) -> bool {
        self.peers
            .get(&peer_id)
            .is_some_and(|peer| self.is_eligible(peer))
    }

    #[cfg(test)]
    pub(super) fn remembered_sources(&self) -> usize {
        self.memory.len()
    }

    pub(super) fn key(&self, peer_id: PeerId) -> Option<SourceKey> {
        self.peers.get(&peer_id).map(|peer| peer.key)
    }

    /// Records that a source announced an unknown block.
    pub(super) fn on_announced(&mut self, peer_id: PeerId, hash: BlockHash) {
        self.announcements += 1;
        if let Some(peer) = self.peers.get_mut(&peer_id) {
            peer.on_announced(hash, self.announcements);
        }
    }

    /// Records that a source sent a full batch of headers without a request.
    pub(super) fn on_has_more(&mut self, peer_id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&peer_id) {
            peer.progress = Progress::HasMore;
        }
    }

    /// Removes the announcements of blocks that are known now.
    pub(super) fn resolve_announcements(&mut self, is_known: impl Fn(&BlockHash) -> bool) {
        for peer in self.peers.values_mut() {
            if peer.announced.take_if(|one| is_known(&one.hash)).is_some() {
                self.memory.on_confirmed_announcement(peer.key);
            }
        }
    }

    /// Starts a new round, for example because announcements were lost.
    pub(super) fn refresh(&mut self, now: Instant) {
        self.round += 1;
        self.refresh_at = now + REFRESH_INTERVAL;
    }

    /// Starts a new round for a waiter. Waiters have ascending numbers.
    pub(super) fn on_waiter(&mut self, waiter: u64, now: Instant) {
        if waiter > self.waiter {
            self.waiter = waiter;
            self.refresh(now);
        }
    }

    /// Discards everything about the headers of the sources, because the chain was replaced.
    pub(super) fn restart(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.reset();
            self.cancelled.extend(peer.request.take().map(|one| one.id));
        }
        self.refresh(now);
    }

    /// Returns the next request to send, if any. It counts as sent.
    ///
    /// `tip` is the tip of the active chain.
    pub(super) fn next(
        &mut self,
        tip: BlockHash,
        round_trip: impl Fn(PeerId) -> Duration,
        now: Instant,
    ) -> Option<HeaderRequest> {
        if now >= self.refresh_at {
            self.refresh(now);
        }
        let open = self.peers.values().filter(|peer| peer.request.is_some());
        if open.count() >= MAX_REQUESTS {
            return None;
        }
        let (peer_id, purpose) = self.choose(round_trip, now)?;
        let resume = self.peers.get(&peer_id)?.resume.map(|(hash, _)| hash);
        let start = resume.unwrap_or(tip);
        let id = self.open_request(peer_id, purpose, start, resume.is_some(), now)?;
        Some(HeaderRequest {
            id,
            peer_id,
            resume,
        })
    }

    fn choose(
        &mut self,
        round_trip: impl Fn(PeerId) -> Duration,
        now: Instant,
    ) -> Option<(PeerId, Purpose)> {
        if self.is_downloading(now) {
            return None;
        }
        let free = || {
            let idle = self.sources().filter(|(_, peer)| peer.is_idle(now));
            idle.filter(|(_, peer)| self.memory.avoided(peer.key, now).is_none())
        };
        let best = free()
            .filter(|(_, peer)| peer.has_more())
            .min_by_key(|(id, peer)| {
                let is_silent = self.memory.is_silent(peer.key);
                let announcement = peer.announced.map_or(0, |one| one.number);
                let (rank, rate) = peer.rate_rank();
                (is_silent, rank, announcement, rate, round_trip(**id))
            });
        if let Some((peer_id, _)) = best {
            return Some((*peer_id, Purpose::Download));
        }
        let best = free()
            .filter(|(_, peer)| peer.done_round < self.round)
            .min_by_key(|(id, peer)| (self.memory.is_silent(peer.key), round_trip(**id)));
        if let Some((peer_id, _)) = best {
            return Some((*peer_id, Purpose::Probe));
        }
        let peer_id = self.least_bad(now)?;
        self.forced_at = now + FORCED_INTERVAL;
        Some((peer_id, Purpose::Probe))
    }

    /// Returns the source to query although all are avoided, if it is time.
    fn least_bad(&self, now: Instant) -> Option<PeerId> {
        let is_open = self.sources().any(|(_, peer)| peer.request.is_some());
        if is_open || now < self.forced_at || !self.all_avoided(now) {
            return None;
        }
        let best = self
            .sources()
            .min_by_key(|(_, peer)| self.memory.avoided(peer.key, now))?;
        Some(*best.0)
    }

    /// Opens the request that follows a full answer before the answer is verified.
    ///
    /// Returns `None` if another source is being downloaded from.
    pub(super) fn pipeline(
        &mut self,
        peer_id: PeerId,
        last: BlockHash,
        now: Instant,
    ) -> Option<HeaderRequest> {
        let is_free = self.is_source(peer_id) && self.peers.get(&peer_id)?.is_idle(now);
        if !is_free || self.is_downloading(now) {
            return None;
        }
        let id = self.open_request(peer_id, Purpose::Download, last, false, now)?;
        Some(HeaderRequest {
            id,
            peer_id,
            resume: Some(last),
        })
    }

    /// Returns whether a source is being downloaded from that is neither late, slow nor silent.
    fn is_downloading(&self, now: Instant) -> bool {
        let is_silent = |peer: &PeerState| self.memory.is_silent(peer.key);
        self.sources()
            .any(|(_, peer)| peer.is_downloading(now) && !is_silent(peer))
    }

    fn open_request(
        &mut self,
        peer_id: PeerId,
        purpose: Purpose,
        start: BlockHash,
        is_resumed: bool,
        now: Instant,
    ) -> Option<u64> {
        self.requests += 1;
        let peer = self.peers.get_mut(&peer_id)?;
        peer.request = Some(OpenRequest {
            id: self.requests,
            start,
            is_resumed,
            purpose,
            sent_at: now,
            progress_at: now,
            round: self.round,
            waiter: self.waiter,
            announcement: self.announcements,
        });
        Some(self.requests)
    }

    /// Withdraws a request that could not be sent. Another one is sent after a delay.
    pub(super) fn on_busy(&mut self, peer_id: PeerId, id: u64, now: Instant) {
        if self.close_request(peer_id, id).is_some()
            && let Some(peer) = self.peers.get_mut(&peer_id)
        {
            peer.busy_until = Some(now + BUSY_PAUSE);
        }
    }

    /// Records that bytes arrived from the peer of an open request.
    pub(super) fn on_progress(&mut self, peer_id: PeerId, at: Instant) {
        if let Some(peer) = self.peers.get_mut(&peer_id)
            && let Some(request) = &mut peer.request
        {
            request.progress_at = request.progress_at.max(at);
        }
    }

    /// Ends an open request, because its answer arrived or the connection closed.
    pub(super) fn close_request(&mut self, peer_id: PeerId, id: u64) -> Option<OpenRequest> {
        let peer = self.peers.get_mut(&peer_id)?;
        peer.request.take_if(|request| request.id == id)
    }

    /// Records the effect of the answer to a request that was closed.
    pub(super) fn on_answer(
        &mut self,
        peer_id: PeerId,
        request: &OpenRequest,
        answer: Answer,
        now: Instant,
    ) {
        let was_all_avoided = self.all_avoided(now);
        let Some(peer) = self.peers.get_mut(&peer_id) else {
            return;
        };
        let key = peer.key;
        if answer == Answer::NoReply {
            self.memory.on_no_reply(key, request.sent_at, now);
            return self.avoid(peer_id, AvoidReason::NoReply, now);
        }
        self.memory.on_reply(key);
        self.last_reply = Some(now);
        let elapsed = now.saturating_duration_since(request.sent_at);
        let is_too_slow = match answer {
            Answer::Extended { headers } => {
                peer.resume = None;
                peer.on_more(headers, elapsed)
            }
            Answer::SideChain {
                tip,
                height,
                headers,
            } => {
                // A source could otherwise send short branches of little work forever.
                let ascends = peer.resume.is_none_or(|(_, before)| height > before);
                peer.resume = Some((tip, height));
                peer.on_more(if ascends { headers } else { 0 }, elapsed)
            }
            // Below the fork of two long branches a locator has large gaps, so an answer may start
            // with many known headers. A source that makes no progress has nothing new.
            Answer::Known { last, height }
                if peer.resume.is_none_or(|(_, before)| height > before) =>
            {
                peer.resume = Some((last, height));
                peer.on_more(0, elapsed)
            }
            Answer::Known { .. } | Answer::Empty | Answer::TooNew | Answer::NoReply => {
                peer.on_done(request);
                if peer.end_announcements(request) && self.memory.on_empty_announcement(key, now) {
                    return self.avoid(peer_id, AvoidReason::EmptyAnnouncements, now);
                }
                false
            }
            Answer::Invalid => return self.avoid(peer_id, AvoidReason::Invalid, now),
            Answer::NoSpace => true,
        };
        if is_too_slow {
            self.avoid(peer_id, AvoidReason::Slow, now);
        } else if was_all_avoided {
            self.memory.stop_avoiding(key);
        }
    }

    /// Avoids the source of a peer, and cancels its open request.
    pub(super) fn avoid(&mut self, peer_id: PeerId, reason: AvoidReason, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&peer_id) {
            peer.reset();
            self.cancelled.extend(peer.request.take().map(|one| one.id));
            self.memory.avoid(peer.key, reason, now);
        }
    }

    /// Ends the requests that timed out.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<ExpiredRequest> {
        let is_due = |request: &OpenRequest| now >= request.deadline();
        let due = self.peers.iter().filter_map(|(id, peer)| {
            let request = peer.request.as_ref().filter(|one| is_due(one))?;
            Some((*id, peer.key, peer.class, *request))
        });
        let due: Vec<_> = due.collect();
        due.into_iter()
            .map(|(peer_id, key, class, request)| {
                self.close_request(peer_id, request.id);
                self.on_answer(peer_id, &request, Answer::NoReply, now);
                let is_useless =
                    class != PeerClass::Configured && self.memory.is_useless(key, self.last_reply);
                let after = now.saturating_duration_since(request.sent_at);
                ExpiredRequest {
                    id: request.id,
                    peer_id,
                    disconnect_after: is_useless.then_some(after),
                }
            })
            .collect()
    }

    /// Returns the requests that were canceled since the last call.
    pub(super) fn take_cancelled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.cancelled)
    }

    /// Returns the time after `now` at which decisions may change without an event.
    pub(super) fn next_deadline(&self, now: Instant) -> Instant {
        let requests = self.peers.values().filter_map(|peer| peer.request);
        let requests = requests.flat_map(|one| [one.sent_at + HEDGE_AFTER, one.deadline()]);
        let avoided = self.sources();
        let avoided = avoided.filter_map(|(_, peer)| self.memory.avoided(peer.key, now));
        let avoided = avoided.map(|(_, until)| until);
        let busy = self.peers.values().filter_map(|peer| peer.busy_until);
        let others = [self.refresh_at, self.forced_at];
        let all = requests.chain(avoided).chain(busy).chain(others);
        let future = all.filter(|at| *at > now);
        future.fold(now + REFRESH_INTERVAL, Instant::min)
    }

    /// Returns the last waiter for which a majority of the usable sources has nothing more.
    ///
    /// A source is usable if it is neither avoided, late, silent nor below the minimum rate.
    /// Returns `None` if there is none, or while a usable source has more headers.
    pub(super) fn synced(&self, now: Instant) -> Option<u64> {
        let mut done = Vec::new();
        for (_, peer) in self.sources() {
            let is_late = peer.request.is_some_and(|one| one.is_late(now));
            let is_slow = is_late || self.memory.is_silent(peer.key) || peer.is_trickling();
            if is_slow || self.memory.avoided(peer.key, now).is_some() {
                continue;
            }
            if peer.has_more() {
                return None;
            }
            done.push(peer.done_waiter);
        }
        done.sort_unstable_by(|one, other| other.cmp(one));
        done.get(done.len() / 2).copied()
    }

    fn sources(&self) -> impl Iterator<Item = (&PeerId, &PeerState)> {
        let has_trusted = self.has_trusted();
        let is_source = move |peer: &PeerState| !has_trusted || peer.class > PeerClass::Inbound;
        self.peers.iter().filter(move |(_, peer)| is_source(peer))
    }

    fn is_eligible(&self, peer: &PeerState) -> bool {
        peer.class > PeerClass::Inbound || !self.has_trusted()
    }

    fn has_trusted(&self) -> bool {
        let mut classes = self.peers.values().map(|peer| peer.class);
        classes.any(|class| class > PeerClass::Inbound)
    }

    fn all_avoided(&self, now: Instant) -> bool {
        let mut sources = self.sources().peekable();
        sources.peek().is_some()
            && sources.all(|(_, peer)| self.memory.avoided(peer.key, now).is_some())
    }
}
