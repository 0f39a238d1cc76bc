//! `datareftx`: a transaction with a proof of its block.

use crate::wire::{
    BlockHeader, Decode, DecodeError, Encode, MerkleProof, MerkleProofError, Reader, Tx,
};

/// A transaction and its merkle proof: a `datareftx`, or a part of `hdrsen`.
///
/// Both share the payload in which they arrived. A `datareftx` is sent only as the answer to a
/// `getdata` for [`Inventory::DatarefTx`](crate::wire::Inventory::DatarefTx).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DatarefTx {
    /// The transaction.
    pub tx: Tx,
    /// The proof. A node identifies the transaction by its txid and the block by its hash.
    pub proof: MerkleProof,
}

impl DatarefTx {
    /// Checks that the proof connects this transaction to this block.
    ///
    /// The proof of work of the header and its position in the chain are not checked.
    ///
    /// # Errors
    ///
    /// The errors of [`MerkleProof::verify_in`].
    pub fn verify_in(&self, header: &BlockHeader) -> Result<(), MerkleProofError> {
        self.proof.verify_in(self.tx.txid(), header)
    }
}

impl Decode for DatarefTx {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            tx: Decode::decode(reader)?,
            proof: Decode::decode(reader)?,
        })
    }
}

impl Decode for Box<DatarefTx> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        DatarefTx::decode(reader).map(Box::new)
    }
}

impl Encode for DatarefTx {
    fn encode(&self, out: &mut Vec<u8>) {
        self.tx.encode(out);
        self.proof.encode(out);
    }

    fn encoded_len(&self) -> u64 {
        self.tx.encoded_len() + self.proof.encoded_len()
    }
}

impl Encode for Box<DatarefTx> {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }

    fn encoded_len(&self) -> u64 {
        (**self).encoded_len()
    }
}

impl From<DatarefTx> for super::Message {
    fn from(content: DatarefTx) -> Self {
        super::Message::DatarefTx(Box::new(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{Block, Transaction, Txid};

    #[test]
    fn proof_of_another_transaction_is_rejected() {
        let block = Block::genesis(&Network::Regtest);
        let tx = Tx::from(block.transactions().next().unwrap());
        let proof = MerkleProof::for_block(&[tx.txid()], 0, block.hash()).unwrap();
        let expected = tx.txid();
        let right = DatarefTx { tx, proof };
        assert_eq!(right.verify_in(&block.header()), Ok(()));

        let other = DatarefTx {
            tx: Tx::from(&Transaction::default()),
            ..right
        };
        let (expected, got): (Txid, Txid) = (other.tx.txid(), expected);
        assert_eq!(
            other.verify_in(&block.header()),
            Err(MerkleProofError::TxidMismatch { expected, got })
        );
    }

    #[test]
    fn transaction_and_proof_share_their_payload() {
        let block = Block::genesis(&Network::Regtest);
        let tx = Tx::from(block.transactions().next().unwrap());
        let proof = MerkleProof::for_block(&[tx.txid(), Txid::ZERO], 0, block.hash()).unwrap();
        let payload = bytes::Bytes::from(DatarefTx { tx, proof }.encode_to_vec());
        let read = DatarefTx::decode(&mut Reader::from_shared(&payload)).unwrap();
        assert_eq!(read.tx.bytes().as_ptr(), payload.as_ptr());
        assert!(!payload.is_unique());
        assert_eq!(read.encode_to_vec(), payload);
    }
}
