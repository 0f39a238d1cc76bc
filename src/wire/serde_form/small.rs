//! Human-readable forms of inventory vectors and `mempool`.

use serde::{Deserialize, Deserializer, Serialize};

use crate::wire::{BlockHash, Hash256, Inventory, Mempool, Txid};

/// The type as its name, or as its number if it has no name.
#[derive(Serialize, Deserialize)]
pub(super) struct InventoryForm {
    #[serde(rename = "type")]
    kind: Kind,
    hash: Hash256,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged, expecting = "the name or the number of a type of inventory")]
enum Kind {
    Named(Name),
    Number(u32),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Tx,
    Block,
    FilteredBlock,
    CompactBlock,
    #[serde(rename = "datareftx")]
    DatarefTx,
}

impl From<&Inventory> for InventoryForm {
    fn from(inventory: &Inventory) -> Self {
        let kind = match inventory {
            Inventory::Tx(_) => Kind::Named(Name::Tx),
            Inventory::Block(_) => Kind::Named(Name::Block),
            Inventory::FilteredBlock(_) => Kind::Named(Name::FilteredBlock),
            Inventory::CompactBlock(_) => Kind::Named(Name::CompactBlock),
            Inventory::DatarefTx(_) => Kind::Named(Name::DatarefTx),
            Inventory::Unknown { kind, .. } => Kind::Number(*kind),
        };
        Self {
            kind,
            hash: inventory.hash(),
        }
    }
}

impl From<InventoryForm> for Inventory {
    /// Creates an inventory vector. The number of a known type returns that type.
    fn from(InventoryForm { kind, hash }: InventoryForm) -> Self {
        match kind {
            Kind::Named(Name::Tx) | Kind::Number(1) => Inventory::Tx(Txid(hash.0)),
            Kind::Named(Name::Block) | Kind::Number(2) => Inventory::Block(BlockHash(hash.0)),
            Kind::Named(Name::FilteredBlock) | Kind::Number(3) => {
                Inventory::FilteredBlock(BlockHash(hash.0))
            }
            Kind::Named(Name::CompactBlock) | Kind::Number(4) => {
                Inventory::CompactBlock(BlockHash(hash.0))
            }
            Kind::Named(Name::DatarefTx) | Kind::Number(5) => Inventory::DatarefTx(Txid(hash.0)),
            Kind::Number(kind) => Inventory::Unknown { kind, hash },
        }
    }
}

/// The three wire forms: no field, an age of null, and an age.
#[derive(Serialize, Deserialize)]
pub(super) struct MempoolForm {
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    age: Option<Option<i64>>,
}

/// Reads a field that is present, null or not. By default, serde treats null as a missing field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<&Mempool> for MempoolForm {
    fn from(mempool: &Mempool) -> Self {
        Self {
            age: match mempool {
                Mempool::Empty => None,
                Mempool::NoAge => Some(None),
                Mempool::Age(seconds) => Some(Some(*seconds)),
            },
        }
    }
}

impl From<MempoolForm> for Mempool {
    fn from(form: MempoolForm) -> Self {
        match form.age {
            None => Mempool::Empty,
            Some(None) => Mempool::NoAge,
            Some(Some(seconds)) => Mempool::Age(seconds),
        }
    }
}
