//! A hash table whose growth never moves many entries at once.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::wire::BlockHash;

/// A hash table by block hash, split into shards that grow independently.
///
/// The hash function has a random key, so that no peer can construct block hashes that collide.
/// The shards are filled by chance and therefore do not grow at the same time.
#[derive(Clone)]
pub(super) struct ShardedTable<T> {
    shards: Box<[HashTable<T>]>,
    key: RandomState,
    len: usize,
}

impl<T> ShardedTable<T> {
    /// Creates an empty table. Growing one of the shards moves `1 / shards` of all entries.
    pub(super) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| HashTable::new()).collect(),
            key: RandomState::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn find(&self, key: &BlockHash, is_entry: impl Fn(&T) -> bool) -> Option<&T> {
        let hash = self.key.hash_one(key.0);
        self.shards[shard(hash, self.shards.len())].find(hash, is_entry)
    }

    pub(super) fn find_mut(
        &mut self,
        key: &BlockHash,
        is_entry: impl Fn(&T) -> bool,
    ) -> Option<&mut T> {
        let hash = self.key.hash_one(key.0);
        let shard = shard(hash, self.shards.len());
        self.shards[shard].find_mut(hash, is_entry)
    }

    /// Inserts an entry with a new key. `key_of` returns the key of an entry that is moved.
    pub(super) fn insert(&mut self, key: &BlockHash, entry: T, key_of: impl Fn(&T) -> BlockHash) {
        let Self {
            shards,
            key: state,
            len,
        } = self;
        let hash = state.hash_one(key.0);
        let rehash = |entry: &T| state.hash_one(key_of(entry).0);
        let shard = shard(hash, shards.len());
        shards[shard].insert_unique(hash, entry, rehash);
        *len += 1;
    }

    /// Removes an entry. A shard without entries returns its memory.
    pub(super) fn remove(&mut self, key: &BlockHash, is_entry: impl Fn(&T) -> bool) -> Option<T> {
        let hash = self.key.hash_one(key.0);
        let shard = shard(hash, self.shards.len());
        let shard = &mut self.shards[shard];
        let (entry, _) = shard.find_entry(hash, is_entry).ok()?.remove();
        if shard.is_empty() {
            *shard = HashTable::new();
        }
        self.len -= 1;
        Some(entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().flat_map(HashTable::iter)
    }
}

fn shard(hash: u64, shards: usize) -> usize {
    // hashbrown uses the highest and the lowest bits itself.
    (hash >> 40) as usize % shards
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> BlockHash {
        let mut hash = BlockHash::ZERO;
        hash.0[..4].copy_from_slice(&number.to_le_bytes());
        hash
    }

    #[test]
    fn entries_survive_growth_and_removal() {
        const COUNT: u32 = 50_000;
        let mut table = ShardedTable::new(64);
        for number in 0..COUNT {
            table.insert(&key(number), number, |entry| key(*entry));
        }
        assert_eq!(
            (table.len(), table.iter().count()),
            (COUNT as usize, COUNT as usize)
        );
        let remove = |table: &mut ShardedTable<u32>, number| {
            table.remove(&key(number), |entry| *entry == number)
        };
        for number in (0..COUNT).step_by(2) {
            assert_eq!(remove(&mut table, number), Some(number));
            assert_eq!(remove(&mut table, number), None);
        }
        for number in 0..COUNT {
            let found = table.find(&key(number), |entry| *entry == number).copied();
            assert_eq!(found, (number % 2 == 1).then_some(number));
        }
        assert_eq!(table.len(), COUNT as usize / 2);
    }
}
