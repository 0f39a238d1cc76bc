//! bsv-p2p dials a server made of chain-gang's codec.

use std::net::SocketAddr;

use bsv_p2p::local_node::{Chain, LocalNode};
use bsv_p2p::wire::{
    BlockHash, GetBlocks, Inv, Inventory, Message, NetworkAddress, Services, Tx, Txid,
};
use bsv_p2p::{Connection, ConnectionConfig, Error, Manager, ManagerConfig, Network};
use chain_gang::messages::{self as theirs, INV_VECT_TX};
use chain_gang::util::Hash256;
use test_support::raw_peer::DEADLINE;

use crate::dialer::USER_AGENT;
use crate::served_chain::{ServedChain, entry, mine_chain, spend_reward, their_tx};
use crate::server::Server;

/// Returns a server of a chain, and a connection that has dialed it.
#[track_caller]
fn dialed(height: u32) -> (Chain, Server, Connection) {
    let chain = mine_chain(height);
    let server = Server::start(ServedChain::new(&chain));
    let connection = dial(server.address);
    (chain, server, connection)
}

#[track_caller]
fn dial(address: SocketAddr) -> Connection {
    let config = ConnectionConfig::new(Network::Regtest);
    Connection::connect(address.to_string(), &config).unwrap()
}

/// Returns the first message for which `wanted` returns something. Earlier messages are skipped.
#[track_caller]
fn receive<T>(connection: &mut Connection, wanted: impl Fn(Message) -> Option<T>) -> T {
    loop {
        let message = connection.receive_timeout(DEADLINE).unwrap();
        let message = message.expect("a message in time");
        if let Some(found) = wanted(message) {
            return found;
        }
    }
}

#[test]
fn connection_completes_handshake_with_chain_gang() {
    let (_chain, server, connection) = dialed(4);
    let peer = connection.peer_info();
    assert_eq!(peer.user_agent, USER_AGENT);
    assert_eq!(peer.start_height, 4);
    assert_eq!(peer.services, Services::NETWORK | Services::BITCOIN_CASH);
    let version = server.expect(|message| match message {
        theirs::Message::Version(version) => Some(version.clone()),
        _ => None,
    });
    let config = ConnectionConfig::new(Network::Regtest);
    assert_eq!(version.user_agent, config.session.user_agent);
    assert_ne!(version.nonce, 0);
}

#[test]
fn pings_are_answered_in_both_directions() {
    let (_chain, server, mut connection) = dialed(0);
    let ping = theirs::Ping { nonce: 0xfeed };
    server.broadcast(&theirs::Message::Ping(ping.clone()));
    // The server's ping arrives before its pong.
    connection.ping(DEADLINE).unwrap();
    let pong = theirs::Message::Pong(ping);
    server.expect(|message| (*message == pong).then_some(()));
}

/// The server sends at most 2,000 headers, as a node does.
#[test]
fn headers_of_chain_gang_arrive_from_any_height() {
    let (chain, _server, mut connection) = dialed(2_100);
    let hash = |height| chain.hash_at(height).unwrap();
    let mut request = |locator: &[BlockHash], stop| -> Vec<BlockHash> {
        let headers = connection.headers(locator, stop, DEADLINE).unwrap();
        headers.iter().map(|header| header.hash()).collect()
    };
    let expected = |heights: std::ops::RangeInclusive<u32>| heights.map(hash).collect::<Vec<_>>();

    assert_eq!(request(&[hash(0)], BlockHash::ZERO), expected(1..=2_000));
    assert_eq!(
        request(&[hash(2_000)], BlockHash::ZERO),
        expected(2_001..=2_100)
    );
    assert_eq!(request(&[hash(2_100)], BlockHash::ZERO), []);
    assert_eq!(request(&[hash(10)], hash(20)), expected(11..=20));
    let unknown = BlockHash([9; 32]);
    assert_eq!(request(&[unknown, hash(2_098)], BlockHash::ZERO).len(), 2);
}

#[test]
fn blocks_of_chain_gang_arrive() {
    let (chain, _server, mut connection) = dialed(30);
    for height in [0, 1, 10, 30] {
        let hash = chain.hash_at(height).unwrap();
        let block = connection.block(hash, DEADLINE).unwrap();
        assert_eq!(&block, chain.block(&hash).unwrap(), "height {height}");
    }
    let absent = connection.block(BlockHash([9; 32]), DEADLINE);
    assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
}

