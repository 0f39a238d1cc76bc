//! The heights of the active chain by block hash.

use std::hash::{BuildHasher, RandomState};

use crate::wire::BlockHash;

/// The number of independent parts. With a million headers, a part has 240 entries, and its growth
/// takes about a microsecond. The growth of a single table would take 100 ms.
const PARTS: usize = 4096;

/// The number of headers whose slots are read before they are written.
const PREFETCHED: usize = 64;

/// Marks a free slot. Heights have 31 bits.
const FREE: u32 = u32::MAX;

/// A hash table of heights that uses 9 to 14 bytes per header, and grows in small steps.
///
/// The key of an entry is not stored, only 32 bits of its hash. The caller tells whether the header
/// at a height has the hash that is looked up. Block hashes are random already and only have to be
/// mixed with a random key, so that no peer can mine headers that collide.
#[derive(Clone)]
pub(super) struct HashIndex {
    parts: Box<[Part]>,
    /// Random numbers, with which block hashes are mixed.
    key: [u64; 2],
}

/// Open addressing with linear probing. The home slot of an entry is proportional to its hash, so
/// the number of slots need not be a power of two.
#[derive(Clone, Default)]
struct Part {
    slots: Box<[HeightSlot]>,
    len: usize,
}

#[derive(Clone, Copy)]
struct HeightSlot {
    hash: u32,
    height: u32,
}

impl HashIndex {
    pub(super) fn new() -> Self {
        Self {
            parts: vec![Part::default(); PARTS].into(),
            key: [(); 2].map(|()| RandomState::new().hash_one(0)),
        }
    }

    /// Returns the height of a header for which `is_header` returns `true`.
    pub(super) fn find(&self, key: &BlockHash, is_header: impl Fn(u32) -> bool) -> Option<u32> {
        let (part, hash) = self.locate(key);
        let part = &self.parts[part];
        let at = part.position(hash, is_header)?;
        Some(part.slots[at].height)
    }

    /// Inserts consecutive headers that are not in the index; the first one has the height `first`.
    pub(super) fn insert(&mut self, keys: &[BlockHash], first: u32) {
        let mut positions = [(0, 0); PREFETCHED];
        for (keys, first) in keys.chunks(PREFETCHED).zip((first..).step_by(PREFETCHED)) {
            // Most slots are not in a cache. Reading them all first lets the reads overlap.
            let mut read = 0;
            for (position, key) in positions.iter_mut().zip(keys) {
                *position = self.locate(key);
                let part = &self.parts[position.0];
                let slot = part.slots.get(part.home(position.1));
                read ^= slot.map_or(0, |slot| slot.height);
            }
            std::hint::black_box(read);
            for ((part, hash), height) in positions.iter().copied().zip(first..).take(keys.len()) {
                self.parts[part].insert(HeightSlot { hash, height });
            }
        }
    }

    /// Removes the entry of a header at a height.
    pub(super) fn remove(&mut self, key: &BlockHash, height: u32) {
        let (part, hash) = self.locate(key);
        self.parts[part].remove(hash, height);
    }

    /// Returns the part and the hash of a key.
    fn locate(&self, key: &BlockHash) -> (usize, u32) {
        // The other bytes of a block hash may be zero. Two headers with the same eight bytes take
        // 2^32 attempts, and only share a slot.
        let bytes = key.0.first_chunk().copied().unwrap_or_default();
        let [mask, factor] = self.key;
        let bits = u128::from(u64::from_le_bytes(bytes) ^ mask) * u128::from(factor | 1);
        let hash = bits as u64 ^ (bits >> u64::BITS) as u64;
        ((hash >> 32) as usize % PARTS, hash as u32)
    }
}

impl Part {
    /// Returns the first slot to probe.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> u32::BITS) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() {
            0
        } else {
            at + 1
        }
    }

    fn position(&self, hash: u32, is_header: impl Fn(u32) -> bool) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        // Some slots are always free, so the search ends.
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.height == FREE {
                return None;
            }
            if slot.hash == hash && is_header(slot.height) {
                return Some(at);
            }
            at = self.next(at);
        }
    }

    fn insert(&mut self, slot: HeightSlot) {
        if 20 * (self.len + 1) > 17 * self.slots.len() {
            self.resize(self.slots.len() + self.slots.len() / 2 + 4);
        }
        self.put(slot);
        self.len += 1;
    }

    fn put(&mut self, slot: HeightSlot) {
        let mut at = self.home(slot.hash);
        while self.slots[at].height != FREE {
            at = self.next(at);
        }
        self.slots[at] = slot;
    }

    fn remove(&mut self, hash: u32, height: u32) {
        let Some(mut free) = self.position(hash, |at| at == height) else {
            return;
        };
        // Entries after the slot move up, unless that would put them before their home.
        let mut at = self.next(free);
        while self.slots[at].height != FREE {
            let home = self.home(self.slots[at].hash);
            let is_after_free = if free < at {
                free < home && home <= at
            } else {
                free < home || home <= at
            };
            if !is_after_free {
                self.slots[free] = self.slots[at];
                free = at;
            }
            at = self.next(at);
        }
        self.slots[free].height = FREE;
        self.len -= 1;
        if 3 * self.len < self.slots.len() {
            self.resize(2 * self.len);
        }
    }

    fn resize(&mut self, slots: usize) {
        let free = HeightSlot {
            hash: 0,
            height: FREE,
        };
        let old = std::mem::replace(&mut self.slots, vec![free; slots].into());
        for slot in old {
            if slot.height != FREE {
                self.put(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::test_random::SeededRandom;

    fn key(number: u32) -> BlockHash {
        let mut hash = BlockHash::ZERO;
        hash.0[..4].copy_from_slice(&number.to_le_bytes());
        hash
    }

    fn slots(index: &HashIndex) -> usize {
        index.parts.iter().map(|part| part.slots.len()).sum()
    }

    #[test]
    fn entries_survive_growth_and_removal() {
        const COUNT: u32 = 100_000;
        let mut index = HashIndex::new();
        let keys: Vec<_> = (0..COUNT).map(key).collect();
        index.insert(&keys[..1], 0);
        index.insert(&keys[1..70], 1);
        index.insert(&keys[70..], 70);
        assert!(slots(&index) < COUNT as usize * 2);
        for number in (0..COUNT).filter(|number| number % 3 != 0) {
            index.remove(&key(number), number);
            index.remove(&key(number), number);
        }
        for number in 0..COUNT {
            let found = index.find(&key(number), |height| height == number);
            assert_eq!(found, (number % 3 == 0).then_some(number));
        }
        for number in 0..COUNT {
            index.remove(&key(number), number);
        }
        assert_eq!(slots(&index), 0);
    }

    /// Entries in one part whose homes are crowded and wrap around its end.
    #[test]
    fn crowded_part_agrees_with_map() {
        let mut part = Part::default();
        let mut map = HashMap::new();
        let mut random = SeededRandom::new(1);
        for height in 0..5_000_u32 {
            let number = random.next_u64() as u32;
            let hash = if number & 0x100 == 0 {
                number | 0xf000_0000
            } else {
                number
            };
            part.insert(HeightSlot { hash, height });
            map.insert(height, hash);
            if number & 0x3000 != 0 {
                let victim = number % (height + 1);
                if let Some(hash) = map.remove(&victim) {
                    part.remove(hash, victim);
                }
            }
            assert_eq!(part.len, map.len());
        }
        for height in 0..5_000 {
            let hash = map.get(&height).copied();
            let found = hash.and_then(|hash| part.position(hash, |at| at == height));
            assert_eq!(found.is_some(), hash.is_some());
        }
    }
}
