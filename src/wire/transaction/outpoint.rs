//! Names of outputs.

use super::super::Txid;

/// One output of an earlier transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OutPoint {
    /// The transaction.
    pub txid: Txid,
    /// Which of its outputs, from 0.
    pub index: u32,
}

impl OutPoint {
    /// What the only input of a coinbase names in place of an output.
    pub const NULL: OutPoint = OutPoint {
        txid: Txid::ZERO,
        index: u32::MAX,
    };

    /// Reads an outpoint from its 36 bytes: every content is one.
    #[inline]
    pub fn from_bytes(bytes: &[u8; 36]) -> Self {
        let [txid @ .., i0, i1, i2, i3] = *bytes;
        Self {
            txid: Txid(txid),
            index: u32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    /// The wire form: the transaction and the index, 36 bytes.
    pub fn to_bytes(self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(&self.txid.0);
        bytes[32..].copy_from_slice(&self.index.to_le_bytes());
        bytes
    }
}
