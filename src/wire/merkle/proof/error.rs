//! Why a merkle proof is refused.

use crate::wire::{Hash256, MerkleRoot, Txid};

/// Why a merkle proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MerkleProofError {
    /// The proof is one of another transaction.
    #[error("the proof is one of transaction {got}, not of {expected}")]
    TxidMismatch {
        /// The transaction that was asked for.
        expected: Txid,
        /// That of the proof.
        got: Txid,
    },
    /// The flags say nothing known about the target.
    #[error("flags {flags:#04x} name no known target")]
    UnknownTarget {
        /// The flags.
        flags: u8,
    },
    /// The proof is one of another block.
    #[error("the proof's target is {got}, the block's is {expected}")]
    TargetMismatch {
        /// The hash or the merkle root of the block that was asked for.
        expected: Hash256,
        /// The target of the proof.
        got: Hash256,
    },
    /// A node is no hash.
    #[error("node {node} has type {kind}, only 0 is known")]
    UnknownNode {
        /// Which node, from 0.
        node: usize,
        /// Its type.
        kind: u8,
    },
    /// The tree is too small for the index.
    #[error("index {index} is beyond a tree of {nodes} levels")]
    IndexBeyondTree {
        /// The index.
        index: u32,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A node to the left of the way is the same as that on the way. Only the last one of a level is paired with itself, and
    /// that is a left one: this place is not in the block.
    #[error(
        "node {node} repeats the one to the right of it: index {index} is no place in the block"
    )]
    DuplicateOnTheLeft {
        /// Which node, from 0.
        node: usize,
        /// The index.
        index: u32,
    },
    /// The nodes lead elsewhere.
    #[error("the proof's nodes lead to {got}, the block's merkle root is {expected}")]
    RootMismatch {
        /// The merkle root of the block that was asked for.
        expected: MerkleRoot,
        /// Where the nodes lead.
        got: MerkleRoot,
    },
}
