//! chain-gang uses the services of a `LocalNode` like those of a reference node.

use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
use bsv_p2p::wire::{BlockHash, Tx};
use chain_gang::messages::{
    self as theirs, INV_VECT_BLOCK, INV_VECT_COMPACT_BLOCK, INV_VECT_FILTERED_BLOCK, Message,
    NO_HASH_STOP,
};
use chain_gang::util::{BloomFilter, Hash256};

use super::{dialer_of, hashes, local_node, locator, reward_of_tip};
use crate::dialer::Dialer;
use crate::served_chain::{entry, mine_chain, spend_reward, their_block, their_hash, their_tx};

/// Returns the block hashes that a node answers `getblocks` with.
#[track_caller]
fn request_blocks(dialer: &Dialer, hashes: &[BlockHash], stop: Hash256) -> Vec<Hash256> {
    dialer.send(Message::GetBlocks(locator(hashes, stop)));
    dialer.expect(|message| match message {
        Message::Inv(inv) => {
            let is_block = |entry: &theirs::InvVect| entry.obj_type == INV_VECT_BLOCK;
            assert!(inv.objects.iter().all(is_block), "{inv:?}");
            Some(inv.objects.iter().map(|entry| entry.hash).collect())
        }
        _ => None,
    })
}

/// Mines a block that spends the reward of the block before it, and returns it.
#[track_caller]
fn mine_with_transaction(node: &LocalNode) -> bsv_p2p::wire::Block {
    node.submit(&spend_reward(reward_of_tip(node))).unwrap();
    let mined = node.mine(1).unwrap()[0];
    let block = node.block(mined).unwrap();
    assert_eq!(block.transaction_count(), 2);
    block
}

#[test]
fn getblocks_of_chain_gang_is_answered() {
    let node = local_node(mine_chain(40));
    let dialer = dialer_of(&node);
    let hash = |height| node.block_hash(height).unwrap();
    let request = |locator: BlockHash, stop| request_blocks(&dialer, &[locator], stop);
    assert_eq!(request(hash(0), NO_HASH_STOP), hashes(&node, 1..=40));
    assert_eq!(request(hash(20), NO_HASH_STOP), hashes(&node, 21..=40));
    assert_eq!(
        request(hash(20), their_hash(hash(30))),
        hashes(&node, 21..=29)
    );
}

/// The request for the last of 500 blocks is followed by an announcement of the tip, which makes the
/// receiver request the next blocks.
#[test]
fn chain_gang_syncs_by_getblocks() {
    let node = local_node(mine_chain(1_100));
    let dialer = dialer_of(&node);
    let tip = their_hash(node.tip());
    let mut last = node.block_hash(0).unwrap();
    let mut received = Vec::new();
    while received.last() != Some(&tip) {
        let announced = request_blocks(&dialer, &[last], NO_HASH_STOP);
        let part = announced.len();
        for hash in announced {
            dialer.request(vec![entry(INV_VECT_BLOCK, hash)]);
            let block = dialer.expect(|message| match message {
                Message::Block(block) => Some(block.header.hash()),
                _ => None,
            });
            received.push(block);
        }
        if part == 500 {
            dialer.expect_announced(INV_VECT_BLOCK, tip);
        }
        last = BlockHash(received.last().expect("a block").0);
    }
    assert_eq!(received, hashes(&node, 1..=1_100));
}

#[test]
fn chain_gang_receives_compact_block_and_its_transactions() {
    let node = local_node(mine_chain(1));
    let block = mine_with_transaction(&node);
    let dialer = dialer_of(&node);
    dialer.request(vec![entry(
        INV_VECT_COMPACT_BLOCK,
        their_hash(block.hash()),
    )]);
    let compact = dialer.expect(|message| match message {
        Message::Cmpctblock(compact) => Some(compact.clone()),
        _ => None,
    });
    let whole = their_block(&block);
    assert_eq!(compact.header, whole.header);
    assert_eq!(compact.shortids.len(), 1);
    assert_eq!(compact.prefilledtxn.len(), 1);
    assert_eq!(compact.prefilledtxn[0].index, 0);
    assert_eq!(compact.prefilledtxn[0].tx, whole.txns[0]);

    dialer.send(Message::Getblocktxn(theirs::Getblocktxn {
        blockhash: whole.header.hash(),
        indexes: vec![1],
    }));
    let transactions = dialer.expect(|message| match message {
        Message::Blocktxn(answer) => Some(answer.transactions.clone()),
        _ => None,
    });
    assert_eq!(transactions, [whole.txns[1].clone()]);
}

#[test]
fn chain_gang_receives_filtered_block() {
    let any_port = ([127, 0, 0, 1], 0).into();
    let config = LocalNodeConfig::default().with_filters();
    let node = LocalNode::start_with(mine_chain(1), any_port, config).unwrap();
    let block = mine_with_transaction(&node);
    let whole = their_block(&block);
    let wanted = whole.txns[1].hash();
    let dialer = dialer_of(&node);

    let mut bloom_filter = BloomFilter::new(10., 0.000_001).unwrap();
    bloom_filter.add(&wanted.0);
    dialer.send(Message::FilterLoad(theirs::FilterLoad {
        bloom_filter,
        flags: theirs::BLOOM_UPDATE_NONE,
    }));
    dialer.request(vec![entry(INV_VECT_FILTERED_BLOCK, whole.header.hash())]);
    let merkle_block = dialer.expect(|message| match message {
        Message::MerkleBlock(merkle_block) => Some(merkle_block.clone()),
        _ => None,
    });
    assert_eq!(merkle_block.header, whole.header);
    assert_eq!(merkle_block.validate().unwrap(), [wanted]);
    let tx = dialer.expect(|message| match message {
        Message::Tx(tx) => Some(tx.clone()),
        _ => None,
    });
    assert_eq!(tx, whole.txns[1]);
}

#[test]
fn invalid_transaction_of_chain_gang_is_rejected() {
    let node = local_node(mine_chain(1));
    let dialer = dialer_of(&node);
    let mut transaction = spend_reward(reward_of_tip(&node));
    transaction.inputs.clear();
    let tx = their_tx(&Tx::from(&transaction));
    dialer.send(Message::Tx(tx.clone()));
    let reject = dialer.expect(|message| match message {
        Message::Reject(reject) => Some(reject.clone()),
        _ => None,
    });
    assert_eq!(
        (reject.message.as_str(), reject.code),
        ("tx", theirs::REJECT_INVALID)
    );
    assert_eq!(reject.reason, "bad-txns-vin-empty");
    assert_eq!(reject.txid().unwrap(), tx.hash());
}

#[test]
fn mempool_disconnects_chain_gang() {
    let node = local_node(mine_chain(0));
    let dialer = dialer_of(&node);
    dialer.send(Message::Mempool);
    dialer.wait_disconnected();
}
