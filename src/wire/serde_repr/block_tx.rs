//! Human-readable forms of blocks, headers, transactions and filters: all fields, and their hashes.

use std::slice;

use serde::{Deserialize, Serialize, Serializer};

use super::check_hash;
use crate::wire::{
    Block, BlockHash, BlockHeader, BloomFilter, BloomFlags, CompactTarget, Decode, DecodeError,
    Inputs, MerkleRoot, Outputs, Transaction, TransactionInput, TransactionOutput, TransactionView,
    Transactions, Tx, Txid, write_compact_size,
};

/// Serializes the items of an iterator as a list.
fn each<I, S>(items: &I, serializer: S) -> Result<S::Ok, S::Error>
where
    I: Iterator<Item: Serialize> + Clone,
    S: Serializer,
{
    serializer.collect_seq(items.clone())
}

#[derive(Serialize)]
pub(super) struct BlockHeaderSer<'a> {
    hash: BlockHash,
    version: i32,
    previous: &'a BlockHash,
    merkle_root: &'a MerkleRoot,
    time: u32,
    bits: CompactTarget,
    nonce: u32,
}

impl<'a> From<&'a BlockHeader> for BlockHeaderSer<'a> {
    fn from(header: &'a BlockHeader) -> Self {
        Self {
            hash: header.hash(),
            version: header.version,
            previous: &header.previous,
            merkle_root: &header.merkle_root,
            time: header.time,
            bits: header.bits,
            nonce: header.nonce,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct BlockHeaderDe {
    hash: Option<BlockHash>,
    version: i32,
    previous: BlockHash,
    merkle_root: MerkleRoot,
    time: u32,
    bits: CompactTarget,
    nonce: u32,
}

impl TryFrom<BlockHeaderDe> for BlockHeader {
    type Error = String;

    fn try_from(read: BlockHeaderDe) -> Result<Self, String> {
        let header = Self {
            version: read.version,
            previous: read.previous,
            merkle_root: read.merkle_root,
            time: read.time,
            bits: read.bits,
            nonce: read.nonce,
        };
        check_hash(read.hash, header.hash())?;
        Ok(header)
    }
}

/// A transaction with its ID. The inputs and outputs are any iterators.
#[derive(Serialize)]
pub(super) struct TransactionFieldsSer<I, O>
where
    I: Iterator<Item: Serialize> + Clone,
    O: Iterator<Item: Serialize> + Clone,
{
    txid: Txid,
    version: i32,
    #[serde(serialize_with = "each")]
    inputs: I,
    #[serde(serialize_with = "each")]
    outputs: O,
    lock_time: u32,
}

pub(super) type TransactionSer<'a> =
    TransactionFieldsSer<slice::Iter<'a, TransactionInput>, slice::Iter<'a, TransactionOutput>>;

pub(super) type TransactionViewSer<'a> = TransactionFieldsSer<Inputs<'a>, Outputs<'a>>;

impl<'a> From<&'a Transaction> for TransactionSer<'a> {
    fn from(transaction: &'a Transaction) -> Self {
        Self {
            txid: transaction.txid(),
            version: transaction.version,
            inputs: transaction.inputs.iter(),
            outputs: transaction.outputs.iter(),
            lock_time: transaction.lock_time,
        }
    }
}

impl<'a> From<&TransactionView<'a>> for TransactionViewSer<'a> {
    fn from(view: &TransactionView<'a>) -> Self {
        Self {
            txid: view.txid(),
            version: view.version(),
            inputs: view.inputs(),
            outputs: view.outputs(),
            lock_time: view.lock_time(),
        }
    }
}

impl<'a> From<&'a Tx> for TransactionViewSer<'a> {
    fn from(tx: &'a Tx) -> Self {
        Self::from(&tx.view())
    }
}

#[derive(Deserialize)]
pub(super) struct TransactionDe {
    txid: Option<Txid>,
    version: i32,
    inputs: Vec<TransactionInput>,
    outputs: Vec<TransactionOutput>,
    lock_time: u32,
}

impl TryFrom<TransactionDe> for Transaction {
    type Error = String;

    fn try_from(read: TransactionDe) -> Result<Self, String> {
        let transaction = Self {
            version: read.version,
            inputs: read.inputs,
            outputs: read.outputs,
            lock_time: read.lock_time,
        };
        check_hash(read.txid, transaction.txid())?;
        Ok(transaction)
    }
}

impl TryFrom<TransactionDe> for Tx {
    type Error = String;

    fn try_from(read: TransactionDe) -> Result<Self, String> {
        Transaction::try_from(read).map(|transaction| Self::from(&transaction))
    }
}

#[derive(Serialize)]
pub(super) struct BlockSer<'a> {
    header: BlockHeader,
    #[serde(serialize_with = "each")]
    transactions: Transactions<'a>,
}

impl<'a> From<&'a Block> for BlockSer<'a> {
    fn from(block: &'a Block) -> Self {
        Self {
            header: block.header(),
            transactions: block.transactions(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct BlockDe {
    header: BlockHeader,
    transactions: Vec<Transaction>,
}

impl From<BlockDe> for Block {
    fn from(read: BlockDe) -> Self {
        Self::new(&read.header, &read.transactions)
    }
}

#[derive(Serialize)]
pub(super) struct BloomFilterSer<'a> {
    #[serde(with = "crate::serde_util::hex")]
    data: &'a [u8],
    hash_functions: u32,
    tweak: u32,
    flags: BloomFlags,
}

impl<'a> From<&'a BloomFilter> for BloomFilterSer<'a> {
    fn from(filter: &'a BloomFilter) -> Self {
        Self {
            data: filter.data(),
            hash_functions: filter.hash_functions(),
            tweak: filter.tweak(),
            flags: filter.flags(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct BloomFilterDe {
    #[serde(with = "crate::serde_util::hex")]
    data: Vec<u8>,
    hash_functions: u32,
    tweak: u32,
    flags: BloomFlags,
}

impl TryFrom<BloomFilterDe> for BloomFilter {
    type Error = DecodeError;

    /// Uses the wire form, because its decoder checks the limits.
    fn try_from(read: BloomFilterDe) -> Result<Self, DecodeError> {
        let mut wire_form = Vec::new();
        write_compact_size(read.data.len() as u64, &mut wire_form);
        wire_form.extend_from_slice(&read.data);
        wire_form.extend_from_slice(&read.hash_functions.to_le_bytes());
        wire_form.extend_from_slice(&read.tweak.to_le_bytes());
        wire_form.push(read.flags.0);
        Self::decode_from(&wire_form)
    }
}
