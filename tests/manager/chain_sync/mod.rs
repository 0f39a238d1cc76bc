//! Following the chain and fetching blocks.

mod blocks;
mod checkpoint;
mod hostile;
mod persistence;
mod replacement;
mod servers;
mod syncing;
mod tips;

use bsv_p2p::Manager;
use bsv_p2p::Network;
use bsv_p2p::connection::EventReceiver;
use bsv_p2p::local_node::Chain;
use bsv_p2p::manager::TipUpdate;
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, CompactTarget, HeaderChain, Headers, MerkleRoot, Message,
    Version,
};
use test_support::raw_peer::{RawListener, RawPeer, version};

use crate::harness::*;

/// A time at which every test's blocks are made.
const TIME: u32 = 1_700_000_000;

/// Returns the first blocks of a chain of its own for each `branch`.
fn mined(count: usize, branch: u64) -> Vec<Block> {
    let mut chain = Chain::new();
    let mine = |_| {
        let block = chain.template(TIME, branch).mine();
        chain.accept(&block, TIME).unwrap();
        block
    };
    (0..count).map(mine).collect()
}

fn headers(blocks: &[Block]) -> Message {
    let headers: Vec<BlockHeader> = blocks.iter().map(|block| block.header()).collect();
    Headers { headers }.into()
}

fn hashes(blocks: &[Block]) -> Vec<BlockHash> {
    blocks.iter().map(Block::hash).collect()
}

/// Returns the version of a peer whose chain has this height.
fn version_at(height: i32) -> Version {
    Version {
        start_height: Some(height),
        ..version()
    }
}

/// Dials a scripted peer.
#[track_caller]
fn dialed(manager: &Manager, height: i32) -> RawPeer {
    let listener = RawListener::new();
    manager.connect(listener.address()).unwrap();
    let mut peer = listener.accept();
    peer.shake_hands_as(version_at(height));
    peer
}

/// Dials a peer whose chain is not higher. The first one is asked for headers, and has none.
#[track_caller]
fn quiet(manager: &Manager, is_first: bool) -> RawPeer {
    let before = manager.connected_count();
    let mut peer = dialed(manager, 0);
    if is_first {
        peer.expect("getheaders");
        peer.send(Headers::default());
    }
    manager.wait_for_peers(before + 1, LIMIT).unwrap();
    peer.ping(9);
    peer
}

fn height(manager: &Manager) -> u32 {
    manager.with_chain(|chain| chain.tip().0).expect("a chain")
}

#[track_caller]
fn next(tips: &EventReceiver<TipUpdate>) -> TipUpdate {
    tips.recv_timeout(LIMIT).expect("a new tip")
}

/// Mines headers after a parent. Each `salt` results in another branch.
fn mine_after(parent: &BlockHeader, count: usize, salt: u8) -> Vec<BlockHeader> {
    mine_with_bits(parent, count, salt, parent.bits)
}

fn mine_with_bits(
    parent: &BlockHeader,
    count: usize,
    salt: u8,
    bits: CompactTarget,
) -> Vec<BlockHeader> {
    let mut parent = *parent;
    let mine = |_| {
        parent = mine_with_root(&parent, MerkleRoot([salt; 32]), bits);
        parent
    };
    (0..count).map(mine).collect()
}

fn mine_with_root(parent: &BlockHeader, root: MerkleRoot, bits: CompactTarget) -> BlockHeader {
    let mut header = BlockHeader {
        version: 0x2000_0000,
        previous: parent.hash(),
        merkle_root: root,
        time: parent.time + 600,
        bits,
        nonce: 0,
    };
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}

/// Returns a chain from genesis.
pub(crate) fn mined_headers(count: usize, salt: u8) -> Vec<BlockHeader> {
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let mut headers = vec![genesis];
    headers.extend(mine_after(&genesis, count, salt));
    headers
}

/// Returns a chain of these headers, the first of which is the genesis header.
fn chain_of(headers: &[BlockHeader]) -> HeaderChain {
    let mut chain = HeaderChain::new(Network::Regtest);
    chain.extend(&headers[1..], u32::MAX).unwrap();
    chain
}

pub(crate) fn tip_of(headers: &[BlockHeader]) -> (u32, BlockHash) {
    let last = headers.last().expect("a header");
    (headers.len() as u32 - 1, last.hash())
}
