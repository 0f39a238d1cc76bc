//! Checks of a single block of a `dsdetected`.

use std::collections::HashSet;

use super::{DsDetectedBlock, DsDetectedError};
use crate::wire::{BlockHash, BlockHeader, MerkleProofTarget, MerkleRoot, ProofSubject, Tx, Txid};

impl DsDetectedBlock {
    /// Checks the types of the proof and its nodes, and returns the transaction.
    pub(super) fn check_form(&self, block: usize) -> Result<&Tx, DsDetectedError> {
        let flags = DsDetectedError::UnsupportedFlags {
            block,
            got: self.proof.flags(),
        };
        let (ProofSubject::Tx(tx), MerkleProofTarget::MerkleRoot(_)) =
            (self.proof.transaction(), self.proof.target())
        else {
            return Err(flags);
        };
        if self.proof.index() == 0 {
            return Err(DsDetectedError::Coinbase { block });
        }
        let mut nodes = self.proof.nodes().enumerate();
        match nodes.find(|(_, node)| node.kind != 0) {
            Some((node, found)) => Err(DsDetectedError::UnknownNode {
                block,
                node,
                kind: found.kind,
            }),
            None => Ok(tx),
        }
    }

    /// Checks that the headers are a chain, and returns the first and the last one.
    pub(super) fn check_chain(
        &self,
        block: usize,
    ) -> Result<(&BlockHeader, &BlockHeader), DsDetectedError> {
        let (Some(first), Some(last)) = (self.headers.first(), self.headers.last()) else {
            return Err(DsDetectedError::NoHeaders { block });
        };
        let hashes: Vec<BlockHash> = self.headers.iter().map(BlockHeader::hash).collect();
        let mut seen = HashSet::with_capacity(hashes.len());
        if let Some(&hash) = hashes.iter().find(|hash| !seen.insert(**hash)) {
            return Err(DsDetectedError::DuplicateHeader { block, hash });
        }
        for (header, (child, &got)) in (1..).zip(self.headers.iter().zip(&hashes[1..])) {
            let expected = child.previous;
            if got != expected {
                return Err(DsDetectedError::BrokenChain {
                    block,
                    header,
                    expected,
                    got,
                });
            }
        }
        Ok((first, last))
    }

    /// Checks that the proof connects the transaction to the first header.
    ///
    /// Excess bits of the index and duplicates on the left are not checked, as in the node.
    pub(super) fn check_proof(
        &self,
        block: usize,
        txid: Txid,
        expected: MerkleRoot,
    ) -> Result<(), DsDetectedError> {
        let got = self.proof.target().hash();
        if got != expected.into() {
            return Err(DsDetectedError::TargetMismatch {
                block,
                expected,
                got,
            });
        }
        let got = self.proof.root_from(txid);
        if got != expected {
            return Err(DsDetectedError::RootMismatch {
                block,
                expected,
                got,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::forks::{changed, fork, proof, tx};
    use super::*;
    use crate::wire::{Hash256, MerkleProof, MerkleProofNode};

    /// Replaces the index and nodes of the block's proof.
    fn with(block: &mut DsDetectedBlock, index: u32, nodes: Vec<MerkleProofNode>) {
        let proof = &block.proof;
        let transaction = proof.transaction().clone();
        block.proof = MerkleProof::new(index, transaction, proof.target(), nodes);
    }

    #[test]
    fn block_without_headers_is_rejected() {
        let refused = changed(|block| block.headers.clear());
        assert_eq!(refused, Err(DsDetectedError::NoHeaders { block: 1 }));
    }

    #[test]
    fn only_full_transaction_with_merkle_root_is_accepted() {
        let names = [
            (MerkleProofTarget::Block(BlockHash::ZERO), 0x01),
            (
                MerkleProofTarget::Unknown {
                    flags: 0x0c,
                    hash: Hash256::ZERO,
                },
                0x0d,
            ),
        ];
        for (target, got) in names {
            let refused = changed(|block| {
                let transaction = block.proof.transaction().clone();
                block.proof = MerkleProof::new(1, transaction, target, []);
            });
            assert_eq!(
                refused,
                Err(DsDetectedError::UnsupportedFlags { block: 1, got })
            );
        }
        let refused = changed(|block| {
            let (name, target) = (ProofSubject::Txid(block.proof.txid()), block.proof.target());
            block.proof = MerkleProof::new(1, name, target, []);
        });
        let got = 0x04;
        assert_eq!(
            refused,
            Err(DsDetectedError::UnsupportedFlags { block: 1, got })
        );
    }

    #[test]
    fn proof_of_coinbase_is_rejected() {
        let refused = changed(|block| with(block, 0, block.proof.nodes().collect()));
        assert_eq!(refused, Err(DsDetectedError::Coinbase { block: 1 }));
    }

    #[test]
    fn nodes_of_other_types_are_refused() {
        let refused = changed(|block| {
            let mut nodes: Vec<_> = block.proof.nodes().collect();
            nodes[0].kind = 1;
            with(block, 1, nodes);
        });
        let (block, node, kind) = (1, 0, 1);
        assert_eq!(
            refused,
            Err(DsDetectedError::UnknownNode { block, node, kind })
        );
    }

    #[test]
    fn duplicate_header_is_rejected() {
        let hash = fork(proof(tx(&[7], 2)), 3).headers[1].hash();
        let refused = changed(|block| block.headers.push(block.headers[1]));
        assert_eq!(
            refused,
            Err(DsDetectedError::DuplicateHeader { block: 1, hash })
        );
    }

    #[test]
    fn headers_must_be_connected() {
        let headers = fork(proof(tx(&[7], 2)), 3).headers;
        let refused = changed(|block| block.headers.reverse());
        let broken = DsDetectedError::BrokenChain {
            block: 1,
            header: 1,
            expected: headers[2].previous,
            got: headers[1].hash(),
        };
        assert_eq!(refused, Err(broken));
        let refused = changed(|block| {
            block.headers.remove(1);
        });
        let broken = DsDetectedError::BrokenChain {
            block: 1,
            header: 1,
            expected: headers[0].previous,
            got: headers[2].hash(),
        };
        assert_eq!(refused, Err(broken));
    }

    #[test]
    fn proof_of_another_block_is_rejected() {
        let other = proof(tx(&[7], 3));
        let expected = proof(tx(&[7], 2)).root();
        let refused = changed(|block| block.proof = other.clone());
        let (block, got) = (1, other.root().into());
        let mismatch = DsDetectedError::TargetMismatch {
            block,
            expected,
            got,
        };
        assert_eq!(refused, Err(mismatch));
    }

    #[test]
    fn proof_with_wrong_root_is_rejected() {
        let refused = changed(|block| with(block, 1, Vec::new()));
        assert!(matches!(
            refused,
            Err(DsDetectedError::RootMismatch { block: 1, .. })
        ));
        // The node uses as many bits of the index as there are nodes.
        assert_eq!(
            changed(|block| with(block, 3, block.proof.nodes().collect())),
            Ok(())
        );
        let refused = changed(|block| with(block, 2, block.proof.nodes().collect()));
        assert!(matches!(
            refused,
            Err(DsDetectedError::RootMismatch { block: 1, .. })
        ));
    }
}
