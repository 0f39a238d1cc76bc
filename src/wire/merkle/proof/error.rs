//! The error of a merkle proof that does not verify.

use crate::wire::{Hash256, MerkleRoot, Txid};

/// The reason why a merkle proof does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MerkleProofError {
    /// The proof is for another transaction.
    #[error("expected a proof of transaction {expected}, got a proof of {got}")]
    TxidMismatch {
        /// The requested transaction.
        expected: Txid,
        /// The transaction of the proof.
        got: Txid,
    },
    /// The transaction has 64 bytes, the size of two hashes, and may be an inner node of the tree.
    #[error("transaction {txid} has 64 bytes and may be an inner node of the merkle tree")]
    AmbiguousTransaction {
        /// The hash of the 64 bytes.
        txid: Txid,
    },
    /// The flags describe no known kind of target.
    #[error("target flags {flags:#04x} are unknown")]
    UnknownTarget {
        /// The flags.
        flags: u8,
    },
    /// The proof is for another block.
    #[error("expected target {expected}, got {got}")]
    TargetMismatch {
        /// The hash or merkle root of the requested block.
        expected: Hash256,
        /// The target of the proof.
        got: Hash256,
    },
    /// A node has a type other than 0 (hash).
    #[error("node {node}: expected type 0, got {kind}")]
    UnknownNode {
        /// The position of the node, from 0.
        node: usize,
        /// Its type.
        kind: u8,
    },
    /// The index needs more levels than the proof has nodes.
    #[error("index {index} is out of range in a tree of {nodes} levels")]
    IndexOutOfRange {
        /// The index.
        index: u32,
        /// The number of nodes.
        nodes: usize,
    },
    /// A left sibling equals the node on its right. Only the last node of a level is paired with
    /// itself, and then it is the left one, so no transaction has this index.
    #[error("node {node} repeats its right sibling, so no transaction has index {index}")]
    DuplicateLeftNode {
        /// The position of the node, from 0.
        node: usize,
        /// The index.
        index: u32,
    },
    /// The number of nodes does not match the depth of the block's merkle tree.
    #[error("expected {expected} nodes for {transactions} transactions, got {got}")]
    DepthMismatch {
        /// The number of transactions in the block.
        transactions: u64,
        /// The depth of a tree of this size.
        expected: usize,
        /// The number of nodes in the proof.
        got: usize,
    },
    /// The nodes lead to another merkle root.
    #[error("expected merkle root {expected}, got {got}")]
    RootMismatch {
        /// The merkle root of the requested block.
        expected: MerkleRoot,
        /// The root computed from the proof.
        got: MerkleRoot,
    },
}
