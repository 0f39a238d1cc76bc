//! Responses of a local node.

use bsv_p2p::Error;
use bsv_p2p::Network;
use bsv_p2p::local_node::{InsertOutcome, LocalNode};
use bsv_p2p::wire::{
    Addr, BlockHash, BlockHeader, GetData, Inv, Inventory, Message, NetworkAddress, Services,
    TimestampedAddress, Tx, Txid,
};
use test_support::payment::payment;

use crate::support::{DEADLINE, all_that_is_said, ask, client, expect};

#[test]
fn headers_follow_first_known_locator_block_to_stop() {
    let node = LocalNode::start().unwrap();
    let mined = node.mine(5).unwrap();
    let genesis = BlockHeader::genesis(&Network::Regtest).hash();
    let unknown = BlockHash([7; 32]);
    let mut client = client(&node);
    let mut headers = |locator: &[BlockHash], stop| -> Vec<BlockHash> {
        let headers = client.headers(locator, stop, DEADLINE).unwrap();
        headers.iter().map(BlockHeader::hash).collect()
    };
    assert_eq!(headers(&[genesis], BlockHash::ZERO), mined);
    assert_eq!(headers(&[mined[1], genesis], BlockHash::ZERO), mined[2..]);
    assert_eq!(headers(&[unknown, mined[3]], BlockHash::ZERO), mined[4..]);
    assert_eq!(headers(&[genesis], mined[2]), mined[..=2]);
    assert_eq!(headers(&[mined[4]], BlockHash::ZERO), []);
    assert_eq!(headers(&[], mined[1]), [mined[1]], "the block itself");
}

#[test]
fn known_blocks_are_served_and_unknown_ones_ignored() {
    let node = LocalNode::start().unwrap();
    let mined = node.mine(3).unwrap();
    let mut client = client(&node);
    for hash in mined.iter().cycle().take(60) {
        let block = client.block(*hash, DEADLINE).unwrap();
        assert_eq!(Some(block), node.block(*hash));
    }
    let unknown = BlockHash([7; 32]);
    let error = client.block(unknown, DEADLINE).unwrap_err();
    assert!(
        matches!(error, Error::NotFound { hash, .. } if hash == unknown),
        "{error}"
    );
    let question = GetData::from(vec![
        Inventory::Block(unknown),
        Inventory::Block(mined[2]),
        Inventory::Block(mined[0]),
    ]);
    let answers = ask(&mut client, question);
    let expected = [mined[2], mined[0]].map(|hash| Message::from(node.block(hash).unwrap()));
    assert_eq!(answers, expected);
}

#[test]
fn transactions_of_the_pool_and_notfound_for_others() {
    let node = LocalNode::start().unwrap();
    let known = Tx::from(&payment(1));
    node.submit(&payment(1)).unwrap();
    let unknown = Inventory::Tx(Txid([7; 32]));
    let mut client = client(&node);
    let question = GetData::from(vec![unknown, Inventory::Tx(known.txid())]);
    let answers = ask(&mut client, question);
    let [Message::Tx(tx), Message::NotFound(missing)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(*tx, known);
    assert_eq!(missing.inventory, [unknown]);

    node.mine(1).unwrap();
    assert_eq!(node.pooled_transaction(known.txid()), None);
    let answers = ask(
        &mut client,
        GetData::from(vec![Inventory::Tx(known.txid())]),
    );
    let missing = |message: &Message| matches!(message, Message::NotFound(_));
    assert!(answers.iter().any(missing), "once mined: {answers:?}");
}

#[test]
fn received_transaction_is_pooled_and_relayed_once() {
    let node = LocalNode::start().unwrap();
    let (mut sender, mut other) = (client(&node), client(&node));
    assert!(node.wait_for_peers(2, DEADLINE));
    let tx = Tx::from(&payment(3));
    sender.send(tx.clone()).unwrap();
    assert!(node.wait_for_transaction(tx.txid(), DEADLINE));
    assert_eq!(node.pooled_transaction(tx.txid()), Some(tx.clone()));
    let announced = expect(&mut other, |message| match message {
        Message::Inv(inv) => Some(inv.inventory),
        _ => None,
    });
    assert_eq!(announced, [Inventory::Tx(tx.txid())]);
    // The transaction is not announced again, and not to its sender.
    assert_eq!(ask(&mut sender, tx), []);
    assert_eq!(ask(&mut other, GetData::from(vec![])), []);
}

#[test]
fn mined_transaction_is_not_accepted_again() {
    let node = LocalNode::start().unwrap();
    let tx = Tx::from(&payment(1));
    node.submit(&payment(1)).unwrap();
    node.mine(1).unwrap();
    let (mut late, mut other) = (client(&node), client(&node));
    assert!(node.wait_for_peers(2, DEADLINE));
    let announcement = Inv::from(vec![Inventory::Tx(tx.txid())]);
    assert_eq!(ask(&mut late, announcement), [], "it is not asked for");
    assert_eq!(ask(&mut late, tx.clone()), []);
    assert_eq!(node.submit(&payment(1)), Ok(InsertOutcome::Known));
    assert_eq!(node.pooled_transaction(tx.txid()), None);
    assert_eq!(all_that_is_said(&mut other), [], "nobody is told");
    let next = node.block(node.mine(1).unwrap()[0]).unwrap();
    assert_eq!(next.transaction_count(), 1);
}

#[test]
fn addresses_once_for_each_client() {
    let [node, other] = [(); 2].map(|()| LocalNode::start().unwrap());
    other.connect(node.address()).unwrap();
    assert!(other.wait_for_peers(1, DEADLINE));
    let mut client = client(&other);
    let told = NetworkAddress::new(Services::NETWORK, "10.1.2.3:18444".parse().unwrap());
    let addr = Addr {
        addresses: vec![TimestampedAddress {
            time: 1_700_000_000,
            address: told,
        }],
    };
    client.send(addr).unwrap();
    let answers = ask(&mut client, Message::GetAddr);
    let [Message::Addr(addr)] = &answers[..] else {
        panic!("{answers:?}");
    };
    let mut addresses: Vec<_> = addr
        .addresses
        .iter()
        .map(|entry| entry.address.socket_address())
        .collect();
    addresses.sort();
    let mut expected = [told.socket_address(), node.address(), other.address()];
    expected.sort();
    assert_eq!(addresses, expected);
    assert_eq!(ask(&mut client, Message::GetAddr), [], "a second time");
    let answers = ask(&mut crate::support::client(&other), Message::GetAddr);
    assert!(
        matches!(answers[..], [Message::Addr(_)]),
        "another client: {answers:?}"
    );
}

#[test]
fn pings() {
    let node = LocalNode::start().unwrap();
    let mut client = client(&node);
    for _ in 0..20 {
        client.ping(DEADLINE).unwrap();
    }
    assert_eq!(
        client.peer_info().user_agent.to_string(),
        "/bsv-p2p:0.1.0(Bitcoin SV)/"
    );
    assert!(client.peer_info().services.contains(Services::NETWORK));
}
