//! Clients that follow the chain of a local node by `getblocks` alone, like full nodes of other
//! vendors.

use bsv_p2p::local_node::{Chain, LocalNode};
use bsv_p2p::wire::{
    BlockHash, GetData, Inventory, LEGACY_MAX_RECEIVE_PAYLOAD, Message, Ping, Pong, Protoconf,
};
use test_support::node_rules::{client_version, getblocks};
use test_support::raw_peer::RawPeer;

/// Follows the node until the client has its tip: each announced block that is unknown is requested,
/// and a block or announcement without a known parent is answered by `getblocks`.
fn sync(mut peer: RawPeer, tip: BlockHash) -> Chain {
    let mut chain = Chain::new();
    peer.send(getblocks(&chain.locator(), BlockHash::ZERO));
    while chain.tip().1 != tip {
        match peer.next_message() {
            Message::Inv(inv) => {
                let unknown = inv.inventory.into_iter().filter(
                    |entry| matches!(entry, Inventory::Block(hash) if !chain.contains(hash)),
                );
                peer.send(GetData::from(unknown.collect::<Vec<_>>()));
            }
            Message::Block(block) => {
                if !chain.contains(&block.header().previous) {
                    // The announcement that follows a full list.
                    peer.send(getblocks(&chain.locator(), BlockHash::ZERO));
                } else {
                    chain.accept(&block, u32::MAX).unwrap();
                }
            }
            Message::Ping(Ping { nonce: Some(nonce) }) => peer.send(Pong::new(nonce)),
            _ => {}
        }
    }
    chain
}

#[test]
fn client_syncs_by_getblocks_alone() {
    let node = LocalNode::start().unwrap();
    for blocks in [3, 497, 1, 1_200] {
        node.mine(blocks).unwrap();
        let chain = sync(
            test_support::node_rules::connect(node.address()),
            node.tip(),
        );
        assert_eq!(chain.tip(), (node.height(), node.tip()));
    }
}

#[test]
fn client_with_small_limit_syncs_by_getblocks() {
    let node = LocalNode::start().unwrap();
    node.mine(1_001).unwrap();
    for protoconf in [None, Some(LEGACY_MAX_RECEIVE_PAYLOAD)] {
        let peer = RawPeer::dial(node.address());
        peer.send(client_version());
        peer.send(Message::Verack);
        if let Some(max_receive_payload) = protoconf {
            peer.send(Protoconf {
                max_receive_payload,
                stream_policies: Some("Default".into()),
            });
        }
        let chain = sync(peer, node.tip());
        assert_eq!(chain.tip(), (1_001, node.tip()));
    }
}
