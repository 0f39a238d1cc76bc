//! References to transaction outputs.

use super::super::Txid;

/// A reference to an output of an earlier transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OutPoint {
    /// The ID of the transaction.
    pub txid: Txid,
    /// The index of the output in the transaction, from 0.
    pub index: u32,
}

impl OutPoint {
    /// The value in the only input of a coinbase, which spends no output.
    pub const NULL: OutPoint = OutPoint {
        txid: Txid::ZERO,
        index: u32::MAX,
    };

    /// Decodes an outpoint from its 36 bytes. Every content is valid.
    #[inline]
    pub fn from_bytes(bytes: &[u8; 36]) -> Self {
        let [txid @ .., i0, i1, i2, i3] = *bytes;
        Self {
            txid: Txid(txid),
            index: u32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    /// Returns the wire form: the transaction ID and the index, 36 bytes.
    pub fn to_bytes(self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(&self.txid.0);
        bytes[32..].copy_from_slice(&self.index.to_le_bytes());
        bytes
    }
}
