//! The headers of the active chain, by height and by hash.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::wire::{BlockHash, BlockHeader};

/// Headers that follow each other, the first of them never removed.
///
/// No hash is stored but the last: that of a header stands in the next one. The table by hash holds heights alone.
#[derive(Clone)]
pub(super) struct ActiveHeaders {
    list: List,
    /// The heights, by the hashes at them. Its hashes have a random key: nobody can make block hashes that crowd it.
    heights: HashTable<u32>,
    key: RandomState,
}

#[derive(Clone)]
struct List {
    /// The height of the first header.
    base: u32,
    /// All but the last are full: growing never moves headers and leaves little room unused.
    chunks: Vec<Vec<BlockHeader>>,
    height: u32,
    tip: BlockHash,
}

/// How many headers stand in one piece: 160 KiB.
const CHUNK: usize = 2048;

impl ActiveHeaders {
    pub(super) fn new(header: BlockHeader, height: u32) -> Self {
        let tip = header.hash();
        let mut this = Self {
            list: List {
                base: height,
                chunks: vec![vec![header]],
                height,
                tip,
            },
            heights: HashTable::new(),
            key: RandomState::new(),
        };
        this.index(tip, height);
        this
    }

    /// The height of the first header.
    pub(super) fn base(&self) -> u32 {
        self.list.base
    }

    /// The height and the hash of the last header.
    pub(super) fn tip(&self) -> (u32, BlockHash) {
        (self.list.height, self.list.tip)
    }

    pub(super) fn header_at(&self, height: u32) -> Option<&BlockHeader> {
        self.list.header_at(height)
    }

    pub(super) fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.list.hash_at(height)
    }

    pub(super) fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        let same = |&height: &u32| self.list.hash_at(height) == Some(*hash);
        self.heights.find(self.key.hash_one(hash.0), same).copied()
    }

    /// Puts a header behind the last, which it follows.
    pub(super) fn push(&mut self, header: BlockHeader, hash: BlockHash) {
        self.list.push(header, hash);
        self.index(hash, self.list.height);
    }

    /// Takes the last header away, with its hash; never the first.
    pub(super) fn pop(&mut self) -> Option<(BlockHeader, BlockHash)> {
        let (height, tip) = self.tip();
        if height == self.list.base {
            return None;
        }
        let same = |&at: &u32| at == height;
        if let Ok(entry) = self.heights.find_entry(self.key.hash_one(tip.0), same) {
            entry.remove();
        }
        self.list.pop().map(|header| (header, tip))
    }

    fn index(&mut self, hash: BlockHash, height: u32) {
        let Self { list, heights, key } = self;
        let rehash = |&height: &u32| key.hash_one(list.hash_at(height).unwrap_or_default().0);
        heights.insert_unique(key.hash_one(hash.0), height, rehash);
    }
}

impl List {
    fn header_at(&self, height: u32) -> Option<&BlockHeader> {
        let at = height.checked_sub(self.base)? as usize;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    fn hash_at(&self, height: u32) -> Option<BlockHash> {
        if height == self.height {
            return Some(self.tip);
        }
        self.header_at(height.checked_add(1)?)
            .filter(|_| height >= self.base)
            .map(|next| next.previous)
    }

    fn push(&mut self, header: BlockHeader, hash: BlockHash) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(header),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(header);
                self.chunks.push(chunk);
            }
        }
        self.height += 1;
        self.tip = hash;
    }

    fn pop(&mut self) -> Option<BlockHeader> {
        let chunk = self.chunks.last_mut()?;
        let header = chunk.pop()?;
        if chunk.is_empty() {
            self.chunks.pop();
        }
        self.height -= 1;
        self.tip = header.previous;
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    fn next(active: &ActiveHeaders) -> BlockHeader {
        BlockHeader {
            previous: active.tip().1,
            nonce: active.tip().0,
            ..BlockHeader::genesis(Network::Regtest)
        }
    }

    #[test]
    fn headers_are_found_by_height_and_by_hash_across_chunks() {
        let first = BlockHeader::genesis(Network::Regtest);
        let mut active = ActiveHeaders::new(first, 100);
        let mut hashes = vec![first.hash()];
        for _ in 0..2 * CHUNK {
            let header = next(&active);
            hashes.push(header.hash());
            active.push(header, header.hash());
        }
        let check = |active: &ActiveHeaders, len: usize| {
            assert_eq!(active.tip(), (99 + len as u32, hashes[len - 1]));
            for (height, hash) in (100..).zip(&hashes[..len]) {
                assert_eq!(active.hash_at(height), Some(*hash));
                assert_eq!(active.height_of(hash), Some(height));
                assert_eq!(active.header_at(height).unwrap().hash(), *hash);
            }
            let behind = 100 + len as u32;
            assert_eq!(active.header_at(behind), None);
            assert_eq!(active.hash_at(behind), None);
            assert!(
                hashes[len..]
                    .iter()
                    .all(|hash| active.height_of(hash).is_none())
            );
        };
        check(&active, 2 * CHUNK + 1);
        assert_eq!((active.header_at(99), active.hash_at(99)), (None, None));
        assert_eq!(
            (active.header_at(u32::MAX), active.hash_at(u32::MAX)),
            (None, None)
        );
        for _ in 0..CHUNK + 2 {
            let (header, hash) = active.pop().unwrap();
            assert_eq!(header.hash(), hash);
        }
        check(&active, CHUNK - 1);
        let header = next(&active);
        active.push(header, header.hash());
        check(&active, CHUNK);
    }

    #[test]
    fn the_first_header_stays() {
        let first = BlockHeader::genesis(Network::Regtest);
        let mut active = ActiveHeaders::new(first, 0);
        assert_eq!(active.pop(), None);
        assert_eq!(active.tip(), (0, first.hash()));
    }
}
