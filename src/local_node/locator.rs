//! Block locators, and the answers to requests that contain one.

use super::Chain;
use crate::wire::{BlockHash, BlockHeader, MAX_HEADERS, locator_heights};

/// The maximum number of hashes in the answer to a `getblocks`.
pub const MAX_BLOCK_HASHES: usize = 500;

impl Chain {
    /// Returns the locator of the active chain: the hashes of its blocks at the
    /// [`locator_heights`].
    pub fn locator(&self) -> Vec<BlockHash> {
        locator_heights(self.tip().0)
            .filter_map(|height| self.hash_at(height))
            .collect()
    }

    /// Returns the answer to a `getheaders`: at most 2,000 headers of the active chain, up to
    /// `stop`.
    ///
    /// They start after the first block of the locator that is active, or after the genesis block
    /// if there is none. The list is empty if that block is the tip.
    ///
    /// With an empty locator the answer is the header of `stop` alone, of any branch. Returns
    /// `None` if that block is unknown: a node does not answer then.
    pub fn headers_for_locator(
        &self,
        locator: &[BlockHash],
        stop: BlockHash,
    ) -> Option<Vec<BlockHeader>> {
        if locator.is_empty() {
            return self.block(&stop).map(|block| vec![block.header()]);
        }
        let first = self.fork_of(locator) + 1;
        let headers = self.headers_from(first).iter().take(MAX_HEADERS);
        // A stop hash at or below the fork is ignored.
        let stop = self.height_of(&stop).filter(|_| self.is_active(&stop));
        let count = stop
            .filter(|stop| *stop >= first)
            .map(|stop| stop - first + 1);
        let count = count.map_or(MAX_HEADERS, |count| count as usize);
        Some(headers.take(count).copied().collect())
    }

    /// Returns the answer to a `getblocks`: at most 500 hashes of the active chain, up to but
    /// without `stop`.
    ///
    /// They start after the first block of the locator that is active, or after the genesis block
    /// if there is none.
    pub fn hashes_for_locator(&self, locator: &[BlockHash], stop: BlockHash) -> Vec<BlockHash> {
        self.active_after(locator)
            .take_while(|&hash| hash != stop)
            .take(MAX_BLOCK_HASHES)
            .collect()
    }

    /// Returns the hashes of the active chain after the fork point that a locator describes.
    fn active_after(&self, locator: &[BlockHash]) -> impl Iterator<Item = BlockHash> {
        (self.fork_of(locator) + 1..).map_while(|height| self.hash_at(height))
    }

    /// Returns the height of the first block of a locator that is active, or 0.
    fn fork_of(&self, locator: &[BlockHash]) -> u32 {
        let mut active = locator.iter().filter(|hash| self.is_active(hash));
        active.find_map(|hash| self.height_of(hash)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_700_000_000;

    fn chain(height: u32) -> Chain {
        let mut chain = Chain::new();
        for _ in 0..height {
            let block = chain.template(NOW, 0).mine();
            chain.accept(&block, NOW + 600).unwrap();
        }
        chain
    }

    fn heights(chain: &Chain, headers: Option<Vec<BlockHeader>>) -> Vec<u32> {
        let heights = headers
            .unwrap()
            .into_iter()
            .map(|header| chain.height_of(&header.hash()));
        heights.collect::<Option<_>>().unwrap()
    }

    #[test]
    fn locator_covers_the_active_chain() {
        let chain = chain(30);
        let hashes = locator_heights(30).map(|height| chain.hash_at(height).unwrap());
        assert_eq!(chain.locator(), hashes.collect::<Vec<_>>());
    }

    #[test]
    fn headers_start_after_first_known_hash() {
        let chain = chain(20);
        let at = |height| chain.hash_at(height).unwrap();
        let unknown = BlockHash([9; 32]);
        let after =
            |locator: &[BlockHash], stop| heights(&chain, chain.headers_for_locator(locator, stop));
        let all = (1..=20).collect::<Vec<u32>>();
        assert_eq!(after(&[at(17)], BlockHash::ZERO), [18, 19, 20]);
        assert_eq!(
            after(&[unknown, at(17), at(5)], BlockHash::ZERO),
            [18, 19, 20]
        );
        assert_eq!(
            after(&[at(5), at(17)], at(7)),
            [6, 7],
            "up to and including stop"
        );
        assert_eq!(
            after(&[at(17)], at(3)),
            [18, 19, 20],
            "a stop behind us does not count"
        );
        assert_eq!(after(&[unknown], BlockHash::ZERO), all);
        assert_eq!(after(&[at(0)], BlockHash::ZERO), all);
    }

    #[test]
    fn headers_after_the_tip_are_empty() {
        let chain = chain(3);
        assert_eq!(
            chain.headers_for_locator(&chain.locator(), BlockHash::ZERO),
            Some(Vec::new())
        );
        assert_eq!(
            chain.hashes_for_locator(&chain.locator(), BlockHash::ZERO),
            []
        );
    }

    #[test]
    fn empty_locator_returns_header_of_stop() {
        let chain = chain(3);
        let headers = chain.headers_for_locator(&[], chain.hash_at(2).unwrap());
        assert_eq!(heights(&chain, headers), [2]);
        assert_eq!(chain.headers_for_locator(&[], BlockHash::ZERO), None);
    }

    #[test]
    fn side_chain_hashes_in_locator_are_ignored() {
        let mut chain = chain(5);
        let fork = chain.hash_at(2).unwrap();
        let side = chain.template_on(&fork, NOW, 1).unwrap().mine();
        chain.accept(&side, NOW + 600).unwrap();
        let headers = chain.headers_for_locator(&[side.hash(), fork], BlockHash::ZERO);
        assert_eq!(heights(&chain, headers), [3, 4, 5]);
        assert_eq!(
            chain.headers_for_locator(&[], side.hash()),
            Some(vec![side.header()]),
            "but a side chain's header can be asked for by name"
        );
    }

    #[test]
    fn answers_have_maximum_lengths() {
        let chain = chain(2001);
        let genesis = chain.hash_at(0).unwrap();
        let headers = chain
            .headers_for_locator(&[genesis], BlockHash::ZERO)
            .unwrap();
        assert_eq!(headers.len(), 2000);
        assert_eq!(headers[1999].hash(), chain.hash_at(2000).unwrap());
        let hashes = chain.hashes_for_locator(&[genesis], BlockHash::ZERO);
        assert_eq!(hashes.len(), 500);
        assert_eq!(hashes[499], chain.hash_at(500).unwrap());
    }

    #[test]
    fn block_hashes_end_before_stop() {
        let chain = chain(5);
        let at = |height| chain.hash_at(height).unwrap();
        assert_eq!(chain.hashes_for_locator(&[at(1)], at(4)), [at(2), at(3)]);
        assert_eq!(
            chain.hashes_for_locator(&[], BlockHash::ZERO),
            [1, 2, 3, 4, 5].map(at)
        );
    }
}
