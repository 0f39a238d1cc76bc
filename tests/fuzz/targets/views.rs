//! Blocks and transactions, read through all of their views, and filters that match transactions.
//!
//! Input: 0 for a block, 1 for a transaction, 2 for a filter followed by a transaction, 3 for a
//! block whose merkle root is corrected, then the payload. The payload of the filter is preceded by
//! its length in two bytes.

use bsv_p2p::wire::{
    Block, BlockError, BlockHeader, BloomFilter, Decode, Encode, OutPoint, Transaction,
    TransactionView, Tx, Txid, merkle_root,
};
use bytes::Bytes;

use super::by_definition;
use super::input::Input;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() % 4 {
        0 => {
            if let Ok(block) = Block::from_payload(Bytes::copy_from_slice(input.0)) {
                assert!(input.0.starts_with(block.bytes()));
                look_at_block(&block);
            }
        }
        1 => {
            if let Ok(tx) = Tx::from_payload(Bytes::copy_from_slice(input.0)) {
                assert!(input.0.starts_with(tx.bytes()));
                look_at_tx(&tx);
            }
        }
        2 => {
            let len = usize::from(input.u16());
            let filter = BloomFilter::decode_from(input.take(len));
            if let (Ok(filter), Ok(tx)) = (filter, Tx::decode_from(input.0)) {
                match_filter(&filter, &tx);
            }
        }
        _ => {
            if let Ok(block) = Block::from_payload(Bytes::copy_from_slice(input.0)) {
                let txids = block.transactions().map(|view| view.txid());
                let header = BlockHeader {
                    merkle_root: merkle_root(txids).0,
                    ..block.header()
                };
                let owned: Vec<_> = block.transactions().map(Transaction::from).collect();
                look_at_block(&Block::new(&header, &owned));
            }
        }
    }
}

fn look_at_block(block: &Block) {
    assert!(!format!("{block:?}").is_empty());
    assert_eq!(block.hash(), block.header().hash());
    let views: Vec<_> = block.transactions().collect();
    assert_eq!(views.len(), block.transaction_count());
    let in_views: usize = views.iter().map(|view| view.bytes().len()).sum();
    let in_front = block.bytes().len() - in_views;
    assert!((BlockHeader::LEN + 1..=BlockHeader::LEN + 9).contains(&in_front));
    for view in &views {
        look_at_transaction(*view);
    }
    let txids: Vec<Txid> = views.iter().map(TransactionView::txid).collect();
    let (root, mutated) = merkle_root(txids.iter().copied());
    assert_eq!((root, mutated), by_definition::merkle_root(&txids));
    let expected = block.header().merkle_root;
    let check = match (root == expected, mutated) {
        (false, _) => Err(BlockError::MerkleRootMismatch {
            expected,
            got: root,
        }),
        (true, true) => Err(BlockError::DuplicatedTransactions(root)),
        (true, false) => Ok(()),
    };
    assert_eq!(block.check_merkle_root(), check);
    let owned: Vec<_> = views.into_iter().map(Transaction::from).collect();
    assert_eq!(&Block::new(&block.header(), &owned), block);
    assert_eq!(&block.to_owned_buffer(), block);
}

fn look_at_tx(tx: &Tx) {
    assert!(!format!("{tx:?}").is_empty());
    assert_eq!(tx.view().bytes(), tx.bytes());
    assert_eq!(tx.txid(), tx.view().txid());
    assert_eq!(&Tx::from(tx.view()), tx);
    let owned = look_at_transaction(tx.view());
    assert_eq!(&Tx::from(&owned), tx);
}

fn look_at_transaction(view: TransactionView<'_>) -> Transaction {
    assert!(!format!("{view:?}").is_empty());
    assert_eq!(view.inputs().len(), view.inputs().count());
    assert_eq!(view.outputs().len(), view.outputs().count());
    let owned = Transaction::from(view);
    assert_eq!(owned.encoded_len(), view.bytes().len() as u64);
    assert_eq!(owned.encode_to_vec(), view.bytes());
    assert_eq!(owned.txid(), view.txid());
    let spends_nothing = |owned: &Transaction| owned.inputs[0].previous == OutPoint::NULL;
    assert_eq!(
        view.is_coinbase(),
        owned.inputs.len() == 1 && spends_nothing(&owned)
    );
    owned
}

fn match_filter(filter: &BloomFilter, tx: &Tx) {
    let mut updated = filter.clone();
    let matched = updated.match_and_update(tx.view());
    assert!(matched || updated == *filter);
    assert!(
        !matched || updated.match_and_update(tx.view()),
        "it matches again"
    );
    let mut with_txid = filter.clone();
    with_txid.insert(tx.txid().as_bytes());
    assert!(with_txid.match_and_update(tx.view()));
}
