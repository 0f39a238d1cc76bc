//! A header with its coinbase and miner information, and the verification of both.

use crate::wire::merkle::depth;
use crate::wire::message::datareftx::DatarefTx;
use crate::wire::{
    BlockHeader, Decode, DecodeError, Encode, MerkleProofError, Reader, Txid, compact_size_len,
    write_compact_size,
};

/// A block header with additional information about its block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EnrichedHeader {
    /// The header.
    pub header: BlockHeader,
    /// The number of transactions in the block.
    pub transaction_count: u32,
    /// Whether this is the last header that the sender has.
    pub no_more_headers: bool,
    /// The coinbase of the block and its proof. The node omits both if it cannot build the proof.
    pub coinbase: Option<DatarefTx>,
    /// The transaction with the miner information that the coinbase refers to, and its proof.
    ///
    /// Sent only by nodes that have an index of these transactions.
    pub miner_info: Option<DatarefTx>,
}

/// The reason why additional information does not belong to a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrichedHeaderError {
    /// The header has no coinbase.
    #[error("header has no coinbase")]
    NoCoinbase,
    /// The header has no miner information.
    #[error("header has no miner information")]
    NoMinerInfo,
    /// The transaction is not a coinbase.
    #[error("transaction {0} is not a coinbase")]
    NotACoinbase(Txid),
    /// The proof of the coinbase is not that of the first transaction.
    #[error("coinbase proof: expected index 0, got {got}")]
    NotFirst {
        /// The index in the proof.
        got: u32,
    },
    /// The length of the proof does not match the number of transactions.
    #[error("expected {expected} nodes for {transactions} transactions, got {got}")]
    DepthMismatch {
        /// The number of transactions, as claimed by the sender.
        transactions: u32,
        /// The number of nodes that a proof in such a block must have.
        expected: u32,
        /// The number of nodes of the proof.
        got: usize,
    },
    /// The index in the proof is not below the number of transactions.
    #[error("index {index} is out of range in a block of {transactions} transactions")]
    IndexOutOfRange {
        /// The number of transactions, as claimed by the sender.
        transactions: u32,
        /// The index in the proof.
        index: u32,
    },
    /// The proof does not connect this transaction to this block.
    #[error(transparent)]
    Proof(#[from] MerkleProofError),
}

impl EnrichedHeader {
    /// The minimum length of an entry: a header, a count and three booleans.
    pub(super) const MIN_LEN: usize = BlockHeader::LEN + 1 + 3;

    /// Checks that `coinbase` is a coinbase transaction, and the first transaction of this block.
    ///
    /// The depth of the tree must match the number of transactions. The proof of work of the header
    /// and its position in the chain are not checked.
    ///
    /// # Errors
    ///
    /// [`EnrichedHeaderError`] describes the first failed check.
    pub fn verify_coinbase(&self) -> Result<(), EnrichedHeaderError> {
        let coinbase = self
            .coinbase
            .as_ref()
            .ok_or(EnrichedHeaderError::NoCoinbase)?;
        if !coinbase.tx.view().is_coinbase() {
            return Err(EnrichedHeaderError::NotACoinbase(coinbase.tx.txid()));
        }
        let got = coinbase.proof.index();
        if got != 0 {
            return Err(EnrichedHeaderError::NotFirst { got });
        }
        self.verify_part(coinbase)
    }

    /// Checks that the transaction with the miner information is in this block.
    ///
    /// The depth of the tree must match the number of transactions, and the index must be below it.
    /// Whether the coinbase refers to the transaction is not checked.
    ///
    /// # Errors
    ///
    /// [`EnrichedHeaderError`] describes the first failed check.
    pub fn verify_miner_info(&self) -> Result<(), EnrichedHeaderError> {
        self.verify_part(
            self.miner_info
                .as_ref()
                .ok_or(EnrichedHeaderError::NoMinerInfo)?,
        )
    }

    /// Checks the form of the proof first, because it bounds the time that computing the root
    /// takes.
    fn verify_part(&self, part: &DatarefTx) -> Result<(), EnrichedHeaderError> {
        let transactions = self.transaction_count;
        let (expected, got) = (depth(transactions), part.proof.nodes().len());
        if transactions == 0 || got != expected as usize {
            return Err(EnrichedHeaderError::DepthMismatch {
                transactions,
                expected,
                got,
            });
        }
        let index = part.proof.index();
        if index >= transactions {
            return Err(EnrichedHeaderError::IndexOutOfRange {
                transactions,
                index,
            });
        }
        Ok(part.verify_in(&self.header)?)
    }
}

fn decode_part(
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<Option<DatarefTx>, DecodeError> {
    let is_there = reader.bool(field)?;
    is_there.then(|| DatarefTx::decode(reader)).transpose()
}

fn encode_part(part: Option<&DatarefTx>, out: &mut Vec<u8>) {
    out.push(u8::from(part.is_some()));
    if let Some(part) = part {
        part.encode(out);
    }
}

impl Decode for EnrichedHeader {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            header: Decode::decode(reader)?,
            // A compact size has at most 32 bits.
            transaction_count: reader.compact_size("transaction count")? as u32,
            no_more_headers: reader.bool("no more headers")?,
            coinbase: decode_part(reader, "coinbase")?,
            miner_info: decode_part(reader, "miner info")?,
        })
    }
}

impl Encode for EnrichedHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        write_compact_size(u64::from(self.transaction_count), out);
        out.push(u8::from(self.no_more_headers));
        encode_part(self.coinbase.as_ref(), out);
        encode_part(self.miner_info.as_ref(), out);
    }

    fn encoded_len(&self) -> u64 {
        let part_len = |part: &Option<DatarefTx>| 1 + part.as_ref().map_or(0, Encode::encoded_len);
        self.header.encoded_len()
            + compact_size_len(u64::from(self.transaction_count))
            + 1
            + part_len(&self.coinbase)
            + part_len(&self.miner_info)
    }
}

#[cfg(test)]
mod tests;
