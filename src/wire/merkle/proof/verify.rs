//! Verification of a merkle proof.

use super::{MerkleProof, MerkleProofError, MerkleProofTarget, ProofSubject};
use crate::wire::hash::merkle_parent;
use crate::wire::{BlockHeader, Hash256, MerkleRoot, Txid};

/// The size of two concatenated hashes, from which the parent in a merkle tree is computed.
const INNER_NODE_LEN: usize = 64;

impl MerkleProof {
    /// Verifies that the block with this header contains the transaction at [`MerkleProof::index`].
    ///
    /// Does not check that the header belongs to a chain. See [`MerkleProof`] for the check of the
    /// depth that a proof of a bare txid needs in addition.
    ///
    /// # Errors
    ///
    /// [`MerkleProofError::TargetMismatch`] if the proof names another block, and the errors of
    /// [`MerkleProof::verify`].
    pub fn verify_in(&self, txid: Txid, header: &BlockHeader) -> Result<(), MerkleProofError> {
        if let MerkleProofTarget::Block(got) = self.target() {
            let (expected, got) = (header.hash().into(), got.into());
            if got != expected {
                return Err(MerkleProofError::TargetMismatch { expected, got });
            }
        }
        self.verify(txid, header.merkle_root)
    }

    /// Verifies that the tree with this merkle root contains the transaction at
    /// [`MerkleProof::index`].
    ///
    /// Ignores a target that is a block hash; use [`MerkleProof::verify_in`] to check it.
    ///
    /// # Errors
    ///
    /// - [`MerkleProofError::TargetMismatch`] if the target is another merkle root.
    /// - [`MerkleProofError::UnknownTarget`] if the flags describe no known target.
    /// - [`MerkleProofError::TxidMismatch`] if the proof is for another transaction.
    /// - [`MerkleProofError::AmbiguousTransaction`] if the proof carries a transaction of 64 bytes.
    /// - [`MerkleProofError::IndexOutOfRange`], [`MerkleProofError::UnknownNode`] or
    ///   [`MerkleProofError::DuplicateLeftNode`] if the proof is malformed.
    /// - [`MerkleProofError::RootMismatch`] if the nodes lead to another root.
    pub fn verify(&self, txid: Txid, root: MerkleRoot) -> Result<(), MerkleProofError> {
        match self.target() {
            MerkleProofTarget::Block(_) => {}
            MerkleProofTarget::MerkleRoot(got) if got == root => {}
            MerkleProofTarget::MerkleRoot(got) => {
                let (expected, got) = (root.into(), got.into());
                return Err(MerkleProofError::TargetMismatch { expected, got });
            }
            MerkleProofTarget::Unknown { .. } => {
                let flags = self.flags();
                return Err(MerkleProofError::UnknownTarget { flags });
            }
        }
        let got = self.txid();
        if got != txid {
            let expected = txid;
            return Err(MerkleProofError::TxidMismatch { expected, got });
        }
        if let ProofSubject::Tx(tx) = self.transaction()
            && tx.bytes().len() == INNER_NODE_LEN
        {
            return Err(MerkleProofError::AmbiguousTransaction { txid });
        }
        self.check_form()?;
        let mut got = MerkleRoot(txid.0);
        for (node, step) in self.way(txid).enumerate() {
            if step.repeats_to_the_left {
                let index = self.index();
                return Err(MerkleProofError::DuplicateLeftNode { node, index });
            }
            got = MerkleRoot(step.above);
        }
        if got != root {
            let expected = root;
            return Err(MerkleProofError::RootMismatch { expected, got });
        }
        Ok(())
    }

