//! Verification of a `dsdetected` without a chain.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::{DsDetected, DsDetectedError};
use crate::wire::{OutPoint, Tx};

impl DsDetected {
    /// Checks everything that does not require a chain.
    ///
    /// [`DsDetected::check_age`] checks the age. The caller must check the proof of work of the
    /// headers and that they are accepted. Hashes each transaction once.
    ///
    /// # Errors
    ///
    /// [`DsDetectedError`] describes the first rule that the message violates.
    pub fn verify(&self) -> Result<(), DsDetectedError> {
        let got = self.blocks().len();
        if got < 2 {
            return Err(DsDetectedError::TooFewBlocks { got });
        }
        let mut ancestor = None;
        let mut txids = HashSet::new();
        let mut spends = Spends::default();
        for (at, block) in self.blocks().enumerate() {
            let tx = block.check_form(at)?;
            let (first, last) = block.check_chain(at)?;
            let txid = tx.txid();
            block.check_proof(at, txid, first.merkle_root)?;
            let (got, expected) = (last.previous, *ancestor.get_or_insert(last.previous));
            if got != expected {
                let block = at;
                return Err(DsDetectedError::AncestorMismatch {
                    block,
                    expected,
                    got,
                });
            }
            if !txids.insert(txid) {
                return Err(DsDetectedError::DuplicateTransaction { block: at, txid });
            }
            spends.add(tx);
        }
        match spends.without_conflict() {
            Some(block) => Err(DsDetectedError::NoDoubleSpend { block }),
            None => Ok(()),
        }
    }
}

/// The outputs that the transactions spend.
#[derive(Default)]
struct Spends {
    /// The first block that spends each output.
    first: HashMap<OutPoint, usize>,
    /// For each block, whether another block spends one of its outputs.
    conflicts: Vec<bool>,
}

impl Spends {
    /// Adds the transaction of the next block.
    fn add(&mut self, tx: &Tx) {
        let block = self.conflicts.len();
        self.conflicts.push(false);
        for input in tx.view().inputs() {
            match self.first.entry(input.previous) {
                Entry::Vacant(entry) => {
                    entry.insert(block);
                }
                Entry::Occupied(entry) if *entry.get() != block => {
                    self.conflicts[*entry.get()] = true;
                    self.conflicts[block] = true;
                }
                Entry::Occupied(_) => {}
            }
        }
    }

    /// Returns the first block whose transaction spends no output that another one spends.
    fn without_conflict(&self) -> Option<usize> {
        self.conflicts.iter().position(|conflict| !conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::super::forks::{changed, fork, proof, tx};
    use super::*;
    use crate::Network;
    use crate::wire::BlockHeader;

    #[test]
    fn double_spend_in_two_forks_is_valid() {
        assert_eq!(changed(|_| {}), Ok(()));
    }

    #[test]
    fn fewer_than_two_blocks_are_refused() {
        let one = fork(proof(tx(&[7], 1)), 1);
        for (blocks, got) in [(&[][..], 0), (&[one][..], 1)] {
            let refused = DsDetected::new(blocks).verify();
            assert_eq!(refused, Err(DsDetectedError::TooFewBlocks { got }));
        }
    }

    #[test]
    fn forks_from_different_blocks_are_rejected() {
        let expected = BlockHeader::genesis(&Network::Regtest).hash();
        let got = fork(proof(tx(&[7], 2)), 3).headers[2].hash();
        let refused = changed(|block| {
            block.headers.pop();
        });
        let block = 1;
        let mismatch = DsDetectedError::AncestorMismatch {
            block,
            expected,
            got,
        };
        assert_eq!(refused, Err(mismatch));
    }

    #[test]
    fn same_transaction_in_two_blocks_is_rejected() {
        let txid = tx(&[7], 1).txid();
        let refused = changed(|block| *block = fork(proof(tx(&[7], 1)), 2));
        assert_eq!(
            refused,
            Err(DsDetectedError::DuplicateTransaction { block: 1, txid })
        );
    }

    #[test]
    fn every_transaction_must_conflict_with_another() {
        let judged = |spent: &[&[u8]]| {
            let blocks = (0..)
                .zip(spent)
                .map(|(n, spent)| fork(proof(tx(spent, n)), 1));
            DsDetected::new(&blocks.collect::<Vec<_>>()).verify()
        };
        let none = |block| Err(DsDetectedError::NoDoubleSpend { block });
        assert_eq!(judged(&[&[1, 2], &[2, 3], &[3, 4]]), Ok(()));
        assert_eq!(judged(&[&[1], &[1], &[2], &[2]]), Ok(()));
        assert_eq!(judged(&[&[1], &[2]]), none(0));
        assert_eq!(judged(&[&[1], &[1], &[2]]), none(2));
        assert_eq!(judged(&[&[], &[1], &[1]]), none(0));
        // An output that the same transaction spends twice is not a conflict.
        assert_eq!(judged(&[&[1], &[1], &[2, 2]]), none(2));
    }
}
