//! Collects the trusted headers before a checkpoint. Has no thread, socket or clock.

use std::collections::HashMap;
use std::sync::Arc;

use crate::peers::PeerId;
use crate::wire::{BlockHash, BlockHeader, CheckpointStart, HeaderChain, HeaderChainError};

/// The headers that each source sent, until those of one source reach the checkpoint.
///
/// The headers of different sources are not mixed, because only the checkpoint shows which are
/// valid. Each source has at most the headers between two checkpoints.
pub(super) struct CheckpointSync {
    start: Arc<CheckpointStart>,
    collections: HashMap<PeerId, CheckpointStart>,
}

/// The effect of an answer from a source.
#[derive(Debug)]
pub(super) enum Collected {
    /// The answer continued the collection of its source by this number of headers.
    Extended { headers: usize },
    /// The answer had only headers that the source had sent before.
    Nothing,
    /// The headers reached the checkpoint.
    Complete(Box<HeaderChain>),
    /// The headers after the first `skipped` ones, which were known, were rejected.
    ///
    /// The collection of the source is removed.
    Invalid {
        error: HeaderChainError,
        skipped: usize,
    },
}

impl CheckpointSync {
    pub(super) fn new(start: Arc<CheckpointStart>) -> Self {
        Self {
            start,
            collections: HashMap::new(),
        }
    }

    pub(super) fn start(&self) -> &Arc<CheckpointStart> {
        &self.start
    }

    /// Returns the locator of the next request to a source.
    pub(super) fn locator(&self, peer_id: PeerId) -> Vec<BlockHash> {
        let collection = self.collections.get(&peer_id);
        collection.unwrap_or(&self.start).locator()
    }

    /// Removes the headers of a source.
    pub(super) fn remove(&mut self, peer_id: PeerId) {
        self.collections.remove(&peer_id);
    }

    /// Adds the headers of an answer to those of its source. `now` is the time in Unix seconds.
    pub(super) fn on_answer(
        &mut self,
        peer_id: PeerId,
        headers: &[BlockHeader],
        now: u32,
    ) -> Collected {
        let locator = self.locator(peer_id);
        let new = locator.first().and_then(|last| new_headers(headers, last));
        let new = new.unwrap_or(headers);
        if new.is_empty() {
            return Collected::Nothing;
        }
        let collection = self.collections.entry(peer_id);
        let collection = collection.or_insert_with(|| CheckpointStart::clone(&self.start));
        match collection.add(new, now) {
            Ok(None) => Collected::Extended { headers: new.len() },
            Ok(Some(chain)) => Collected::Complete(Box::new(chain)),
            Err(error) => {
                self.remove(peer_id);
                let skipped = headers.len() - new.len();
                Collected::Invalid { error, skipped }
            }
        }
    }
}

/// Returns the headers of an answer after `last`, or `None` if they do not link to it.
fn new_headers<'a>(headers: &'a [BlockHeader], last: &BlockHash) -> Option<&'a [BlockHeader]> {
    let Some(end) = headers.last() else {
        return Some(&[]);
    };
    match headers.iter().position(|header| header.previous == *last) {
        Some(first) => Some(&headers[first..]),
        None if end.hash() == *last => Some(&[]),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_headers::{mined, mined_after};
    use super::*;
    use crate::Network;
    use crate::wire::{ChainRuleError, ChainRules};

    const BEFORE: usize = 20;
    const CHECKPOINT: usize = 180;

    /// Returns a chain of 201 headers from genesis.
    fn honest_headers() -> Vec<BlockHeader> {
        mined(200, 1)
    }

    fn sync_of(headers: &[BlockHeader]) -> CheckpointSync {
        let checkpoint = |height: usize| (height as u32, headers[height].hash());
        let checkpoints = [BEFORE, CHECKPOINT].map(checkpoint);
        let rules = ChainRules::new(Network::Regtest).with_checkpoints(checkpoints);
        let start = CheckpointStart::new(rules.unwrap(), CHECKPOINT as u32).unwrap();
        CheckpointSync::new(Arc::new(start))
    }

    fn peers<const N: usize>() -> [PeerId; N] {
        std::array::from_fn(|number| PeerId::from_u128(number as u128 + 1))
    }

    #[track_caller]
    fn extended(collected: &Collected, expected: usize) {
        assert!(
            matches!(collected, Collected::Extended { headers } if *headers == expected),
            "{collected:?}"
        );
    }

    #[test]
    fn sources_are_collected_separately_until_one_completes() {
        let honest = honest_headers();
        let other = mined_after(&honest[..=60], 140, 2);
        let [liar, source] = peers();
        let mut sync = sync_of(&honest);
        let first = [honest[BEFORE].hash()];
        assert_eq!(sync.locator(liar), first);
        extended(&sync.on_answer(liar, &other[21..=100], u32::MAX), 80);
        assert_eq!(sync.locator(liar), [other[100].hash()]);
        assert_eq!(sync.locator(source), first);
        extended(&sync.on_answer(source, &honest[21..=120], u32::MAX), 100);

        let rejected = sync.on_answer(liar, &other[101..], u32::MAX);
        let Collected::Invalid {
            error: HeaderChainError::InvalidHeader { error, .. },
            skipped: 0,
        } = &rejected
        else {
            panic!("{rejected:?}");
        };
        assert!(matches!(
            error,
            ChainRuleError::CheckpointMismatch { height: 180, .. }
        ));
        assert_eq!(sync.locator(liar), first, "its headers are removed");

        let completed = sync.on_answer(source, &honest[121..], u32::MAX);
        let Collected::Complete(chain) = completed else {
            panic!("{completed:?}");
        };
        assert_eq!(chain.tip(), (200, honest[200].hash()));
        assert_eq!(chain.first_height(), BEFORE as u32 + 1);
    }

    #[test]
    fn known_headers_of_answer_are_skipped() {
        let honest = honest_headers();
        let [source] = peers();
        let mut sync = sync_of(&honest);
        extended(&sync.on_answer(source, &honest[20..=50], u32::MAX), 30);
        extended(&sync.on_answer(source, &honest[40..=60], u32::MAX), 10);
        let known = sync.on_answer(source, &honest[40..=60], u32::MAX);
        assert!(matches!(known, Collected::Nothing), "{known:?}");
        assert_eq!(sync.locator(source), [honest[60].hash()]);
    }

    #[test]
    fn empty_answer_is_nothing_and_unlinked_one_invalid() {
        let honest = honest_headers();
        let [source] = peers();
        let mut sync = sync_of(&honest);
        let empty = sync.on_answer(source, &[], u32::MAX);
        assert!(matches!(empty, Collected::Nothing), "{empty:?}");
        let unlinked = sync.on_answer(source, &honest[1..15], u32::MAX);
        assert!(
            matches!(
                unlinked,
                Collected::Invalid {
                    error: HeaderChainError::UnknownParent { .. },
                    skipped: 0
                }
            ),
            "{unlinked:?}"
        );
    }

    #[test]
    fn removed_source_starts_again() {
        let honest = honest_headers();
        let [source] = peers();
        let mut sync = sync_of(&honest);
        extended(&sync.on_answer(source, &honest[21..=50], u32::MAX), 30);
        sync.remove(source);
        assert_eq!(sync.locator(source), [honest[BEFORE].hash()]);
        assert!(sync.collections.is_empty());
    }
}
