//! What serde writes for the types of the wire that are more than their fields.
//!
//! The list of [`readable!`] below has all types that people read in another form than their fields have; formats that
//! nobody reads get the wire form of these as bytes. Every other type derives.

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

/// `Type: Shown, Read;` for a type that is written as `Shown`, made `From` a reference to it, and read as
/// `Read`, from which it is made by `TryFrom`, where people read, and as the bytes of its wire form elsewhere.
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

/// Reads the bytes of a wire form. Bytes behind it are an error: no peer sent them, so something was mixed up.
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

/// Compares a hash that stands beside the content which it is the hash of, if it is there.
fn check_hash<T: PartialEq + std::fmt::Display>(written: Option<T>, real: T) -> Result<(), String> {
    match written {
        Some(written) if written != real => Err(format!(
            "the content has the hash {real}, {written} is written"
        )),
        _ => Ok(()),
    }
}
