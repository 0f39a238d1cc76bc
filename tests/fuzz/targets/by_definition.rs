//! What the library computes in a clever way, computed as the protocol defines it.

use bsv_p2p::wire::{MerkleRoot, Txid, sha256d};

/// The merkle root, and whether a pair of equal hashes stands somewhere: level by level, each with its last entry doubled if
/// their number is odd.
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
