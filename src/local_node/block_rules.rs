//! The rules that need only the block itself, and the errors of all rules.

use crate::wire::{Block, BlockError, BlockHash, ChainRuleError, Txid};

/// The valid lengths of the script of a coinbase, in bytes.
const COINBASE_SCRIPT: std::ops::RangeInclusive<usize> = 2..=100;

/// The reason why [`Chain::accept`](super::Chain::accept) rejected a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockRejectReason {
    /// The header violates a chain rule of the network.
    #[error(transparent)]
    Header(#[from] ChainRuleError),
    /// The parent is not in the chain. The block may be accepted after its parent.
    #[error("parent {0} is unknown")]
    UnknownParent(BlockHash),
    /// The chain is at its memory limit, and the side branches with less work are too small.
    #[error("block needs {needed} bytes, {available} bytes available")]
    ChainFull {
        /// The memory that the block needs, in bytes.
        needed: u64,
        /// The free memory, without the side branches that could be evicted.
        available: u64,
    },
    /// The transactions do not match the header.
    #[error(transparent)]
    Content(#[from] BlockError),
    /// The block has no transactions, not even a coinbase.
    #[error("block has no transactions")]
    NoTransactions,
    /// The first transaction is not a coinbase.
    #[error("first transaction {0} is not a coinbase")]
    MissingCoinbase(Txid),
    /// The length of the coinbase's script is invalid.
    #[error(
        "expected a coinbase script of {} to {} bytes, got {got}",
        COINBASE_SCRIPT.start(),
        COINBASE_SCRIPT.end()
    )]
    CoinbaseScript {
        /// The length of the script in bytes.
        got: usize,
    },
    /// A transaction other than the first is a coinbase.
    #[error("transaction {index} is a second coinbase")]
    MultipleCoinbases {
        /// The index of the transaction in the block, from 0.
        index: usize,
    },
}

/// Checks the merkle root and the coinbase, in the node's order (Bitcoin SV node,
/// `src/validation.cpp`, `CheckBlock`).
pub(super) fn check_transactions(block: &Block) -> Result<(), BlockRejectReason> {
    block.check_merkle_root()?;
    let mut transactions = block.transactions();
    let coinbase = transactions
        .next()
        .ok_or(BlockRejectReason::NoTransactions)?;
    if !coinbase.is_coinbase() {
        return Err(BlockRejectReason::MissingCoinbase(coinbase.txid()));
    }
    let got = coinbase.inputs().map(|input| input.script.len()).sum();
    if !COINBASE_SCRIPT.contains(&got) {
        return Err(BlockRejectReason::CoinbaseScript { got });
    }
    match transactions.position(|transaction| transaction.is_coinbase()) {
        Some(behind) => Err(BlockRejectReason::MultipleCoinbases { index: behind + 1 }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::local_node::BlockTemplate;
    use crate::wire::{
        BlockHeader, MerkleRoot, OutPoint, Transaction, TransactionView, merkle_root,
    };

    fn coinbase() -> Transaction {
        BlockTemplate::new(BlockHash::ZERO, 1, 1_700_000_000, 7).coinbase()
    }

    fn payment() -> Transaction {
        let mut payment = coinbase();
        payment.inputs[0].previous = OutPoint {
            txid: Txid::ZERO,
            index: 0,
        };
        payment
    }

    fn block(transactions: &[Transaction]) -> Block {
        let header = BlockHeader {
            merkle_root: merkle_root(transactions.iter().map(Transaction::txid)).0,
            ..BlockHeader::genesis(&Network::Regtest)
        };
        Block::new(&header, transactions)
    }

    #[test]
    fn block_with_valid_coinbase_is_accepted() {
        assert_eq!(check_transactions(&block(&[coinbase()])), Ok(()));
        assert_eq!(check_transactions(&block(&[coinbase(), payment()])), Ok(()));
        assert_eq!(
            check_transactions(&Block::genesis(&Network::Regtest)),
            Ok(())
        );
    }

    #[test]
    fn block_without_transactions_is_rejected() {
        assert_eq!(
            check_transactions(&block(&[])),
            Err(BlockRejectReason::NoTransactions)
        );
    }

    #[test]
    fn block_without_leading_coinbase_is_rejected() {
        assert_eq!(
            check_transactions(&block(&[payment(), coinbase()])),
            Err(BlockRejectReason::MissingCoinbase(payment().txid()))
        );
    }

    #[test]
    fn second_coinbase_is_rejected() {
        let mut other = coinbase();
        other.lock_time = 1;
        assert_eq!(
            check_transactions(&block(&[coinbase(), payment(), other])),
            Err(BlockRejectReason::MultipleCoinbases { index: 2 })
        );
    }

    #[test]
    fn coinbase_script_has_2_to_100_bytes() {
        for (len, right) in [(0, false), (1, false), (2, true), (100, true), (101, false)] {
            let mut coinbase = coinbase();
            coinbase.inputs[0].script = vec![0; len];
            let expected = if right {
                Ok(())
            } else {
                Err(BlockRejectReason::CoinbaseScript { got: len })
            };
            assert_eq!(
                check_transactions(&block(&[coinbase])),
                expected,
                "{len} bytes"
            );
        }
    }

    #[test]
    fn transactions_must_match_the_merkle_root() {
        let header = BlockHeader {
            merkle_root: MerkleRoot::ZERO,
            ..block(&[coinbase()]).header()
        };
        assert_eq!(
            check_transactions(&Block::new(&header, &[coinbase()])),
            Err(BlockRejectReason::Content(BlockError::MerkleRootMismatch {
                expected: MerkleRoot::ZERO,
                got: MerkleRoot(coinbase().txid().0),
            }))
        );
    }

    #[test]
    fn repeated_transactions_are_rejected() {
        let whole = block(&[coinbase(), payment(), Transaction::default()]);
        let mut transactions: Vec<Transaction> = whole
            .transactions()
            .map(|view: TransactionView<'_>| view.into())
            .collect();
        transactions.push(Transaction::default());
        assert_eq!(
            check_transactions(&Block::new(&whole.header(), &transactions)),
            Err(BlockRejectReason::Content(
                BlockError::DuplicatedTransactions(whole.header().merkle_root)
            ))
        );
    }

    #[test]
    fn errors_show_expected_and_actual_values() {
        assert_eq!(
            BlockRejectReason::CoinbaseScript { got: 101 }.to_string(),
            "expected a coinbase script of 2 to 100 bytes, got 101"
        );
        let (height, median, got) = (7, 5, 4);
        let too_old = ChainRuleError::TimeTooOld {
            height,
            median,
            got,
        };
        assert_eq!(
            BlockRejectReason::from(too_old).to_string(),
            "height 7: expected a time after 5, got 4"
        );
    }
}
