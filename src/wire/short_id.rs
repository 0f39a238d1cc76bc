//! Short IDs of transactions in a compact block.

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

use super::{BlockHeader, Txid};

/// The key of the short transaction IDs in one compact block.
///
/// It depends on a nonce of the sender, so transactions with colliding short IDs cannot be prepared
/// in advance. Source: Bitcoin SV node, `src/blockencodings.cpp`, `FillShortTxIDSelector`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ShortIdKey {
    /// The first half of the SipHash-2-4 key.
    pub k0: u64,
    /// The second half of the SipHash-2-4 key.
    pub k1: u64,
}

impl ShortIdKey {
    /// Returns the key for a compact block with this header and nonce.
    ///
    /// The key is taken from the single SHA-256 hash of both.
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

    /// Returns the short ID of a transaction: 48 bits.
    #[inline]
    pub fn short_id(&self, txid: &Txid) -> u64 {
        SipHasher24::new_with_keys(self.k0, self.k1).hash(&txid.0) & 0xffff_ffff_ffff
    }
}
