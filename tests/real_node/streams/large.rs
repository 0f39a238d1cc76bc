//! A large block of the node, in transfer over the second stream.

use std::io::Read;

use bsv_p2p::wire::{Inventory, Message, OutPoint, StreamType};
use test_support::real_node::RealNode;

use super::{assert_two_streams, count, dial_twice};
use crate::mining::spend;
use crate::objects::{LARGE, LEFT, give_large_block};
use crate::peer::{SOON, config};

const MEGABYTES: u32 = 60;

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn large_block_does_not_delay_transactions() {
    let node = RealNode::start(&[]);
    let (giver, block) = give_large_block(&node, MEGABYTES);
    let split = block.transactions().nth(1).expect("one that splits").txid();
    drop(giver);
    node.wait_until("it is gone", SOON, || node.peer_info().is_empty());
    let mut actor = dial_twice(&node, config());
    let reader = actor.handle.block_reader(block.hash(), LARGE);
    let mut reader = reader.expect("the block begins");
    // The reader is paused: the node still has most of the block to send.
    for index in MEGABYTES..MEGABYTES + LEFT {
        let tx = spend(OutPoint { txid: split, index }, 900_000);
        let txid = tx.txid();
        node.rpc(
            "sendrawtransaction",
            serde_json::json!([hex::encode(tx.bytes())]),
        );
        actor.receive("the announcement of a transaction", |message| {
            matches!(message, Message::Inv(inv) if inv.inventory.contains(&Inventory::Tx(txid)))
                .then_some(())
        });
        let found = actor.handle.transactions(&[txid], SOON).unwrap();
        assert_eq!(found, [Some(tx)]);
    }
    let numbers = actor.handle.statistics();
    assert_eq!(count(&numbers, StreamType::Data1, "block").0, 0);
    let came = numbers.streams[1].traffic.bytes_received;
    assert!(came < block.bytes().len() as u64 / 2, "{came}");

    let mut read = Vec::new();
    reader.read_to_end(&mut read).expect("the block");
    assert!(read == block.bytes()[..]);
    assert_two_streams(&node);
}
