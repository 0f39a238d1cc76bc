//! Inventory vectors: the entries of `inv`, `getdata` and `notfound`.

use super::{BlockHash, Decode, DecodeError, Encode, Hash256, Reader, Txid};

/// The type and hash of an object: 36 bytes.
///
/// An `inv` may contain the first two types only. A node closes the connection for any other type
/// (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`). A `getdata` may contain all five. Unknown
/// types are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inventory {
    /// A transaction (type 1).
    Tx(Txid),
    /// A block (type 2).
    Block(BlockHash),
    /// A block filtered by the bloom filter (type 3), answered with `merkleblock`.
    FilteredBlock(BlockHash),
    /// A block in compact form (type 4), answered with `cmpctblock`.
    CompactBlock(BlockHash),
    /// A transaction that miner information refers to (type 5), answered with `datareftx`.
    DatarefTx(Txid),
    /// An object of any other type.
    Unknown {
        /// The number of the type: 0, or above 5.
        kind: u32,
        /// The hash of the object.
        hash: Hash256,
    },
}

impl Inventory {
    /// The length of an entry in bytes.
    pub const LEN: usize = 36;

    /// Creates an entry from the number of its type and its hash.
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

    /// Creates an entry from its 36 bytes. Every content is valid.
    #[inline]
    pub const fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [k0, k1, k2, k3, hash @ ..] = *bytes;
        Self::new(u32::from_le_bytes([k0, k1, k2, k3]), hash)
    }

    /// Returns the number of the type on the wire.
    pub const fn kind(&self) -> u32 {
        // Matched first, so that the compiler needs no jump table for the other types. Lists of
        // tens of thousands of entries are encoded.
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

    /// Returns the hash of the object.
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

    /// Returns the 36 bytes of the entry.
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
