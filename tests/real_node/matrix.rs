//! The requests of the matrix to a real node.

use std::time::Duration;

use bsv_p2p::local_node::Chain;
use bsv_p2p::wire::{BlockHeader, Headers, Inventory, Message};
use test_support::matrix::Outcome::{Empty, Headers as Found, NoAnswer, NotFound, Refused, Value};
use test_support::matrix::{Cell, MatrixServer, Request, run};
use test_support::real_node::RealNode;

use crate::mining::{now, spend};
use crate::objects::spendable;
use crate::peer::{assert_good_standing, config, dial, receive};

/// Time bound of an answer. The node reads its queues every 100 ms.
const ANSWERED: Duration = Duration::from_secs(2);
/// Time bound of a refusal, for which nothing is sent or awaited.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Time bound of a request that times out after 300 ms.
const TIMED_OUT: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn real_node_matrix() {
    check(&[], (Request::BloomFilter, Refused, AT_ONCE));
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn real_node_with_filters_matrix() {
    let options = ["-peerbloomfilters=1"];
    check(&options, (Request::BloomFilter, Value, ANSWERED));
}

/// Checks the table of a node with these options and this result of a bloom filter.
fn check(options: &[&str], bloom_filter: Cell) {
    let node = RealNode::start(options);
    let mut chain = Chain::new();
    let transaction = spend(spendable(&node, &mut chain), 4_999_000_000);
    let (height, tip) = chain.tip();
    let headers: Vec<BlockHeader> = (0..=height)
        .map(|height| {
            chain
                .block(&chain.hash_at(height).unwrap())
                .unwrap()
                .header()
        })
        .collect();
    // The node sends a transaction that it has announced.
    let mut giver = dial(&node, &config());
    let mut observer = dial(&node, &config());
    giver.send(transaction.clone()).unwrap();
    receive(&mut observer, "the announcement", |message| match message {
        Message::Inv(inv) => inv
            .inventory
            .contains(&Inventory::Tx(transaction.txid()))
            .then_some(()),
        _ => None,
    });
    // A header without its block.
    let pruned = chain.template_on(&tip, now(), 7).unwrap().mine();
    let header = pruned.header();
    giver
        .send(Headers {
            headers: vec![header],
        })
        .unwrap();
    receive(&mut giver, "the request of the block", |message| {
        matches!(message, Message::GetData(_)).then_some(())
    });
    assert_eq!(node.best_height(), height);
    let server = MatrixServer {
        name: "node",
        address: node.address(),
        pruned: pruned.hash(),
        transaction,
        headers,
    };
    run(
        &server,
        &[
            (Request::HeadersFromGenesis, Found(101), ANSWERED),
            (Request::HeadersFromMiddle, Found(50), ANSWERED),
            (Request::HeadersAtTip, Empty, ANSWERED),
            (Request::HeadersFromUnknown, Found(101), ANSWERED),
            (Request::BlockPresent, Value, ANSWERED),
            (Request::BlockAbsent, NotFound, ANSWERED),
            (Request::BlockPruned, NotFound, ANSWERED),
            (Request::TransactionPresent, Value, ANSWERED),
            (Request::TransactionAbsent, NotFound, ANSWERED),
            // It knows no addresses.
            (Request::Addresses, NoAnswer, TIMED_OUT),
            (Request::Ping, Value, ANSWERED),
            bloom_filter,
            (Request::EnrichedHeaders, Value, ANSWERED),
        ],
    );
    assert_good_standing(&node);
}
