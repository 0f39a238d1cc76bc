//! Fixed peers, the listener, requests, shutdown.

use std::net::TcpStream;
use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::manager::PeerSelector;
use bsv_p2p::peers::{PeerRef, Subnet};
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{BlockHash, Command, Message, Ping};
use bsv_p2p::{Connection, ConnectionConfig, Error, ManagerConfig, Network};

use crate::harness::*;
use test_support::with_sources::with_sources;

#[test]
fn fixed_peers_answer_requests_and_receive_messages() {
    let nodes = [(); 3].map(|()| LocalNode::start().unwrap());
    nodes[0].mine(2).unwrap();
    let manager = manager(config());
    let messages = manager.subscribe_messages();
    let addresses = nodes.each_ref().map(LocalNode::address);
    manager.start_fixed(addresses).unwrap();
    assert_eq!(manager.wait_for_peers(3, LIMIT), Ok(3));
    let connections = manager.connections();
    let first = connections.iter().find(|one| one.address == addresses[0]);
    let first = first.unwrap().peer_id;
    let tip = nodes[0].tip();
    assert_eq!(manager.block(first, tip, LIMIT).unwrap().hash(), tip);
    assert!(manager.ping(PeerSelector::Best, LIMIT).is_ok());
    let ping = Message::from(Ping { nonce: Some(1) });
    manager.send(first, &ping, LIMIT).unwrap();
    let sent = manager.broadcast(&ping).unwrap();
    assert_eq!((sent.sent.len(), sent.failed.len()), (3, 0));
    let mut reached: Vec<_> = sent.sent.iter().map(|peer| peer.address).collect();
    reached.sort_unstable();
    let mut expected = addresses;
    expected.sort_unstable();
    assert_eq!(reached, expected);
    assert!(sent.sent.contains(&PeerRef::new(first, addresses[0])));
    // The node announces only to peers whose handshake is complete.
    assert!(nodes[1].wait_for_peers(1, LIMIT));
    nodes[1].mine(1).unwrap();
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        let event = messages.recv_deadline(deadline).unwrap();
        let named = PeerRef::new(event.peer_id, event.address);
        assert!(sent.sent.contains(&named), "{named}");
        if matches!(&*event.message, Message::Headers(_) | Message::Inv(_)) {
            break;
        }
    }
    let snapshot = manager.snapshot().unwrap();
    assert_eq!(snapshot.connections.len(), 3);
    assert_eq!(snapshot.metrics.handshakes, 3);
    assert!(snapshot.metrics.traffic.bytes_received > 0);
    manager.shutdown().unwrap();
    assert!(messages.iter().count() < 1000, "the receiver ends");
    assert_eq!(manager.connections(), []);
    assert_eq!(manager.start(), Err(Error::AlreadyStarted));
    assert_eq!(manager.connect(addresses[0]), Err(Error::NotRunning));
    assert!(manager.subscribe_control().iter().next().is_none());
}

#[test]
fn restarted_fixed_peer_reconnects_with_same_id() {
    let node = LocalNode::start().unwrap();
    let address = node.address();
    let manager = manager(config());
    let events = manager.subscribe_control();
    manager.start_fixed([address]).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let peer_id = manager.connections()[0].peer_id;
    node.shutdown();
    wait_for(&events, |event| match event {
        ControlEvent::ConnectionRestarting { after, .. } if !after.is_zero() => Some(()),
        _ => None,
    });
    let node = LocalNode::start_at(address, LocalNode::default_config()).unwrap();
    wait_for(&events, |event| match event {
        ControlEvent::HandshakeComplete { peer_id: who, .. } => {
            assert_eq!(*who, peer_id);
            Some(())
        }
        _ => None,
    });
    manager.wait_for_peers(1, LIMIT).unwrap();
    drop(node);
    drop(manager);
}

#[test]
fn peers_above_maximum_are_rejected_for_capacity() {
    let mut config = listening();
    config.max_connections = 2;
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let address = started(&events).to_string();
    let config = ConnectionConfig::new(Network::Regtest);
    let kept = [(); 2].map(|()| Connection::connect(&address, &config).unwrap());
    manager.wait_for_peers(2, LIMIT).unwrap();
    let refused = Connection::connect(&address, &config).and_then(|mut peer| peer.receive());
    let refused = with_sources(&refused.unwrap_err());
    assert!(refused.contains("connection limit"), "{refused}");
    wait_for(&events, |event| match event {
        ControlEvent::ConnectionRejectedCapacity { .. } => Some(()),
        _ => None,
    });
    assert_eq!(manager.connected_count(), 2);
    assert_eq!(manager.metrics().inbound_rejected_capacity, 1);
    // The rejected peer is counted as well, when its connection has ended.
    until("its traffic is counted", || {
        let metrics = manager.metrics();
        let commands = metrics.commands.iter();
        let mut rejects = commands.filter(|each| each.command == Command::new("reject"));
        let versions = metrics
            .commands
            .iter()
            .find(|each| each.command == Command::new("version"));
        rejects
            .next()
            .is_some_and(|each| each.traffic.messages_sent == 1)
            && versions.is_some_and(|each| each.traffic.messages_received == 3)
    });
    drop(kept);
    until("both have gone", || manager.connected_count() == 0);
    drop(Connection::connect(&address, &config).unwrap());
}

