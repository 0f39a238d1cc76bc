//! Compact blocks, received from the node and sent to it.

use bsv_p2p::Connection;
use bsv_p2p::local_node::Chain;
use bsv_p2p::wire::{
    BlockTransactions, CompactBlock, Inventory, Message, OutPoint, ReconstructOutcome,
    Reconstruction, Tx,
};
use serde_json::json;
use test_support::real_node::RealNode;

use crate::mining::{now, spend};
use crate::objects::spendable;
use crate::peer::{SOON, ask_for, assert_good_standing, config, dial, receive, tip};

const MAX_BLOCK: u64 = 10_000_000_000;

/// Returns transactions each of which spends the one before.
fn payments(money: OutPoint, count: u32) -> Vec<Tx> {
    let first = spend(money, 4_999_000_000);
    let next = |(tx, value): &(Tx, i64)| {
        let previous = OutPoint {
            txid: tx.txid(),
            index: 0,
        };
        Some((spend(previous, value - 1_000_000), value - 1_000_000))
    };
    std::iter::successors(Some((first, 4_999_000_000)), next)
        .map(|(tx, _)| tx)
        .take(count as usize)
        .collect()
}

/// Adds transactions to the node's pool.
fn give(node: &RealNode, connection: &mut Connection, transactions: &[Tx]) {
    for tx in transactions {
        connection.send(tx.clone()).expect("an open connection");
        node.wait_until("the transaction is in the pool", SOON, || {
            let pool = node.rpc("getrawmempool", json!([]));
            pool.as_array()?
                .contains(&json!(tx.txid().to_string()))
                .then_some(())
        });
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn compact_block_of_node_is_reconstructed() {
    let node = RealNode::start(&[]);
    let mut chain = Chain::new();
    let transactions = payments(spendable(&node, &mut chain), 5);
    let mut connection = dial(&node, &config());
    give(&node, &mut connection, &transactions);
    node.generate(1);
    let block = connection.block(tip(&node), SOON).expect("the block");
    assert_eq!(block.transaction_count(), 6);

    let question = ask_for(Inventory::CompactBlock(block.hash()));
    connection.send(&question).expect("an open connection");
    let compact = receive(
        &mut connection,
        "the compact block",
        |message| match message {
            Message::CompactBlock(compact) => Some(compact),
            _ => None,
        },
    );
    assert_eq!(compact, CompactBlock::new(&block, compact.nonce()));

    for pool in [&transactions[..], &transactions[1..4], &[]] {
        let candidates = pool.iter().map(|tx| (tx.txid(), tx));
        let waiting = match Reconstruction::start(compact.clone(), MAX_BLOCK, candidates) {
            Ok(ReconstructOutcome::Complete(complete)) => {
                assert_eq!(complete, block);
                continue;
            }
            Ok(ReconstructOutcome::Incomplete(waiting)) => waiting,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(waiting.missing().len(), 5 - pool.len());
        let request = waiting.request();
        connection.send(request).expect("an open connection");
        let answer = receive(
            &mut connection,
            "the missing transactions",
            |message| match message {
                Message::BlockTransactions(answer) => Some(answer),
                _ => None,
            },
        );
        assert_eq!(waiting.fill(&answer), Ok(block.clone()));
    }
    assert_good_standing(&node);
}

/// It requests the transactions that it does not have.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_reconstructs_our_compact_block() {
    let node = RealNode::start(&[]);
    let mut chain = Chain::new();
    let transactions = payments(spendable(&node, &mut chain), 5);
    let mut connection = dial(&node, &config());
    give(&node, &mut connection, &transactions[..3]);
    let mut template = chain.template(now(), 101);
    template.transactions = transactions;
    let block = template.mine();

    let compact = CompactBlock::new(&block, 7);
    connection.send(compact).expect("an open connection");
    let request = receive(
        &mut connection,
        "the question for the rest",
        |message| match message {
            Message::GetBlockTxn(request) => Some(request),
            _ => None,
        },
    );
    assert_eq!(request.block(), block.hash());
    assert_eq!(request.indexes().collect::<Vec<_>>(), [4, 5]);
    let answer = BlockTransactions::for_request(&block, &request).expect("indexes of the block");
    connection.send(answer).expect("an open connection");
    node.wait_until("the node has the block", SOON, || {
        tip(&node) == block.hash()
    });
    assert_good_standing(&node);
}