    /// Verifies that the proof has one node per level of a tree of `transactions` leaves.
    ///
    /// Together with [`MerkleProof::verify`] this excludes that an inner node is presented as a
    /// transaction. `transactions` is the number of transactions in the block.
    ///
    /// # Errors
    ///
    /// [`MerkleProofError::DepthMismatch`] if the number of nodes is another one.
    pub fn verify_depth(&self, transactions: u64) -> Result<(), MerkleProofError> {
        let expected = u64::BITS - transactions.saturating_sub(1).leading_zeros();
        let (expected, got) = (expected as usize, self.nodes().len());
        if got != expected {
            return Err(MerkleProofError::DepthMismatch {
                transactions,
                expected,
                got,
            });
        }
        Ok(())
    }

    /// Returns the root to which the nodes lead.
    ///
    /// Like the node, ignores the types of the nodes and the remaining bits of the index (Bitcoin
    /// SV node, `src/consensus/merkle.cpp`, `ComputeMerkleRootFromBranch`).
    pub fn root(&self) -> MerkleRoot {
        self.root_from(self.txid())
    }

    pub(in crate::wire) fn root_from(&self, txid: Txid) -> MerkleRoot {
        MerkleRoot(self.way(txid).last().map_or(txid.0, |step| step.above))
    }

    /// Checks that the index fits the tree and that all nodes are hashes. The node checks neither.
    fn check_form(&self) -> Result<(), MerkleProofError> {
        let (index, nodes) = (self.index(), self.nodes().len());
        let beyond = u32::try_from(nodes).map_or(0, |nodes| index.checked_shr(nodes).unwrap_or(0));
        if beyond != 0 {
            return Err(MerkleProofError::IndexOutOfRange { index, nodes });
        }
        if let Some((node, found)) = self.nodes().enumerate().find(|(_, node)| node.kind != 0) {
            let kind = found.kind;
            return Err(MerkleProofError::UnknownNode { node, kind });
        }
        Ok(())
    }

    /// Returns the steps from the transaction to the root.
    pub(super) fn way(&self, txid: Txid) -> impl Iterator<Item = Step> + '_ {
        let mut index = self.index();
        let mut running = txid.0;
        self.nodes().map(move |node| {
            let is_right = index & 1 == 1;
            let duplicate = node.value == Hash256::ZERO || node.value.0 == running;
            running = match (duplicate, is_right) {
                (true, _) => merkle_parent(&running, &running),
                (false, true) => merkle_parent(&node.value.0, &running),
                (false, false) => merkle_parent(&running, &node.value.0),
            };
            index >>= 1;
            Step {
                above: running,
                duplicate,
                repeats_to_the_left: duplicate && is_right,
            }
        })
    }
}

/// A step to the parent node.
pub(super) struct Step {
    /// The hash of the parent.
    above: [u8; 32],
    /// Whether the current hash is paired with itself.
    pub(super) duplicate: bool,
    /// Whether the left sibling equals the current hash, which is the right one.
    repeats_to_the_left: bool,
}

#[cfg(test)]
mod tests {
    use super::super::{MerkleProofNode, ProofSubject};
    use super::*;
    use crate::Network;
    use crate::wire::{
        BlockHash, OutPoint, Transaction, TransactionInput, TransactionOutput, Tx, merkle_root,
    };

    fn txids(count: u8) -> Vec<Txid> {
        (1..=count).map(|n| Txid([n; 32])).collect()
    }

    fn header(txids: &[Txid]) -> BlockHeader {
        BlockHeader {
            merkle_root: merkle_root(txids.iter().copied()).0,
            ..BlockHeader::genesis(&Network::Regtest)
        }
    }

    /// Verifies a changed proof of the third of five transactions.
    fn changed(
        index: u32,
        target: Option<MerkleProofTarget>,
        change: impl Fn(&mut Vec<MerkleProofNode>),
    ) -> Result<(), MerkleProofError> {
        let all = txids(5);
        let proof = MerkleProof::for_merkle_root(&all, 2).unwrap();
        let mut nodes: Vec<_> = proof.nodes().collect();
        change(&mut nodes);
        let target = target.unwrap_or(proof.target());
        let proof = MerkleProof::new(index, ProofSubject::Txid(all[2]), target, nodes);
        proof.verify_in(all[2], &header(&all))
    }

