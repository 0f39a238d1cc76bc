//! A local node that acts as a Teranode.

use std::net::SocketAddr;

use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
use bsv_p2p::session::PeerProfile;
use bsv_p2p::wire::{
    Addr, BlockHash, BlockHeader, BloomFilter, Command, FeeFilter, FilterAdd, GetBlockTxn, GetData,
    Headers, Inv, Inventory, Mempool, Message, NetworkAddress, NotFound, Reject, RejectCode,
    SendCmpct, Services, TimestampedAddress, Transaction, Tx, Txid, Version,
};
use test_support::node_rules::{
    client_version, genesis, getblocks, getdata, gethdrsen, getheaders, next_announcement,
    next_reject,
};
use test_support::payment::payment;
use test_support::raw_peer::{RawListener, RawPeer};

use crate::raw::{answers, connected, mine_branch, sent};
use crate::support::DEADLINE;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn node() -> LocalNode {
    LocalNode::start_at(ANY, LocalNodeConfig::teranode()).unwrap()
}

fn unknown(name: &'static str) -> Message {
    Message::Unknown {
        command: Command::new(name),
        payload: vec![1, 2, 3].into(),
    }
}

fn headers(answers: Vec<Message>) -> Vec<BlockHash> {
    match &answers[..] {
        [Message::Headers(list)] => list.headers.iter().map(BlockHeader::hash).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn teranode_identifies_itself() {
    let node = node();
    let client = crate::support::client(&node);
    assert_eq!(client.peer_info().profile(), PeerProfile::Teranode);
    assert_eq!(client.peer_info().services, Services(0x21));
}

#[test]
fn teranode_closes_other_user_agents() {
    let node = node();
    for (agent, is_welcome) in [
        ("/Bitcoin SV:1.2.2/", true),
        ("/my client(BSV)/", true),
        ("/client:1.0/", false),
        ("/teranode-legacy-p2p:0.13.0/", false),
    ] {
        let mut peer = RawPeer::dial(node.address());
        peer.send(Version {
            user_agent: Some(agent.into()),
            ..client_version()
        });
        peer.send(Message::Verack);
        if is_welcome {
            peer.ping(1);
        } else {
            peer.rest();
        }
    }
}

#[test]
fn headers_begin_with_the_highest_common_ancestor() {
    let node = node();
    let mined = node.mine(5).unwrap();
    let all = [&[genesis()][..], &mined].concat();
    let unknown = BlockHash([7; 32]);
    let mut peer = connected(&node);
    let mut from = |locator: &[BlockHash]| {
        let mut request = getheaders(locator);
        request.stop = mined[0];
        answers(&mut peer, request)
    };
    assert_eq!(headers(from(&[genesis()])), all);
    assert_eq!(headers(from(&[genesis(), mined[2], unknown])), all[3..]);
    assert_eq!(headers(from(&[mined[4]])), mined[4..], "the tip");
    assert_eq!(from(&[unknown]), []);
    assert_eq!(from(&[]), []);
}

#[test]
fn headers_are_limited_to_2000_with_the_ancestor() {
    let node = node();
    let mined = node.mine(2_001).unwrap();
    let mut peer = connected(&node);
    let first = headers(answers(&mut peer, getheaders(&[genesis()])));
    assert_eq!((first.len(), first[1_999]), (2_000, mined[1_998]));
    let rest = headers(answers(&mut peer, getheaders(&[mined[1_998]])));
    assert_eq!(rest, mined[1_998..]);
}

#[test]
fn block_hashes_are_listed_backward() {
    let node = node();
    let mined = node.mine(502).unwrap();
    let mut peer = connected(&node);
    let mut list = |locator: &[BlockHash], stop| {
        let answers = answers(&mut peer, getblocks(locator, stop));
        match &answers[..] {
            [Message::Inv(inv)] => inv.inventory.clone(),
            [Message::NotFound(missing)] if missing.inventory.is_empty() => Vec::new(),
            other => panic!("{other:?}"),
        }
    };
    let backward = |blocks: &[BlockHash]| -> Vec<_> {
        blocks.iter().rev().copied().map(Inventory::Block).collect()
    };
    assert_eq!(list(&[mined[4]], mined[1]), backward(&mined[2..=4]));
    let all = [&[genesis()][..], &mined[..3]].concat();
    assert_eq!(list(&[mined[2], mined[9]], BlockHash::ZERO), backward(&all));
    assert_eq!(list(&[BlockHash([7; 32]), mined[9]], BlockHash::ZERO), []);
    assert_eq!(list(&[], BlockHash::ZERO), []);
    assert_eq!(
        list(&[mined[501]], BlockHash::ZERO),
        backward(&mined[2..=501])
    );
    // The request for the last block of a full list is followed by the tip.
    let tip = Inv::from(vec![Inventory::Block(mined[501])]).into();
    let answers = answers(&mut peer, getdata(Inventory::Block(mined[2])));
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1], tip);
}

#[test]
fn blocks_are_announced_only_after_sendheaders() {
    let node = node();
    let (mut silent, mut peer) = (connected(&node), connected(&node));
    assert_eq!(answers(&mut peer, Message::SendHeaders), []);
    // No headers were exchanged.
    let mined = node.mine(2).unwrap();
    for hash in mined {
        assert_eq!(next_announcement(&mut peer), ("headers", hash));
    }
    assert_eq!(sent(&mut silent), []);
    // A reorganization is announced by its last header.
    let branch = mine_branch(&node, 0, 3);
    for block in &branch {
        silent.send(block.clone());
    }
    let list = vec![branch[2].header()];
    assert!(node.wait_for_tip(branch[2].hash(), DEADLINE));
    assert_eq!(sent(&mut peer), [Headers { headers: list }.into()]);
}

