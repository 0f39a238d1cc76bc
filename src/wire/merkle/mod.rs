//! The merkle tree of the transactions in a block: its root, and proofs of inclusion.

mod accumulator;
mod partial;
mod proof;
mod tree;

pub use accumulator::{MerkleAccumulator, merkle_root};
pub use partial::{MatchedTransaction, PartialMerkleTree, PartialMerkleTreeError};
pub use proof::{MerkleProof, MerkleProofError, MerkleProofNode, MerkleProofTarget, ProofSubject};
pub(in crate::wire) use tree::depth;
