//! The logic of header synchronization. Has no thread, socket or clock.

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::chain_state::{ChainState, MIN_UNCONNECTED};
use super::checkpoint_sync::{CheckpointSync, Collected};
use super::header_scheduler::{Answer, AvoidReason, HeaderRequest, HeaderScheduler, OpenRequest};
use super::source::{PeerClass, SourceKey};
use super::split_detector::{ChainSplit, SplitDetector};
use super::stale_tip::StaleTip;
use crate::event::ControlEvent;
use crate::manager::clock::Now;
use crate::peers::{PeerId, PeerRef};
use crate::session::{Direction, DisconnectReason, Misbehavior};
use crate::wire::{
    BlockHash, BlockHeader, ChainRuleError, ExtendOutcome, HeaderChainError, MAX_HEADERS,
};

/// Number of consecutive short lists without a known parent that a node scores.
const MAX_UNCONNECTED_LISTS: u32 = 10;
/// Maximum number of blocks of one `inv` that are processed. The last ones are used, because a node
/// announces the last block of several.
const MAX_INV_BLOCKS: usize = 16;

/// The interface of the logic to connections and subscribers. No method blocks.
pub(super) trait SyncPort {
    /// Requests headers.
    fn request(&mut self, id: u64, peer_id: PeerId, locator: Vec<BlockHash>) -> SendResult;
    /// Cancels a request, because its answer is no longer needed.
    fn cancel(&mut self, id: u64);
    /// Returns the round trip time of a peer.
    fn round_trip(&self, peer_id: PeerId) -> Duration;
    /// Reports misbehavior of a peer. May disconnect it.
    fn report(&mut self, peer_id: PeerId, misbehavior: Misbehavior);
    fn disconnect(&mut self, peer_id: PeerId, reason: DisconnectReason);
    fn emit(&mut self, event: ControlEvent);
}

/// The result of sending a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendResult {
    Sent,
    /// A request of another caller is open on the connection, or its send queue is full.
    Busy,
    Disconnected,
}

/// Adds the headers of peers to the chain, and decides which peers to query.
pub(super) struct SyncCore {
    state: Arc<ChainState>,
    scheduler: HeaderScheduler,
    /// The start at a checkpoint, until it is complete.
    checkpoint: Option<CheckpointSync>,
    splits: SplitDetector,
    /// The number of consecutive short lists without a known parent, by peer.
    unconnected: HashMap<PeerId, u32>,
    stale_tip: StaleTip,
    stale_timeout: Duration,
    hasher: RandomState,
}

impl SyncCore {
    pub(super) fn new(state: Arc<ChainState>, now: Now) -> Self {
        Self {
            state,
            scheduler: HeaderScheduler::new(now.instant),
            checkpoint: None,
            splits: SplitDetector::default(),
            unconnected: HashMap::new(),
            stale_tip: StaleTip::new(now),
            stale_timeout: Duration::ZERO,
            hasher: RandomState::new(),
        }
    }

    /// Sets the time after which an unchanged tip is reported. Zero disables the report.
    pub(super) fn set_stale_timeout(&mut self, timeout: Duration) {
        self.stale_timeout = timeout;
    }

    /// Adds a connected peer.
    pub(super) fn on_connected(
        &mut self,
        peer_id: PeerId,
        class: PeerClass,
        direction: Direction,
        address: SocketAddr,
    ) {
        let key = SourceKey::new(direction, address);
        self.state.add_peer(PeerRef::new(peer_id, address));
        self.scheduler.on_connected(peer_id, class, key);
    }

    /// Removes a peer.
    pub(super) fn on_disconnected(&mut self, peer_id: PeerId, now: Now) {
        self.state.remove_peer(peer_id);
        self.splits.remove(peer_id);
        self.unconnected.remove(&peer_id);
        if let Some(checkpoint) = &mut self.checkpoint {
            checkpoint.remove(peer_id);
        }
        self.scheduler.on_disconnected(peer_id, now.instant);
    }

