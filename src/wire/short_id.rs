//! Short names of transactions in a compact block.

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

use super::{BlockHeader, Txid};

/// The key with which one compact block shortens the names of its transactions.
///
/// It depends on a nonce of the sender, so that nobody can make transactions beforehand whose short names collide
/// (Bitcoin SV node, `src/blockencodings.cpp`, `FillShortTxIDSelector`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ShortIdKey {
    /// The first half of the key of SipHash-2-4.
    pub k0: u64,
    /// The second half.
    pub k1: u64,
}

impl ShortIdKey {
    /// The key of the compact block with this header and nonce: from the single SHA-256 over both.
    pub fn new(header: &BlockHeader, nonce: u64) -> Self {
        let digest = Sha256::new()
            .chain_update(header.to_bytes())
            .chain_update(nonce.to_le_bytes())
            .finalize();
        let half = |at: usize| {
            let mut half = [0; 8];
            half.copy_from_slice(&digest[at..at + 8]);
            u64::from_le_bytes(half)
        };
        Self {
            k0: half(0),
            k1: half(8),
        }
    }

    /// The short name of a transaction: 48 bits.
    #[inline]
    pub fn short_id(&self, txid: &Txid) -> u64 {
        SipHasher24::new_with_keys(self.k0, self.k1).hash(&txid.0) & 0xffff_ffff_ffff
    }
}
