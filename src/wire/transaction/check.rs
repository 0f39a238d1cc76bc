//! Rules of a transaction that need no chain and no scripts.

use super::{OutPoint, TransactionView};

/// The maximum total amount of money, in satoshi.
const MAX_MONEY: i64 = 2_100_000_000_000_000;

/// The reason why a transaction is invalid outside of a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTransaction {
    /// The transaction has no inputs.
    #[error("transaction has no inputs")]
    NoInputs,
    /// The transaction has no outputs.
    #[error("transaction has no outputs")]
    NoOutputs,
    /// The amount of an output is negative or above the maximum.
    #[error("output {index}: expected 0 to {MAX_MONEY} satoshi, got {got}")]
    InvalidValue {
        /// The index of the output, from 0.
        index: usize,
        /// The amount of the output in satoshi.
        got: i64,
    },
    /// The total amount of the outputs is above the maximum.
    #[error("outputs up to {index}: expected at most {MAX_MONEY} satoshi, got {got}")]
    InvalidTotal {
        /// The index of the output that exceeds the maximum, from 0.
        index: usize,
        /// The total amount up to and including this output, in satoshi.
        got: i64,
    },
    /// The transaction is a coinbase, which is valid only in a block.
    #[error("transaction is a coinbase")]
    Coinbase,
    /// An input of a transaction with several inputs spends no output ([`OutPoint::NULL`]).
    #[error("input {index} spends no output")]
    NullInput {
        /// The index of the input, from 0.
        index: usize,
    },
}

impl TransactionView<'_> {
    /// Checks the rules of a transaction outside of a block that need no chain and no scripts.
    ///
    /// Duplicate inputs are not detected.
    ///
    /// # Errors
    ///
    /// [`InvalidTransaction`], the first violated rule in the node's order (Bitcoin SV node,
    /// `src/validation.cpp`, `CheckRegularTransaction`).
    pub fn check(&self) -> Result<(), InvalidTransaction> {
        if self.is_coinbase() {
            return Err(InvalidTransaction::Coinbase);
        }
        if self.inputs().len() == 0 {
            return Err(InvalidTransaction::NoInputs);
        }
        if self.outputs().len() == 0 {
            return Err(InvalidTransaction::NoOutputs);
        }
        let mut total = 0;
        for (index, output) in self.outputs().enumerate() {
            let got = output.value;
            if !(0..=MAX_MONEY).contains(&got) {
                return Err(InvalidTransaction::InvalidValue { index, got });
            }
            // Cannot overflow: both are at most `MAX_MONEY`.
            total += got;
            if total > MAX_MONEY {
                return Err(InvalidTransaction::InvalidTotal { index, got: total });
            }
        }
        let null = |input: super::TransactionInputView<'_>| input.previous == OutPoint::NULL;
        match self.inputs().position(null) {
            Some(index) => Err(InvalidTransaction::NullInput { index }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Transaction, TransactionInput, TransactionOutput, Tx, Txid};

    fn input(id: u8) -> TransactionInput {
        TransactionInput {
            previous: OutPoint {
                txid: Txid([id; 32]),
                index: 0,
            },
            script: Vec::new(),
            sequence: 0,
        }
    }

    fn output(value: i64) -> TransactionOutput {
        let script = Vec::new();
        TransactionOutput { value, script }
    }

    fn check(change: impl FnOnce(&mut Transaction)) -> Result<(), InvalidTransaction> {
        let mut transaction = Transaction {
            version: 1,
            inputs: vec![input(1)],
            outputs: vec![output(1)],
            lock_time: 0,
        };
        change(&mut transaction);
        Tx::from(&transaction).view().check()
    }

    #[test]
    fn invalid_transactions_are_rejected() {
        assert_eq!(
            check(|tx| tx.inputs.clear()),
            Err(InvalidTransaction::NoInputs)
        );
        assert_eq!(
            check(|tx| tx.outputs.clear()),
            Err(InvalidTransaction::NoOutputs)
        );
        assert_eq!(
            check(|tx| tx.inputs[0].previous = OutPoint::NULL),
            Err(InvalidTransaction::Coinbase)
        );
        let null = TransactionInput {
            previous: OutPoint::NULL,
            ..input(0)
        };
        assert_eq!(
            check(|tx| tx.inputs.push(null)),
            Err(InvalidTransaction::NullInput { index: 1 })
        );
        for got in [-1, MAX_MONEY + 1] {
            assert_eq!(
                check(|tx| tx.outputs[0].value = got),
                Err(InvalidTransaction::InvalidValue { index: 0, got })
            );
        }
        assert_eq!(
            check(|tx| tx.outputs = vec![output(MAX_MONEY), output(1)]),
            Err(InvalidTransaction::InvalidTotal {
                index: 1,
                got: MAX_MONEY + 1
            })
        );
    }

    #[test]
    fn minimum_and_maximum_amounts_are_valid() {
        for value in [0, MAX_MONEY] {
            assert_eq!(check(|tx| tx.outputs[0].value = value), Ok(()), "{value}");
        }
    }
}
