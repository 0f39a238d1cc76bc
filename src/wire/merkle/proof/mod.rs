//! Merkle proofs of one transaction, in the format of the Technical Standards Committee (TSC).

mod build;
mod codec;
mod error;
mod verify;

pub use error::MerkleProofError;

use std::fmt;

use bytes::Bytes;

use crate::wire::{BlockHash, Hash256, MerkleRoot, Tx, Txid};

/// Proves that a block contains a transaction: the sibling hashes from the leaf to the merkle root.
///
/// The proof shares the payload in which it arrived. Decoding accepts any field values;
/// [`MerkleProof::verify_in`] and [`MerkleProof::verify`] check them.
///
/// A valid proof shows that the header commits to the transaction. It does not show that the header
/// belongs to the best chain, or that the transaction is valid. Check
/// [`HeaderChain::confirmations`](crate::wire::HeaderChain::confirmations) of the block as well.
///
/// # Inner nodes
///
/// The proof does not contain the depth of the tree, so an inner node can be presented as a
/// transaction. A transaction of 64 bytes can also be presented as an inner node above a forged one
/// (CVE-2017-12842). Verification rejects a proof that carries a transaction of 64 bytes.
///
/// A caller must make one more check if the proof carries only a txid, or if the block contains a
/// transaction of 64 bytes. The number of nodes must equal the depth of the tree. Use
/// [`MerkleProof::verify_depth`] if the number of transactions is known, for example from a block
/// that was downloaded earlier. Otherwise compare the length of [`MerkleProof::nodes`] with the
/// proof of the coinbase transaction of the same block, whose content identifies it as a leaf.
///
/// ```
/// use bsv_p2p::wire::{MerkleProof, Txid, merkle_root};
///
/// let txids = [1, 2, 3].map(|n| Txid([n; 32]));
/// let proof = MerkleProof::for_merkle_root(&txids, 1).expect("there are three");
/// let (root, _) = merkle_root(txids);
/// assert_eq!(proof.verify(txids[1], root), Ok(()));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MerkleProof {
    index: u32,
    transaction: ProofSubject,
    target: MerkleProofTarget,
    /// The nodes in their wire form.
    nodes: Bytes,
}

/// The transaction of a merkle proof: complete, or only its ID.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ProofSubject {
    /// The complete transaction. Bit 0 of the flags is set.
    Tx(Tx),
    /// The ID of the transaction.
    Txid(Txid),
}

/// The block to which a merkle proof leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        rename_all = "snake_case",
        try_from = "crate::wire::serde_repr::MerkleProofTargetDe"
    )
)]
pub enum MerkleProofTarget {
    /// The hash of the block. The other bits of the flags are 0.
    Block(BlockHash),
    /// The merkle root of the block. The other bits of the flags are 0x04.
    MerkleRoot(MerkleRoot),
    /// An undefined target, which nodes do not send. It is preserved as received.
    Unknown {
        /// The flags; bit 0 is ignored.
        flags: u8,
        /// The 32 bytes of the target.
        hash: Hash256,
    },
}

/// A node of a merkle proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MerkleProofNode {
    /// The type: 0 for a hash.
    ///
    /// Nodes of other types also have 32 bytes here. [`MerkleProof::verify`] rejects them.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub kind: u8,
    /// The sibling hash. Zero in [`MerkleProofNode::DUPLICATE`].
    pub value: Hash256,
}

impl MerkleProofNode {
    /// The length of a node in bytes.
    const LEN: usize = 33;

    /// Creates a node of type 0 with this hash.
    pub const fn new(value: Hash256) -> Self {
        Self { kind: 0, value }
    }

    /// A marker for a sibling that does not exist, because the current hash is paired with itself.
    ///
    /// The reference node writes the marker in proofs that it has stored, and the hash itself in
    /// proofs that it creates. Both are equivalent.
    pub const DUPLICATE: MerkleProofNode = MerkleProofNode::new(Hash256::ZERO);
}

impl MerkleProof {
    /// Bit 0 of the flags: the proof contains the transaction and not only its ID.
    pub(in crate::wire) const FLAG_TX: u8 = 0x01;
    /// The flag of a target that is a merkle root.
    const FLAG_MERKLE_ROOT: u8 = 0x04;

    /// Returns the flags of the wire form: the kinds of the transaction and of the target.
    pub fn flags(&self) -> u8 {
        let transaction = match self.transaction {
            ProofSubject::Tx(_) => Self::FLAG_TX,
            ProofSubject::Txid(_) => 0,
        };
        let target = match self.target {
            MerkleProofTarget::Block(_) => 0,
            MerkleProofTarget::MerkleRoot(_) => Self::FLAG_MERKLE_ROOT,
            MerkleProofTarget::Unknown { flags, .. } => flags & !Self::FLAG_TX,
        };
        transaction | target
    }

    /// Returns the index of the transaction in the block, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Returns the transaction or its ID.
    pub fn transaction(&self) -> &ProofSubject {
        &self.transaction
    }

    /// Returns the ID of the transaction.
    ///
    /// Computed at each call if the proof contains the transaction.
    pub fn txid(&self) -> Txid {
        match &self.transaction {
            ProofSubject::Tx(tx) => tx.txid(),
            ProofSubject::Txid(txid) => *txid,
        }
    }

    /// Returns the block to which the proof leads.
    pub fn target(&self) -> MerkleProofTarget {
        self.target
    }

    /// Returns the nodes, from the sibling of the transaction to the level below the root.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = MerkleProofNode> + '_ {
        let (nodes, _) = self.nodes.as_chunks::<{ MerkleProofNode::LEN }>();
        nodes.iter().map(|[kind, value @ ..]| MerkleProofNode {
            kind: *kind,
            value: Hash256(*value),
        })
    }
}

impl MerkleProofTarget {
    /// Creates a target from its hash and the flags of the proof.
    pub(in crate::wire) fn from_flags(flags: u8, hash: Hash256) -> Self {
        match flags & !MerkleProof::FLAG_TX {
            0 => MerkleProofTarget::Block(BlockHash(hash.0)),
            MerkleProof::FLAG_MERKLE_ROOT => MerkleProofTarget::MerkleRoot(MerkleRoot(hash.0)),
            flags => MerkleProofTarget::Unknown { flags, hash },
        }
    }

    /// Returns the hash of the block, its merkle root, or the bytes of an unknown target.
    pub fn hash(self) -> Hash256 {
        match self {
            MerkleProofTarget::Block(hash) => hash.into(),
            MerkleProofTarget::MerkleRoot(root) => root.into(),
            MerkleProofTarget::Unknown { hash, .. } => hash,
        }
    }
}

impl fmt::Debug for MerkleProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MerkleProof")
            .field("index", &self.index)
            .field("transaction", &self.transaction)
            .field("target", &self.target)
            .field("nodes", &self.nodes().len())
            .finish()
    }
}
