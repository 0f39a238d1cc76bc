//! Transactions whose parents are unknown.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use log::Level;

use super::peer;
use crate::peers::PeerId;
use crate::wire::{Tx, Txid};

/// The memory of an orphan in addition to its bytes, rounded up.
const ORPHAN_OVERHEAD: u64 = 512;

/// The memory of each unknown parent of an orphan, rounded up.
const PARENT_OVERHEAD: u64 = 128;

/// Transactions that wait for their parents, bounded in number and memory.
///
/// If the pool is full, the oldest orphan of the peer with the most memory is evicted. A peer
/// therefore cannot displace the orphans of peers that use less memory.
pub(super) struct OrphanPool {
    orphans: HashMap<Txid, Orphan>,
    /// The orphans that wait for each unknown transaction.
    by_parent: HashMap<Txid, BTreeSet<Txid>>,
    by_peer: HashMap<PeerId, PeerOrphans>,
    bytes: u64,
    next_number: u64,
    max_bytes: u64,
    max_orphans: usize,
}

struct Orphan {
    tx: Tx,
    from: PeerId,
    /// Later orphans have higher numbers.
    number: u64,
    parents: Vec<Txid>,
}

#[derive(Default)]
struct PeerOrphans {
    bytes: u64,
    by_number: BTreeMap<u64, Txid>,
}

impl OrphanPool {
    /// The maximum memory of all orphans, in bytes: 32 MiB.
    pub(super) const MAX_BYTES: u64 = 32 * 1024 * 1024;

    /// The maximum number of orphans.
    pub(super) const MAX_ORPHANS: usize = 10_000;

    /// Creates an empty pool.
    pub(super) fn new(max_bytes: u64, max_orphans: usize) -> Self {
        Self {
            orphans: HashMap::new(),
            by_parent: HashMap::new(),
            by_peer: HashMap::new(),
            bytes: 0,
            next_number: 0,
            max_bytes,
            max_orphans,
        }
    }

    pub(super) fn contains(&self, txid: &Txid) -> bool {
        self.orphans.contains_key(txid)
    }

    /// Keeps a copy of a transaction with its unknown parents. Evicts others to make space.
    /// Returns whether the transaction was kept: a transaction above the limits is not.
    pub(super) fn insert(&mut self, txid: Txid, tx: &Tx, parents: Vec<Txid>, from: PeerId) -> bool {
        let cost = cost(tx, &parents);
        if self.contains(&txid) || cost > self.max_bytes || self.max_orphans == 0 {
            return false;
        }
        while self.bytes + cost > self.max_bytes || self.orphans.len() >= self.max_orphans {
            self.evict_one();
        }
        for parent in &parents {
            self.by_parent.entry(*parent).or_default().insert(txid);
        }
        let number = self.next_number;
        self.next_number += 1;
        let peer = self.by_peer.entry(from).or_default();
        peer.bytes += cost;
        peer.by_number.insert(number, txid);
        self.bytes += cost;
        let orphan = Orphan {
            tx: Tx::from(tx.view()),
            from,
            number,
            parents,
        };
        self.orphans.insert(txid, orphan);
        true
    }

    /// Removes and returns the orphans that wait for a transaction, with the peer that sent each.
    pub(super) fn take_children(&mut self, parent: &Txid) -> Vec<(PeerId, Tx)> {
        let children = self.by_parent.get(parent).cloned().unwrap_or_default();
        let children = children.iter().filter_map(|txid| self.remove(txid));
        children.map(|orphan| (orphan.from, orphan.tx)).collect()
    }

    /// Removes the orphans that a peer sent.
    pub(super) fn remove_peer(&mut self, peer: PeerId) {
        let orphans = self.by_peer.get(&peer);
        let orphans: Vec<_> = orphans.map_or(Vec::new(), |peer| {
            peer.by_number.values().copied().collect()
        });
        for txid in orphans {
            self.remove(&txid);
        }
    }

    fn evict_one(&mut self) {
        let largest = self.by_peer.values().max_by_key(|peer| peer.bytes);
        let oldest = largest.and_then(|peer| peer.by_number.values().next().copied());
        if let Some(txid) = oldest
            && let Some(orphan) = self.remove(&txid)
        {
            let record = peer::log(Level::Debug).peer_id(orphan.from);
            record.write(format_args!("orphan transaction {txid} evicted"));
        }
    }

