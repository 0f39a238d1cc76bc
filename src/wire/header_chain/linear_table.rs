//! A hash table that grows by one bucket at a time.

use std::hash::{BuildHasher, RandomState};

use crate::wire::BlockHash;

/// The mean number of entries in a bucket.
const BUCKET_LEN: usize = 16;

/// The number of entries by which the memory of a bucket grows.
const BUCKET_GROWTH: usize = 4;

/// The number of buckets that are allocated together.
const GROUP: usize = 1024;

/// A hash table by block hash with linear hashing (W. Litwin, 1980).
///
/// An insertion splits at most one bucket, so that no insertion takes long, and the memory grows
/// in proportion to the number of entries. A table that doubles its size moves a million entries at
/// once, and leaves half of its memory unused.
///
/// The hash function has a random key, so that no peer can construct block hashes that collide.
#[derive(Clone)]
pub(super) struct LinearTable<T> {
    groups: Vec<Vec<Vec<Entry<T>>>>,
    /// The number of buckets before the current round of splits: a power of two.
    round: usize,
    /// The number of buckets that have been split in the current round.
    split: usize,
    key: RandomState,
    len: usize,
}

#[derive(Clone)]
struct Entry<T> {
    hash: u32,
    value: T,
}

impl<T> LinearTable<T> {
    pub(super) fn new() -> Self {
        Self {
            groups: vec![vec![Vec::new()]],
            round: 1,
            split: 0,
            key: RandomState::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the value of a key. `is_value` tells it from others in the same bucket.
    pub(super) fn find(&self, key: &BlockHash, is_value: impl Fn(&T) -> bool) -> Option<&T> {
        let hash = self.hash(key);
        let mut bucket = self.bucket(self.position(hash)).iter();
        let found = bucket.find(|entry| entry.hash == hash && is_value(&entry.value));
        found.map(|entry| &entry.value)
    }

    /// Like [`find`](Self::find), for changes.
    pub(super) fn find_mut(
        &mut self,
        key: &BlockHash,
        is_value: impl Fn(&T) -> bool,
    ) -> Option<&mut T> {
        let hash = self.hash(key);
        let position = self.position(hash);
        let mut bucket = self.bucket_mut(position).iter_mut();
        let found = bucket.find(|entry| entry.hash == hash && is_value(&entry.value));
        found.map(|entry| &mut entry.value)
    }

    /// Inserts the value of a new key.
    pub(super) fn insert(&mut self, key: &BlockHash, value: T) {
        let hash = self.hash(key);
        let position = self.position(hash);
        push(self.bucket_mut(position), Entry { hash, value });
        self.len += 1;
        if self.len > (self.round + self.split) * BUCKET_LEN {
            self.split_next();
        }
    }

    /// Removes the value of a key.
    pub(super) fn remove(&mut self, key: &BlockHash, is_value: impl Fn(&T) -> bool) -> Option<T> {
        let hash = self.hash(key);
        let position = self.position(hash);
        let bucket = self.bucket_mut(position);
        let is_entry = |entry: &Entry<T>| entry.hash == hash && is_value(&entry.value);
        let at = bucket.iter().position(is_entry)?;
        let entry = bucket.swap_remove(at);
        if bucket.is_empty() {
            *bucket = Vec::new();
        }
        self.len -= 1;
        Some(entry.value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups
            .iter()
            .flatten()
            .flatten()
            .map(|entry| &entry.value)
    }

    fn hash(&self, key: &BlockHash) -> u32 {
        // The other bytes of a block hash may be zero. Two headers with the same eight bytes take
        // 2^32 attempts, and only share a bucket.
        let bytes = key.0.first_chunk().copied().unwrap_or_default();
        self.key.hash_one(u64::from_le_bytes(bytes)) as u32
    }

    /// Returns the number of the bucket for a hash.
    fn position(&self, hash: u32) -> usize {
        let hash = hash as usize;
        let position = hash & (2 * self.round - 1);
        if position < self.round + self.split {
            position
        } else {
            hash & (self.round - 1)
        }
    }

    fn bucket(&self, position: usize) -> &Vec<Entry<T>> {
        &self.groups[position / GROUP][position % GROUP]
    }

    fn bucket_mut(&mut self, position: usize) -> &mut Vec<Entry<T>> {
        &mut self.groups[position / GROUP][position % GROUP]
    }

    /// Moves about half of the entries of the next bucket to a new one.
    fn split_next(&mut self) {
        let bit = self.round;
        let old = std::mem::take(self.bucket_mut(self.split));
        let (mut stay, mut moved) = (Vec::new(), Vec::new());
        for entry in old {
            let is_moved = entry.hash as usize & bit != 0;
            push(if is_moved { &mut moved } else { &mut stay }, entry);
        }
        *self.bucket_mut(self.split) = stay;
        match self.groups.last_mut() {
            Some(group) if group.len() < GROUP => group.push(moved),
            _ => {
                let mut group = Vec::with_capacity(GROUP);
                group.push(moved);
                self.groups.push(group);
            }
        }
        self.split += 1;
        if self.split == self.round {
            self.round *= 2;
            self.split = 0;
        }
    }
}

/// Appends an entry. Memory grows in small steps: a bucket stays small.
fn push<T>(bucket: &mut Vec<Entry<T>>, entry: Entry<T>) {
    if bucket.len() == bucket.capacity() {
        bucket.reserve_exact(BUCKET_GROWTH);
    }
    bucket.push(entry);
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
        let mut table = LinearTable::new();
        for number in 0..COUNT {
            table.insert(&key(number), number);
        }
        let counts = (table.len(), table.iter().count());
        assert_eq!(counts, (COUNT as usize, COUNT as usize));
        let remove = |table: &mut LinearTable<u32>, number| {
            table.remove(&key(number), |value| *value == number)
        };
        for number in (0..COUNT).step_by(2) {
            assert_eq!(remove(&mut table, number), Some(number));
            assert_eq!(remove(&mut table, number), None);
        }
        for number in 0..COUNT {
            let is_left = number % 2 == 1;
            let found = table.find(&key(number), |value| *value == number);
            assert_eq!(found.copied(), is_left.then_some(number));
            if let Some(value) = table.find_mut(&key(number), |value| *value == number) {
                *value += COUNT;
            }
        }
        assert_eq!(table.len(), COUNT as usize / 2);
        assert!(table.iter().all(|value| *value > COUNT));
    }

    #[test]
    fn buckets_stay_short_and_even() {
        let mut table = LinearTable::new();
        for number in 0..100_000 {
            table.insert(&key(number), number);
        }
        let buckets = || table.groups.iter().flatten();
        assert_eq!(buckets().count(), (100_000_usize).div_ceil(BUCKET_LEN));
        let longest = buckets().map(Vec::len).max();
        // Before its split, a bucket has twice the mean.
        assert!(
            longest.is_some_and(|len| len < 6 * BUCKET_LEN),
            "{longest:?}"
        );
        assert!(table.groups.iter().all(|group| group.len() <= GROUP));
    }
}
