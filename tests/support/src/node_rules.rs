//! Rules that a node follows towards its peers. The local node and the real node are tested by
//! them.

use std::net::SocketAddr;

use bsv_p2p::Network;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, BloomFilter, CompactBlock, CompactTarget, GetBlockTxn,
    GetBlocks, GetData, GetHdrsEn, GetHeaders, Hash256, Headers, Inventory, Mempool, Message,
    OutPoint, Reject, RejectCode, SendCmpct, Services, Transaction, TransactionInput,
    TransactionOutput, Tx, Txid, Version,
};

use crate::raw_peer::{RawPeer, version};
#[cfg(feature = "real-node")]
use crate::real_node::RealNode;

/// A node that mines on request.
pub trait MiningNode {
    /// Returns where the node listens.
    fn address(&self) -> SocketAddr;

    /// Mines blocks. Returns their hashes.
    fn mine(&self, blocks: usize) -> Vec<BlockHash>;
}

impl MiningNode for LocalNode {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn mine(&self, blocks: usize) -> Vec<BlockHash> {
        self.mine(blocks).unwrap()
    }
}

#[cfg(feature = "real-node")]
impl MiningNode for RealNode {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn mine(&self, blocks: usize) -> Vec<BlockHash> {
        let hashes = self.generate(blocks as u32);
        hashes.iter().map(|text| text.parse().unwrap()).collect()
    }
}

/// Connects a peer without blocks of its own.
pub fn connect(address: SocketAddr) -> RawPeer {
    let mut peer = RawPeer::dial(address);
    peer.shake_hands_as(client_version());
    peer
}

/// Returns the `version` of a peer without blocks of its own.
pub fn client_version() -> Version {
    Version {
        services: Services::NONE,
        start_height: Some(0),
        ..version()
    }
}

pub fn genesis() -> BlockHash {
    BlockHeader::genesis(&Network::Regtest).hash()
}

pub fn getheaders(locator: &[BlockHash]) -> GetHeaders {
    GetHeaders {
        version: 70016,
        locator: locator.to_vec(),
        stop: BlockHash::ZERO,
    }
}

pub fn getblocks(locator: &[BlockHash], stop: BlockHash) -> GetBlocks {
    GetBlocks {
        version: 70016,
        locator: locator.to_vec(),
        stop,
    }
}

pub fn gethdrsen(locator: &[BlockHash]) -> GetHdrsEn {
    GetHdrsEn {
        version: 70016,
        locator: locator.to_vec(),
        stop: BlockHash::ZERO,
    }
}

/// Returns a request for one object.
pub fn getdata(entry: Inventory) -> GetData {
    GetData::from(vec![entry])
}

/// Exchanges headers up to the tip, so that announcements by headers are possible.
#[track_caller]
pub fn exchange_headers(peer: &mut RawPeer) -> Vec<BlockHeader> {
    peer.send(getheaders(&[genesis()]));
    match peer.expect("headers") {
        Message::Headers(headers) => headers.headers,
        other => panic!("{other:?}"),
    }
}

/// Returns the next announcement of a block: the name of the message, and the last block in it.
#[track_caller]
pub fn next_announcement(peer: &mut RawPeer) -> (&'static str, BlockHash) {
    loop {
        match peer.next_message() {
            Message::Headers(list) => return ("headers", list.headers.last().unwrap().hash()),
            Message::CompactBlock(compact) => return ("cmpctblock", compact.hash()),
            Message::HdrsEn(list) => {
                return ("hdrsen", list.headers().last().unwrap().header.hash());
            }
            Message::Inv(inv) => {
                if let Some(Inventory::Block(hash)) = inv.inventory.last() {
                    return ("inv", *hash);
                }
            }
            _ => {}
        }
    }
}

/// Checks that the next block is announced to the peer by the message `by`.
#[track_caller]
pub fn assert_announced(node: &impl MiningNode, peer: &mut RawPeer, by: &str) {
    let mined = node.mine(1)[0];
    assert_eq!(next_announcement(peer), (by, mined));
}

/// Returns the blocks of the next `inv`.
#[track_caller]
pub fn next_inv(peer: &mut RawPeer) -> Vec<BlockHash> {
    let Message::Inv(inv) = peer.expect("inv") else {
        unreachable!("an inv");
    };
    let hashes = inv.inventory.into_iter().map(|entry| match entry {
        Inventory::Block(hash) => hash,
        other => panic!("{other:?}"),
    });
    hashes.collect()
}

