//! Proofs that transactions are in a block, by means of its merkle tree.

mod partial;
mod proof;
mod tree;

pub use partial::{MatchedTransaction, PartialMerkleTree, PartialMerkleTreeError};
pub use proof::{MerkleProof, MerkleProofError, MerkleProofNode, MerkleProofTarget, TxOrId};
pub(in crate::wire) use tree::depth;
