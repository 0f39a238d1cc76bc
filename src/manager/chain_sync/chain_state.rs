//! The followed chain, shared between its thread and the callers of the manager.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::announcement_log::AnnouncementLog;
use super::header_writer::HeaderWriter;
use super::sync_waiters::SyncWaiters;
use super::tip_subscribers::TipSubscribers;
use super::{ChainStart, TipUpdate};
use crate::connection::EventReceiver;
use crate::event::SubscriptionEndReason;
use crate::log_level::LogLevel;
use crate::log_record::{Component, LogRecord};
use crate::peers::{PeerId, PeerRef};
use crate::wire::{
    BlockHash, BlockHeader, ChainRules, CheckpointStart, ExtendOutcome, HeaderBatch, HeaderChain,
    HeaderChainError, SourceId,
};
use crossbeam_channel::{Receiver, Sender, bounded};
use log::Level;
use parking_lot::{Mutex, MutexGuard, RwLock};

/// Maximum number of headers that are added without releasing the lock of the chain.
const HEADERS_PER_LOCK: usize = 512;
/// Minimum number of headers without a known parent that a node verifies and scores. A node treats
/// fewer as the announcement of a block.
pub(super) const MIN_UNCONNECTED: usize = 8;

/// The followed chain. None of its locks is held during a wait.
pub(super) struct ChainState {
    chain: RwLock<HeaderChain>,
    /// Locked before `chain`, so that updates are published in the order of the changes.
    subscribers: Mutex<TipSubscribers>,
    pub(super) announcements: Mutex<AnnouncementLog>,
    /// The addresses of the connected peers.
    addresses: Mutex<HashMap<PeerId, SocketAddr>>,
    pub(super) waiters: SyncWaiters,
    /// The file to write the chain to, until the thread takes it.
    writer: Mutex<Option<HeaderWriter>>,
    /// The start at a checkpoint that is not complete. The chain is not followed before.
    ///
    /// Changed only while `subscribers` is locked.
    pending: RwLock<Option<Arc<CheckpointStart>>>,
    /// Whether the chain was replaced since the last call of [`ChainState::take_replaced`].
    is_replaced: AtomicBool,
    wake: Sender<()>,
    log_level: LogLevel,
}

/// The effect of headers on the chain.
#[derive(Debug)]
pub(super) struct Extension {
    /// The effect of the headers before the invalid one.
    pub(super) outcome: ExtendOutcome,
    /// Why the headers from some position on were rejected.
    pub(super) error: Option<HeaderChainError>,
}

impl ChainState {
    /// Creates the state and the receiver that wakes its thread.
    pub(super) fn new(start: ChainStart, log_level: LogLevel) -> (Self, Receiver<()>) {
        let (wake, woken) = bounded(1);
        let (chain, pending) = match start {
            ChainStart::Chain(chain) => (*chain, None),
            ChainStart::Checkpoint(start) => {
                let chain = HeaderChain::new(start.rules().clone());
                (chain, Some(Arc::from(start)))
            }
        };
        let is_replaced = AtomicBool::new(pending.is_some());
        let state = Self {
            chain: RwLock::new(chain),
            subscribers: Mutex::default(),
            announcements: Mutex::default(),
            addresses: Mutex::default(),
            waiters: SyncWaiters::default(),
            writer: Mutex::default(),
            pending: RwLock::new(pending),
            is_replaced,
            wake,
            log_level,
        };
        (state, woken)
    }

    /// Calls `f` with the chain, unless its start at a checkpoint is not complete.
    pub(super) fn with_followed<T>(&self, f: impl FnOnce(&HeaderChain) -> T) -> Option<T> {
        self.pending().is_none().then(|| self.with_chain(f))
    }

    /// Returns the start at a checkpoint that is not complete.
    pub(super) fn pending(&self) -> Option<Arc<CheckpointStart>> {
        self.pending.read().clone()
    }

    /// Calls `f` with the chain, or with the one before if a start is not complete.
    pub(super) fn with_chain<T>(&self, f: impl FnOnce(&HeaderChain) -> T) -> T {
        f(&self.chain.read())
    }

