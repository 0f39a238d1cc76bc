//! Straightforward implementations of computations that the library optimizes.

use bsv_p2p::wire::{MerkleRoot, Txid, sha256d};

/// Computes the merkle root, and whether a pair of equal hashes occurs: level by level, doubling
/// the last entry if their number is odd.
pub(crate) fn merkle_root(txids: &[Txid]) -> (MerkleRoot, bool) {
    let mut level: Vec<[u8; 32]> = txids.iter().map(|txid| txid.0).collect();
    let mut mutated = false;
    while level.len() > 1 {
        mutated |= level.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        let parents = level.chunks(2).map(|pair| {
            let both = [pair[0], *pair.last().unwrap_or(&pair[0])];
            sha256d(both.as_flattened()).0
        });
        level = parents.collect();
    }
    (MerkleRoot(level.pop().unwrap_or_default()), mutated)
}
