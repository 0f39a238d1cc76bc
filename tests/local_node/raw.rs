//! Messages that a local node sends to a scripted peer.

use bsv_p2p::local_node::{Chain, LocalNode};
use bsv_p2p::wire::{Block, Inventory, Message, NotFound, Txid};
use test_support::node_rules::{connect, getdata};
use test_support::raw_peer::RawPeer;

/// Connects a peer without blocks. The messages of the handshake are consumed.
pub(crate) fn connected(node: &LocalNode) -> RawPeer {
    let mut peer = connect(node.address());
    assert_eq!(sent(&mut peer), []);
    peer
}

/// Returns everything that the node has sent until it reports a missing transaction that is
/// requested last: it answers in order. Pings and `sendheaders` are left out.
#[track_caller]
pub(crate) fn sent(peer: &mut RawPeer) -> Vec<Message> {
    let marker = Inventory::Tx(Txid([0xee; 32]));
    peer.send(getdata(marker));
    let end = NotFound::from(vec![marker]).into();
    let mut sent = Vec::new();
    loop {
        match peer.next_message() {
            message if message == end => return sent,
            Message::Ping(_) | Message::Pong(_) | Message::SendHeaders => {}
            message => sent.push(message),
        }
    }
}

/// Sends a message and returns everything that the node sends then.
#[track_caller]
pub(crate) fn answers(peer: &mut RawPeer, message: impl Into<Message>) -> Vec<Message> {
    peer.send(message);
    sent(peer)
}

/// Mines blocks that the node does not have, after its block at `height`.
pub(crate) fn mine_branch(node: &LocalNode, height: u32, blocks: usize) -> Vec<Block> {
    let mut chain = Chain::new();
    for height in 1..=height {
        let hash = node.block_hash(height).unwrap();
        let block = node.block(hash).unwrap();
        chain.accept(&block, u32::MAX).unwrap();
    }
    let next = |_| {
        let block = chain.template(0, 7).mine();
        chain.accept(&block, u32::MAX).unwrap();
        block
    };
    (0..blocks).map(next).collect()
}