    pub(super) fn contains(&self, hash: &BlockHash) -> bool {
        self.with_chain(|chain| chain.contains(hash))
    }

    pub(super) fn subscribe(&self) -> EventReceiver<TipUpdate> {
        self.subscribers.lock().add()
    }

    /// Wakes the thread.
    pub(super) fn wake(&self) {
        // A full channel already wakes the thread.
        let _ = self.wake.try_send(());
    }

    /// Writes the chain to a file from now on.
    pub(super) fn set_writer(&self, writer: HeaderWriter) {
        *self.writer.lock() = Some(writer);
        self.wake();
    }

    /// Returns the file that was set since the last call.
    pub(super) fn take_writer(&self) -> Option<HeaderWriter> {
        self.writer.lock().take()
    }

    /// Records a connected peer.
    pub(super) fn add_peer(&self, peer: PeerRef) {
        self.addresses.lock().insert(peer.peer_id, peer.address);
    }

    /// Removes a peer that is no longer connected, with its announcements.
    pub(super) fn remove_peer(&self, peer_id: PeerId) {
        self.announcements.lock().remove(peer_id);
        self.addresses.lock().remove(&peer_id);
    }

    /// Returns the id and address of a connected peer.
    pub(super) fn peer_ref(&self, peer_id: PeerId) -> Option<PeerRef> {
        let address = self.addresses.lock().get(&peer_id).copied()?;
        Some(PeerRef::new(peer_id, address))
    }

    /// Adds the headers that a peer sent, up to the first invalid one, and publishes the new tip.
    ///
    /// Hashes are computed without the lock, and the lock is released between parts of the list.
    /// `now` is the time in Unix seconds.
    pub(super) fn extend(
        &self,
        peer_id: PeerId,
        source: SourceId,
        headers: &[BlockHeader],
        now: u32,
    ) -> Extension {
        if let Err(error) = self.check_connected(headers) {
            return Extension {
                outcome: ExtendOutcome::Known,
                error: Some(error),
            };
        }
        let rules = self.with_chain(|chain| chain.rules().clone());
        let mut error = None;
        let mut valid = headers;
        let batch = loop {
            match HeaderBatch::verify(&rules, valid) {
                Ok(batch) => break batch,
                Err(found) => {
                    valid = &headers[..found.position().unwrap_or(0)];
                    error = Some(self.with_chain(|chain| chain.with_height(found, headers)));
                }
            }
        };
        let mut subscribers = self.subscribers.lock();
        if self.pending.read().is_some() {
            return Extension {
                outcome: ExtendOutcome::Known,
                error: None,
            };
        }
        let mut changes = TipChanges::default();
        let mut start = 0;
        for part in batch.chunks(HEADERS_PER_LOCK) {
            let extended = self.chain.write().extend_from(source, &part, now);
            match extended {
                Ok(outcome) => changes.add(outcome),
                Err(found) => {
                    let prefix = &valid[start..found.position().unwrap_or(start).max(start)];
                    if let Ok(prefix) = HeaderBatch::verify(&rules, prefix)
                        && let Ok(outcome) = self.chain.write().extend_from(source, &prefix, now)
                    {
                        changes.add(outcome);
                    }
                    error = Some(found);
                    break;
                }
            }
            start += HEADERS_PER_LOCK;
        }
        let update = self.publish(&mut subscribers, &changes, Some(peer_id));
        drop(subscribers);
        self.log(update);
        Extension {
            outcome: changes.into_outcome(),
            error,
        }
    }

    /// Verifies headers without adding them. `now` is the time in Unix seconds.
    pub(super) fn check(&self, headers: &[BlockHeader], now: u32) -> Result<(), HeaderChainError> {
        self.check_connected(headers)?;
        let rules = self.rules();
        match HeaderBatch::verify(&rules, headers) {
            Ok(batch) => self.with_chain(|chain| chain.check(&batch, now)),
            Err(error) => {
                // An earlier header may violate a rule that needs the chain.
                let before = &headers[..error.position().unwrap_or(0)];
                let before = HeaderBatch::verify(&rules, before)?;
                self.with_chain(|chain| {
                    chain.check(&before, now)?;
                    Err(chain.with_height(error, headers))
                })
            }
        }
    }

