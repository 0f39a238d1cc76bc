//! Human-readable forms of inventory vectors and `mempool`.

use serde::{Deserialize, Deserializer, Serialize};

use crate::wire::{BlockHash, Hash256, Inventory, Mempool, Txid};

/// The type as its name, or as its number if it has no name.
#[derive(Serialize, Deserialize)]
pub(super) struct InventorySerde {
    #[serde(rename = "type")]
    kind: InventoryType,
    hash: Hash256,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged, expecting = "the name or the number of a type of inventory")]
enum InventoryType {
    Name(InventoryName),
    Number(u32),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InventoryName {
    Tx,
    Block,
    FilteredBlock,
    CompactBlock,
    #[serde(rename = "datareftx")]
    DatarefTx,
}

impl From<&Inventory> for InventorySerde {
    fn from(inventory: &Inventory) -> Self {
        let kind = match inventory {
            Inventory::Tx(_) => InventoryType::Name(InventoryName::Tx),
            Inventory::Block(_) => InventoryType::Name(InventoryName::Block),
            Inventory::FilteredBlock(_) => InventoryType::Name(InventoryName::FilteredBlock),
            Inventory::CompactBlock(_) => InventoryType::Name(InventoryName::CompactBlock),
            Inventory::DatarefTx(_) => InventoryType::Name(InventoryName::DatarefTx),
            Inventory::Unknown { kind, .. } => InventoryType::Number(*kind),
        };
        Self {
            kind,
            hash: inventory.hash(),
        }
    }
}

impl From<InventorySerde> for Inventory {
    /// Creates an inventory vector. The number of a known type returns that type.
    fn from(InventorySerde { kind, hash }: InventorySerde) -> Self {
        match kind {
            InventoryType::Name(InventoryName::Tx) | InventoryType::Number(1) => {
                Inventory::Tx(Txid(hash.0))
            }
            InventoryType::Name(InventoryName::Block) | InventoryType::Number(2) => {
                Inventory::Block(BlockHash(hash.0))
            }
            InventoryType::Name(InventoryName::FilteredBlock) | InventoryType::Number(3) => {
                Inventory::FilteredBlock(BlockHash(hash.0))
            }
            InventoryType::Name(InventoryName::CompactBlock) | InventoryType::Number(4) => {
                Inventory::CompactBlock(BlockHash(hash.0))
            }
            InventoryType::Name(InventoryName::DatarefTx) | InventoryType::Number(5) => {
                Inventory::DatarefTx(Txid(hash.0))
            }
            InventoryType::Number(kind) => Inventory::Unknown { kind, hash },
        }
    }
}

/// The three wire forms: no field, an age of null, and an age.
#[derive(Serialize, Deserialize)]
pub(super) struct MempoolSerde {
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

impl From<&Mempool> for MempoolSerde {
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

impl From<MempoolSerde> for Mempool {
    fn from(form: MempoolSerde) -> Self {
        match form.age {
            None => Mempool::Empty,
            Some(None) => Mempool::NoAge,
            Some(Some(seconds)) => Mempool::Age(seconds),
        }
    }
}
