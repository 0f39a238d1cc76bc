//! Every rule that a partial merkle tree can violate, and valid trees.

use super::*;
use crate::wire::{Hash256, merkle_root};

fn txids(count: u8) -> Vec<Txid> {
    (1..=count).map(|n| Txid([n; 32])).collect()
}

fn root(txids: &[Txid]) -> MerkleRoot {
    merkle_root(txids.iter().copied()).0
}

/// A tree over five transactions of which the third matches: flags 1 1 0 1 1 0 0.
fn third_of_five() -> PartialMerkleTree {
    let tree = PartialMerkleTree::new(
        txids(5)
            .into_iter()
            .enumerate()
            .map(|(at, txid)| (txid, at == 2)),
    )
    .unwrap();
    assert_eq!((tree.hashes.len(), &tree.flags[..]), (4, &[0b1_1011][..]));
    tree
}

fn refused(tree: &PartialMerkleTree) -> PartialMerkleTreeError {
    tree.verify(root(&txids(5))).unwrap_err()
}

#[test]
fn every_set_of_matches_is_found() {
    for count in 1..=9_u8 {
        let all = txids(count);
        for chosen in 0..1_u32 << count {
            let matches = |at: usize| chosen >> at & 1 == 1;
            let with_matches = all
                .iter()
                .enumerate()
                .map(|(at, txid)| (*txid, matches(at)));
            let tree = PartialMerkleTree::new(with_matches).unwrap();
            let found = tree.verify(root(&all)).unwrap();
            let expected: Vec<MatchedTransaction> = (0..count)
                .filter(|at| matches(usize::from(*at)))
                .map(|at| MatchedTransaction {
                    position: u32::from(at),
                    txid: all[usize::from(at)],
                })
                .collect();
            assert_eq!(found, expected, "{count} {chosen:b}");
        }
    }
}

#[test]
fn tree_without_transactions_is_rejected() {
    let tree = PartialMerkleTree {
        total_transactions: 0,
        ..third_of_five()
    };
    assert_eq!(refused(&tree), PartialMerkleTreeError::NoTransactions);
}

#[test]
fn more_hashes_than_transactions_are_rejected() {
    let two = txids(2);
    let mut tree = PartialMerkleTree::new(two.iter().map(|txid| (*txid, true))).unwrap();
    assert_eq!(tree.hashes.len(), 2);
    assert!(tree.verify(root(&two)).is_ok());
    tree.hashes.push(Hash256::ZERO);
    let refused = tree.verify(root(&two));
    let (transactions, got) = (2, 3);
    assert_eq!(
        refused,
        Err(PartialMerkleTreeError::TooManyHashes { transactions, got })
    );
}

#[test]
fn fewer_flags_than_hashes_are_rejected() {
    let tree = |hashes| PartialMerkleTree {
        total_transactions: 100,
        hashes: vec![Hash256::ZERO; hashes],
        flags: vec![0],
    };
    let (needed, got) = (1, 8);
    assert_eq!(
        refused(&tree(8)),
        PartialMerkleTreeError::UnusedHashes { needed, got }
    );
    let (hashes, got) = (9, 8);
    assert_eq!(
        refused(&tree(9)),
        PartialMerkleTreeError::TooFewFlags { hashes, got }
    );
}

#[test]
fn tree_with_missing_flags_is_rejected() {
    let tree = PartialMerkleTree {
        total_transactions: u32::MAX,
        hashes: vec![Hash256::ZERO; 8],
        flags: vec![0xff],
    };
    assert_eq!(
        refused(&tree),
        PartialMerkleTreeError::OutOfFlags { got: 8 }
    );
    let empty = PartialMerkleTree {
        total_transactions: 1,
        hashes: Vec::new(),
        flags: Vec::new(),
    };
    assert_eq!(
        refused(&empty),
        PartialMerkleTreeError::OutOfFlags { got: 0 }
    );
}

#[test]
fn tree_with_missing_hashes_is_rejected() {
    let mut tree = third_of_five();
    tree.hashes.pop();
    assert_eq!(
        refused(&tree),
        PartialMerkleTreeError::OutOfHashes { got: 3 }
    );
    tree.hashes.clear();
    assert_eq!(
        refused(&tree),
        PartialMerkleTreeError::OutOfHashes { got: 0 }
    );
}

#[test]
fn only_equal_siblings_are_rejected() {
    let all = [1, 2, 3, 3].map(|n| Txid([n; 32]));
    let tree = |count: usize| {
        PartialMerkleTree::new(all[..count].iter().map(|txid| (*txid, true))).unwrap()
    };
    assert_eq!(tree(3).verify(root(&all)).unwrap().len(), 3);
    let (level, position) = (1, 1);
    assert_eq!(
        tree(4).verify(root(&all)),
        Err(PartialMerkleTreeError::EqualNodes { level, position })
    );
}

#[test]
fn hashes_that_nobody_visits_are_refused() {
    let mut tree = third_of_five();
    tree.hashes.push(Hash256::ZERO);
    let (needed, got) = (4, 5);
    assert_eq!(
        refused(&tree),
        PartialMerkleTreeError::UnusedHashes { needed, got }
    );
}

#[test]
fn unused_flag_bytes_are_rejected_but_padding_ignored() {
    let mut tree = third_of_five();
    tree.flags[0] |= 0x80;
    assert!(tree.verify(root(&txids(5))).is_ok());
    tree.flags.push(0);
    let (needed, got) = (1, 2);
    assert_eq!(
        refused(&tree),
        PartialMerkleTreeError::UnusedFlags { needed, got }
    );
}

#[test]
fn another_root_is_refused() {
    let (expected, got) = (MerkleRoot([9; 32]), root(&txids(5)));
    assert_eq!(
        third_of_five().verify(expected),
        Err(PartialMerkleTreeError::RootMismatch { expected, got })
    );
}

#[test]
fn work_is_bounded_by_number_of_hashes() {
    let alone = PartialMerkleTree {
        total_transactions: u32::MAX,
        hashes: vec![Hash256([7; 32])],
        flags: vec![0],
    };
    assert_eq!(alone.verify(MerkleRoot([7; 32])), Ok(Vec::new()));

    // The branch to the last transaction: 32 levels, each with a left sibling.
    let hashes: Vec<Hash256> = (0..32).map(|n| Hash256([n; 32])).collect();
    let mut flags = vec![0; 8];
    let mut at = 1;
    flags[0] = 1;
    for level in (0..32).rev() {
        // At the lowest level the last transaction is a left node without a sibling.
        at += usize::from(level > 0);
        flags[at / 8] |= 1 << (at % 8);
        at += 1;
    }
    let last = PartialMerkleTree {
        total_transactions: u32::MAX,
        hashes: hashes.clone(),
        flags,
    };
    let Err(PartialMerkleTreeError::RootMismatch { got, .. }) = last.verify(MerkleRoot::ZERO)
    else {
        panic!("{:?}", last.verify(MerkleRoot::ZERO));
    };
    let (position, txid) = (u32::MAX - 1, Txid(hashes[31].0));
    assert_eq!(
        last.verify(got),
        Ok(vec![MatchedTransaction { position, txid }])
    );
}
