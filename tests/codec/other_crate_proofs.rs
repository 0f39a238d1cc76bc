//! Comparison with the crate `bitcoin` for merkle blocks, bloom filters and compact blocks.

use bitcoin::bip152;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash as _;
use bitcoin::merkle_tree;
use bitcoin::p2p::message_bloom::FilterLoad;
use bsv_p2p::wire::{
    Block, BlockHash, BlockTransactions, BloomFilter, BloomFlags, CompactBlock, Decode, Encode,
    GetBlockTxn, MerkleBlock, PartialMerkleTree, ReconstructOutcome, Reconstruction,
    ReconstructionError, Transaction, Tx, merkle_root,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::parts::{header, transaction};
use crate::support::cases;

/// Returns a block that is valid in both protocols: its root matches, and no transaction is
/// repeated.
fn block() -> impl Strategy<Value = Block> {
    let input = |transaction: &Transaction| !transaction.inputs.is_empty();
    let common = transaction().prop_filter("no input", input);
    (header(), vec(common, 1..20)).prop_map(|(mut header, mut transactions)| {
        for (number, transaction) in (0..).zip(&mut transactions) {
            transaction.lock_time = number;
        }
        let (root, _) = merkle_root(transactions.iter().map(Transaction::txid));
        header.merkle_root = root;
        Block::new(&header, &transactions)
    })
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn merkle_blocks_match_other_crate(block in block(), matched in any::<u32>()) {
        let is_matched = |position: usize| matched >> (position % 32) & 1 == 1;
        let txids: Vec<_> = block.transactions().map(|transaction| transaction.txid()).collect();
        let flags = txids.iter().enumerate().map(|(at, txid)| (*txid, is_matched(at)));
        let ours = MerkleBlock { header: block.header(), tree: PartialMerkleTree::new(flags).unwrap() };

        let other: bitcoin::Block = deserialize(block.bytes()).unwrap();
        let names: Vec<_> = other.txdata.iter().map(bitcoin::Transaction::compute_txid).collect();
        let wanted: Vec<_> = names.iter().enumerate().filter(|(at, _)| is_matched(*at)).map(|(_, txid)| *txid).collect();
        let theirs = merkle_tree::MerkleBlock::from_block_with_predicate(&other, |txid| wanted.contains(txid));
        prop_assert_eq!(serialize(&theirs), ours.encode_to_vec());

        let (mut found, mut places) = (Vec::new(), Vec::new());
        theirs.extract_matches(&mut found, &mut places).unwrap();
        let proven = ours.verify().unwrap();
        prop_assert_eq!(proven.iter().map(|each| each.position).collect::<Vec<_>>(), places);
        let proven: Vec<_> = proven.iter().map(|each| each.txid.0).collect();
        prop_assert_eq!(proven, found.iter().map(|txid| txid.to_byte_array()).collect::<Vec<_>>());
    }

    #[test]
    fn corrupt_merkle_block_is_rejected_by_both_crates(block in block(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let flags = block.transactions().map(|transaction| (transaction.txid(), true));
        let tree = PartialMerkleTree::new(flags).unwrap();
        let mut bytes = MerkleBlock { header: block.header(), tree }.encode_to_vec();
        // The root, the tree's hashes or its flags.
        let damaged = 36 + at.index(bytes.len() - 36);
        bytes[damaged] ^= 1 << bit;
        let ours = MerkleBlock::decode_from(&bytes).map(|block| block.verify().is_ok());
        let theirs = deserialize::<merkle_tree::MerkleBlock>(&bytes)
            .map(|block| block.extract_matches(&mut Vec::new(), &mut Vec::new()).is_ok());
        // This library ignores bytes after the last field.
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn bloom_filters_are_read_and_written_alike(
        items in 1..5000_u32, tweak: u32, flags in 0..3_u8, elements in vec(vec(any::<u8>(), 0..50), 0..20),
    ) {
        let mut filter = BloomFilter::new(items, 0.001, tweak, BloomFlags(flags)).unwrap();
        elements.iter().for_each(|element| filter.insert(element));
        let bytes = filter.encode_to_vec();
        let theirs: FilterLoad = deserialize(&bytes).unwrap();
        prop_assert_eq!(serialize(&theirs), bytes);
        prop_assert_eq!(&theirs.filter[..], filter.data());
        prop_assert_eq!((theirs.hash_funcs, theirs.tweak), (filter.hash_functions(), filter.tweak()));
    }

    #[test]
    fn compact_blocks_match_other_crate(block in block(), nonce: u64, known in any::<u32>()) {
        let ours = CompactBlock::new(&block, nonce);
        let other: bitcoin::Block = deserialize(block.bytes()).unwrap();
        // Version 1 names transactions like this protocol.
        let theirs = bip152::HeaderAndShortIds::from_block(&other, nonce, 1, &[]).unwrap();
        prop_assert_eq!(serialize(&theirs), &ours.bytes()[..]);

        let pool: Vec<Tx> = block.transactions().enumerate()
            .filter(|(at, _)| known >> (at % 32) & 1 == 1)
            .map(|(_, transaction)| Tx::from(&Transaction::from(transaction)))
            .collect();
        let candidates = pool.iter().map(|tx| (tx.txid(), tx));
        let reconstruction = match Reconstruction::start(ours, u64::MAX, candidates) {
            // Collisions of so few short IDs are extremely unlikely.
            Err(ReconstructionError::Collision(_)) => return Ok(()),
            Ok(ReconstructOutcome::Complete(complete)) => {
                prop_assert_eq!(complete, block);
                return Ok(());
            }
            Ok(ReconstructOutcome::Incomplete(reconstruction)) => reconstruction,
            Err(error) => panic!("{error}"),
        };
        let request = reconstruction.request();
        let their_request: bip152::BlockTransactionsRequest = deserialize(request.bytes()).unwrap();
        prop_assert_eq!(serialize(&their_request), &request.bytes()[..]);
        let indexes: Vec<_> = request.indexes().map(u64::from).collect();
        prop_assert_eq!(&their_request.indexes, &indexes);
        let their_answer = bip152::BlockTransactions::from_request(&their_request, &other).unwrap();
        let answer = BlockTransactions::for_request(&block, &request).unwrap();
        prop_assert_eq!(serialize(&their_answer), &answer.bytes()[..]);
        prop_assert_eq!(reconstruction.fill(&answer).unwrap(), block);
    }

    #[test]
    fn requests_for_transactions_are_read_and_written_alike(indexes in prop::collection::btree_set(0..100_000_u32, 0..50)) {
        let indexes: Vec<_> = indexes.into_iter().collect();
        let ours = GetBlockTxn::new(BlockHash([3; 32]), &indexes).unwrap();
        let theirs: bip152::BlockTransactionsRequest = deserialize(ours.bytes()).unwrap();
        prop_assert_eq!(serialize(&theirs), &ours.bytes()[..]);
        prop_assert_eq!(theirs.indexes, indexes.into_iter().map(u64::from).collect::<Vec<_>>());
    }
}
