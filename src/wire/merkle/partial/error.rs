//! Why a partial merkle tree is refused.

use crate::wire::MerkleRoot;

/// Why a partial merkle tree is none (Bitcoin SV node, `src/merkleblock.cpp`, `ExtractMatches`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartialMerkleTreeError {
    /// The block has no transactions.
    #[error("a tree over no transactions")]
    NoTransactions,
    /// More transactions than the wire's 32 bits can count.
    #[error("{got} transactions, at most 4294967295 can be counted")]
    TooManyTransactions {
        /// How many there are.
        got: usize,
    },
    /// More hashes than the block has transactions.
    #[error("{got} hashes for {transactions} transactions")]
    TooManyHashes {
        /// How many transactions there are.
        transactions: u32,
        /// How many hashes there are.
        got: usize,
    },
    /// Fewer flags than hashes.
    #[error("{got} flags for {hashes} hashes")]
    TooFewFlags {
        /// How many hashes there are.
        hashes: usize,
        /// How many flags there are.
        got: usize,
    },
    /// The visit is not at its end, the flags are.
    #[error("more than the {got} flags are needed")]
    OutOfFlags {
        /// How many flags there are.
        got: usize,
    },
    /// The visit is not at its end, the hashes are.
    #[error("more than the {got} hashes are needed")]
    OutOfHashes {
        /// How many hashes there are.
        got: usize,
    },
    /// Both nodes below a node are the same: other transactions would have the same root (CVE-2012-2459).
    #[error("both nodes below node {position} of level {level} are the same")]
    EqualNodes {
        /// The level of the node above both; that of the transactions is 0.
        level: u32,
        /// The place of the node above both in its level, from 0.
        position: u32,
    },
    /// The visit is at its end, and there are more hashes.
    #[error("{needed} hashes are needed, there are {got}")]
    UnusedHashes {
        /// How many hashes the visit needs.
        needed: usize,
        /// How many there are.
        got: usize,
    },
    /// The visit is at its end, and there are more bytes of flags.
    #[error("{needed} bytes of flags are needed, there are {got}")]
    UnusedFlags {
        /// How many bytes the visit needs.
        needed: usize,
        /// How many there are.
        got: usize,
    },
    /// The tree leads to another root.
    #[error("the tree's root is {got}, the block's is {expected}")]
    RootMismatch {
        /// The root that was asked for.
        expected: MerkleRoot,
        /// The root of the tree.
        got: MerkleRoot,
    },
}
