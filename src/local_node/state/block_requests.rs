//! Blocks that were requested and have not arrived, with their headers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::local_node::Chain;
use crate::peers::PeerId;
use crate::wire::{Ancestors, BlockHash, BlockHeader, CompactTarget};

/// The time after which another peer may be asked for a block.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The requested blocks. They extend the header tree beyond the blocks of the chain.
///
/// Headers of regtest cost their sender nothing, so the number of requests is bounded by
/// [`MAX_REQUESTS`](Self::MAX_REQUESTS).
#[derive(Default)]
pub(super) struct BlockRequests {
    requests: HashMap<BlockHash, BlockRequest>,
    /// Whether a block was not requested because there were too many requests.
    is_incomplete: bool,
}

struct BlockRequest {
    /// The header and its height. `None` for a block that was only announced by its hash.
    header: Option<(BlockHeader, u32)>,
    from: PeerId,
    /// The time of the request. `None` if the peer that owed the block is gone.
    since: Option<Instant>,
    /// The connected peers that announced the block.
    announced_by: Vec<PeerId>,
}

impl BlockRequests {
    /// The maximum number of requests.
    pub(super) const MAX_REQUESTS: usize = 100_000;

    /// Records that `peer` announced a block. Returns whether the block should be requested from
    /// it: no request to another peer is open.
    pub(super) fn add(
        &mut self,
        hash: BlockHash,
        header: Option<(BlockHeader, u32)>,
        peer: PeerId,
        now: Instant,
    ) -> bool {
        if let Some(request) = self.requests.get_mut(&hash) {
            if !request.announced_by.contains(&peer) {
                request.announced_by.push(peer);
            }
            request.header = request.header.or(header);
            let is_open = |since| now.saturating_duration_since(since) < REQUEST_TIMEOUT;
            let is_due = !request.since.is_some_and(is_open);
            if is_due {
                (request.from, request.since) = (peer, Some(now));
            }
            return is_due;
        }
        if self.requests.len() >= Self::MAX_REQUESTS {
            self.is_incomplete = true;
            return false;
        }
        let request = BlockRequest {
            header,
            from: peer,
            since: Some(now),
            announced_by: vec![peer],
        };
        self.requests.insert(hash, request);
        true
    }

    /// Returns whether a block is requested.
    pub(super) fn contains(&self, hash: &BlockHash) -> bool {
        self.requests.contains_key(hash)
    }

    /// Removes the request of a block. Returns the peers that announced the block.
    pub(super) fn remove(&mut self, hash: &BlockHash) -> Vec<PeerId> {
        let request = self.requests.remove(hash);
        request.map_or(Vec::new(), |request| request.announced_by)
    }

    /// Removes a peer that is gone. Returns whether it owed blocks: others must be asked for them.
    ///
    /// A block that another peer announced stays, because headers of that peer may follow it.
    pub(super) fn remove_peer(&mut self, peer: PeerId) -> bool {
        let mut owed = false;
        self.requests.retain(|_, request| {
            request.announced_by.retain(|other| *other != peer);
            if request.from == peer {
                request.since = None;
                owed = true;
            }
            !request.announced_by.is_empty()
        });
        owed
    }

    /// Returns whether all requests are answered and blocks are still missing, once.
    pub(super) fn take_incomplete(&mut self) -> bool {
        self.requests.is_empty() && std::mem::take(&mut self.is_incomplete)
    }

    /// Returns the height of a requested block whose header is known.
    fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        Some(self.requests.get(hash)?.header?.1)
    }
}

/// The branch that ends with a header of a received list: blocks of the chain, then requested
/// blocks, then the list.
pub(super) struct HeaderBranch<'a> {
    chain: &'a Chain,
    requests: &'a BlockRequests,
    base: BlockHash,
    base_height: u32,
    list: &'a [BlockHeader],
}

impl<'a> HeaderBranch<'a> {
    /// Creates the branch of `list`, whose headers follow `base`. `None` if `base` is unknown.
    pub(super) fn new(
        chain: &'a Chain,
        requests: &'a BlockRequests,
        base: BlockHash,
        list: &'a [BlockHeader],
    ) -> Option<Self> {
        let known = chain.height_of(&base).or_else(|| requests.height_of(&base));
        Some(Self {
            chain,
            requests,
            base,
            base_height: known?,
            list,
        })
    }