#[test]
fn transactions_of_chain_gang_arrive() {
    let (_chain, server, mut connection) = dialed(0);
    let tx = Tx::from(&spend_reward(Txid([1; 32])));
    server.chain().add_transaction(&tx);
    let missing = Txid([8; 32]);
    let answer = connection.transactions(&[missing, tx.txid()], DEADLINE);
    assert_eq!(answer.unwrap(), [None, Some(tx)]);
}

#[test]
fn addresses_of_chain_gang_arrive() {
    let (_chain, _server, mut connection) = dialed(0);
    let addresses = connection.addresses(DEADLINE).unwrap();
    let addresses: Vec<_> = addresses.into_iter().map(|entry| entry.address).collect();
    let expected = [7, 8].map(|last| {
        let address = SocketAddr::from(([203, 0, 114, last], 8333));
        NetworkAddress::new(Services::NETWORK, address)
    });
    assert_eq!(addresses, expected);
}

#[test]
fn getblocks_is_answered_by_chain_gang() {
    let (chain, _server, mut connection) = dialed(600);
    let hash = |height| chain.hash_at(height).unwrap();
    let mut request = |locator: BlockHash, stop| {
        let request = GetBlocks {
            version: 70016,
            locator: vec![locator],
            stop,
        };
        connection.send(request).unwrap();
        receive(&mut connection, |message| match message {
            Message::Inv(inv) => Some(inv.inventory),
            _ => None,
        })
    };
    let expected = |heights: std::ops::Range<u32>| -> Vec<_> {
        heights
            .map(|height| Inventory::Block(hash(height)))
            .collect()
    };
    // At most 500, and only blocks before the stop hash.
    assert_eq!(request(hash(50), BlockHash::ZERO), expected(51..551));
    assert_eq!(request(hash(50), hash(70)), expected(51..70));
}

#[test]
fn chain_gang_requests_announced_transaction() {
    let (_chain, server, mut connection) = dialed(0);
    let tx = Tx::from(&spend_reward(Txid([3; 32])));
    let entry = Inventory::Tx(tx.txid());
    connection.send(Inv::from(vec![entry])).unwrap();
    let requested = receive(&mut connection, |message| match message {
        Message::GetData(request) => Some(request.inventory),
        _ => None,
    });
    assert_eq!(requested, [entry]);
    connection.send(tx.clone()).unwrap();
    let received = server.expect(|message| match message {
        theirs::Message::Tx(tx) => Some(tx.clone()),
        _ => None,
    });
    assert_eq!(received, their_tx(&tx));
    // The server has it now.
    let answer = connection.transactions(&[tx.txid()], DEADLINE);
    assert_eq!(answer.unwrap(), [Some(tx)]);
}

#[test]
fn dialing_local_node_syncs_from_chain_gang() {
    let chain = mine_chain(2_100);
    let server = Server::start(ServedChain::new(&chain));
    let node = LocalNode::start().unwrap();
    node.connect(server.address).unwrap();
    assert!(node.wait_for_tip(chain.tip().1, 3 * DEADLINE));
}

#[test]
fn manager_requests_from_chain_gang() {
    let chain = mine_chain(12);
    let server = Server::start(ServedChain::new(&chain));
    let manager = Manager::new(ManagerConfig::new(Network::Regtest)).unwrap();
    let messages = manager.subscribe_messages();
    manager.start_fixed([server.address]).unwrap();
    manager.wait_for_peers(1, DEADLINE).unwrap();
    let peer_id = manager.connections()[0].peer_id;

    manager.ping(peer_id, DEADLINE).unwrap();
    let genesis = chain.hash_at(0).unwrap();
    let headers = manager.headers(peer_id, &[genesis], BlockHash::ZERO, DEADLINE);
    assert_eq!(headers.unwrap().len(), 12);
    let tip = chain.tip().1;
    let block = manager.block(peer_id, tip, DEADLINE).unwrap();
    assert_eq!(&block, chain.block(&tip).unwrap());
    let addresses = manager.addresses(peer_id, DEADLINE);
    assert_eq!(addresses.unwrap().len(), 2);

    let txid = Txid([5; 32]);
    server.broadcast(&theirs::Message::Inv(theirs::Inv {
        objects: vec![entry(INV_VECT_TX, Hash256(txid.0))],
    }));
    let announced = Inv::from(vec![Inventory::Tx(txid)]);
    loop {
        let event = messages.recv_timeout(DEADLINE).expect("the announcement");
        if *event.message == announced.clone().into() {
            break;
        }
    }
    manager.shutdown().unwrap();
}
