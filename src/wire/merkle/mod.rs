//! The merkle tree over a block's transactions: its root, and proofs that transactions are in it.

mod accumulator;
mod partial;
mod proof;
mod tree;

pub use accumulator::{MerkleAccumulator, merkle_root};
pub use partial::{MatchedTransaction, PartialMerkleTree, PartialMerkleTreeError};
pub use proof::{MerkleProof, MerkleProofError, MerkleProofNode, MerkleProofTarget, ProofSubject};
pub(in crate::wire) use tree::depth;