    /// Returns all peers that are connected or have recorded announcements.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        let mut peers = self.state.announcements.lock().peers();
        peers.extend(self.scheduler.peers());
        peers
    }

    /// Returns the number of sources whose behavior is remembered.
    #[cfg(test)]
    pub(super) fn remembered_sources(&self) -> usize {
        self.scheduler.remembered_sources()
    }

    /// Queries all sources again, because announcements may have been lost.
    pub(super) fn refresh(&mut self, now: Now) {
        self.scheduler.refresh(now.instant);
    }

    /// Records that bytes arrived from a peer with an open request.
    pub(super) fn on_progress(&mut self, peer_id: PeerId, at: Instant) {
        self.scheduler.on_progress(peer_id, at);
    }

    /// Handles the block announcements of an `inv`.
    pub(super) fn on_inv(
        &mut self,
        peer_id: PeerId,
        blocks: impl DoubleEndedIterator<Item = BlockHash>,
    ) {
        for hash in blocks.rev().take(MAX_INV_BLOCKS) {
            self.state.announcements.lock().record(peer_id, hash);
            if self.checkpoint.is_none()
                && self.scheduler.is_source(peer_id)
                && !self.state.contains(&hash)
            {
                self.scheduler.on_announced(peer_id, hash);
            }
        }
    }

    /// Handles headers that were not requested, or whose request was canceled.
    pub(super) fn on_headers(
        &mut self,
        peer_id: PeerId,
        headers: &[BlockHeader],
        now: Now,
        port: &mut impl SyncPort,
    ) {
        let Some(last) = headers.last().map(BlockHeader::hash) else {
            return;
        };
        self.state.announcements.lock().record(peer_id, last);
        if self.checkpoint.is_some() {
            // The headers are requested when the start is complete.
            return;
        }
        if !self.scheduler.is_source(peer_id) {
            match self.state.check(headers, unix_seconds(now)) {
                Ok(()) => drop(self.unconnected.remove(&peer_id)),
                Err(error) => self.report(peer_id, headers, error, port),
            }
            return;
        }
        let extension = self.extend(peer_id, headers, now, port);
        match extension.error {
            None if headers.len() >= MAX_HEADERS => self.scheduler.on_has_more(peer_id),
            None => {}
            Some(error) => {
                let is_unconnected = matches!(error, HeaderChainError::UnknownParent { .. });
                let is_invalid = is_violation(&error);
                self.report(peer_id, headers, error, port);
                if is_unconnected {
                    self.scheduler.on_announced(peer_id, last);
                } else if is_invalid {
                    let reason = AvoidReason::Invalid;
                    self.scheduler.avoid(peer_id, reason, now.instant);
                }
            }
        }
    }

    /// Handles the answer to a request: headers after its locator, possibly none.
    pub(super) fn on_answer(
        &mut self,
        peer_id: PeerId,
        id: u64,
        headers: &[BlockHeader],
        now: Now,
        port: &mut impl SyncPort,
    ) {
        let Some(request) = self.scheduler.close_request(peer_id, id) else {
            return;
        };
        let answer = match self.collect(peer_id, headers, now, port) {
            Some(answer) => answer,
            None => {
                self.pipeline(peer_id, &request, headers, now, port);
                self.judge(peer_id, &request, headers, now, port)
            }
        };
        self.scheduler
            .on_answer(peer_id, &request, answer, now.instant);
    }

    /// Handles a request that failed without an answer.
    pub(super) fn on_no_reply(&mut self, peer_id: PeerId, id: u64, now: Now) {
        if let Some(request) = self.scheduler.close_request(peer_id, id) {
            self.scheduler
                .on_answer(peer_id, &request, Answer::NoReply, now.instant);
        }
    }

    /// Sends the requests that are due, and ends those that timed out.
    ///
    /// Must be called after each event and at [`SyncCore::next_deadline`].
    pub(super) fn poll(&mut self, now: Now, port: &mut impl SyncPort) {
        if self.state.take_replaced() {
            self.scheduler.restart(now.instant);
            self.checkpoint = self.state.pending().map(CheckpointSync::new);
            self.splits.clear();
            self.stale_tip.on_new_tip(now);
        }
        let waiter = self.state.waiters.last();
        self.scheduler.on_waiter(waiter, now.instant);
        for expired in self.scheduler.expire(now.instant) {
            port.cancel(expired.id);
            if let Some(after) = expired.disconnect_after {
                port.disconnect(expired.peer_id, DisconnectReason::ResponseTimeout { after });
            }
        }
        self.cancel(port);
        loop {
            let (_, tip) = self.state.with_chain(|chain| chain.tip());
            let round_trip = |peer_id| port.round_trip(peer_id);
            let next = self.scheduler.next(tip, round_trip, now.instant);
            let Some(request) = next else {
                break;
            };
            let locator = match &self.checkpoint {
                Some(checkpoint) => checkpoint.locator(request.peer_id),
                None => self.state.with_chain(|chain| {
                    let resumed = request.resume.and_then(|hash| chain.locator_from(&hash));
                    resumed.unwrap_or_else(|| chain.locator())
                }),
            };
            self.send(request, locator, now, port);
        }
        if self.checkpoint.is_some() {
            return;
        }
        if let Some(since) = self.stale_tip.check(self.stale_timeout, now.instant) {
            port.emit(ControlEvent::TipStale { since });
        }
        if let Some(waiter) = self.scheduler.synced(now.instant)
            && self.state.with_chain(|chain| chain.has_minimum_work())
        {
            self.state.waiters.on_synced(waiter);
        }
    }

    /// Returns when [`SyncCore::poll`] must be called if no event occurs before.
    pub(super) fn next_deadline(&self, now: Now) -> Instant {
        let next = self.scheduler.next_deadline(now.instant);
        let stale = match self.checkpoint {
            None => self.stale_tip.deadline(self.stale_timeout),
            Some(_) => None,
        };
        stale.map_or(next, |stale| stale.min(next))
    }

    /// Adds the headers of an answer to those before the checkpoint. Returns their effect, or
    /// `None` without a start at a checkpoint.
    fn collect(
        &mut self,
        peer_id: PeerId,
        headers: &[BlockHeader],
        now: Now,
        port: &mut impl SyncPort,
    ) -> Option<Answer> {
        let checkpoint = self.checkpoint.as_mut()?;
        let collected = checkpoint.on_answer(peer_id, headers, unix_seconds(now));
        Some(match collected {
            Collected::Extended { headers } => {
                self.unconnected.remove(&peer_id);
                Answer::Extended { headers }
            }
            Collected::Nothing => Answer::Empty,
            Collected::Complete(chain) => {
                // The next poll continues with the chain.
                self.state.complete(checkpoint.start(), *chain);
                Answer::Extended {
                    headers: headers.len(),
                }
            }
            Collected::Invalid { error, skipped } => {
                self.report(peer_id, &headers[skipped..], error, port);
                Answer::Invalid
            }
        })
    }

    /// Requests the headers after a full answer, before the answer is verified.
    fn pipeline(
        &mut self,
        peer_id: PeerId,
        request: &OpenRequest,
        headers: &[BlockHeader],
        now: Now,
        port: &mut impl SyncPort,
    ) {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return;
        };
        if headers.len() < MAX_HEADERS || first.previous != request.start {
            return;
        }
        let last = last.hash();
        if self.state.contains(&last) {
            return;
        }
        let next = self.scheduler.pipeline(peer_id, last, now.instant);
        if let Some(next) = next {
            let mut locator = self.state.with_chain(|chain| chain.locator());
            locator.insert(0, last);
            self.send(next, locator, now, port);
        }
    }

    fn send(
        &mut self,
        request: HeaderRequest,
        locator: Vec<BlockHash>,
        now: Now,
        port: &mut impl SyncPort,
    ) {
        let HeaderRequest { id, peer_id, .. } = request;
        match port.request(id, peer_id, locator) {
            SendResult::Sent => {}
            SendResult::Busy => self.scheduler.on_busy(peer_id, id, now.instant),
            SendResult::Disconnected => {
                self.scheduler.close_request(peer_id, id);
                self.on_disconnected(peer_id, now);
            }
        }
    }

    fn cancel(&mut self, port: &mut impl SyncPort) {
        for id in self.scheduler.take_cancelled() {
            port.cancel(id);
        }
    }

    /// Adds the headers of an answer to the chain and returns their effect.
    fn judge(
        &mut self,
        peer_id: PeerId,
        request: &OpenRequest,
        headers: &[BlockHeader],
        now: Now,
        port: &mut impl SyncPort,
    ) -> Answer {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return Answer::Empty;
        };
        let extension = self.extend(peer_id, headers, now, port);
        if let Some(error) = extension.error {
            let is_invalid = is_violation(&error);
            let is_unconnected = matches!(error, HeaderChainError::UnknownParent { .. });
            let is_full = matches!(error, HeaderChainError::SideChainLimit { .. });
            self.report(peer_id, headers, error, port);
            if is_invalid || is_unconnected {
                return Answer::Invalid;
            }
            if is_full {
                return Answer::NoSpace;
            }
            // The rest is too far in the future. A later request checks it again.
            return match extension.outcome {
                ExtendOutcome::NewTip { connected, .. } => Answer::Extended {
                    headers: connected.len(),
                },
                _ => Answer::TooNew,
            };
        }
        let last = last.hash();
        let (height, is_active) = self.state.with_chain(|chain| {
            let height = chain.height_of(&last).unwrap_or_default();
            (height, chain.is_active(&last))
        });
        match extension.outcome {
            ExtendOutcome::NewTip { connected, .. } => Answer::Extended {
                headers: connected.len(),
            },
            ExtendOutcome::SideChain { headers } => Answer::SideChain {
                tip: last,
                height,
                headers,
            },
            // Another source delivered the headers first.
            ExtendOutcome::Known
                if is_active && first.previous == request.start && !request.is_resumed =>
            {
                Answer::Extended {
                    headers: headers.len(),
                }
            }
            ExtendOutcome::Known => Answer::Known { last, height },
        }
    }

    /// Adds headers of a source to the chain and reports forks.
    fn extend(
        &mut self,
        peer_id: PeerId,
        headers: &[BlockHeader],
        now: Now,
        port: &mut impl SyncPort,
    ) -> super::chain_state::Extension {
        let key = self.scheduler.key(peer_id);
        let source = key.map_or(crate::wire::SourceId::LOCAL, |key| {
            key.source_id(&self.hasher)
        });
        let seconds = unix_seconds(now);
        let extension = self.state.extend(peer_id, source, headers, seconds);
        if extension.error.is_none() {
            self.unconnected.remove(&peer_id);
        }
        let side = match &extension.outcome {
            ExtendOutcome::NewTip { disconnected, .. } => {
                self.stale_tip.on_new_tip(now);
                disconnected.first().copied()
            }
            _ => headers.last().map(BlockHeader::hash),
        };
        if extension.outcome != ExtendOutcome::Known {
            let state = &self.state;
            self.scheduler
                .resolve_announcements(|hash| state.contains(hash));
        }
        let head = headers.last().map(BlockHeader::hash);
        if let Some(head) = head.filter(|head| self.state.contains(head)) {
            self.splits.record_head(peer_id, head);
        }
        if let Some(side) = side {
            let splits = &mut self.splits;
            let split = self.state.with_chain(|chain| splits.check(chain, &side));
            self.emit_split(split, port);
        }
        extension
    }

    /// Scores rejected headers as the node does, and disconnects a peer on another chain.
    fn report(
        &mut self,
        peer_id: PeerId,
        headers: &[BlockHeader],
        error: HeaderChainError,
        port: &mut impl SyncPort,
    ) {
        if let HeaderChainError::InvalidHeader {
            position,
            error:
                ChainRuleError::CheckpointMismatch { .. } | ChainRuleError::ForkBelowCheckpoint { .. },
            ..
        } = error
        {
            if let Some(header) = headers.get(position)
                && self.scheduler.is_source(peer_id)
            {
                let splits = &mut self.splits;
                let split = self
                    .state
                    .with_chain(|chain| splits.on_refused(chain, &header.previous, peer_id));
                self.emit_split(split, port);
            }
            port.disconnect(peer_id, DisconnectReason::WrongChain);
            return;
        }
        if let HeaderChainError::UnknownParent { parent, .. } = &error
            && *parent == self.state.rules().genesis().hash()
        {
            // A node without any block of a locator answers from the genesis block. It is not yet
            // at the first header of the chain, or on another chain.
            return;
        }
        let misbehavior = match error {
            HeaderChainError::UnknownParent { .. } if headers.len() >= MIN_UNCONNECTED => {
                Misbehavior::UnconnectedHeaders {
                    headers: headers.len(),
                }
            }
            HeaderChainError::UnknownParent { .. } => {
                let lists = self.unconnected.entry(peer_id).or_default();
                *lists = lists.saturating_add(1);
                if !lists.is_multiple_of(MAX_UNCONNECTED_LISTS) {
                    return;
                }
                Misbehavior::RepeatedUnconnectedHeaders { lists: *lists }
            }
            error => Misbehavior::InvalidHeaders(error),
        };
        if misbehavior.score() > 0 {
            port.report(peer_id, misbehavior);
        }
    }

    fn emit_split(&self, split: Option<ChainSplit>, port: &mut impl SyncPort) {
        let Some(split) = split else {
            return;
        };
        let peers = split.peer_ids.into_iter();
        port.emit(ControlEvent::ChainSplit {
            fork_height: split.fork_height,
            peers: peers
                .filter_map(|peer_id| self.state.peer_ref(peer_id))
                .collect(),
        });
    }
}

/// Returns whether headers can never become valid.
fn is_violation(error: &HeaderChainError) -> bool {
    match error {
        HeaderChainError::UnknownParent { .. } | HeaderChainError::SideChainLimit { .. } => false,
        HeaderChainError::InvalidHeader { error, .. } => {
            !matches!(error, ChainRuleError::TimeTooNew { .. })
        }
        _ => true,
    }
}

fn unix_seconds(now: Now) -> u32 {
    let since = now.wall.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
