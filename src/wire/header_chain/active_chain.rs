//! The headers of the active chain, by height and by hash.

use super::hash_index::HashIndex;
use crate::wire::{BlockHash, BlockHeader, CompactTarget, Work};

/// Consecutive headers; the first one is never removed.
///
/// The only hash stored is that of the tip: the hash of another header is the `previous` of the
/// next one. The index holds heights only.
#[derive(Clone)]
pub(super) struct ActiveChain {
    list: HeaderList,
    index: HashIndex,
}

#[derive(Clone)]
struct HeaderList {
    first_height: u32,
    /// All but the last are full, so growing never moves headers.
    chunks: Vec<Chunk>,
    height: u32,
    tip: BlockHash,
    work: Work,
}

#[derive(Clone)]
struct Chunk {
    headers: Vec<BlockHeader>,
    /// The chain work up to every [`WORK_INTERVAL`]th header, the first one of the chunk included.
    works: Vec<Work>,
}

/// The number of headers in a chunk: 160 KiB.
const CHUNK: usize = 2048;

/// The number of headers per stored sum of work: 2 bytes per header.
const WORK_INTERVAL: usize = 16;

impl ActiveChain {
    /// Creates a chain of one header; `work` is the chain work up to and including it.
    pub(super) fn new(header: BlockHeader, height: u32, work: Work) -> Self {
        let tip = header.hash();
        let mut list = HeaderList {
            first_height: height,
            chunks: Vec::new(),
            height,
            tip,
            work,
        };
        list.append(header, work);
        let mut index = HashIndex::new();
        index.insert(&[tip], height);
        Self { list, index }
    }

    pub(super) fn first_height(&self) -> u32 {
        self.list.first_height
    }

    /// Returns the height and the hash of the last header.
    pub(super) fn tip(&self) -> (u32, BlockHash) {
        (self.list.height, self.list.tip)
    }

    /// Returns the chain work up to and including the last header.
    pub(super) fn work(&self) -> Work {
        self.list.work
    }

    pub(super) fn header_at(&self, height: u32) -> Option<&BlockHeader> {
        self.list.header_at(height)
    }

    pub(super) fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.list.hash_at(height)
    }

    pub(super) fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        let list = &self.list;
        self.index
            .find(hash, |height| list.hash_at(height) == Some(*hash))
    }

    /// Returns the chain work up to and including the header at a height.
    pub(super) fn work_at(&self, height: u32) -> Option<Work> {
        self.list.work_at(height)
    }

    /// Appends headers that link to the last one; `works` are the chain works up to each of them.
    pub(super) fn extend(&mut self, headers: &[BlockHeader], hashes: &[BlockHash], works: &[Work]) {
        let first = self.list.height + 1;
        for (header, work) in headers.iter().zip(works) {
            self.list.append(*header, *work);
        }
        self.list.height += headers.len() as u32;
        if let (Some(hash), Some(work)) = (hashes.last(), works.last()) {
            (self.list.tip, self.list.work) = (*hash, *work);
        }
        self.index.insert(hashes, first);
    }

    /// Removes the last header, unless it is the first one. Returns it with its hash and work.
    pub(super) fn pop(&mut self) -> Option<(BlockHeader, BlockHash, Work)> {
        let (height, tip) = self.tip();
        if height == self.list.first_height {
            return None;
        }
        self.index.remove(&tip, height);
        let work = self.list.work;
        let header = self.list.pop()?;
        Some((header, tip, work))
    }
}

impl HeaderList {
    fn header_at(&self, height: u32) -> Option<&BlockHeader> {
        let at = height.checked_sub(self.first_height)? as usize;
        self.chunks.get(at / CHUNK)?.headers.get(at % CHUNK)
    }

    fn hash_at(&self, height: u32) -> Option<BlockHash> {
        if height == self.height {
            return Some(self.tip);
        }
        let next = self.header_at(height.checked_add(1)?)?;
        (height >= self.first_height).then_some(next.previous)
    }