    #[test]
    fn single_transaction_block_needs_no_nodes() {
        let all = txids(1);
        let header = header(&all);
        let proof = MerkleProof::for_block(&all, 0, header.hash()).unwrap();
        assert_eq!(proof.nodes().len(), 0);
        assert_eq!(proof.verify_in(all[0], &header), Ok(()));
        assert_eq!(proof.root(), header.merkle_root);
    }

    #[test]
    fn proof_of_another_transaction_is_rejected() {
        let all = txids(5);
        let proof = MerkleProof::for_merkle_root(&all, 2).unwrap();
        let (expected, got) = (all[3], all[2]);
        assert_eq!(
            proof.verify_in(expected, &header(&all)),
            Err(MerkleProofError::TxidMismatch { expected, got })
        );
    }

    #[test]
    fn proof_of_another_block_is_rejected() {
        let header = header(&txids(5));
        let block = MerkleProofTarget::Block(BlockHash([9; 32]));
        let root = MerkleProofTarget::MerkleRoot(MerkleRoot([9; 32]));
        let got = Hash256([9; 32]);
        for (target, expected) in [
            (block, header.hash().into()),
            (root, header.merkle_root.into()),
        ] {
            let refused = Err(MerkleProofError::TargetMismatch { expected, got });
            assert_eq!(changed(2, Some(target), |_| {}), refused);
        }
        let right = MerkleProofTarget::Block(header.hash());
        assert_eq!(changed(2, Some(right), |_| {}), Ok(()));
    }

    #[test]
    fn root_verification_ignores_block_hash() {
        let all = txids(5);
        let proof = MerkleProof::for_block(&all, 4, BlockHash([9; 32])).unwrap();
        assert_eq!(proof.verify(all[4], header(&all).merkle_root), Ok(()));
    }

    #[test]
    fn flags_that_name_no_known_target_are_refused() {
        for flags in [0x02, 0x06, 0x08, 0x0c] {
            let hash = header(&txids(5)).merkle_root.into();
            let target = MerkleProofTarget::Unknown { flags, hash };
            let refused = changed(2, Some(target), |_| {});
            assert_eq!(refused, Err(MerkleProofError::UnknownTarget { flags }));
        }
    }

    #[test]
    fn nodes_of_other_types_are_refused() {
        let refused = changed(2, None, |nodes| nodes[1].kind = 1);
        assert_eq!(
            refused,
            Err(MerkleProofError::UnknownNode { node: 1, kind: 1 })
        );
    }

    #[test]
    fn index_beyond_tree_is_rejected() {
        assert_eq!(changed(2, None, |_| {}), Ok(()));
        let (index, nodes) = (2 + 8, 3);
        let refused = changed(index, None, |_| {});
        assert_eq!(
            refused,
            Err(MerkleProofError::IndexOutOfRange { index, nodes })
        );
    }

    #[test]
    fn any_index_fits_a_tree_of_32_levels() {
        let nodes = [MerkleProofNode::new(Hash256([1; 32])); 32];
        for (nodes, taken) in [(&nodes[..], true), (&nodes[..31], false)] {
            let target = MerkleProofTarget::Block(BlockHash::ZERO);
            let transaction = ProofSubject::Txid(Txid::ZERO);
            let proof = MerkleProof::new(u32::MAX, transaction, target, nodes.iter().copied());
            assert_eq!(proof.verify(Txid::ZERO, proof.root()).is_ok(), taken);
        }
    }

    #[test]
    fn duplicated_node_must_be_left_one() {
        let all = txids(5);
        let proof = MerkleProof::for_merkle_root(&all, 4).unwrap();
        let marked = proof.clone().with_duplicate_markers();
        for proof in [proof, marked] {
            assert_eq!(proof.verify_in(all[4], &header(&all)), Ok(()));
            // The same nodes with an index that does not exist.
            for (index, node) in [(5, 0), (6, 1), (7, 0)] {
                let transaction = proof.transaction().clone();
                let forged = MerkleProof::new(index, transaction, proof.target(), proof.nodes());
                assert_eq!(forged.root(), header(&all).merkle_root);
                assert_eq!(
                    forged.verify_in(all[4], &header(&all)),
                    Err(MerkleProofError::DuplicateLeftNode { node, index })
                );
            }
        }
    }

