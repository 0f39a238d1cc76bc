//! Reconstruction of blocks: each step and error as in the node.

use super::*;
use crate::Network;
use crate::wire::{
    BlockHeader, Decode, Encode, ShortIdKey, Transaction, TransactionInput, TransactionOutput,
    merkle_root, write_compact_size,
};

const MAX_BLOCK: u64 = 1_000_000;

/// Returns a block of the given number of different transactions, and the transactions.
fn block(transactions: u32) -> (Block, Vec<Tx>) {
    let transactions: Vec<Transaction> = (0..transactions).map(transaction).collect();
    let (merkle_root, _) = merkle_root(transactions.iter().map(Transaction::txid));
    let header = BlockHeader {
        merkle_root,
        ..BlockHeader::genesis(&Network::Regtest)
    };
    let txs = transactions.iter().map(Tx::from).collect();
    (Block::new(&header, &transactions), txs)
}

fn transaction(number: u32) -> Transaction {
    Transaction {
        version: 2,
        inputs: vec![TransactionInput {
            previous: crate::wire::OutPoint::NULL,
            script: number.to_le_bytes().to_vec(),
            sequence: 0,
        }],
        outputs: vec![TransactionOutput {
            value: 1,
            script: vec![0x51; (number % 7) as usize],
        }],
        lock_time: number,
    }
}

fn start<'a>(
    compact: &CompactBlock,
    pool: impl IntoIterator<Item = &'a Tx>,
) -> Result<ReconstructOutcome, ReconstructionError> {
    let candidates = pool.into_iter().map(|tx| (tx.txid(), tx));
    Reconstruction::start(compact.clone(), MAX_BLOCK, candidates)
}

fn incomplete(reconstructed: Result<ReconstructOutcome, ReconstructionError>) -> Reconstruction {
    match reconstructed {
        Ok(ReconstructOutcome::Incomplete(reconstruction)) => reconstruction,
        other => panic!("{other:?}"),
    }
}

fn complete(reconstructed: Result<ReconstructOutcome, ReconstructionError>) -> Block {
    match reconstructed {
        Ok(ReconstructOutcome::Complete(block)) => block,
        other => panic!("{other:?}"),
    }
}

/// Returns a compact block with these short IDs and these transactions at their indexes.
fn by_hand(header: &BlockHeader, ids: &[u64], prefilled: &[(u32, &Tx)]) -> CompactBlock {
    let mut bytes = header.encode_to_vec();
    bytes.extend_from_slice(&7_u64.to_le_bytes());
    write_compact_size(ids.len() as u64, &mut bytes);
    ids.iter()
        .for_each(|id| bytes.extend_from_slice(&id.to_le_bytes()[..6]));
    write_compact_size(prefilled.len() as u64, &mut bytes);
    let mut next = 0;
    for (index, tx) in prefilled {
        write_compact_size(u64::from(index - next), &mut bytes);
        bytes.extend_from_slice(tx.bytes());
        next = index + 1;
    }
    CompactBlock::decode_from(&bytes).unwrap()
}

#[test]
fn complete_pool_completes_block_immediately() {
    let (block, txs) = block(300);
    let compact = CompactBlock::new(&block, 7);
    assert_eq!(complete(start(&compact, &txs)), block);
    assert_eq!(complete(start(&compact, txs.iter().rev())), block);
    let only_coinbase = self::block(1).0;
    let compact = CompactBlock::new(&only_coinbase, 7);
    assert_eq!(complete(start(&compact, [])), only_coinbase);
}

#[test]
fn missing_transactions_are_requested_and_filled_in() {
    let (block, txs) = block(300);
    let compact = CompactBlock::new(&block, 7);
    for lacks in [
        &[1][..],
        &[299],
        &[1, 2, 3, 150, 298, 299],
        &(1..300).collect::<Vec<usize>>(),
    ] {
        let pool = txs.iter().enumerate();
        let pool = pool.filter(|(index, _)| !lacks.contains(index));
        let waiting = incomplete(start(&compact, pool.map(|(_, tx)| tx)));
        let missing: Vec<u32> = lacks.iter().map(|&index| index as u32).collect();
        assert_eq!(waiting.missing(), missing);
        assert_eq!(waiting.block(), block.hash());
        let request = waiting.request();
        assert_eq!(request.block(), block.hash());
        assert!(request.indexes().eq(missing));
        let answer = BlockTransactions::for_request(&block, &request).unwrap();
        assert_eq!(waiting.fill(&answer), Ok(block.clone()));
    }
}

