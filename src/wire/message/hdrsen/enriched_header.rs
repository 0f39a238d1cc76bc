//! A header with more about its block, and the check that this belongs to it.

use crate::wire::merkle::depth;
use crate::wire::message::datareftx::DatarefTx;
use crate::wire::{
    BlockHeader, Decode, DecodeError, Encode, MerkleProofError, Reader, Txid, compact_size_len,
    write_compact_size,
};

/// A header with more about its block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EnrichedHeader {
    /// The header.
    pub header: BlockHeader,
    /// How many transactions the block has.
    pub transaction_count: u32,
    /// Whether this is the last header that the sender has.
    pub no_more_headers: bool,
    /// The block's coinbase and the proof of it; the node leaves it out when it cannot build the proof.
    pub coinbase: Option<DatarefTx>,
    /// The transaction with the miner's information that the coinbase names, and the proof of it; only from nodes that have
    /// an index of these.
    pub miner_info: Option<DatarefTx>,
}

/// Why what stands behind a header does not belong to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrichedHeaderError {
    /// There is no coinbase.
    #[error("the header has no coinbase")]
    NoCoinbase,
    /// There is no miner information.
    #[error("the header has no miner information")]
    NoMinerInfo,
    /// The transaction in the coinbase's place is none.
    #[error("transaction {0} spends outputs: it is no coinbase")]
    NotACoinbase(Txid),
    /// The coinbase is the first transaction of its block, and this proof is one of another place.
    #[error("the coinbase's proof is one of index {got}, not of 0")]
    NotFirst {
        /// The index of the proof.
        got: u32,
    },
    /// The tree over so many transactions has another number of levels.
    #[error(
        "a proof of {got} nodes in a block of {transactions} transactions, whose tree needs {expected}"
    )]
    DepthMismatch {
        /// How many transactions the block is said to have.
        transactions: u32,
        /// How many nodes a proof of one of them has.
        expected: u32,
        /// How many there are.
        got: usize,
    },
    /// The proof is one of a place that a block of so many transactions does not have.
    #[error("the proof is one of index {index} in a block of {transactions} transactions")]
    IndexOutOfRange {
        /// How many transactions the block is said to have.
        transactions: u32,
        /// The index of the proof.
        index: u32,
    },
    /// The proof is not one of this transaction in this block.
    #[error(transparent)]
    Proof(#[from] MerkleProofError),
}

use EnrichedHeaderError as Error;

impl EnrichedHeader {
    /// The least bytes of an entry: header, count, and three booleans.
    pub(super) const MIN_LEN: usize = BlockHeader::LEN + 1 + 3;

    /// Checks that the coinbase is one, that its proof puts it first into the block of this header, and that the number of
    /// transactions is one that a tree of this depth can have.
    ///
    /// That the header has proof of work and stands in the chain is not checked.
    ///
    /// # Errors
    ///
    /// [`EnrichedHeaderError`] names the first thing that does not hold.
    pub fn verify_coinbase(&self) -> Result<(), Error> {
        let coinbase = self.coinbase.as_ref().ok_or(Error::NoCoinbase)?;
        if !coinbase.tx.view().is_coinbase() {
            return Err(Error::NotACoinbase(coinbase.tx.txid()));
        }
        let got = coinbase.proof.index();
        if got != 0 {
            return Err(Error::NotFirst { got });
        }
        self.verify_part(coinbase)
    }

    /// Checks that the transaction with the miner's information is in the block of this header, in a tree of a depth that fits
    /// the number of transactions, and at a place below that number. That the coinbase names it is not checked.
    ///
    /// # Errors
    ///
    /// [`EnrichedHeaderError`] names the first thing that does not hold.
    pub fn verify_miner_info(&self) -> Result<(), Error> {
        self.verify_part(self.miner_info.as_ref().ok_or(Error::NoMinerInfo)?)
    }

    /// The proof's form comes first: what it takes to compute a root is bounded by the depth of a tree.
    fn verify_part(&self, part: &DatarefTx) -> Result<(), Error> {
        let transactions = self.transaction_count;
        let (expected, got) = (depth(transactions), part.proof.nodes().len());
        if transactions == 0 || got != expected as usize {
            return Err(Error::DepthMismatch {
                transactions,
                expected,
                got,
            });
        }
        let index = part.proof.index();
        if index >= transactions {
            return Err(Error::IndexOutOfRange {
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
