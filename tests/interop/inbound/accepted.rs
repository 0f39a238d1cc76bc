//! chain-gang dials a `Connection` and a `Manager`.

use std::net::Ipv4Addr;

use bsv_p2p::connection::DEFAULT_ADDRESSES_TIMEOUT;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::Chain;
use bsv_p2p::session::NonceRegistry;
use bsv_p2p::wire::{BlockHash, Inv, Inventory, NotFound, Txid};
use bsv_p2p::{Connection, ConnectionConfig, Error, Manager, ManagerConfig, Network};
use chain_gang::messages::{self as theirs, INV_VECT_TX, Message};
use chain_gang::util::Hash256;
use test_support::raw_peer::{DEADLINE, RawListener};

use crate::dialer::{Dialer, USER_AGENT};
use crate::served_chain::{ServedChain, entry, mine_chain};

/// Accepts one dial of chain-gang, which serves a chain of that height.
#[track_caller]
fn accepted_connection(height: u32) -> (Chain, Dialer, Connection) {
    let chain = mine_chain(height);
    let listener = RawListener::new();
    let dialer = Dialer::dial_with_chain(listener.address(), ServedChain::new(&chain));
    let config = ConnectionConfig::new(Network::Regtest);
    let tcp = listener.accept_tcp();
    let connection = Connection::accept(tcp, &config, &NonceRegistry::default()).unwrap();
    dialer.wait_connected();
    (chain, dialer, connection)
}

#[test]
fn accepted_connection_describes_chain_gang() {
    let (_, _dialer, mut connection) = accepted_connection(5);
    let peer = connection.peer_info();
    assert_eq!(peer.user_agent, USER_AGENT);
    assert_eq!(peer.start_height, 5);
    assert_eq!(peer.version, theirs::PROTOCOL_VERSION as i32);
    assert!(peer.relay);
    connection.ping(DEADLINE).unwrap();
}

#[test]
fn accepted_connection_requests_from_chain_gang() {
    let (chain, _dialer, mut connection) = accepted_connection(30);
    let hash = |height| chain.hash_at(height).unwrap();

    let headers = connection.headers(&[hash(10)], BlockHash::ZERO, DEADLINE);
    let headers: Vec<_> = headers.unwrap().iter().map(|one| one.hash()).collect();
    assert_eq!(headers, (11..=30).map(hash).collect::<Vec<_>>());

    let block = connection.block(hash(20), DEADLINE).unwrap();
    assert_eq!(&block, chain.block(&hash(20)).unwrap());

    let missing = BlockHash([9; 32]);
    let absent = connection.block(missing, DEADLINE);
    assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
    let transactions = connection.transactions(&[Txid([8; 32])], DEADLINE);
    assert_eq!(transactions.unwrap(), [None]);
    let addresses = connection.addresses(DEFAULT_ADDRESSES_TIMEOUT).unwrap();
    assert_eq!(addresses.len(), 2);
}

#[test]
fn accepted_connection_answers_chain_gang() {
    let (_, dialer, mut connection) = accepted_connection(0);
    let missing = vec![Inventory::Tx(Txid([8; 32]))];
    dialer.request(vec![entry(INV_VECT_TX, Hash256([8; 32]))]);
    loop {
        match connection.receive_timeout(DEADLINE).unwrap() {
            Some(bsv_p2p::wire::Message::GetData(request)) => {
                assert_eq!(request.inventory, missing);
                break;
            }
            Some(_) => {}
            None => panic!("no request within {DEADLINE:?}"),
        }
    }
    connection.send(NotFound::from(missing)).unwrap();
    dialer.expect(|message| matches!(message, Message::NotFound(_)).then_some(()));
}

#[test]
fn manager_exchanges_messages_with_chain_gang() {
    let mut config = ManagerConfig::new(Network::Regtest);
    config.target_connections = 0;
    config.listener.enabled = true;
    config.listener.address = Some((Ipv4Addr::LOCALHOST, 0).into());
    let manager = Manager::new(config).unwrap();
    let events = manager.subscribe_control();
    let messages = manager.subscribe_messages();
    manager.start().unwrap();
    let address = loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            ControlEvent::ListenerStarted { address } => break address,
            _ => continue,
        }
    };

    let chain = mine_chain(12);
    let dialer = Dialer::dial_with_chain(address, ServedChain::new(&chain));
    dialer.wait_connected();
    let (peer_id, info) = loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            ControlEvent::HandshakeComplete { peer_id, info, .. } => break (peer_id, info),
            _ => continue,
        }
    };
    assert_eq!(info.user_agent, USER_AGENT);
    dialer.ping(3);
    manager.ping(peer_id, DEADLINE).unwrap();
    let tip = chain.tip().1;
    let block = manager.block(peer_id, tip, DEADLINE).unwrap();
    assert_eq!(&block, chain.block(&tip).unwrap());

    let txid = Txid([5; 32]);
    dialer.send(Message::Inv(theirs::Inv {
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
    dialer.wait_disconnected();
}
