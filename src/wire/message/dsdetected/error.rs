//! Why a `dsdetected` is not believed.

use crate::wire::{BlockHash, Hash256, MerkleRoot, Txid};

/// Why a node would score 10 for a `dsdetected` (Bitcoin SV node, `src/double_spend/dsdetected_message.cpp` and
/// `src/net/net_processing.cpp`). Blocks, headers and nodes are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsDetectedError {
    /// It takes two blocks to conflict.
    #[error("{got} blocks, at least 2 are needed")]
    TooFewBlocks {
        /// How many there are.
        got: usize,
    },
    /// A block has no header.
    #[error("block {block} has no headers")]
    NoHeaders {
        /// Which block.
        block: usize,
    },
    /// A proof is not one with a whole transaction and a merkle root.
    #[error("block {block}: the proof's flags are {got:#04x}, not 0x05")]
    UnsupportedFlags {
        /// Which block.
        block: usize,
        /// The flags.
        got: u8,
    },
    /// A proof is one of a coinbase, which can spend nothing twice.
    #[error("block {block}: the proof is one of index 0, the coinbase")]
    Coinbase {
        /// Which block.
        block: usize,
    },
    /// A proof has a node that is no hash.
    #[error("block {block}: node {node} of the proof has type {kind}, only 0 is known")]
    UnknownNode {
        /// Which block.
        block: usize,
        /// Which of the proof's nodes.
        node: usize,
        /// Its type.
        kind: u8,
    },
    /// A header stands twice in one fork.
    #[error("block {block}: header {hash} stands twice")]
    DuplicateHeader {
        /// Which block.
        block: usize,
        /// The header's hash.
        hash: BlockHash,
    },
    /// A header is not followed by its parent.
    #[error("block {block}: header {header} is {got}, the one before it builds on {expected}")]
    BrokenChain {
        /// Which block.
        block: usize,
        /// Which of its headers.
        header: usize,
        /// The parent of the header before.
        expected: BlockHash,
        /// The header's hash.
        got: BlockHash,
    },
    /// A proof is one of another block.
    #[error("block {block}: the proof's target is {got}, the block's merkle root is {expected}")]
    TargetMismatch {
        /// Which block.
        block: usize,
        /// The merkle root of the first header.
        expected: MerkleRoot,
        /// The target of the proof.
        got: Hash256,
    },
    /// A proof leads elsewhere.
    #[error("block {block}: the proof's nodes lead to {got}, not to {expected}")]
    RootMismatch {
        /// Which block.
        block: usize,
        /// The merkle root of the first header.
        expected: MerkleRoot,
        /// Where the nodes lead.
        got: MerkleRoot,
    },
    /// The forks do not start from the same block.
    #[error("block {block}: the fork starts from {got}, that of block 0 from {expected}")]
    AncestorMismatch {
        /// Which block.
        block: usize,
        /// The parent of the last header of block 0.
        expected: BlockHash,
        /// The parent of the last header of this block.
        got: BlockHash,
    },
    /// Two blocks have the same transaction: no conflict.
    #[error("block {block}: transaction {txid} is in a block before it too")]
    DuplicateTransaction {
        /// Which block.
        block: usize,
        /// The transaction.
        txid: Txid,
    },
    /// A transaction spends nothing that another one spends.
    #[error("block {block}: the transaction spends no output that another one spends")]
    NoDoubleSpend {
        /// Which block.
        block: usize,
    },
    /// Nobody knows the block from which the forks start.
    #[error("the common ancestor {0} is not known")]
    UnknownAncestor(BlockHash),
    /// The longest fork ends too far below the best header.
    #[error(
        "the longest fork ends at height {fork}, which is not within {distance} of the best header at {best}"
    )]
    TooOld {
        /// The height at which it ends.
        fork: u64,
        /// How far below the best header it may end.
        distance: u32,
        /// The height of the best header.
        best: u32,
    },
}
