//! Connecting, sending, receiving and closing.

use std::io::Read;

use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{Block, Command, GetData, Inventory, Message};
use bsv_p2p::{Connection, Manager, ManagerConfig, Network};

use crate::{TIMEOUT, TestResult, config, node_and_peer, payment};

#[test]
fn connect_accepts_addresses_of_all_forms() -> TestResult {
    let node = LocalNode::start()?;
    let address = node.address();
    let text = address.to_string();
    Connection::connect(address, &config())?.close();
    Connection::connect(&*text, &config())?.close();
    Connection::connect(&text, &config())?.close();
    Connection::connect((address.ip(), address.port()), &config())?.close();
    Connection::connect(("localhost", address.port()), &config())?.close();
    Ok(())
}

#[test]
fn send_accepts_messages_and_their_types() -> TestResult {
    let (node, mut peer) = node_and_peer(1)?;
    let hash = node.tip();
    let request = GetData {
        inventory: vec![Inventory::Block(hash)],
    };
    let message = Message::from(request.clone());
    peer.send(&message)?;
    peer.send(message)?;
    peer.send(request)?;
    peer.send(GetData::new(vec![Inventory::Block(hash)]))?;
    peer.send(GetData::blocks([hash]))?;
    let mut blocks = 0;
    while blocks < 5 {
        match peer.receive_timeout(TIMEOUT)?.ok_or("no answer")? {
            Message::Block(block) if block.hash() == hash => blocks += 1,
            other => assert_ne!(other.command(), Command::new("block")),
        }
    }
    Ok(())
}

#[test]
fn connection_is_an_iterator_of_messages() -> TestResult {
    let (node, mut peer) = node_and_peer(0)?;
    let txid = payment().txid();
    node.submit(&payment())?;
    for message in &mut peer {
        if let Message::Inv(inv) = message? {
            assert!(inv.into_iter().eq([Inventory::Tx(txid)]));
            break;
        }
    }
    node.shutdown();
    let last = peer.messages().last();
    assert!(matches!(last, Some(Err(_))), "the end has a reason");
    Ok(())
}

#[test]
fn block_reader_of_connection_yields_the_block() -> TestResult {
    let (node, mut peer) = node_and_peer(1)?;
    let mut bytes = Vec::new();
    let mut reader = peer.block_reader(node.tip(), TIMEOUT)?;
    reader.read_to_end(&mut bytes)?;
    drop(reader);
    assert_eq!(Block::try_from(bytes)?.hash(), node.tip());
    assert!(peer.ping(TIMEOUT)? < TIMEOUT);
    Ok(())
}

#[test]
fn handle_waits_until_it_is_connected() -> TestResult {
    let node = LocalNode::start()?;
    let options = PeerConnectionOptions::new(config());
    let peer = PeerConnectionActor::spawn_outbound(node.address(), options)?;
    peer.wait_connected(TIMEOUT)?;
    assert!(peer.ping(TIMEOUT)? < TIMEOUT);
    assert!(peer.traffic().bytes_received > 0);
    peer.disconnect();
    peer.join();
    Ok(())
}

#[test]
fn fixed_peers_are_names_or_addresses() -> TestResult {
    let node = LocalNode::start()?;
    let port = node.address().port();
    let names = Manager::new(ManagerConfig::new(Network::Regtest))?;
    names.start_fixed([format!("localhost:{port}")])?;
    names.wait_for_peers(1, TIMEOUT)?;
    let text = Manager::new(ManagerConfig::new(Network::Regtest))?;
    text.start_fixed([&*format!("127.0.0.1:{port}")])?;
    text.wait_for_peers(1, TIMEOUT)?;
    let addresses = Manager::new(ManagerConfig::new(Network::Regtest))?;
    addresses.start_fixed([node.address()])?;
    addresses.wait_for_peers(1, TIMEOUT)?;
    assert!(addresses.metrics().traffic.bytes_received > 0);
    Ok(())
}
