//! Block announcements of the local node: their recipients and form. `node_rules.rs` has the rules
//! that are also checked at the real node.

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{Block, BlockHash, Headers, Inv, Inventory, Message, SendCmpct, Version};
use test_support::node_rules::{client_version, exchange_headers};
use test_support::raw_peer::RawPeer;

use crate::raw::{answers, connected, mine_branch, sent};
use crate::support::DEADLINE;

fn headers_of(blocks: &[Block]) -> Message {
    let headers = blocks.iter().map(Block::header).collect();
    Headers { headers }.into()
}

fn inv_of(hash: BlockHash) -> Message {
    Inv::from(vec![Inventory::Block(hash)]).into()
}

/// Gives blocks to the node, the last of which becomes its tip.
fn give(node: &LocalNode, blocks: &[Block]) {
    let mut giver = connected(node);
    blocks.iter().for_each(|block| giver.send(block.clone()));
    assert!(node.wait_for_tip(blocks.last().unwrap().hash(), DEADLINE));
    assert_eq!(sent(&mut giver), []);
}

/// Returns a peer that requested announcements by headers and exchanged headers.
fn peer_with_headers(node: &LocalNode) -> RawPeer {
    let mut peer = connected(node);
    peer.send(Message::SendHeaders);
    exchange_headers(&mut peer);
    assert_eq!(sent(&mut peer), []);
    peer
}

#[test]
fn peer_that_announced_block_receives_no_announcement() {
    let node = LocalNode::start().unwrap();
    node.mine(2).unwrap();
    let blocks = mine_branch(&node, 2, 2);
    let [first, second] = &blocks[..] else {
        unreachable!("two blocks");
    };
    let mut by_inv = connected(&node);
    let mut by_headers = peer_with_headers(&node);
    let mut by_block = peer_with_headers(&node);
    let mut silent = connected(&node);
    // The node requests the missing block, and gets no response.
    assert_eq!(answers(&mut by_inv, inv_of(second.hash())).len(), 1);
    assert_eq!(answers(&mut by_headers, headers_of(&blocks)).len(), 1);
    for block in &blocks {
        by_block.send(block.clone());
    }
    assert!(node.wait_for_tip(second.hash(), DEADLINE));
    assert_eq!(sent(&mut by_headers), []);
    assert_eq!(sent(&mut by_block), []);
    let invs = [first, second].map(|block| inv_of(block.hash()));
    assert_eq!(sent(&mut silent), invs);
    // Only the second one was announced by hash, because the first was unknown.
    assert_eq!(sent(&mut by_inv), invs[..1]);
    // The node knows now that they have the block.
    let next = node.mine(1).unwrap()[0];
    let header = headers_of(&[node.block(next).unwrap()]);
    assert_eq!(sent(&mut by_headers), std::slice::from_ref(&header));
    assert_eq!(sent(&mut by_block), [header]);
    assert_eq!(sent(&mut by_inv), [inv_of(next)]);
}

#[test]
fn reorganization_of_8_blocks_is_announced_by_headers() {
    for (blocks, by_headers) in [(1, true), (8, true), (9, false)] {
        let node = LocalNode::start().unwrap();
        node.mine(1 + blocks).unwrap();
        let branch = mine_branch(&node, 2, blocks);
        let mut peer = peer_with_headers(&node);
        give(&node, &branch);
        let tip = branch[blocks - 1].hash();
        let expected = if by_headers {
            headers_of(&branch)
        } else {
            inv_of(tip)
        };
        assert_eq!(sent(&mut peer), [expected], "{blocks} blocks");
    }
}

#[test]
fn several_blocks_are_not_announced_in_compact_form() {
    let node = LocalNode::start().unwrap();
    node.mine(3).unwrap();
    let branch = mine_branch(&node, 1, 3);
    let request = SendCmpct {
        announce: true,
        version: 1,
    };
    let mut compact = connected(&node);
    exchange_headers(&mut compact);
    compact.send(request);
    let mut both = peer_with_headers(&node);
    both.send(request);
    assert_eq!((sent(&mut compact), sent(&mut both)), (vec![], vec![]));
    give(&node, &branch);
    assert_eq!(sent(&mut compact), [inv_of(branch[2].hash())]);
    assert_eq!(sent(&mut both), [headers_of(&branch)]);
}

#[test]
fn peer_far_ahead_receives_no_announcement() {
    for (start_height, is_announced) in [(2_000, true), (2_001, false), (-1, true)] {
        let node = LocalNode::start().unwrap();
        let mut peer = RawPeer::dial(node.address());
        peer.shake_hands_as(Version {
            start_height: Some(start_height),
            ..client_version()
        });
        assert_eq!(sent(&mut peer), []);
        let mined = node.mine(1).unwrap()[0];
        let expected = if is_announced {
            vec![inv_of(mined)]
        } else {
            vec![]
        };
        assert_eq!(sent(&mut peer), expected, "{start_height}");
    }
}

#[test]
fn blocks_are_announced_to_teranode_by_inv() {
    let node = LocalNode::start().unwrap();
    let mut peer = RawPeer::dial(node.address());
    peer.shake_hands_as(Version {
        user_agent: Some("/teranode-legacy-p2p:0.13.0/".into()),
        ..client_version()
    });
    peer.send(Message::SendHeaders);
    exchange_headers(&mut peer);
    assert_eq!(sent(&mut peer), []);
    let mined = node.mine(1).unwrap()[0];
    assert_eq!(sent(&mut peer), [inv_of(mined)]);
}

#[test]
fn compact_block_of_peer_is_requested_in_full() {
    let node = LocalNode::start().unwrap();
    node.mine(1).unwrap();
    let block = &mine_branch(&node, 1, 1)[0];
    let mut peer = connected(&node);
    let compact = bsv_p2p::wire::CompactBlock::new(block, 7);
    let request = test_support::node_rules::getdata(Inventory::Block(block.hash()));
    assert_eq!(answers(&mut peer, compact), [request.into()]);
    assert_eq!(answers(&mut peer, block.clone()), []);
    assert_eq!(node.tip(), block.hash());
}