#[test]
fn metrics_count_only_bans_in_force() {
    let (manager, _events, _) = running(listening());
    let subnets = ["203.0.113.0/24", "198.51.100.7"].map(|text| text.parse::<Subnet>().unwrap());
    manager.ban(subnets[0], None).unwrap();
    manager
        .ban(subnets[1], Some(Duration::from_millis(1)))
        .unwrap();
    until("the short ban has expired", || manager.bans().len() == 1);
    let metrics = manager.metrics();
    assert_eq!((metrics.bans, metrics.banned), (1, 2));
}

#[test]
fn ban_disconnects_and_blocks_until_lifted() {
    let (manager, _events, address) = running(listening());
    let config = ConnectionConfig::new(Network::Regtest);
    let mut peer = Connection::connect(address.to_string(), &config).unwrap();
    let ban = manager
        .ban(address.ip(), Some(Duration::from_secs(60)))
        .unwrap();
    let end = loop {
        // Earlier messages are still read.
        if let Err(error) = peer.receive() {
            break error;
        }
    };
    assert!(matches!(end, Error::Disconnected { .. }), "{end}");
    assert_eq!(manager.find_ban(address.ip()), Some(ban));
    assert_eq!(manager.bans(), [ban]);
    assert_eq!(manager.metrics().bans, 1);
    assert!(Connection::connect(address.to_string(), &config).is_err());
    assert!(matches!(
        manager.connect(address),
        Err(Error::Banned { .. })
    ));
    assert_eq!(manager.unban(address.ip()).unwrap(), [ban]);
    drop(Connection::connect(address, &config).unwrap());
}

#[test]
fn shutdown_is_prompt_with_peers_in_every_state() {
    let node = LocalNode::start().unwrap();
    let mut config = listening();
    config.target_connections = 8;
    let manager = manager(config);
    let events = manager.subscribe_control();
    let messages = manager.subscribe();
    manager.start().unwrap();
    let address = started(&events);
    manager.connect(node.address()).unwrap();
    // A closed port.
    manager.connect("127.0.0.1:1".parse().unwrap()).unwrap();
    // A silent connection.
    let silent = TcpStream::connect(address).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    assert_within(Duration::from_secs(2), 100, || manager.shutdown().unwrap());
    assert!(events.iter().count() > 0);
    assert!(messages.iter().count() > 0);
    drop(silent);
    let unknown = manager.block(PeerSelector::Best, BlockHash::default(), LIMIT);
    assert_eq!(unknown.unwrap_err(), Error::NoPeers);
}

#[test]
fn fixed_peers_may_be_host_names() {
    let node = LocalNode::start().unwrap();
    let port = node.address().port();
    let manager = manager(config());
    let invalid = manager.start_fixed(["local host"]).unwrap_err();
    let Error::Disconnected { peer, reason } = &invalid else {
        panic!("{invalid}");
    };
    assert_eq!(peer, "local host");
    assert!(
        matches!(reason, DisconnectReason::InvalidName { .. }),
        "{invalid}"
    );
    // The manager is not started after the error.
    manager.start_fixed([format!("localhost:{port}")]).unwrap();
    assert_eq!(manager.wait_for_peers(1, LIMIT), Ok(1));
    let peers = manager.connections();
    assert!(peers.iter().any(|peer| peer.address == node.address()));
    assert_eq!(
        manager.start_fixed(["local host"]),
        Err(Error::AlreadyStarted)
    );
}

#[test]
fn port_of_fixed_peer_defaults_to_network() {
    let manager = manager(config());
    manager.start_fixed(["127.0.0.82"]).unwrap();
    let peers = manager.peers().unwrap();
    let expected = (std::net::Ipv4Addr::new(127, 0, 0, 82), 18444).into();
    assert_eq!(
        peers
            .iter()
            .map(|peer| peer.socket_address())
            .collect::<Vec<_>>(),
        [expected]
    );
}

#[test]
fn named_peer_at_other_network_port_is_refused() {
    let regtest = "127.0.0.80:18444".parse().unwrap();
    let mut config = ManagerConfig::new(Network::Testnet);
    config.discovery.seeds = Some(Vec::new());
    config.restarts.max_immediate_restarts = 0;
    let manager = manager(config.clone());
    let expected = Error::PortMismatch {
        address: regtest,
        expected: Network::Testnet,
    };
    let own = "127.0.0.80:18333".parse().unwrap();
    assert_eq!(manager.start_fixed([own, regtest]), Err(expected.clone()));
    manager.start_fixed([""; 0]).unwrap();
    assert_eq!(manager.connect(regtest), Err(expected));
    // An update of the configuration allows it.
    config.connection.allow_any_port = true;
    manager.update_config(config).unwrap();
    assert!(manager.connect(regtest).is_ok());
}

#[test]
fn found_peer_at_other_network_port_is_dialed() {
    let regtest = "127.0.0.81:18444".parse().unwrap();
    let mut config = ManagerConfig::new(Network::Testnet);
    config.allow_private = Some(true);
    config.discovery.seeds = Some(Vec::new());
    config.discovery.addresses = vec![regtest];
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start().unwrap();
    // Nothing listens there.
    wait_for(&events, |event| {
        let (_, address) = event.peer()?;
        let failed = matches!(
            event,
            ControlEvent::ConnectionFailed { .. } | ControlEvent::ConnectionRestarting { .. }
        );
        (address == regtest && failed).then_some(())
    });
}