    /// A transaction of exactly 64 bytes.
    fn transaction_of_64_bytes() -> Tx {
        let input = TransactionInput {
            previous: OutPoint::NULL,
            script: vec![0; 4],
            sequence: 0,
        };
        let output = TransactionOutput {
            value: 1,
            script: Vec::new(),
        };
        Tx::from(&Transaction {
            inputs: vec![input],
            outputs: vec![output],
            ..Transaction::default()
        })
    }

    #[test]
    fn transaction_of_64_bytes_is_rejected() {
        let tx = transaction_of_64_bytes();
        assert_eq!(tx.bytes().len(), 64);
        let txid = tx.txid();
        let all = [Txid([1; 32]), txid];
        let proof = MerkleProof::for_merkle_root(&all, 1).unwrap();
        assert_eq!(proof.verify_in(txid, &header(&all)), Ok(()));
        let proof = proof.with_transaction(tx).unwrap();
        assert_eq!(
            proof.verify_in(txid, &header(&all)),
            Err(MerkleProofError::AmbiguousTransaction { txid })
        );
    }

    /// The right half of a 64-byte transaction is presented as a transaction one level below it.
    #[test]
    fn forged_leaf_below_transaction_fails_depth() {
        let tx = transaction_of_64_bytes();
        let all = [Txid([1; 32]), tx.txid()];
        let (left, right) = tx.bytes().split_at(32);
        let [left, forged] = [left, right].map(|half| half.try_into().unwrap());
        let forged = Txid(forged);
        let genuine = MerkleProof::for_merkle_root(&all, 1).unwrap();
        let nodes = [MerkleProofNode::new(Hash256(left))].into_iter();
        let nodes = nodes.chain(genuine.nodes());
        let proof = MerkleProof::new(3, ProofSubject::Txid(forged), genuine.target(), nodes);
        assert_eq!(proof.verify_in(forged, &header(&all)), Ok(()));
        let (transactions, expected, got) = (2, 1, 2);
        assert_eq!(
            proof.verify_depth(transactions),
            Err(MerkleProofError::DepthMismatch {
                transactions,
                expected,
                got
            })
        );
        assert_eq!(genuine.verify_depth(transactions), Ok(()));
    }

    #[test]
    fn depth_of_genuine_proofs_matches_count() {
        for count in 1..=33_u8 {
            let all = txids(count);
            for index in 0..u32::from(count) {
                let proof = MerkleProof::for_merkle_root(&all, index).unwrap();
                assert_eq!(proof.verify_depth(count.into()), Ok(()), "{count} {index}");
            }
        }
    }

    #[test]
    fn nodes_that_lead_elsewhere_are_refused() {
        for change in [
            |nodes: &mut Vec<MerkleProofNode>| nodes[0].value.0[0] ^= 1,
            |nodes: &mut Vec<MerkleProofNode>| nodes.swap(0, 1),
            |nodes: &mut Vec<MerkleProofNode>| nodes.truncate(2),
            |nodes: &mut Vec<MerkleProofNode>| nodes.push(MerkleProofNode::DUPLICATE),
            |nodes: &mut Vec<MerkleProofNode>| nodes[2] = MerkleProofNode::DUPLICATE,
        ] {
            let refused = changed(2, None, change);
            assert!(
                matches!(refused, Err(MerkleProofError::RootMismatch { .. })),
                "{refused:?}"
            );
        }
        let refused = changed(3, None, |_| {});
        assert!(matches!(
            refused,
            Err(MerkleProofError::RootMismatch { .. })
        ));
    }
}