    /// Returns an error if a list is too short to be verified without a known parent.
    fn check_connected(&self, headers: &[BlockHeader]) -> Result<(), HeaderChainError> {
        let Some(first) = headers.first().filter(|_| headers.len() < MIN_UNCONNECTED) else {
            return Ok(());
        };
        let (header, parent) = (first.hash(), first.previous);
        if self.with_chain(|chain| chain.contains(&parent) || chain.contains(&header)) {
            return Ok(());
        }
        Err(HeaderChainError::UnknownParent { header, parent })
    }

    pub(super) fn rules(&self) -> ChainRules {
        self.with_chain(|chain| chain.rules().clone())
    }

    /// Replaces the followed chain.
    ///
    /// Publishes the tip if it differs, as soon as the start is complete.
    pub(super) fn replace(&self, start: ChainStart) {
        let subscribers = self.subscribers.lock();
        match start {
            ChainStart::Chain(chain) => self.replace_chain(*chain, subscribers),
            ChainStart::Checkpoint(start) => {
                *self.pending.write() = Some(Arc::from(start));
                self.is_replaced.store(true, Ordering::Release);
                drop(subscribers);
            }
        }
        self.wake();
    }

    /// Follows the chain of a completed start, unless the start was replaced before.
    pub(super) fn complete(&self, start: &Arc<CheckpointStart>, chain: HeaderChain) {
        let subscribers = self.subscribers.lock();
        let pending = self.pending();
        if pending.is_some_and(|pending| Arc::ptr_eq(&pending, start)) {
            self.replace_chain(chain, subscribers);
        }
    }

    fn replace_chain(&self, chain: HeaderChain, mut subscribers: MutexGuard<'_, TipSubscribers>) {
        let old = std::mem::replace(&mut *self.chain.write(), chain);
        *self.pending.write() = None;
        self.is_replaced.store(true, Ordering::Release);
        let changes = self.with_chain(|new| TipChanges::between(&old, new));
        let update = self.publish(&mut subscribers, &changes, None);
        drop(subscribers);
        self.log(update);
    }

    /// Returns whether the chain was replaced since the last call.
    pub(super) fn take_replaced(&self) -> bool {
        self.is_replaced.swap(false, Ordering::Acquire)
    }

    /// Ends all waits and receivers. The chain does not change after this.
    pub(super) fn close(&self, reason: SubscriptionEndReason) {
        self.waiters.close();
        self.subscribers.lock().close(reason);
    }

    fn publish(
        &self,
        subscribers: &mut TipSubscribers,
        changes: &TipChanges,
        peer_id: Option<PeerId>,
    ) -> Option<TipUpdate> {
        if changes.connected.is_empty() {
            return None;
        }
        let (height, hash, header) = self.with_chain(|chain| {
            let (height, hash) = chain.tip();
            Some((height, hash, *chain.header_at(height)?))
        })?;
        let announced_by = self.announcements.lock().first(hash).or(peer_id);
        let update = TipUpdate {
            hash,
            height,
            header,
            announced_by: announced_by.and_then(|peer_id| self.peer_ref(peer_id)),
            connected: changes.connected.clone(),
            disconnected: changes.disconnected.clone(),
            skipped: 0,
        };
        subscribers.publish(&update);
        Some(update)
    }

    fn log(&self, update: Option<TipUpdate>) {
        if let Some(update) = update {
            let limit = Some(&self.log_level);
            let record = LogRecord::new(Component::Manager, Level::Debug, limit);
            if record.is_enabled() {
                let network = self.with_chain(|chain| chain.network().clone());
                let record = record.height(update.height).network(&network);
                record.write(format_args!("new tip: {update}"));
            }
        }
    }
}

/// The merged effect of several parts of a list of headers.
#[derive(Default)]
struct TipChanges {
    side_headers: usize,
    disconnected: Vec<BlockHash>,
    connected: Vec<BlockHash>,
}