    fn remove(&mut self, txid: &Txid) -> Option<Orphan> {
        let orphan = self.orphans.remove(txid)?;
        let cost = cost(&orphan.tx, &orphan.parents);
        self.bytes -= cost;
        for parent in &orphan.parents {
            if let Some(children) = self.by_parent.get_mut(parent) {
                children.remove(txid);
                if children.is_empty() {
                    self.by_parent.remove(parent);
                }
            }
        }
        if let Some(peer) = self.by_peer.get_mut(&orphan.from) {
            peer.bytes -= cost;
            peer.by_number.remove(&orphan.number);
            if peer.by_number.is_empty() {
                self.by_peer.remove(&orphan.from);
            }
        }
        Some(orphan)
    }
}

impl Default for OrphanPool {
    fn default() -> Self {
        Self::new(Self::MAX_BYTES, Self::MAX_ORPHANS)
    }
}

fn cost(tx: &Tx, parents: &[Txid]) -> u64 {
    tx.bytes().len() as u64 + ORPHAN_OVERHEAD + parents.len() as u64 * PARENT_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Transaction;

    const ONE: PeerId = PeerId::from_u128(1);
    const OTHER: PeerId = PeerId::from_u128(2);
    const PARENT: Txid = Txid([9; 32]);

    fn tx(number: u32) -> (Txid, Tx) {
        let tx = Tx::from(&Transaction {
            lock_time: number,
            ..Transaction::default()
        });
        (tx.txid(), tx)
    }

    fn insert(pool: &mut OrphanPool, number: u32, from: PeerId) -> bool {
        let (txid, tx) = tx(number);
        pool.insert(txid, &tx, vec![PARENT], from)
    }

    fn kept(pool: &OrphanPool, numbers: std::ops::Range<u32>) -> Vec<u32> {
        let is_kept = |number: &u32| pool.contains(&tx(*number).0);
        numbers.filter(is_kept).collect()
    }

    fn assert_empty(pool: &OrphanPool) {
        assert_eq!(pool.bytes, 0);
        assert!(pool.by_parent.is_empty() && pool.by_peer.is_empty() && pool.orphans.is_empty());
    }

    #[test]
    fn orphans_are_returned_when_their_parent_arrives() {
        let mut pool = OrphanPool::default();
        let (first, second) = (tx(1), tx(2));
        let further = Txid([8; 32]);
        assert!(pool.insert(first.0, &first.1, vec![PARENT, further], ONE));
        assert!(pool.insert(second.0, &second.1, vec![PARENT], OTHER));
        assert!(
            !pool.insert(second.0, &second.1, vec![PARENT], ONE),
            "known"
        );
        assert_eq!(pool.take_children(&further), [(ONE, first.1)]);
        assert_eq!(pool.take_children(&PARENT), [(OTHER, second.1)]);
        assert_eq!(pool.take_children(&PARENT), []);
        assert_empty(&pool);
    }

    #[test]
    fn full_pool_evicts_oldest_of_largest_peer() {
        let mut pool = OrphanPool::new(u64::MAX, 5);
        assert!(insert(&mut pool, 0, OTHER));
        for number in 1..10 {
            assert!(insert(&mut pool, number, ONE));
        }
        assert_eq!(kept(&pool, 0..10), [0, 6, 7, 8, 9]);
        pool.remove_peer(ONE);
        assert_eq!(kept(&pool, 0..10), [0]);
        pool.remove_peer(OTHER);
        assert_empty(&pool);
    }

    #[test]
    fn memory_of_orphans_is_bounded() {
        let cost = cost(&tx(0).1, &[PARENT]);
        let mut pool = OrphanPool::new(2 * cost, 100);
        for number in 0..3 {
            assert!(insert(&mut pool, number, ONE));
            assert!(pool.bytes <= 2 * cost);
        }
        assert_eq!(kept(&pool, 0..3), [1, 2]);
        let mut small = OrphanPool::new(cost - 1, 100);
        assert!(!insert(&mut small, 0, ONE));
        assert_empty(&small);
    }
}
