//! chain-gang dials a `LocalNode`.

use std::collections::HashSet;

use bsv_p2p::session::PROTOCOL_VERSION;
use bsv_p2p::wire::{BlockHash, Tx};
use chain_gang::messages::{self as theirs, INV_VECT_BLOCK, INV_VECT_TX, Message, NO_HASH_STOP};
use chain_gang::util::Hash256;
use test_support::raw_peer::DEADLINE;

use super::{dialer_of, hashes, local_node, locator, request_headers, reward_of_tip};
use crate::dialer::Dialer;
use crate::served_chain::{
    ServedChain, entry, mine_chain, spend_reward, their_block, their_bytes, their_hash, their_tx,
};

#[test]
fn local_node_completes_handshake_with_chain_gang() {
    let node = local_node(mine_chain(3));
    let dialer = dialer_of(&node);
    let version = dialer.peer.version().unwrap();
    assert_eq!(version.version, PROTOCOL_VERSION as u32);
    assert_eq!(version.start_height, 3);
    assert_eq!(version.services & theirs::NODE_NETWORK, 1);
    assert!(version.relay);
}

#[test]
fn local_node_answers_pings_of_chain_gang() {
    let node = local_node(mine_chain(0));
    let dialer = dialer_of(&node);
    for nonce in [0, 1, u64::MAX] {
        dialer.ping(nonce);
    }
}

#[test]
fn chain_gang_receives_headers_of_local_node() {
    let node = local_node(mine_chain(40));
    let dialer = dialer_of(&node);
    let hash = |height| node.block_hash(height).unwrap();
    let request = |hashes: &[BlockHash], stop| request_headers(&dialer, locator(hashes, stop));

    assert_eq!(request(&[hash(0)], NO_HASH_STOP), hashes(&node, 1..=40));
    let from_middle = request(&[BlockHash([9; 32]), hash(20), hash(0)], NO_HASH_STOP);
    assert_eq!(from_middle, hashes(&node, 21..=40));
    let to_stop = request(&[hash(20)], their_hash(hash(30)));
    assert_eq!(to_stop, hashes(&node, 21..=30));
    assert_eq!(request(&[hash(40)], NO_HASH_STOP), []);
    let single = request(&[], their_hash(hash(7)));
    assert_eq!(single, hashes(&node, 7..=7));
}

#[test]
fn chain_gang_validates_headers_of_local_node() {
    let node = local_node(mine_chain(40));
    let dialer = dialer_of(&node);
    let genesis = node.block_hash(0).unwrap();
    dialer.send(Message::GetHeaders(locator(&[genesis], NO_HASH_STOP)));
    let headers = dialer.expect(|message| match message {
        Message::Headers(headers) => Some(headers.headers.clone()),
        _ => None,
    });
    for (index, header) in headers.iter().enumerate() {
        header
            .validate(&header.hash(), &headers[..index])
            .unwrap_or_else(|error| panic!("height {}: {error}", index + 1));
    }
    assert_eq!(headers.len(), 40);
}

/// chain-gang checks the merkle root, the amounts and the scripts.
#[test]
fn chain_gang_validates_blocks_of_local_node() {
    let node = local_node(mine_chain(30));
    let dialer = dialer_of(&node);
    let mut outputs = theirs::Block::default().outputs().unwrap();
    let mut spends = 0;
    for height in 1..=30 {
        let hash = node.block_hash(height).unwrap();
        dialer.request(vec![entry(INV_VECT_BLOCK, their_hash(hash))]);
        let block = dialer.expect(|message| match message {
            Message::Block(block) => Some(block.clone()),
            _ => None,
        });
        assert_eq!(their_bytes(&block), node.block(hash).unwrap().bytes()[..]);
        let no_old_outputs = HashSet::new();
        block
            .validate(
                height as i32,
                chain_gang::network::Network::BSV_Regtest,
                &outputs,
                &no_old_outputs,
            )
            .unwrap_or_else(|error| panic!("height {height}: {error}"));
        spends += block.inputs().unwrap().len();
        outputs.extend(block.outputs().unwrap());
    }
    assert_eq!(spends, 15);
}

