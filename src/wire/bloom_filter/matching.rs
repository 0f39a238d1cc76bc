//! Matching of transactions by a bloom filter.

use super::script::{Instructions, pays_to_keys};
use super::{BloomFilter, BloomFlags};
use crate::wire::{OutPoint, TransactionView};

impl BloomFilter {
    /// Implements [`match_and_update`](Self::match_and_update).
    pub(super) fn matches_transaction(&mut self, transaction: TransactionView<'_>) -> bool {
        if self.data().is_empty() {
            return true;
        }
        let txid = transaction.txid();
        let mut found = self.contains(txid.as_bytes());
        // All outputs are checked, even after a match, because each may be added.
        for (index, output) in (0..).zip(transaction.outputs()) {
            if !self.matches_a_push(output.script) {
                continue;
            }
            found = true;
            let taken_in = match self.flags().update() {
                BloomFlags::ALL => true,
                BloomFlags::P2PUBKEY_ONLY => pays_to_keys(output.script),
                _ => false,
            };
            if taken_in {
                self.insert(&OutPoint { txid, index }.to_bytes());
            }
        }
        found
            || transaction.inputs().any(|input| {
                self.contains(&input.previous.to_bytes()) || self.matches_a_push(input.script)
            })
    }

    /// Returns whether a script pushes data that the filter contains. Empty data never matches.
    fn matches_a_push(&self, script: &[u8]) -> bool {
        Instructions::new(script)
            .any(|instruction| !instruction.data.is_empty() && self.contains(instruction.data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Encode, Transaction, TransactionInput, TransactionOutput, Tx, Txid};

    const SPENT: OutPoint = OutPoint {
        txid: Txid([5; 32]),
        index: 3,
    };
    const KEY: [u8; 33] = [2; 33];
    const KEY_HASH: [u8; 20] = [8; 20];
    const SIGNATURE: [u8; 71] = [0x30; 71];

    fn push(data: &[u8]) -> Vec<u8> {
        [&[77][..], &(data.len() as u16).to_le_bytes(), data].concat()
    }

    /// Pays to a key hash and to a key; spends with a signature.
    fn transaction() -> Tx {
        let to_key_hash = [&[0x76, 0xa9][..], &push(&KEY_HASH), &[0x88, 0xac]].concat();
        let to_key = [&push(&KEY)[..], &[0xac]].concat();
        let outputs = [to_key_hash, to_key].map(|script| TransactionOutput { value: 1, script });
        Tx::from(&Transaction {
            version: 1,
            inputs: vec![TransactionInput {
                previous: SPENT,
                script: push(&SIGNATURE),
                sequence: 0,
            }],
            outputs: outputs.to_vec(),
            lock_time: 0,
        })
    }

    fn filter(flags: BloomFlags, elements: &[&[u8]]) -> BloomFilter {
        let mut filter = BloomFilter::new(10, 0.000_001, 0, flags).unwrap();
        for element in elements {
            filter.insert(element);
        }
        filter
    }

    fn matches(element: &[u8]) -> bool {
        filter(BloomFlags::ALL, &[element]).match_and_update(transaction().view())
    }

    fn output(index: u32) -> [u8; 36] {
        let txid = transaction().txid();
        OutPoint { txid, index }.to_bytes()
    }

    #[test]
    fn transaction_matches_by_id_push_or_spent_outpoint() {
        assert!(matches(&transaction().txid().0));
        assert!(matches(&KEY_HASH));
        assert!(matches(&KEY));
        assert!(matches(&SIGNATURE));
        assert!(matches(&SPENT.to_bytes()));
    }

    #[test]
    fn unrelated_fields_do_not_match() {
        assert!(!matches(&[9; 20]));
        assert!(!matches(&output(0)), "an own output");
        assert!(!matches(&OutPoint { index: 4, ..SPENT }.to_bytes()));
        assert!(!matches(&SPENT.txid.0), "only the whole outpoint counts");
        assert!(!matches(&[]), "an empty push");
        assert!(!matches(&[0xac]), "an opcode");
    }

    #[test]
    fn flags_select_inserted_outputs() {
        let both: [&[u8]; 2] = [&KEY_HASH, &KEY];
        for (flags, first, second) in [
            (BloomFlags::NONE, false, false),
            (BloomFlags::ALL, true, true),
            (BloomFlags::P2PUBKEY_ONLY, false, true),
            // An undefined value, and bits that are ignored.
            (BloomFlags(3), false, false),
            (BloomFlags(0xfd), true, true),
            (BloomFlags(0xfe), false, true),
        ] {
            let mut filter = filter(flags, &both);
            assert!(filter.match_and_update(transaction().view()));
            let taken_in = [0, 1].map(|index| filter.contains(&output(index)));
            assert_eq!(taken_in, [first, second], "{flags:?}");
        }
    }

    #[test]
    fn only_outputs_that_match_are_taken_in() {
        let mut by_hash = filter(BloomFlags::ALL, &[&KEY_HASH]);
        assert!(by_hash.match_and_update(transaction().view()));
        assert!(by_hash.contains(&output(0)) && !by_hash.contains(&output(1)));
        // Only a match by a push of an output adds an outpoint.
        for element in [&transaction().txid().0[..], &SPENT.to_bytes(), &SIGNATURE] {
            let mut filter = filter(BloomFlags::ALL, &[element]);
            let before = filter.clone();
            assert!(filter.match_and_update(transaction().view()));
            assert_eq!(filter, before);
        }
    }

    #[test]
    fn empty_filter_matches_everything() {
        assert!(BloomFilter::match_all().match_and_update(transaction().view()));
        let nothing = Tx::from(&Transaction::default());
        assert!(BloomFilter::match_all().match_and_update(nothing.view()));
    }

    #[test]
    fn push_above_520_bytes_never_matches() {
        for (len, found) in [(520, true), (521, false)] {
            let script = push(&vec![7; len]);
            let long = Tx::from(&Transaction {
                outputs: vec![TransactionOutput { value: 1, script }],
                ..Transaction::default()
            });
            // A filter with all bits set.
            let full = [&[3, 255, 255, 255][..], &[5, 0, 0, 0], &[0; 4], &[0]].concat();
            let mut full: BloomFilter = crate::wire::Decode::decode_from(&full).unwrap();
            assert_eq!(full.encoded_len(), 13);
            assert!(full.match_and_update(long.view()), "by its ID at least");
            assert_eq!(full.matches_a_push(&push(&vec![7; len])), found, "{len}");
        }
    }
}
