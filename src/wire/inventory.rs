//! Inventory vectors: what `inv`, `getdata` and `notfound` list.

use super::{BlockHash, Decode, DecodeError, Encode, Hash256, Reader, Txid};

/// One object by type and hash: 36 bytes.
///
/// `inv` may carry the first two alone; a node closes the connection for any other type there
/// (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`). `getdata` may ask for all five. Types that nobody knows
/// are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inventory {
    /// Type 1: a transaction.
    Tx(Txid),
    /// Type 2: a block.
    Block(BlockHash),
    /// Type 3: a block through the bloom filter, answered with `merkleblock`.
    FilteredBlock(BlockHash),
    /// Type 4: a block in compact form, answered with `cmpctblock`.
    CompactBlock(BlockHash),
    /// Type 5: a transaction that miner information refers to, answered with `datareftx`.
    DatarefTx(Txid),
    /// Any other type.
    Unknown {
        /// The type's number: 0, or above 5.
        kind: u32,
        /// The hash that came with it.
        hash: Hash256,
    },
}

impl Inventory {
    /// How many bytes an entry has.
    pub const LEN: usize = 36;

    /// The type's number on the wire.
    pub const fn kind(&self) -> u32 {
        // Ahead of the others, whose numbers then need no jump: lists of tens of thousands are written.
        if let Inventory::Unknown { kind, .. } = self {
            return *kind;
        }
        match self {
            Inventory::Tx(_) => 1,
            Inventory::Block(_) => 2,
            Inventory::FilteredBlock(_) => 3,
            Inventory::CompactBlock(_) => 4,
            Inventory::DatarefTx(_) => 5,
            Inventory::Unknown { .. } => 0,
        }
    }

    /// The hash, whatever it names.
    pub const fn hash(&self) -> Hash256 {
        Hash256(*self.hash_bytes())
    }

    #[inline]
    const fn hash_bytes(&self) -> &[u8; 32] {
        match self {
            Inventory::Tx(Txid(hash)) | Inventory::DatarefTx(Txid(hash)) => hash,
            Inventory::Block(BlockHash(hash))
            | Inventory::FilteredBlock(BlockHash(hash))
            | Inventory::CompactBlock(BlockHash(hash)) => hash,
            Inventory::Unknown { hash, .. } => &hash.0,
        }
    }

    /// The entry of a type's number and a hash.
    #[inline]
    pub const fn new(kind: u32, hash: [u8; 32]) -> Self {
        match kind {
            1 => Inventory::Tx(Txid(hash)),
            2 => Inventory::Block(BlockHash(hash)),
            3 => Inventory::FilteredBlock(BlockHash(hash)),
            4 => Inventory::CompactBlock(BlockHash(hash)),
            5 => Inventory::DatarefTx(Txid(hash)),
            kind => Inventory::Unknown {
                kind,
                hash: Hash256(hash),
            },
        }
    }

    /// Reads an entry from its 36 bytes: every content is one.
    #[inline]
    pub const fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [k0, k1, k2, k3, hash @ ..] = *bytes;
        Self::new(u32::from_le_bytes([k0, k1, k2, k3]), hash)
    }

    /// The 36 bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.kind().to_le_bytes());
        bytes[4..].copy_from_slice(self.hash_bytes());
        bytes
    }
}

impl Decode for Inventory {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.u32("inventory type")?;
        let hash = reader.array("inventory hash")?;
        Ok(Self::new(kind, hash))
    }
}

impl Encode for Inventory {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    fn encoded_len(&self) -> u64 {
        Self::LEN as u64
    }
}