    fn work_at(&self, height: u32) -> Option<Work> {
        let at = height.checked_sub(self.first_height)? as usize;
        let Chunk { headers, works } = self.chunks.get(at / CHUNK)?;
        let at = at % CHUNK;
        let above = headers.get(at - at % WORK_INTERVAL + 1..=at)?;
        let mut sum = *works.get(at / WORK_INTERVAL)?;
        let (mut bits, mut work) = (CompactTarget(0), Work::ZERO);
        for header in above {
            if header.bits != bits {
                (bits, work) = (header.bits, header.bits.work());
            }
            sum = sum.saturating_add(work);
        }
        Some(sum)
    }

    fn append(&mut self, header: BlockHeader, work: Work) {
        let is_full = |chunk: &Chunk| chunk.headers.len() == CHUNK;
        if self.chunks.last().is_none_or(is_full) {
            self.chunks.push(Chunk {
                headers: Vec::with_capacity(CHUNK),
                works: Vec::with_capacity(CHUNK / WORK_INTERVAL),
            });
        }
        if let Some(chunk) = self.chunks.last_mut() {
            if chunk.headers.len().is_multiple_of(WORK_INTERVAL) {
                chunk.works.push(work);
            }
            chunk.headers.push(header);
        }
    }

    fn pop(&mut self) -> Option<BlockHeader> {
        let chunk = self.chunks.last_mut()?;
        let header = chunk.headers.pop()?;
        if chunk.headers.len().is_multiple_of(WORK_INTERVAL) {
            chunk.works.pop();
        }
        if chunk.headers.is_empty() {
            self.chunks.pop();
        }
        self.height -= 1;
        self.tip = header.previous;
        self.work = self.work.saturating_sub(header.bits.work());
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    fn next(active: &ActiveChain) -> BlockHeader {
        BlockHeader {
            previous: active.tip().1,
            nonce: active.tip().0,
            ..BlockHeader::genesis(&Network::Regtest)
        }
    }

    fn push_next(active: &mut ActiveChain) -> BlockHash {
        let header = next(active);
        let work = active.work().saturating_add(header.bits.work());
        active.extend(&[header], &[header.hash()], &[work]);
        header.hash()
    }

    #[test]
    fn headers_are_found_across_chunks() {
        let first = BlockHeader::genesis(&Network::Regtest);
        let mut active = ActiveChain::new(first, 100, first.bits.work());
        let mut hashes = vec![first.hash()];
        for _ in 0..2 * CHUNK {
            hashes.push(push_next(&mut active));
        }
        let check = |active: &ActiveChain, len: usize| {
            assert_eq!(active.tip(), (99 + len as u32, hashes[len - 1]));
            assert_eq!(active.work(), Work::from_u128(2 * len as u128));
            for (height, hash) in (100..).zip(&hashes[..len]) {
                assert_eq!(active.hash_at(height), Some(*hash));
                assert_eq!(active.height_of(hash), Some(height));
                assert_eq!(active.header_at(height).unwrap().hash(), *hash);
                let work = Work::from_u128(2 * (u128::from(height) - 99));
                assert_eq!(active.work_at(height), Some(work));
            }
            let above = 100 + len as u32;
            assert_eq!(active.header_at(above), None);
            assert_eq!(active.hash_at(above), None);
            assert_eq!(active.work_at(above), None);
            assert!(
                hashes[len..]
                    .iter()
                    .all(|hash| active.height_of(hash).is_none())
            );
        };
        check(&active, 2 * CHUNK + 1);
        for outside in [99, 0, u32::MAX] {
            assert_eq!(active.header_at(outside), None);
            assert_eq!(active.hash_at(outside), None);
            assert_eq!(active.work_at(outside), None);
        }
        for _ in 0..CHUNK + 2 {
            let (header, hash, _) = active.pop().unwrap();
            assert_eq!(header.hash(), hash);
        }
        check(&active, CHUNK - 1);
        push_next(&mut active);
        check(&active, CHUNK);
    }

    #[test]
    fn first_header_is_never_removed() {
        let first = BlockHeader::genesis(&Network::Regtest);
        let mut active = ActiveChain::new(first, 0, first.bits.work());
        assert_eq!(active.pop(), None);
        assert_eq!(active.tip(), (0, first.hash()));
    }
}