#[test]
fn prefilled_transactions_may_stand_anywhere() {
    let (block, txs) = block(8);
    let key = ShortIdKey::new(&block.header(), 7);
    let id = |index: usize| key.short_id(&txs[index].txid());
    let ids = [id(0), id(2), id(3), id(6)];
    let prefilled = [(1, &txs[1]), (4, &txs[4]), (5, &txs[5]), (7, &txs[7])];
    let compact = by_hand(&block.header(), &ids, &prefilled);
    assert_eq!(complete(start(&compact, &txs)), block);

    let waiting = incomplete(start(&compact, [&txs[3]]));
    assert_eq!(waiting.missing(), [0, 2, 6]);
    let answer = BlockTransactions::for_request(&block, &waiting.request()).unwrap();
    assert_eq!(waiting.fill(&answer), Ok(block.clone()));

    let all: Vec<(u32, &Tx)> = (0..).zip(&txs).collect();
    let compact = by_hand(&block.header(), &[], &all);
    assert_eq!(complete(start(&compact, [])), block);
}

#[test]
fn invalid_compact_block_scores_100() {
    let (block, txs) = block(2);
    for (compact, error) in [
        (
            by_hand(&block.header(), &[], &[]),
            CompactBlockError::NoTransactions,
        ),
        (
            by_hand(&block.header(), &[1], &[(2, &txs[0])]),
            CompactBlockError::IndexOutOfRange { limit: 1, got: 2 },
        ),
    ] {
        let refused = start(&compact, &txs).unwrap_err();
        assert_eq!(refused, ReconstructionError::Invalid(error));
        assert_eq!((refused.score(), refused.needs_full_block()), (100, false));
    }
}

#[test]
fn too_many_transactions_for_maximum_length_are_rejected() {
    let (block, txs) = block(100);
    let compact = CompactBlock::new(&block, 7);
    let start = |max_block| {
        let candidates = txs.iter().map(|tx| (tx.txid(), tx));
        Reconstruction::start(compact.clone(), max_block, candidates)
    };
    assert!(start(1_000).is_ok());
    let refused = start(999).unwrap_err();
    let (limit, got) = (99, 100);
    assert_eq!(
        refused,
        ReconstructionError::TooManyTransactions { limit, got }
    );
    assert_eq!((refused.score(), refused.needs_full_block()), (100, false));
}

#[test]
fn equal_short_ids_need_full_block() {
    let (block, txs) = block(4);
    let compact = by_hand(&block.header(), &[5, 9, 5], &[(0, &txs[0])]);
    let refused = start(&compact, &txs).unwrap_err();
    assert_eq!(refused, ReconstructionError::Collision(5));
    assert_eq!((refused.score(), refused.needs_full_block()), (0, true));
}

/// Two txids with the same short ID in compact blocks of `block(3)` with nonce 7, found by brute
/// force.
const COLLIDING: [u64; 2] = [1_261_234, 26_741_987];

#[test]
fn candidates_with_equal_short_id_are_ignored() {
    let (block, txs) = block(3);
    let key = ShortIdKey::new(&block.header(), 7);
    let [first, second] = COLLIDING.map(|number| {
        let mut txid = Txid::ZERO;
        txid.0[..8].copy_from_slice(&number.to_le_bytes());
        txid
    });
    assert_eq!(key.short_id(&first), key.short_id(&second));
    let ids = [key.short_id(&first), key.short_id(&txs[2].txid())];
    let compact = by_hand(&block.header(), &ids, &[(0, &txs[0])]);
    let last = (txs[2].txid(), &txs[2]);
    let start = |candidates: [(Txid, &Tx); 3]| {
        Reconstruction::start(compact.clone(), MAX_BLOCK, candidates)
    };

    let waiting = incomplete(start([(first, &txs[1]), (second, &txs[0]), last]));
    assert_eq!(waiting.missing(), [1]);
    let answer = BlockTransactions::for_request(&block, &waiting.request()).unwrap();
    assert_eq!(waiting.fill(&answer), Ok(block.clone()));

    // A candidate that is given twice is not a collision.
    let twice = start([(first, &txs[1]), (first, &txs[1]), last]);
    assert_eq!(complete(twice), block);
}

