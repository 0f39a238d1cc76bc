//! The error of an invalid partial merkle tree.

use crate::wire::MerkleRoot;

/// The reason why a partial merkle tree is invalid.
///
/// Source: Bitcoin SV node, `src/merkleblock.cpp`, `ExtractMatches`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartialMerkleTreeError {
    /// The block has no transactions.
    #[error("tree has no transactions")]
    NoTransactions,
    /// The number of transactions does not fit into the 32 bits of the wire form.
    #[error("expected at most 4294967295 transactions, got {got}")]
    TooManyTransactions {
        /// The number of transactions.
        got: usize,
    },
    /// There are more hashes than transactions in the block.
    #[error("expected at most {transactions} hashes, got {got}")]
    TooManyHashes {
        /// The number of transactions.
        transactions: u32,
        /// The number of hashes.
        got: usize,
    },
    /// There are fewer flags than hashes.
    #[error("expected at least {hashes} flags, got {got}")]
    TooFewFlags {
        /// The number of hashes.
        hashes: usize,
        /// The number of flags.
        got: usize,
    },
    /// The visit needs more flags.
    #[error("expected more than {got} flags")]
    OutOfFlags {
        /// The number of flags.
        got: usize,
    },
    /// The visit needs more hashes.
    #[error("expected more than {got} hashes")]
    OutOfHashes {
        /// The number of hashes.
        got: usize,
    },
    /// Both children of a node are equal: other transactions would have the same root
    /// (CVE-2012-2459).
    #[error("child nodes of node {position} at level {level} are equal")]
    EqualNodes {
        /// The level of the parent. The transactions are level 0.
        level: u32,
        /// The index of the parent in its level, from 0.
        position: u32,
    },
    /// The visit does not use all hashes.
    #[error("expected {needed} hashes, got {got}")]
    UnusedHashes {
        /// The number of hashes that the visit uses.
        needed: usize,
        /// The number of hashes.
        got: usize,
    },
    /// The visit does not use all bytes of flags.
    #[error("expected {needed} flag bytes, got {got}")]
    UnusedFlags {
        /// The number of bytes that the visit uses.
        needed: usize,
        /// The number of bytes.
        got: usize,
    },
    /// The tree has another merkle root.
    #[error("expected merkle root {expected}, got {got}")]
    RootMismatch {
        /// The requested merkle root.
        expected: MerkleRoot,
        /// The merkle root of the tree.
        got: MerkleRoot,
    },
}
