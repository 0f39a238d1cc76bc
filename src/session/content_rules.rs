//! Rules of outgoing messages that depend on nothing but the message.

use crate::wire::{
    Block, BlockError, BlockHash, BlockHeader, CompactBlockError, DsDetectedError, Headers,
    InvalidTransaction, Message, ProofOfWorkError,
};

/// The rule that the content of a message violates. Every node punishes such a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A header does not satisfy its own target. An SV Node scores 50.
    #[error("proof of work of header {index} is invalid")]
    ProofOfWork {
        /// The index of the header in the message, from 0.
        index: usize,
        /// The target and the hash.
        #[source]
        error: ProofOfWorkError,
    },
    /// A header is not the child of the one before it. An SV Node scores 20, and a Teranode closes
    /// the connection.
    #[error("header {index}: expected parent {expected}, got {got}")]
    NotConnected {
        /// The index of the header in the message, from 1.
        index: usize,
        /// The hash of the header before it.
        expected: BlockHash,
        /// The parent that the header names.
        got: BlockHash,
    },
    /// A block has no transactions. An SV Node scores 100.
    #[error("block has no transactions")]
    NoTransactions,
    /// The transactions of a block do not match its header. An SV Node scores 100.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A compact block is invalid. An SV Node scores 100.
    #[error(transparent)]
    CompactBlock(#[from] CompactBlockError),
    /// A transaction is invalid outside of a block. An SV Node scores 10 or 100.
    #[error(transparent)]
    Transaction(#[from] InvalidTransaction),
    /// A report of double spends is invalid. An SV Node scores 10.
    #[error(transparent)]
    DsDetected(#[from] DsDetectedError),
}

/// Checks the rules that depend on nothing but a decoded message.
///
/// Hashes each header, and each transaction of a block.
pub(crate) fn check_content(message: &Message) -> Result<(), ContentError> {
    match message {
        Message::Headers(headers) => check_headers(headers),
        Message::Block(block) => check_block(block),
        Message::CompactBlock(compact) => {
            compact.check()?;
            let header = compact.header();
            check_proof_of_work(0, &header, header.hash())
        }
        Message::Tx(tx) => Ok(tx.view().check()?),
        Message::DsDetected(detected) => Ok(detected.verify()?),
        _ => Ok(()),
    }
}

fn check_headers(message: &Headers) -> Result<(), ContentError> {
    let mut previous = None;
    for (index, header) in message.headers.iter().enumerate() {
        if let Some(expected) = previous.filter(|hash| header.previous != *hash) {
            let got = header.previous;
            return Err(ContentError::NotConnected {
                index,
                expected,
                got,
            });
        }
        let hash = header.hash();
        check_proof_of_work(index, header, hash)?;
        previous = Some(hash);
    }
    Ok(())
}

fn check_block(block: &Block) -> Result<(), ContentError> {
    let header = block.header();
    check_proof_of_work(0, &header, header.hash())?;
    if block.transaction_count() == 0 {
        return Err(ContentError::NoTransactions);
    }
    Ok(block.check_merkle_root()?)
}

/// Checks a header against its own target. The limit of the network and the required difficulty
/// are not known here.
fn check_proof_of_work(
    index: usize,
    header: &BlockHeader,
    hash: BlockHash,
) -> Result<(), ContentError> {
    let checked = header.bits.check(hash, header.bits);
    checked.map_err(|error| ContentError::ProofOfWork { index, error })
}
