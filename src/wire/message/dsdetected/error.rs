//! The error of an invalid `dsdetected`.

use crate::wire::{BlockHash, Hash256, MerkleRoot, Txid};

/// The reason why a node adds a score of 10 for a `dsdetected`.
///
/// Blocks, headers and nodes are counted from 0. Source: Bitcoin SV node,
/// `src/double_spend/dsdetected_message.cpp` and `src/net/net_processing.cpp`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DsDetectedError {
    /// There are fewer than two blocks, so there is no conflict.
    #[error("expected at least 2 blocks, got {got}")]
    TooFewBlocks {
        /// The number of blocks.
        got: usize,
    },
    /// A block has no headers.
    #[error("block {block} has no headers")]
    NoHeaders {
        /// The index of the block.
        block: usize,
    },
    /// A proof does not have a full transaction and a merkle root.
    #[error("block {block}: expected proof flags 0x05, got {got:#04x}")]
    UnsupportedFlags {
        /// The index of the block.
        block: usize,
        /// The flags of the proof.
        got: u8,
    },
    /// A proof is that of a coinbase, which cannot be a double spend.
    #[error("block {block}: expected a proof of another transaction, got the coinbase")]
    Coinbase {
        /// The index of the block.
        block: usize,
    },
    /// A node of a proof is not a hash.
    #[error("block {block}: node {node} of the proof: expected type 0, got {kind}")]
    UnknownNode {
        /// The index of the block.
        block: usize,
        /// The index of the node in the proof.
        node: usize,
        /// The type of the node.
        kind: u8,
    },
    /// A fork has the same header twice.
    #[error("block {block}: duplicate header {hash}")]
    DuplicateHeader {
        /// The index of the block.
        block: usize,
        /// The hash of the header.
        hash: BlockHash,
    },
    /// A header is not the parent of the previous header.
    #[error("block {block}: header {header}: expected hash {expected}, got {got}")]
    BrokenChain {
        /// The index of the block.
        block: usize,
        /// The index of the header.
        header: usize,
        /// The parent of the previous header.
        expected: BlockHash,
        /// The hash of the header.
        got: BlockHash,
    },
    /// The target of a proof is not the merkle root of the block.
    #[error("block {block}: expected proof target {expected}, got {got}")]
    TargetMismatch {
        /// The index of the block.
        block: usize,
        /// The merkle root of the first header.
        expected: MerkleRoot,
        /// The target of the proof.
        got: Hash256,
    },
    /// The nodes of a proof do not lead to the merkle root of the block.
    #[error("block {block}: expected merkle root {expected}, got {got}")]
    RootMismatch {
        /// The index of the block.
        block: usize,
        /// The merkle root of the first header.
        expected: MerkleRoot,
        /// The merkle root that results from the nodes.
        got: MerkleRoot,
    },
    /// The forks do not start from the same block.
    #[error("block {block}: expected a fork from {expected}, got a fork from {got}")]
    AncestorMismatch {
        /// The index of the block.
        block: usize,
        /// The parent of the last header of block 0.
        expected: BlockHash,
        /// The parent of the last header of this block.
        got: BlockHash,
    },
    /// Two blocks have the same transaction, so there is no conflict.
    #[error("block {block}: transaction {txid} is also in an earlier block")]
    DuplicateTransaction {
        /// The index of the second block.
        block: usize,
        /// The ID of the transaction.
        txid: Txid,
    },
    /// A transaction spends no output that another transaction spends.
    #[error("block {block}: transaction spends no output of another transaction in the message")]
    NoDoubleSpend {
        /// The index of the block.
        block: usize,
    },
    /// The common ancestor of the forks is unknown.
    #[error("common ancestor {0} not found")]
    UnknownAncestor(BlockHash),
    /// The longest fork ends too far below the best header.
    #[error(
        "longest fork ends at height {fork}, more than {distance} below the best header at {best}"
    )]
    TooOld {
        /// The height at which the fork ends.
        fork: u64,
        /// The maximum distance below the best header.
        distance: u32,
        /// The height of the best header.
        best: u32,
    },
}
