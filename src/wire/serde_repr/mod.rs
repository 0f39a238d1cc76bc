//! The serde forms of wire types that are not derived from their fields.
//!
//! The list of [`serde_forms!`] below contains all types with a separate form for human-readable
//! formats. In other formats, these types are the bytes of their wire form. Every other type
//! derives its form.

mod block_tx;
mod bounded;
mod compact;
mod content;
mod enums;
mod message;
mod proofs;
mod strings;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::block_tx::{
    BlockDe, BlockHeaderDe, BlockHeaderSer, BlockSer, BloomFilterDe, BloomFilterSer, TransactionDe,
    TransactionSer, TransactionViewSer,
};
pub(super) use self::bounded::{MerkleProofTargetDe, RejectDe, at_most, bytes_within};
use self::compact::{BlockTransactionsSerde, CompactBlockSerde, GetBlockTxnSerde};
use self::enums::{InventorySerde, MempoolSerde};
pub(super) use self::message::{NoFields, UnknownFields};
use self::proofs::{DsDetectedSerde, HdrsEnSerde, MerkleProofSerde};
pub(super) use self::strings::{printed_bits, printed_hash};
use super::{
    Block, BlockHeader, BlockTransactions, BloomFilter, CompactBlock, Decode, DsDetected, Encode,
    GetBlockTxn, HdrsEn, Inventory, Mempool, MerkleProof, Reader, Transaction, TransactionView, Tx,
};
use crate::serde_util::plain_bytes;

/// Implements serde for a list of `Type: Ser, De;`.
///
/// In a human-readable format, `Type` is written as `Ser`, which must implement `From<&Type>`. It
/// is read as `De` and must implement `TryFrom<De>`. In other formats it is the bytes of its
/// wire form.
macro_rules! serde_forms {
    ($($type:ty: $ser:ty, $de:ty;)+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    <$ser>::from(self).serialize(serializer)
                } else {
                    serializer.serialize_bytes(&self.encode_to_vec())
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let read = <$de>::deserialize(deserializer)?;
                    read.try_into().map_err(D::Error::custom)
                } else {
                    from_wire_form(deserializer)
                }
            }
        }
    )+};
}

serde_forms! {
    Block: BlockSer<'_>, BlockDe;
    BlockHeader: BlockHeaderSer<'_>, BlockHeaderDe;
    BlockTransactions: BlockTransactionsSerde, BlockTransactionsSerde;
    BloomFilter: BloomFilterSer<'_>, BloomFilterDe;
    CompactBlock: CompactBlockSerde, CompactBlockSerde;
    DsDetected: DsDetectedSerde, DsDetectedSerde;
    GetBlockTxn: GetBlockTxnSerde, GetBlockTxnSerde;
    HdrsEn: HdrsEnSerde, HdrsEnSerde;
    Inventory: InventorySerde, InventorySerde;
    Mempool: MempoolSerde, MempoolSerde;
    MerkleProof: MerkleProofSerde, MerkleProofSerde;
    Transaction: TransactionSer<'_>, TransactionDe;
    Tx: TransactionViewSer<'_>, TransactionDe;
}

impl Serialize for TransactionView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            TransactionViewSer::from(self).serialize(serializer)
        } else {
            serializer.serialize_bytes(self.bytes())
        }
    }
}

/// Reads the bytes of a wire form.
///
/// Returns an error if bytes follow it. They cannot come from a peer, so the input is corrupt.
fn from_wire_form<'de, T: Decode, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let bytes = plain_bytes(deserializer)?.into();
    let mut reader = Reader::from_shared(&bytes);
    let value = T::decode(&mut reader).map_err(D::Error::custom)?;
    if reader.is_empty() {
        Ok(value)
    } else {
        let extra = reader.remaining().len();
        Err(D::Error::custom(format_args!(
            "{extra} bytes follow the value"
        )))
    }
}

/// Compares a hash with the hash of the content next to it. A missing hash is accepted.
fn check_hash<T: PartialEq + std::fmt::Display>(written: Option<T>, real: T) -> Result<(), String> {
    match written {
        Some(written) if written != real => Err(format!("expected hash {written}, got {real}")),
        _ => Ok(()),
    }
}
