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
/// belongs to the best chain, or that the transaction is valid: check
/// [`HeaderChain::confirmations`](crate::wire::HeaderChain::confirmations) of the block as well.
///
/// # Inner nodes
///
/// The proof does not contain the depth of the tree, so an inner node can be presented as a
/// transaction, and a transaction of 64 bytes can be presented as an inner node above a forged one
/// (CVE-2017-12842). Verification rejects a proof that carries a transaction of 64 bytes. A proof
/// that carries only a txid, or any proof in a block with a 64-byte transaction, needs one more
/// check by the caller: the number of nodes must equal the depth of the tree. Use
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
    /// The nodes as they are on the wire.
    nodes: Bytes,
}

/// What a merkle proof says about its transaction: all of it, or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ProofSubject {
    /// The whole transaction; bit 0 of the flags is set.
    Tx(Tx),
    /// Its name.
    Txid(Txid),
}

/// The block that a merkle proof leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        rename_all = "snake_case",
        try_from = "crate::wire::serde_form::ReadTarget"
    )
)]
pub enum MerkleProofTarget {
    /// The block by its name; the flags' other bits are 0.
    Block(BlockHash),
    /// The block by the root of its tree; of the flags' other bits, 0x04 is set.
    MerkleRoot(MerkleRoot),
    /// Other bits, which nobody sends. They are kept as they came.
    Unknown {
        /// The flags; bit 0 is not counted.
        flags: u8,
        /// What stands in the target's place.
        hash: Hash256,
    },
}

/// A node of a merkle proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MerkleProofNode {
    /// The type: 0, a hash. Nodes of other types have 32 bytes as well here, and mean nothing.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub kind: u8,
    /// The node beside the way; [`MerkleProofNode::DUPLICATE`] has zeros.
    pub value: Hash256,
}

impl MerkleProofNode {
    /// How many bytes a node has.
    const LEN: usize = 33;

    /// The node of type 0 with this hash.
    pub const fn new(value: Hash256) -> Self {
        Self { kind: 0, value }
    }

    /// Stands for the same hash as that which it is paired with: the tree has no node there. The reference node writes it
    /// in the proofs that it has stored and the hash itself in those that it makes; both mean the same.
    pub const DUPLICATE: MerkleProofNode = MerkleProofNode::new(Hash256::ZERO);
}

impl MerkleProof {
    /// Bit 0 of the flags: the transaction is there, not just its name.
    pub(in crate::wire) const FLAG_TX: u8 = 0x01;
    /// The bits that say what the target is, if it is a merkle root.
    const FLAG_MERKLE_ROOT: u8 = 0x04;

    /// Puts a proof together. The nodes go from the transactions to the root, which is not one of them.
    pub fn new(
        index: u32,
        transaction: ProofSubject,
        target: MerkleProofTarget,
        nodes: impl IntoIterator<Item = MerkleProofNode>,
    ) -> Self {
        let mut bytes = Vec::new();
        for node in nodes {
            bytes.push(node.kind);
            bytes.extend_from_slice(&node.value.0);
        }
        Self {
            index,
            transaction,
            target,
            nodes: bytes.into(),
        }
    }

    /// The flags as they are on the wire: the kinds of transaction and target.
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

    /// The transaction's place in the block, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The transaction or its name.
    pub fn transaction(&self) -> &ProofSubject {
        &self.transaction
    }

    /// The transaction's name. Hashes the transaction at each call, where it is there.
    pub fn txid(&self) -> Txid {
        match &self.transaction {
            ProofSubject::Tx(tx) => tx.txid(),
            ProofSubject::Txid(txid) => *txid,
        }
    }

    /// The block.
    pub fn target(&self) -> MerkleProofTarget {
        self.target
    }

    /// The nodes, from that beside the transaction to that below the root.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = MerkleProofNode> + '_ {
        let (nodes, _) = self.nodes.as_chunks::<{ MerkleProofNode::LEN }>();
        nodes.iter().map(|[kind, value @ ..]| MerkleProofNode {
            kind: *kind,
            value: Hash256(*value),
        })
    }
}

impl MerkleProofTarget {
    /// What a hash is by the flags of its proof.
    pub(in crate::wire) fn of_flags(flags: u8, hash: Hash256) -> Self {
        match flags & !MerkleProof::FLAG_TX {
            0 => MerkleProofTarget::Block(BlockHash(hash.0)),
            MerkleProof::FLAG_MERKLE_ROOT => MerkleProofTarget::MerkleRoot(MerkleRoot(hash.0)),
            flags => MerkleProofTarget::Unknown { flags, hash },
        }
    }

    /// The block's hash, the merkle root, or what stands in their place.
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