    fn header(&self, height: u32) -> Option<BlockHeader> {
        if height > self.base_height {
            let at = (height - self.base_height - 1) as usize;
            return self.list.get(at).copied();
        }
        let mut hash = self.base;
        while let Some(request) = self.requests.requests.get(&hash) {
            let (header, at) = request.header?;
            if at == height {
                return Some(header);
            }
            hash = header.previous;
        }
        self.chain.header_on_branch(hash, height)
    }
}

impl Ancestors for HeaderBranch<'_> {
    fn height(&self) -> u32 {
        self.base_height + self.list.len() as u32
    }

    fn time(&self, height: u32) -> Option<u32> {
        self.header(height).map(|header| header.time)
    }

    fn bits(&self, height: u32) -> Option<CompactTarget> {
        self.header(height).map(|header| header.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_700_000_000;

    fn hash(number: u8) -> BlockHash {
        BlockHash([number; 32])
    }

    #[test]
    fn block_is_requested_again_after_its_timeout() {
        let mut requests = BlockRequests::default();
        let (one, other) = (PeerId::from_u128(1), PeerId::from_u128(2));
        let start = Instant::now();
        assert!(requests.add(hash(1), None, one, start));
        let before = start + REQUEST_TIMEOUT - Duration::from_millis(1);
        assert!(!requests.add(hash(1), None, other, before));
        assert!(requests.add(hash(1), None, other, start + REQUEST_TIMEOUT));
        assert!(!requests.remove_peer(one), "the other owes it now");
        assert_eq!(requests.remove(&hash(1)), [other]);
        assert!(requests.remove(&hash(1)).is_empty());
    }

    #[test]
    fn announced_block_stays_when_its_peer_goes() {
        let mut requests = BlockRequests::default();
        let (one, other) = (PeerId::from_u128(1), PeerId::from_u128(2));
        let now = Instant::now();
        assert!(requests.add(hash(1), None, one, now));
        assert!(requests.add(hash(2), None, one, now));
        assert!(!requests.add(hash(2), None, other, now));
        assert!(requests.remove_peer(one));
        assert!(!requests.contains(&hash(1)));
        assert!(requests.add(hash(2), None, other, now), "due at once");
        assert!(!requests.add(hash(2), None, other, now));
        assert!(requests.remove_peer(other));
        assert!(!requests.contains(&hash(2)));
    }

    #[test]
    fn full_requests_are_completed_later_once() {
        let mut requests = BlockRequests::default();
        let (peer, now) = (PeerId::from_u128(1), Instant::now());
        let numbered = |number: usize| {
            let mut hash = BlockHash::ZERO;
            hash.0[..8].copy_from_slice(&number.to_le_bytes());
            hash
        };
        for number in 0..BlockRequests::MAX_REQUESTS {
            assert!(requests.add(numbered(number), None, peer, now));
        }
        assert!(!requests.add(numbered(usize::MAX), None, peer, now));
        assert!(!requests.take_incomplete(), "requests are open");
        assert!(requests.remove_peer(peer));
        assert!(requests.take_incomplete());
        assert!(!requests.take_incomplete());
    }

    #[test]
    fn branch_covers_chain_requests_and_list() {
        let mut chain = Chain::new();
        let mut blocks = Vec::new();
        let mut source = Chain::new();
        for _ in 0..6 {
            let block = source.template(NOW, 0).mine();
            source.accept(&block, NOW + 600).unwrap();
            blocks.push(block);
        }
        for block in &blocks[..2] {
            chain.accept(block, NOW + 600).unwrap();
        }
        let headers: Vec<_> = blocks.iter().map(|block| block.header()).collect();
        let mut requests = BlockRequests::default();
        for (header, height) in headers[2..4].iter().zip(3..) {
            let known = Some((*header, height));
            assert!(requests.add(header.hash(), known, PeerId::from_u128(0), Instant::now()));
        }
        let base = headers[3].hash();
        let branch = HeaderBranch::new(&chain, &requests, base, &headers[4..]).unwrap();
        assert_eq!(branch.height(), 6);
        for height in 1..=6 {
            let expected = headers[height as usize - 1];
            assert_eq!(branch.header(height), Some(expected), "height {height}");
        }
        assert_eq!(branch.header(7), None);
        assert!(HeaderBranch::new(&chain, &requests, hash(9), &[]).is_none());
        // An ancestor whose request is gone is missing.
        requests.remove(&headers[2].hash());
        let branch = HeaderBranch::new(&chain, &requests, base, &[]).unwrap();
        assert_eq!(branch.header(4), Some(headers[3]));
        assert_eq!(branch.header(1), None);
    }
}