#[test]
fn missing_objects_are_reported_at_the_end() {
    let node = node();
    node.submit(&payment(1)).unwrap();
    let mined = node.mine(1).unwrap()[0];
    node.submit(&payment(2)).unwrap();
    let [in_block, pooled] = [1, 2].map(payment);
    let unknown_block = Inventory::Block(BlockHash([7; 32]));
    let unknown_tx = Inventory::Tx(Txid([7; 32]));
    let mut peer = connected(&node);
    let request = GetData::from(vec![
        unknown_block,
        Inventory::Block(mined),
        unknown_tx,
        Inventory::Tx(in_block.txid()),
        Inventory::FilteredBlock(mined),
        Inventory::CompactBlock(mined),
        Inventory::DatarefTx(Txid([7; 32])),
        Inventory::Tx(pooled.txid()),
    ]);
    let expected: [Message; 4] = [
        node.block(mined).unwrap().into(),
        Tx::from(&in_block).into(),
        Tx::from(&pooled).into(),
        NotFound::from(vec![unknown_block, unknown_tx]).into(),
    ];
    assert_eq!(answers(&mut peer, request), expected);
}

#[test]
fn unknown_messages_close_the_connection() {
    let node = node();
    let hash = node.mine(1).unwrap()[0];
    for message in [
        GetBlockTxn::new(hash, &[0]).unwrap().into(),
        Message::SendHdrsEn,
        gethdrsen(&[genesis()]).into(),
        unknown("getcfheaders"),
        unknown("foobar"),
    ] {
        let mut peer = connected(&node);
        let command = message.command();
        peer.send(message);
        let reject = next_reject(&mut peer);
        assert_eq!(
            (reject.message, reject.code),
            ("malformed".into(), RejectCode::MALFORMED),
            "{command}"
        );
        assert_eq!(peer.rest(), [], "{command}");
    }
}

#[test]
fn unwanted_messages_close_the_connection_without_reject() {
    let node = node();
    for message in [
        Message::from(Headers::default()),
        Mempool::Empty.into(),
        Addr { addresses: vec![] }.into(),
        FeeFilter { rate: -1 }.into(),
    ] {
        let mut peer = connected(&node);
        let command = message.command();
        peer.send(message);
        assert_eq!(peer.rest(), [], "{command}");
    }
}

#[test]
fn filters_and_others_are_ignored() {
    let node = node();
    let mut peer = connected(&node);
    for message in [
        BloomFilter::match_all().into(),
        FilterAdd { data: vec![7] }.into(),
        Message::FilterClear,
        SendCmpct {
            announce: true,
            version: 1,
        }
        .into(),
        unknown("getcfilters"),
        unknown("exttx"),
    ] {
        assert_eq!(answers(&mut peer, message), []);
    }
    peer.ping(1);
}

#[test]
fn invalid_objects_are_rejected_without_score() {
    let node = node();
    let mut peer = connected(&node);
    let block = &mine_branch(&node, 0, 1)[0];
    let invalid = bsv_p2p::wire::Block::new(&block.header(), &[]);
    let transaction = Transaction {
        inputs: vec![],
        ..payment(1)
    };
    for _ in 0..11 {
        peer.send(Tx::from(&transaction));
        let reject = next_reject(&mut peer);
        let expected = Reject {
            hash: reject.hash,
            ..Reject::new("tx", RejectCode::INVALID, "rejected")
        };
        assert_eq!(reject, expected);
        peer.send(invalid.clone());
        let reject = next_reject(&mut peer);
        let expected = Reject {
            hash: reject.hash,
            ..Reject::new("block", RejectCode::INVALID, "block rejected")
        };
        assert_eq!(reject, expected);
    }
    peer.ping(1);
}

#[test]
fn addresses_are_sent_only_if_others_are_known() {
    let node = node();
    let mut peer = connected(&node);
    assert_eq!(answers(&mut peer, Message::GetAddr), []);
    let address = NetworkAddress::new(Services::NETWORK, "10.1.2.3:18444".parse().unwrap());
    let time = 1_700_000_000;
    let addresses = vec![TimestampedAddress { time, address }];
    assert_eq!(answers(&mut peer, Addr { addresses }), []);
    assert_eq!(answers(&mut peer, Message::GetAddr), [], "answered once");
    let mut second = connected(&node);
    let answers = answers(&mut second, Message::GetAddr);
    let [Message::Addr(addr)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(addr.addresses.len(), 2);
}

#[test]
fn teranode_syncs_from_node_by_getblocks() {
    let source = LocalNode::start().unwrap();
    source.mine(1_203).unwrap();
    let node = node();
    node.connect(source.address()).unwrap();
    assert!(node.wait_for_tip(source.tip(), DEADLINE), "{node:?}");
    let next = source.mine(1).unwrap()[0];
    assert!(node.wait_for_tip(next, DEADLINE), "{node:?}");
}

#[test]
fn node_syncs_from_teranode_by_headers() {
    let teranode = node();
    teranode.mine(2_500).unwrap();
    let node = LocalNode::start().unwrap();
    node.connect(teranode.address()).unwrap();
    assert!(node.wait_for_tip(teranode.tip(), DEADLINE), "{node:?}");
    // The node sends `sendheaders`, and receives announcements by headers.
    let next = teranode.mine(1).unwrap()[0];
    assert!(node.wait_for_tip(next, DEADLINE), "{node:?}");
}

#[test]
fn dialed_peers_receive_no_addresses() {
    let node = node();
    let listener = RawListener::new();
    node.connect(listener.address()).unwrap();
    let mut peer = listener.accept();
    peer.shake_hands_as(client_version());
    assert_eq!(answers(&mut peer, Message::GetAddr), []);
}
