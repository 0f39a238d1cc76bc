//! The error of an invalid `dsdetected`.

use crate::wire::{BlockHash, Hash256, MerkleRoot, Txid};

/// The reason why a node adds a score of 10 for a `dsdetected`.
///
/// Blocks, headers and nodes are counted from 0. Source: Bitcoin SV node,
/// `src/double_spend/dsdetected_message.cpp` and `src/net/net_processing.cpp`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsDetectedError {
    /// There are fewer than two blocks, so there is no conflict.
    #[error("{got} blocks, at least 2 are needed")]
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
    #[error("block {block}: the proof's flags are {got:#04x}, not 0x05")]
    UnsupportedFlags {
        /// The index of the block.
        block: usize,
        /// The flags of the proof.
        got: u8,
    },
    /// A proof is that of a coinbase, which cannot be a double spend.
    #[error("block {block}: the proof is one of index 0, the coinbase")]
    Coinbase {
        /// The index of the block.
        block: usize,
    },
    /// A node of a proof is not a hash.
    #[error("block {block}: node {node} of the proof has type {kind}, only 0 is known")]
    UnknownNode {
        /// The index of the block.
        block: usize,
        /// The index of the node in the proof.
        node: usize,
        /// The type of the node.
        kind: u8,
    },
    /// A fork has the same header twice.
    #[error("block {block}: header {hash} stands twice")]
    DuplicateHeader {
        /// The index of the block.
        block: usize,
        /// The hash of the header.
        hash: BlockHash,
    },
    /// A header is not the parent of the previous header.
    #[error("block {block}: header {header} is {got}, the one before it builds on {expected}")]
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
    #[error("block {block}: the proof's target is {got}, the block's merkle root is {expected}")]
    TargetMismatch {
        /// The index of the block.
        block: usize,
        /// The merkle root of the first header.
        expected: MerkleRoot,
        /// The target of the proof.
        got: Hash256,
    },
    /// The nodes of a proof do not lead to the merkle root of the block.
    #[error("block {block}: the proof's nodes lead to {got}, not to {expected}")]
    RootMismatch {
        /// The index of the block.
        block: usize,
        /// The merkle root of the first header.
        expected: MerkleRoot,
        /// The merkle root that results from the nodes.
        got: MerkleRoot,
    },
    /// The forks do not start from the same block.
    #[error("block {block}: the fork starts from {got}, that of block 0 from {expected}")]
    AncestorMismatch {
        /// The index of the block.
        block: usize,
        /// The parent of the last header of block 0.
        expected: BlockHash,
        /// The parent of the last header of this block.
        got: BlockHash,
    },
    /// Two blocks have the same transaction, so there is no conflict.
    #[error("block {block}: transaction {txid} is in a block before it too")]
    DuplicateTransaction {
        /// The index of the second block.
        block: usize,
        /// The ID of the transaction.
        txid: Txid,
    },
    /// A transaction spends no output that another transaction spends.
    #[error("block {block}: the transaction spends no output that another one spends")]
    NoDoubleSpend {
        /// The index of the block.
        block: usize,
    },
    /// The common ancestor of the forks is unknown.
    #[error("the common ancestor {0} is not known")]
    UnknownAncestor(BlockHash),
    /// The longest fork ends too far below the best header.
    #[error(
        "the longest fork ends at height {fork}, which is not within {distance} of the best header at {best}"
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
