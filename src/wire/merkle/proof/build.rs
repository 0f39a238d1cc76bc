//! Creates merkle proofs from their fields, or from the transactions of a block.

use super::{MerkleProof, MerkleProofError, MerkleProofNode, MerkleProofTarget, ProofSubject};
use crate::wire::merkle::tree::levels;
use crate::wire::{BlockHash, Hash256, MerkleRoot, Tx, Txid};

impl MerkleProof {
    /// Creates a proof from its fields, without a check.
    ///
    /// The nodes are the siblings from the level of the transactions to the one below the root.
    pub fn new(
        index: u32,
        transaction: ProofSubject,
        target: MerkleProofTarget,
        nodes: impl IntoIterator<Item = MerkleProofNode>,
    ) -> Self {
        let mut bytes = Vec::new();
        for node in nodes {
            bytes.push(node.kind);
            bytes.extend_from_slice(&node.value.0);
        }
        Self {
            index,
            transaction,
            target,
            nodes: bytes.into(),
        }
    }

    /// Creates the proof of the transaction at `index`, from 0, with the hash of the block as the
    /// target.
    ///
    /// `txids` are the IDs of all transactions of the block. Returns `None` if `index` is out of
    /// range. A node that is paired with itself is written as its hash: see
    /// [`MerkleProof::with_duplicate_markers`].
    pub fn for_block(txids: &[Txid], index: u32, block: BlockHash) -> Option<Self> {
        let (txid, nodes, _) = branch(txids, index)?;
        let target = MerkleProofTarget::Block(block);
        Some(Self::new(index, ProofSubject::Txid(txid), target, nodes))
    }

    /// Like [`for_block`](Self::for_block), but with the merkle root as the target.
    pub fn for_merkle_root(txids: &[Txid], index: u32) -> Option<Self> {
        let (txid, nodes, root) = branch(txids, index)?;
        let target = MerkleProofTarget::MerkleRoot(root);
        Some(Self::new(index, ProofSubject::Txid(txid), target, nodes))
    }

    /// Replaces the ID of the transaction with the complete transaction.
    ///
    /// # Errors
    ///
    /// [`MerkleProofError::TxidMismatch`] if `tx` is another transaction.
    pub fn with_transaction(self, tx: Tx) -> Result<Self, MerkleProofError> {
        let (expected, got) = (self.txid(), tx.txid());
        if got != expected {
            return Err(MerkleProofError::TxidMismatch { expected, got });
        }
        Ok(Self {
            transaction: ProofSubject::Tx(tx),
            ..self
        })
    }

    /// Replaces each node that is paired with itself by [`MerkleProofNode::DUPLICATE`].
    pub fn with_duplicate_markers(self) -> Self {
        let steps = self.way(self.txid());
        let nodes = self.nodes().zip(steps).map(|(node, step)| {
            if step.duplicate {
                MerkleProofNode::DUPLICATE
            } else {
                node
            }
        });
        Self::new(self.index, self.transaction.clone(), self.target, nodes)
    }
}

/// Returns a transaction ID, the siblings of its branch and the root.
fn branch(txids: &[Txid], index: u32) -> Option<(Txid, Vec<MerkleProofNode>, MerkleRoot)> {
    let mut at = usize::try_from(index).ok()?;
    let txid = *txids.get(at)?;
    let levels = levels(txids.iter().map(|txid| txid.0).collect());
    let (top, below) = levels.split_last()?;
    let mut nodes = Vec::with_capacity(below.len());
    for level in below {
        let beside = level.get(at ^ 1).unwrap_or(&level[at]);
        nodes.push(MerkleProofNode::new(Hash256(*beside)));
        at /= 2;
    }
    Some((txid, nodes, MerkleRoot(*top.first()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{BlockHeader, Transaction, merkle_root};

    #[test]
    fn proofs_of_all_transactions_verify() {
        for count in 1..=33_u8 {
            let txids: Vec<Txid> = (1..=count).map(|n| Txid([n; 32])).collect();
            let (root, _) = merkle_root(txids.iter().copied());
            let header = BlockHeader {
                merkle_root: root,
                ..BlockHeader::genesis(&Network::Regtest)
            };
            for (index, txid) in (0_u32..).zip(&txids) {
                let by_root = MerkleProof::for_merkle_root(&txids, index).unwrap();
                let by_hash = MerkleProof::for_block(&txids, index, header.hash()).unwrap();
                for proof in [by_root, by_hash] {
                    let marked = proof.clone().with_duplicate_markers();
                    assert_eq!(proof.verify_in(*txid, &header), Ok(()), "{count} {index}");
                    assert_eq!(marked.verify_in(*txid, &header), Ok(()), "{count} {index}");
                }
            }
            assert_eq!(MerkleProof::for_merkle_root(&txids, count.into()), None);
        }
        assert_eq!(MerkleProof::for_block(&[], 0, BlockHash::ZERO), None);
    }

    #[test]
    fn markers_replace_only_duplicated_nodes() {
        let txids = [1, 2, 3, 4, 5].map(|n| Txid([n; 32]));
        let marked = |index| {
            let proof = MerkleProof::for_merkle_root(&txids, index).unwrap();
            let nodes = proof.with_duplicate_markers().nodes().collect::<Vec<_>>();
            nodes
                .iter()
                .map(|node| *node == MerkleProofNode::DUPLICATE)
                .collect::<Vec<_>>()
        };
        assert_eq!(marked(4), [true, true, false]);
        assert_eq!(marked(0), [false, false, false]);
    }

    #[test]
    fn proof_accepts_only_its_own_transaction() {
        let tx = Tx::from(&Transaction::default());
        let txids = [Txid([1; 32]), tx.txid()];
        let proof = |index| MerkleProof::for_merkle_root(&txids, index).unwrap();
        let whole = proof(1).with_transaction(tx.clone()).unwrap();
        assert_eq!(whole.transaction(), &ProofSubject::Tx(tx.clone()));
        assert_eq!(whole.flags(), 0x05);
        let (expected, got) = (txids[0], txids[1]);
        assert_eq!(
            proof(0).with_transaction(tx),
            Err(MerkleProofError::TxidMismatch { expected, got })
        );
    }
}