#[track_caller]
pub fn next_block(peer: &mut RawPeer) -> Block {
    match peer.expect("block") {
        Message::Block(block) => block,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn next_reject(peer: &mut RawPeer) -> Reject {
    match peer.expect("reject") {
        Message::Reject(reject) => reject,
        other => panic!("{other:?}"),
    }
}

/// Blocks are announced by `inv` after `sendheaders` alone, and by `headers` after headers were
/// exchanged.
pub fn headers_announcements_need_exchanged_headers(node: &impl MiningNode) {
    node.mine(2);
    let mut peer = connect(node.address());
    peer.send(Message::SendHeaders);
    settle(&mut peer);
    assert_announced(node, &mut peer, "inv");
    assert_announced(node, &mut peer, "inv");
    assert_eq!(exchange_headers(&mut peer).len(), 4);
    assert_announced(node, &mut peer, "headers");
    assert_announced(node, &mut peer, "headers");
}

/// A peer that exchanged headers and did not send `sendheaders` receives `inv`.
pub fn inv_announcements_need_no_request(node: &impl MiningNode) {
    node.mine(1);
    let mut peer = connect(node.address());
    exchange_headers(&mut peer);
    assert_announced(node, &mut peer, "inv");
}

/// `cmpctblock` wins over `headers`, which wins over `hdrsen`. `sendcmpct` of another version does
/// not count.
pub fn announcement_form_follows_requests(node: &impl MiningNode) {
    node.mine(1);
    let compact = |announce, version| SendCmpct { announce, version };
    let mut peer = connect(node.address());
    exchange_headers(&mut peer);
    peer.send(Message::SendHdrsEn);
    settle(&mut peer);
    assert_announced(node, &mut peer, "hdrsen");
    peer.send(Message::SendHeaders);
    peer.send(compact(true, 2));
    settle(&mut peer);
    assert_announced(node, &mut peer, "headers");
    peer.send(compact(true, 1));
    settle(&mut peer);
    assert_announced(node, &mut peer, "cmpctblock");
    peer.send(compact(false, 1));
    settle(&mut peer);
    assert_announced(node, &mut peer, "headers");
}

/// `getblocks` is answered by the blocks after the fork, without the stop block.
pub fn getblocks_lists_blocks_after_fork(node: &impl MiningNode) {
    let mined = node.mine(5);
    let mut peer = connect(node.address());
    let unknown = BlockHash([7; 32]);
    for (locator, stop, expected) in [
        (&[genesis()][..], BlockHash::ZERO, &mined[..]),
        (&[unknown, mined[1]], BlockHash::ZERO, &mined[2..]),
        (&[unknown], mined[2], &mined[..2]),
        (&[], BlockHash::ZERO, &mined),
    ] {
        peer.send(getblocks(locator, stop));
        assert_eq!(next_inv(&mut peer), expected);
    }
}

/// After 500 blocks the request for the last one is followed by an `inv` of the tip, once.
pub fn getblocks_continues_after_500_blocks(node: &impl MiningNode) {
    let mined = node.mine(502);
    let mut peer = connect(node.address());
    peer.send(getblocks(&[genesis()], BlockHash::ZERO));
    assert_eq!(next_inv(&mut peer), mined[..500]);
    peer.send(GetData::from(vec![
        Inventory::Block(mined[498]),
        Inventory::Block(mined[499]),
    ]));
    assert_eq!(next_block(&mut peer).hash(), mined[498]);
    assert_eq!(next_block(&mut peer).hash(), mined[499]);
    assert_eq!(next_inv(&mut peer), [mined[501]]);
    peer.send(getblocks(&[mined[499]], BlockHash::ZERO));
    assert_eq!(next_inv(&mut peer), mined[500..]);
    // The end of a short list, and the end of the full one again, are not followed by anything.
    for hash in [mined[501], mined[499], mined[0]] {
        peer.send(getdata(Inventory::Block(hash)));
        let next = loop {
            match peer.next_message() {
                Message::Block(block) => break block,
                Message::Inv(inv) => panic!("{inv:?}"),
                _ => {}
            }
        };
        assert_eq!(next.hash(), hash);
    }
}

/// Recent blocks are sent in compact form on request, older ones in full.
pub fn compact_blocks_are_sent_on_request(node: &impl MiningNode) {
    let mined = node.mine(8);
    let mut peer = connect(node.address());
    for (at, by) in [(7, "cmpctblock"), (2, "cmpctblock"), (1, "block")] {
        peer.send(getdata(Inventory::CompactBlock(mined[at])));
        let hash = match next_of(&mut peer, &["block", "cmpctblock"]) {
            Message::Block(block) => (block.hash(), "block"),
            Message::CompactBlock(compact) => (compact.hash(), "cmpctblock"),
            other => panic!("{other:?}"),
        };
        assert_eq!(hash, (mined[at], by), "block {at}");
    }
    peer.send(getdata(Inventory::Block(mined[7])));
    let block = next_block(&mut peer);
    peer.send(getdata(Inventory::CompactBlock(mined[7])));
    let Message::CompactBlock(compact) = peer.expect("cmpctblock") else {
        unreachable!("a compact block");
    };
    assert_eq!(compact, CompactBlock::new(&block, compact.nonce()));
}

/// `getblocktxn` is answered by `blocktxn` for the last eleven blocks, and by the block for older
/// ones.
pub fn block_transactions_are_sent_on_request(node: &impl MiningNode) {
    let mined = node.mine(12);
    let mut peer = connect(node.address());
    for (at, by) in [(11, "blocktxn"), (1, "blocktxn"), (0, "block")] {
        peer.send(GetBlockTxn::new(mined[at], &[]).unwrap());
        let answer = match next_of(&mut peer, &["block", "blocktxn"]) {
            Message::Block(block) => (block.hash(), "block"),
            Message::BlockTransactions(answer) => (answer.block(), "blocktxn"),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer, (mined[at], by), "block {at}");
    }
    // There is no answer for an unknown block.
    peer.send(GetBlockTxn::new(BlockHash([7; 32]), &[0]).unwrap());
    peer.send(getdata(Inventory::Block(mined[3])));
    let next = next_of(&mut peer, &["block", "blocktxn"]);
    assert!(matches!(&next, Message::Block(block) if block.hash() == mined[3]));
}

/// `gethdrsen` is answered with headers, coinbases and their proofs.
pub fn gethdrsen_is_answered_with_coinbases(node: &impl MiningNode) {
    let mined = node.mine(3);
    let mut peer = connect(node.address());
    peer.send(gethdrsen(&[mined[0]]));
    let Message::HdrsEn(list) = peer.expect("hdrsen") else {
        unreachable!("enriched headers");
    };
    let headers: Vec<_> = list.headers().collect();
    let hashes = headers.iter().map(|entry| entry.header.hash());
    assert_eq!(hashes.collect::<Vec<_>>(), mined[1..]);
    for (entry, is_last) in headers.iter().zip([false, true]) {
        assert_eq!(entry.verify_coinbase(), Ok(()));
        assert_eq!(entry.transaction_count, 1);
        assert_eq!(entry.no_more_headers, is_last);
        assert_eq!(entry.miner_info, None);
    }
    // The peer is known to have the tip now.
    peer.send(Message::SendHeaders);
    settle(&mut peer);
    assert_announced(node, &mut peer, "headers");
}

/// Before a `protoconf` arrives, `gethdrsen` is answered with one header, and blocks are not
/// announced by `hdrsen`.
pub fn enriched_headers_need_protoconf(node: &impl MiningNode) {
    let mined = node.mine(3);
    let mut peer = RawPeer::dial(node.address());
    peer.send(client_version());
    peer.send(Message::Verack);
    peer.send(Message::SendHdrsEn);
    peer.send(gethdrsen(&[genesis()]));
    let Message::HdrsEn(list) = peer.expect("hdrsen") else {
        unreachable!("enriched headers");
    };
    let hashes = list.headers().map(|entry| entry.header.hash());
    assert_eq!(hashes.collect::<Vec<_>>(), mined[..1]);
    exchange_headers(&mut peer);
    assert_announced(node, &mut peer, "inv");
}

/// `mempool` closes the connection.
pub fn mempool_request_closes_connection(node: &impl MiningNode) {
    node.mine(1);
    let mut peer = connect(node.address());
    peer.send(Mempool::Empty);
    let rest = peer.rest();
    let answers = |message: &Message| matches!(message, Message::Inv(_) | Message::Reject(_));
    assert!(!rest.iter().any(answers), "{rest:?}");
}

/// A node without NODE_BLOOM closes the connection after `filterload`, and sends filtered blocks
/// with all their transactions.
pub fn filtered_blocks_are_sent_without_filter(node: &impl MiningNode) {
    let mined = node.mine(1)[0];
    let mut peer = connect(node.address());
    peer.send(getdata(Inventory::FilteredBlock(mined)));
    let Message::MerkleBlock(merkle) = peer.expect("merkleblock") else {
        unreachable!("a filtered block");
    };
    let matched = merkle.verify().unwrap();
    assert_eq!((merkle.header.hash(), matched.len()), (mined, 1));
    let Message::Tx(tx) = peer.expect("tx") else {
        unreachable!("a transaction");
    };
    assert_eq!(tx.txid(), matched[0].txid);
    peer.send(Message::FilterClear);
    settle(&mut peer);
    peer.send(BloomFilter::match_all());
    peer.rest();
}

/// An invalid transaction is rejected with its hash.
pub fn invalid_transactions_are_rejected(node: &impl MiningNode) {
    node.mine(1);
    let mut peer = connect(node.address());
    let output = |value| TransactionOutput {
        value,
        script: vec![0x51],
    };
    let input = TransactionInput {
        previous: OutPoint {
            txid: Txid([7; 32]),
            index: 0,
        },
        script: Vec::new(),
        sequence: 0,
    };
    for (inputs, outputs, reason) in [
        (vec![], vec![output(1)], "bad-txns-vin-empty"),
        (vec![input.clone()], vec![], "bad-txns-vout-empty"),
        // The last one, because its score ends the connection.
        (vec![input], vec![output(-1)], "bad-txns-vout-negative"),
    ] {
        let tx = Tx::from(&Transaction {
            version: 1,
            inputs,
            outputs,
            lock_time: 0,
        });
        peer.send(tx.clone());
        let expected = Reject {
            hash: Some(Hash256(tx.txid().0)),
            ..Reject::new("tx", RejectCode::INVALID, reason)
        };
        assert_eq!(next_reject(&mut peer), expected);
    }
    peer.rest();
}

/// A block with other transactions than its header commits to is rejected, and the connection is
/// closed.
pub fn invalid_blocks_are_rejected(node: &impl MiningNode) {
    let tip = node.mine(1)[0];
    let mut peer = connect(node.address());
    peer.send(getdata(Inventory::Block(tip)));
    let valid = next_block(&mut peer);
    let transactions: Vec<Transaction> = valid.transactions().map(Into::into).collect();
    let header = with_work(BlockHeader {
        previous: tip,
        time: valid.header().time + 1,
        ..valid.header()
    });
    let extra = [&transactions[..], &transactions].concat();
    for (block, reason) in [
        (Block::new(&header, &[]), "bad-txnmrklroot"),
        (Block::new(&header, &extra), "bad-txnmrklroot"),
    ] {
        let mut peer = connect(node.address());
        peer.send(block.clone());
        let expected = Reject {
            hash: Some(Hash256(block.hash().0)),
            ..Reject::new("block", RejectCode::INVALID, reason)
        };
        assert_eq!(next_reject(&mut peer), expected);
        peer.rest();
    }
    // Too old: rejected without a score.
    let old = with_work(BlockHeader {
        previous: tip,
        time: BlockHeader::genesis(&Network::Regtest).time,
        ..valid.header()
    });
    peer.send(Block::new(&old, &transactions));
    assert_eq!(next_reject(&mut peer).reason, "time-too-old");
    settle(&mut peer);
}

/// Headers without proof of work score 50, headers that are no chain 20.
pub fn invalid_headers_are_scored(node: &impl MiningNode) {
    let tip = node.mine(1)[0];
    let next = |extra: u32| {
        let genesis = BlockHeader::genesis(&Network::Regtest);
        BlockHeader {
            previous: tip,
            time: genesis.time + 600 * extra,
            ..genesis
        }
    };
    let mut without_work = next(500_000);
    while without_work.check_proof_of_work(&Network::Regtest).is_ok() {
        without_work.nonce += 1;
    }
    let pair = [with_work(next(500_000)), with_work(next(500_001))];
    let wrong_bits = BlockHeader {
        bits: CompactTarget(0x207f_fffe),
        ..next(500_000)
    };
    for (headers, lists) in [
        (vec![without_work], 2),
        (pair.to_vec(), 5),
        (vec![with_work(wrong_bits)], 1),
    ] {
        let mut peer = connect(node.address());
        for _ in 1..lists {
            let headers = headers.clone();
            peer.send(Headers { headers });
            settle(&mut peer);
        }
        peer.send(Headers { headers });
        let rest = peer.rest();
        let requests = |message: &Message| matches!(message, Message::GetData(_));
        assert!(!rest.iter().any(requests), "{rest:?}");
    }
}

/// Returns the header with a nonce that makes it a proof of work.
pub fn with_work(mut header: BlockHeader) -> BlockHeader {
    while header.check_proof_of_work(&Network::Regtest).is_err() {
        header.nonce += 1;
    }
    header
}

/// Waits until the node has handled everything that was sent before: it handles messages in order,
/// and answers pings out of order.
#[track_caller]
pub fn settle(peer: &mut RawPeer) {
    let marker = Inventory::Tx(Txid([0xee; 32]));
    peer.send(getdata(marker));
    let Message::NotFound(missing) = peer.expect("notfound") else {
        unreachable!("a notfound");
    };
    assert_eq!(missing.inventory, [marker]);
}

/// Returns the next message that has one of these names.
#[track_caller]
pub fn next_of(peer: &mut RawPeer, names: &[&str]) -> Message {
    loop {
        let message = peer.next_message();
        if names.contains(&message.command().name()) {
            return message;
        }
    }
}
