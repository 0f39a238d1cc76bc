//! Tip updates.

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::peers::PeerRef;
use bsv_p2p::wire::{CompactBlock, Inv, Inventory, Txid};

use super::*;

/// How many tips wait in a receiver.
const WAITING: usize = 1024;

fn announce(peer: &mut RawPeer, block: &Block, way: usize) {
    match way {
        0 => peer.send(Inv::from(vec![Inventory::Block(block.hash())])),
        1 => peer.send(headers(std::slice::from_ref(block))),
        _ => peer.send(CompactBlock::new(block, 7)),
    }
}

#[test]
fn tip_announced_in_three_ways_is_reported_once() {
    let manager = manager(config());
    let tips = manager.subscribe_blocks().unwrap();
    let others = manager.subscribe_blocks().unwrap();
    manager.start_fixed([""; 0]).unwrap();
    let mut peers = [true, false, false].map(|is_first| quiet(&manager, is_first));
    let connections = manager.connections();
    let blocks = mined(3, 1);
    for (round, block) in blocks.iter().enumerate() {
        let first = peers[round].tcp().local_addr().unwrap();
        for turn in 0..3 {
            let peer = &mut peers[(round + turn) % 3];
            announce(peer, block, (2 * round + turn) % 3);
            if (2 * round + turn) % 3 == 0 && turn == 0 {
                peer.expect("getheaders");
                peer.send(headers(&blocks[round..=round]));
            }
            // All its earlier messages were processed.
            peer.ping(turn as u64);
            if turn == 0 {
                let tip = next(&tips);
                assert_eq!(tip.hash, block.hash());
                assert_eq!(tip.height, round as u32 + 1);
                assert_eq!(tip.connected, [block.hash()]);
                let who = connections.iter().find(|one| one.address == first);
                let who = who.map(|one| PeerRef::new(one.peer_id, first));
                assert_eq!(tip.announced_by, who);
                assert!(
                    tip.to_string().ends_with(&format!("announced by {first}")),
                    "{tip}"
                );
            }
        }
    }
    manager.shutdown().unwrap();
    assert_eq!(tips.iter().count(), 0, "each was told once");
    let told: Vec<_> = others.iter().map(|tip| tip.unwrap().hash).collect();
    assert_eq!(told, hashes(&blocks));
}

#[test]
fn reorganization_lists_disconnected_and_connected_blocks() {
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    let [short, long] = &nodes;
    let mut gone = short.mine(3).unwrap();
    let joined = long.mine(5).unwrap();
    let manager = manager(config());
    let tips = manager.subscribe_blocks().unwrap();
    manager.start_fixed([""; 0]).unwrap();
    manager.connect(short.address()).unwrap();
    let tip = next(&tips);
    assert_eq!((&tip.connected, tip.disconnected.len()), (&gone, 0));
    manager.connect(long.address()).unwrap();
    let tip = next(&tips);
    gone.reverse();
    assert_eq!((tip.height, tip.hash), (5, long.tip()));
    assert_eq!((tip.disconnected, tip.connected), (gone, joined));
}

#[test]
fn branch_of_equal_work_is_not_a_tip() {
    let manager = manager(config());
    let tips = manager.subscribe_blocks().unwrap();
    manager.start_fixed([""; 0]).unwrap();
    let peer = quiet(&manager, true);
    let (ours, others) = (mined(2, 1), mined(3, 2));
    peer.send(headers(&ours));
    assert_eq!(next(&tips).hash, ours[1].hash());
    peer.send(headers(&others[..2]));
    peer.send(headers(&others[2..]));
    let tip = next(&tips);
    let json = serde_json::to_value(&tip).unwrap();
    assert_eq!(serde_json::from_value::<TipUpdate>(json).unwrap(), tip);
    assert_eq!(tip.connected, hashes(&others));
    assert_eq!(tip.disconnected, [ours[1].hash(), ours[0].hash()]);
}

#[test]
fn slow_receiver_counts_skipped_updates() {
    const MORE: usize = 5;
    /// So few that the manager itself keeps up.
    const AT_ONCE: usize = 100;
    let manager = manager(config());
    let slow = manager.subscribe_blocks().unwrap();
    let brisk = manager.subscribe_blocks().unwrap();
    manager.start_fixed([""; 0]).unwrap();
    let peer = quiet(&manager, true);
    let blocks = mined(WAITING + MORE + 1, 1);
    let (last, others) = blocks.split_last().unwrap();
    for some in others.chunks(AT_ONCE) {
        for block in some {
            peer.send(headers(std::slice::from_ref(block)));
        }
        for block in some {
            assert_eq!(next(&brisk).hash, block.hash());
        }
    }
    let waiting: Vec<_> = slow.try_iter().map(Result::unwrap).collect();
    assert_eq!(waiting.len(), WAITING);
    assert!(waiting.iter().all(|tip| tip.skipped == 0));
    peer.send(headers(std::slice::from_ref(last)));
    assert_eq!(next(&brisk).skipped, 0);
    let tip = next(&slow);
    assert_eq!((tip.hash, tip.skipped), (last.hash(), MORE as u64));
}

#[test]
fn transaction_flood_does_not_delay_tip() {
    let manager = manager(config());
    let tips = manager.subscribe_blocks().unwrap();
    manager.start_fixed([""; 0]).unwrap();
    let mut peer = quiet(&manager, true);
    let block = &mined(1, 1)[0];
    let txids = (0..50_000_u32).map(|number| {
        let mut txid = [0; 32];
        txid[..4].copy_from_slice(&number.to_le_bytes());
        Inventory::Tx(Txid(txid))
    });
    let mut inventory: Vec<_> = txids.collect();
    for _ in 0..10 {
        peer.send(Inv::from(inventory.clone()));
    }
    inventory.push(Inventory::Block(block.hash()));
    peer.send(Inv::from(inventory));
    peer.expect("getheaders");
    peer.send(headers(std::slice::from_ref(block)));
    assert_eq!(next(&tips).hash, block.hash());
}
