//! The serde forms of wire types that are not derived from their fields.
//!
//! The list of [`readable!`] below contains all types with a separate form for human-readable
//! formats. In other formats, these types are the bytes of their wire form. Every other type
//! derives its form.

mod buffer;
mod compact;
mod limited;
mod message;
mod objects;
mod proofs;
mod small;
mod text;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::compact::{BlockTransactionsForm, CompactForm, GetBlockTxnForm};
pub(super) use self::limited::{ReadReject, ReadTarget, at_most, bytes_within};
pub(super) use self::message::{NoFields, UnknownFields};
use self::objects::{
    ReadBlock, ReadFilter, ReadHeader, ReadTransaction, ShownBlock, ShownFilter, ShownHeader,
    ShownTransaction, ViewOfTransaction,
};
use self::proofs::{DsDetectedForm, HdrsenForm, ProofForm};
use self::small::{InventoryForm, MempoolForm};
pub(super) use self::text::{printed_bits, printed_hash};
use super::{
    Block, BlockHeader, BlockTransactions, BloomFilter, CompactBlock, Decode, DsDetected, Encode,
    GetBlockTxn, HdrsEn, Inventory, Mempool, MerkleProof, Reader, Transaction, TransactionView, Tx,
};
use crate::serde_with::plain_bytes;

/// Implements serde for a list of `Type: Shown, Read;`.
///
/// In a human-readable format, `Type` is written as `Shown`, which must implement `From<&Type>`. It
/// is read as `Read` and must implement `TryFrom<Read>`. In other formats it is the bytes of its
/// wire form.
macro_rules! readable {
    ($($type:ty: $shown:ty, $read:ty;)+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    <$shown>::from(self).serialize(serializer)
                } else {
                    serializer.serialize_bytes(&self.encode_to_vec())
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let read = <$read>::deserialize(deserializer)?;
                    read.try_into().map_err(D::Error::custom)
                } else {
                    from_wire_form(deserializer)
                }
            }
        }
    )+};
}

readable! {
    Block: ShownBlock<'_>, ReadBlock;
    BlockHeader: ShownHeader<'_>, ReadHeader;
    BlockTransactions: BlockTransactionsForm, BlockTransactionsForm;
    BloomFilter: ShownFilter<'_>, ReadFilter;
    CompactBlock: CompactForm, CompactForm;
    DsDetected: DsDetectedForm, DsDetectedForm;
    GetBlockTxn: GetBlockTxnForm, GetBlockTxnForm;
    HdrsEn: HdrsenForm, HdrsenForm;
    Inventory: InventoryForm, InventoryForm;
    Mempool: MempoolForm, MempoolForm;
    MerkleProof: ProofForm, ProofForm;
    Transaction: ShownTransaction<'_>, ReadTransaction;
    Tx: ViewOfTransaction<'_>, ReadTransaction;
}

impl Serialize for TransactionView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            ViewOfTransaction::from(self).serialize(serializer)
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
    let mut reader = Reader::shared(&bytes);
    let value = T::decode(&mut reader).map_err(D::Error::custom)?;
    if reader.is_empty() {
        Ok(value)
    } else {
        let behind = reader.rest().len();
        Err(D::Error::custom(format_args!(
            "{behind} bytes follow the value"
        )))
    }
}

/// Compares a hash with the hash of the content next to it. A missing hash is accepted.
fn check_hash<T: PartialEq + std::fmt::Display>(written: Option<T>, real: T) -> Result<(), String> {
    match written {
        Some(written) if written != real => Err(format!(
            "the content has the hash {real}, {written} is written"
        )),
        _ => Ok(()),
    }
}
