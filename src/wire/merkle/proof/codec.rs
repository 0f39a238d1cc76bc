//! The wire form of a merkle proof.

use super::{MerkleProof, MerkleProofNode, MerkleProofTarget, ProofSubject};
use crate::wire::{
    Decode, DecodeError, Encode, Hash256, Reader, Tx, Txid, compact_size_len, write_compact_size,
};

impl MerkleProof {
    /// The minimum length of a proof in bytes: the empty transaction, without nodes.
    pub(in crate::wire) const MIN_LEN: usize = 1 + 1 + (1 + 10) + 32 + 1;
}

impl Decode for MerkleProof {
    /// Decodes a proof. Like the node, ignores the claimed length of the transaction.
    ///
    /// The transaction determines its own length. Encoding writes the correct length, so the result
    /// may be up to four bytes longer than the received proof.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.u8("proof flags")?;
        // A compact size has at most 32 bits.
        let index = reader.compact_size("proof index")? as u32;
        let transaction = if flags & Self::FLAG_TX == 0 {
            ProofSubject::Txid(Txid::decode(reader)?)
        } else {
            reader.compact_size("proof transaction length")?;
            ProofSubject::Tx(Tx::decode(reader)?)
        };
        let hash = Hash256(reader.array("proof target")?);
        let target = MerkleProofTarget::from_flags(flags, hash);
        let nodes = reader.count("proof nodes", MerkleProofNode::LEN)?;
        let start = reader.clone();
        reader.read_bytes("proof nodes", nodes * MerkleProofNode::LEN)?;
        Ok(Self {
            index,
            transaction,
            target,
            nodes: reader.shared_since(&start),
        })
    }
}

impl Encode for MerkleProof {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.flags());
        write_compact_size(u64::from(self.index), out);
        match &self.transaction {
            ProofSubject::Tx(tx) => {
                write_compact_size(tx.encoded_len(), out);
                tx.encode(out);
            }
            ProofSubject::Txid(txid) => txid.encode(out),
        }
        self.target.hash().encode(out);
        write_compact_size(self.nodes().len() as u64, out);
        out.extend_from_slice(&self.nodes);
    }

    fn encoded_len(&self) -> u64 {
        let transaction = match &self.transaction {
            ProofSubject::Tx(tx) => compact_size_len(tx.encoded_len()) + tx.encoded_len(),
            ProofSubject::Txid(_) => 32,
        };
        let nodes = compact_size_len(self.nodes().len() as u64) + self.nodes.len() as u64;
        1 + compact_size_len(u64::from(self.index)) + transaction + 32 + nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BlockHash, MerkleRoot, Transaction, TransactionOutput};

    fn tx() -> Tx {
        Tx::from(&Transaction::default())
    }

    fn proof(transaction: ProofSubject, target: MerkleProofTarget) -> MerkleProof {
        let other_kind = MerkleProofNode {
            kind: 9,
            value: Hash256([8; 32]),
        };
        MerkleProof::new(
            u32::MAX,
            transaction,
            target,
            [MerkleProofNode::DUPLICATE, other_kind],
        )
    }

    #[test]
    fn flags_say_what_stands_for_transaction_and_target() {
        let (name, tx) = (ProofSubject::Txid(Txid([1; 32])), ProofSubject::Tx(tx()));
        let block = MerkleProofTarget::Block(BlockHash([2; 32]));
        let root = MerkleProofTarget::MerkleRoot(MerkleRoot([2; 32]));
        let unknown = |flags| MerkleProofTarget::Unknown {
            flags,
            hash: Hash256([2; 32]),
        };
        for (transaction, target, flags) in [
            (name.clone(), block, 0x00),
            (tx.clone(), block, 0x01),
            (name.clone(), root, 0x04),
            (tx.clone(), root, 0x05),
            (name, unknown(0x02), 0x02),
            (tx, unknown(0xfe), 0xff),
        ] {
            let proof = proof(transaction, target);
            let bytes = proof.encode_to_vec();
            assert_eq!((bytes[0], proof.flags()), (flags, flags));
            assert_eq!(proof.encoded_len(), bytes.len() as u64);
            assert_eq!(MerkleProof::decode_from(&bytes), Ok(proof));
        }
    }

    #[test]
    fn claimed_transaction_length_is_ignored() {
        let target = MerkleProofTarget::Block(BlockHash::ZERO);
        let proof = proof(ProofSubject::Tx(tx()), target);
        let mut bytes = proof.encode_to_vec();
        assert_eq!(bytes[6], 10);
        bytes[6] = 200;
        assert_eq!(MerkleProof::decode_from(&bytes), Ok(proof));
    }

    #[test]
    fn short_transaction_length_is_corrected() {
        let target = MerkleProofTarget::Block(BlockHash::ZERO);
        let long = Transaction {
            outputs: vec![TransactionOutput {
                value: 0,
                script: vec![0; 300],
            }],
            ..Transaction::default()
        };
        let proof = MerkleProof::new(0, ProofSubject::Tx(Tx::from(&long)), target, []);
        let whole = proof.encode_to_vec();
        assert_eq!(whole[2], 0xfd, "three bytes of length");
        let short = [&whole[..2], &[10], &whole[5..]].concat();
        let read = MerkleProof::decode_from(&short).unwrap();
        assert_eq!(read.encode_to_vec(), whole);
        assert_eq!(read, proof);
    }

    #[test]
    fn shortest_proof_has_minimum_length() {
        let target = MerkleProofTarget::Block(BlockHash::ZERO);
        let proof = MerkleProof::new(0, ProofSubject::Tx(tx()), target, []);
        assert_eq!(proof.encoded_len(), MerkleProof::MIN_LEN as u64);
    }

    #[test]
    fn truncated_proof_is_rejected() {
        let target = MerkleProofTarget::Block(BlockHash::ZERO);
        for transaction in [ProofSubject::Tx(tx()), ProofSubject::Txid(Txid::ZERO)] {
            let bytes = proof(transaction, target).encode_to_vec();
            for len in 0..bytes.len() {
                assert!(MerkleProof::decode_from(&bytes[..len]).is_err(), "{len}");
            }
        }
    }
}