/// A missing block has no answer, a missing transaction is listed.
#[test]
fn missing_objects_are_answered_as_by_node() {
    let node = local_node(mine_chain(1));
    let dialer = dialer_of(&node);
    let missing = entry(INV_VECT_TX, Hash256([8; 32]));
    dialer.request(vec![
        entry(INV_VECT_BLOCK, Hash256([9; 32])),
        missing.clone(),
    ]);
    let listed = dialer.expect(|message| match message {
        Message::NotFound(list) => Some(list.objects.clone()),
        Message::Block(block) => panic!("an unknown block was sent: {block:?}"),
        _ => None,
    });
    assert_eq!(listed, [missing]);
}

#[test]
fn chain_gang_receives_announced_transaction() {
    let node = local_node(mine_chain(1));
    let dialer = dialer_of(&node);
    let transaction = spend_reward(reward_of_tip(&node));
    node.submit(&transaction).unwrap();
    let txid = Hash256(transaction.txid().0);
    dialer.expect_announced(INV_VECT_TX, txid);
    dialer.request(vec![entry(INV_VECT_TX, txid)]);
    let tx = dialer.expect(|message| match message {
        Message::Tx(tx) => Some(tx.clone()),
        _ => None,
    });
    assert_eq!(tx, their_tx(&Tx::from(&transaction)));
}

#[test]
fn local_node_requests_announced_transaction() {
    let node = local_node(mine_chain(1));
    let dialer = dialer_of(&node);
    let tx = Tx::from(&spend_reward(reward_of_tip(&node)));
    let object = entry(INV_VECT_TX, Hash256(tx.txid().0));
    dialer.send(Message::Inv(theirs::Inv {
        objects: vec![object.clone()],
    }));
    let requested = dialer.expect(|message| match message {
        Message::GetData(request) => Some(request.objects.clone()),
        _ => None,
    });
    assert_eq!(requested, [object]);
    dialer.send(Message::Tx(their_tx(&tx)));
    assert!(node.wait_for_transaction(tx.txid(), DEADLINE));
    assert_eq!(node.pooled_transaction(tx.txid()), Some(tx));
}

#[test]
fn local_node_sends_addresses_to_chain_gang() {
    let node = local_node(mine_chain(0));
    let dialer = dialer_of(&node);
    dialer.send(Message::GetAddr);
    let addresses = dialer.expect(|message| match message {
        Message::Addr(addr) => Some(addr.addrs.clone()),
        _ => None,
    });
    let own = theirs::NodeAddr {
        services: theirs::NODE_NETWORK,
        ..theirs::NodeAddr::new(node.address().ip(), node.address().port())
    };
    let addresses: Vec<_> = addresses.into_iter().map(|entry| entry.addr).collect();
    assert_eq!(addresses, [own]);
}

#[test]
fn mined_block_is_announced_to_chain_gang() {
    let node = local_node(mine_chain(1));
    let dialer = dialer_of(&node);
    let mined = node.mine(1).unwrap()[0];
    dialer.expect_announced(INV_VECT_BLOCK, their_hash(mined));
}

#[test]
fn block_of_chain_gang_extends_local_node() {
    let node = local_node(mine_chain(2));
    let dialer = dialer_of(&node);
    let next = {
        let chain = mine_chain(3);
        chain.block(&chain.tip().1).unwrap().clone()
    };
    dialer.send(Message::Block(their_block(&next)));
    assert!(node.wait_for_tip(next.hash(), DEADLINE));
}

#[test]
fn local_node_syncs_from_chain_gang() {
    let chain = mine_chain(60);
    let node = local_node(mine_chain(0));
    let dialer = Dialer::dial_with_chain(node.address(), ServedChain::new(&chain));
    dialer.wait_connected();
    assert!(node.wait_for_tip(chain.tip().1, DEADLINE));
}