impl TipChanges {
    fn add(&mut self, outcome: ExtendOutcome) {
        match outcome {
            ExtendOutcome::Known => {}
            ExtendOutcome::SideChain { headers } => self.side_headers += headers,
            ExtendOutcome::NewTip {
                disconnected,
                connected,
            } => {
                // Only the first part of a linked list that becomes the tip disconnects blocks.
                self.disconnected.extend(disconnected);
                self.connected.extend(connected);
            }
        }
    }

    fn into_outcome(self) -> ExtendOutcome {
        if !self.connected.is_empty() {
            ExtendOutcome::NewTip {
                disconnected: self.disconnected,
                connected: self.connected,
            }
        } else if self.side_headers > 0 {
            ExtendOutcome::SideChain {
                headers: self.side_headers,
            }
        } else {
            ExtendOutcome::Known
        }
    }

    /// Returns the blocks that differ between two chains, or nothing if their tips are equal.
    ///
    /// Blocks below the first header of one of the chains are assumed to be equal.
    fn between(old: &HeaderChain, new: &HeaderChain) -> Self {
        if old.tip() == new.tip() {
            return Self::default();
        }
        let (mut low, tip) = (old.first_height().max(new.first_height()), new.tip());
        let mut end = old.tip().0.min(tip.0).saturating_add(1).max(low);
        // All hashes above the fork differ, so the fork can be found by bisection.
        while low < end {
            let middle = low + (end - low) / 2;
            if old.hash_at(middle) == new.hash_at(middle) {
                low = middle + 1;
            } else {
                end = middle;
            }
        }
        let hashes = |chain: &HeaderChain| -> Vec<BlockHash> {
            let heights = low..=chain.tip().0;
            heights.filter_map(|height| chain.hash_at(height)).collect()
        };
        let mut changes = Self {
            side_headers: 0,
            disconnected: hashes(old),
            connected: hashes(new),
        };
        changes.disconnected.reverse();
        if changes.connected.is_empty() {
            changes.connected.push(tip.1);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_headers::{chain_of, hashes, mined, mined_after, with_work};
    use super::*;
    use crate::Network;
    use crate::wire::{ChainRuleError, ChainRules};

    const PEER: PeerId = PeerId::from_u128(1);

    fn state_of(start: impl Into<ChainStart>) -> ChainState {
        ChainState::new(start.into(), LogLevel::default()).0
    }

    fn extend(state: &ChainState, headers: &[BlockHeader]) -> Extension {
        state.extend(PEER, SourceId(1), headers, u32::MAX)
    }

    fn start_at_180(headers: &[BlockHeader]) -> CheckpointStart {
        let checkpoints = [20, 180].map(|height: usize| (height as u32, headers[height].hash()));
        let rules = ChainRules::new(Network::Regtest).with_checkpoints(checkpoints);
        CheckpointStart::new(rules.unwrap(), 180).unwrap()
    }

    #[test]
    fn parts_of_list_are_published_as_one_update() {
        const COUNT: usize = 2 * HEADERS_PER_LOCK + 10;
        let common = mined(5, 1);
        let (old, new) = (mined_after(&common, 3, 2), mined_after(&common, COUNT, 3));
        let state = state_of(chain_of(&old));
        let peer = PeerRef::new(PEER, ([203, 0, 113, 7], 8333).into());
        state.add_peer(peer);
        let tips = state.subscribe();
        let extension = extend(&state, &new[6..]);
        assert_eq!(extension.error, None);
        let update = tips.try_recv().unwrap();
        let mut disconnected = hashes(&old[6..]);
        disconnected.reverse();
        assert_eq!(update.disconnected, disconnected);
        assert_eq!(update.connected, hashes(&new[6..]));
        assert_eq!(update.header, new[5 + COUNT]);
        assert_eq!(update.announced_by, Some(peer));
        assert_eq!(tips.len(), 0);
        assert_eq!(
            extension.outcome,
            ExtendOutcome::NewTip {
                disconnected,
                connected: update.connected,
            }
        );
    }

    #[test]
    fn headers_before_invalid_one_are_added() {
        // Positions inside the parts of the list, and at their borders.
        let positions = [
            0,
            1,
            HEADERS_PER_LOCK - 1,
            HEADERS_PER_LOCK,
            2 * HEADERS_PER_LOCK - 1,
        ];
        let headers = mined(2 * HEADERS_PER_LOCK + 10, 1);
        for position in positions {
            let mut invalid = headers[1..].to_vec();
            let old = BlockHeader {
                time: 1,
                ..invalid[position]
            };
            invalid[position] = with_work(old);
            let rest = mined_after(&invalid[..=position], 5, 2);
            let state = state_of(HeaderChain::new(Network::Regtest));
            let tips = state.subscribe();
            let extension = extend(&state, &rest);
            let error = extension.error.expect("an invalid header");
            assert_eq!(error.position(), Some(position), "{error}");
            let is_old = matches!(error.rule(), Some(ChainRuleError::TimeTooOld { .. }));
            assert!(is_old, "{error}");
            let connected: Vec<_> = tips
                .try_iter()
                .map(Result::unwrap)
                .flat_map(|tip| tip.connected)
                .collect();
            assert_eq!(connected, hashes(&headers[1..=position]));
            assert_eq!(state.with_chain(|chain| chain.tip().0), position as u32);
        }
    }

    #[test]
    fn headers_before_missing_proof_of_work_are_added() {
        let mut headers = mined(20, 1);
        while headers[15].check_proof_of_work(&Network::Regtest).is_ok() {
            headers[15].nonce += 1;
        }
        let state = state_of(HeaderChain::new(Network::Regtest));
        let extension = extend(&state, &headers[1..16]);
        let error = extension.error.expect("an invalid header");
        let is_work =
            |rule: &ChainRuleError| matches!(rule, ChainRuleError::ProofOfWork { height: 15, .. });
        assert!(error.rule().is_some_and(is_work), "{error}");
        assert_eq!(state.with_chain(|chain| chain.tip().0), 14);
    }

    #[test]
    fn list_without_known_parent_changes_nothing() {
        let headers = mined(20, 1);
        let state = state_of(HeaderChain::new(Network::Regtest));
        let extension = extend(&state, &headers[5..]);
        let error = extension.error.expect("an unknown parent");
        assert!(
            matches!(error, HeaderChainError::UnknownParent { .. }),
            "{error}"
        );
        assert_eq!(extension.outcome, ExtendOutcome::Known);
    }

    #[test]
    fn pending_start_hides_chain_until_complete() {
        let headers = mined(200, 1);
        let state = state_of(chain_of(&headers[..10]));
        let tips = state.subscribe();
        state.replace(start_at_180(&headers).into());
        assert!(state.take_replaced());
        assert_eq!(state.with_followed(HeaderChain::tip), None);
        let extension = extend(&state, &headers[10..20]);
        assert_eq!(extension.outcome, ExtendOutcome::Known);
        assert_eq!(tips.len(), 0);

        let start = state.pending().unwrap();
        let chain = CheckpointStart::clone(&start).add(&headers[21..], u32::MAX);
        state.complete(&start, chain.unwrap().unwrap());
        let tip = (200, headers[200].hash());
        assert_eq!(state.with_followed(HeaderChain::tip), Some(tip));
        assert_eq!(tips.try_recv().unwrap().connected, hashes(&headers[21..]));
    }

    #[test]
    fn replaced_start_cannot_complete() {
        let headers = mined(200, 1);
        let state = state_of(start_at_180(&headers));
        let start = state.pending().unwrap();
        let complete = CheckpointStart::clone(&start).add(&headers[21..], u32::MAX);
        let complete = complete.unwrap().unwrap();
        state.replace(chain_of(&headers[..10]).into());
        state.complete(&start, complete.clone());
        assert_eq!(state.with_followed(|chain| chain.tip().0), Some(9));
        state.replace(start_at_180(&headers).into());
        state.complete(&start, complete);
        assert_eq!(state.with_followed(|chain| chain.tip().0), None);
    }
}