#[test]
fn search_stops_after_last_candidate_is_found() {
    let (block, txs) = block(3);
    let compact = CompactBlock::new(&block, 7);
    let mut taken = 0;
    let candidates = txs[1..].iter().chain(std::iter::repeat(&txs[0]));
    let candidates = candidates.map(|tx| {
        taken += 1;
        (tx.txid(), tx)
    });
    let reconstructed = Reconstruction::start(compact, MAX_BLOCK, candidates);
    assert_eq!(complete(reconstructed), block);
    assert_eq!(taken, 2);
}

#[test]
fn answer_for_another_block_scores_nothing() {
    let (block, txs) = block(3);
    let waiting = incomplete(start(&CompactBlock::new(&block, 7), &txs[..2]));
    let got = BlockHash([9; 32]);
    let refused = waiting
        .fill(&BlockTransactions::new(got, &[txs[2].view()]))
        .unwrap_err();
    let expected = block.hash();
    assert_eq!(
        refused,
        ReconstructionError::BlockMismatch { expected, got }
    );
    assert_eq!((refused.score(), refused.needs_full_block()), (0, false));
    let answer = BlockTransactions::new(expected, &[txs[2].view()]);
    assert_eq!(waiting.fill(&answer), Ok(block), "the right one may follow");
}

#[test]
fn mismatched_transaction_count_scores_100() {
    let (block, txs) = block(4);
    let waiting = incomplete(start(&CompactBlock::new(&block, 7), &txs[..2]));
    let views: Vec<_> = txs.iter().map(Tx::view).collect();
    for came in [&views[2..3], &views[1..4], &[]] {
        let answer = BlockTransactions::new(block.hash(), came);
        let refused = waiting.fill(&answer).unwrap_err();
        let (expected, got) = (2, came.len());
        assert_eq!(
            refused,
            ReconstructionError::CountMismatch { expected, got }
        );
        assert_eq!((refused.score(), refused.needs_full_block()), (100, false));
    }
}

#[test]
fn mismatched_merkle_root_needs_full_block() {
    let (block, txs) = block(4);
    let compact = CompactBlock::new(&block, 7);
    let is_mismatch = |refused: &ReconstructionError| {
        assert_eq!((refused.score(), refused.needs_full_block()), (0, true));
        let error = BlockError::MerkleRootMismatch {
            expected: block.header().merkle_root,
            got: merkle_root([0, 1, 3, 3].map(|at: usize| txs[at].txid())).0,
        };
        assert_eq!(refused, &ReconstructionError::InvalidBlock(error));
    };
    // A candidate that does not match its txid, which has the effect of an accidental equal short
    // ID.
    let wrong = [&txs[1], &txs[3], &txs[3]];
    let candidates = txs[1..].iter().map(Tx::txid).zip(wrong);
    let at_once = Reconstruction::start(compact.clone(), MAX_BLOCK, candidates);
    is_mismatch(&at_once.unwrap_err());

    let waiting = incomplete(start(&compact, [&txs[1], &txs[3]]));
    let answer = BlockTransactions::new(block.hash(), &[txs[3].view()]);
    is_mismatch(&waiting.fill(&answer).unwrap_err());
}

#[test]
fn duplicated_transactions_are_rejected() {
    let (block, txs) = block(3);
    let prefilled = [(0, &txs[0]), (1, &txs[1]), (2, &txs[2]), (3, &txs[2])];
    let compact = by_hand(&block.header(), &[], &prefilled);
    let refused = start(&compact, &txs).unwrap_err();
    let root = block.header().merkle_root;
    let error = BlockError::DuplicatedTransactions(root);
    assert_eq!(refused, ReconstructionError::InvalidBlock(error));
    assert!(refused.needs_full_block());
}
