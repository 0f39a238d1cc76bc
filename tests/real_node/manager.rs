//! A manager and the node: both directions, restarts, and two nodes at the same time.

use std::time::Duration;

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::manager::PeerSelector;
use bsv_p2p::wire::{BlockHash, Inventory, Message};
use bsv_p2p::{Manager, ManagerConfig, Network};
use test_support::real_node::RealNode;

use crate::peer::{SOON, assert_good_standing};

fn config() -> ManagerConfig {
    let mut config = ManagerConfig::new(Network::Regtest);
    config.restarts.backoff = Duration::from_millis(50);
    config.restarts.max_backoff = Duration::from_millis(200);
    config
}

#[track_caller]
fn expect(
    events: &EventReceiver<ControlEvent>,
    wanted: impl Fn(&ControlEvent) -> bool,
) -> ControlEvent {
    loop {
        let event = events.recv_timeout(3 * SOON).expect("the event in time");
        if wanted(&event) {
            return event;
        }
    }
}

fn is_handshake(event: &ControlEvent) -> bool {
    matches!(event, ControlEvent::HandshakeComplete { .. })
}

fn hash(text: &str) -> BlockHash {
    text.parse().unwrap()
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn fixed_node_reconnects_after_each_of_ten_restarts() {
    let node = RealNode::start(&[]);
    let manager = Manager::new(config()).unwrap();
    let events = manager.subscribe_control();
    manager.start_fixed([node.address()]).unwrap();
    let mut peers = Vec::new();
    for turn in 0..10 {
        let event = expect(&events, is_handshake);
        peers.extend(event.peer().map(|(peer_id, _)| peer_id));
        assert_eq!(manager.wait_for_peers(1, SOON), Ok(1));
        manager.ping(PeerSelector::Best, SOON).unwrap();
        if turn % 2 == 0 {
            node.kill();
        } else {
            node.shutdown();
        }
        node.restart();
    }
    expect(&events, is_handshake);
    peers.dedup();
    assert_eq!(peers.len(), 1, "it keeps its identity");
    let metrics = manager.metrics();
    assert_eq!(metrics.handshakes, 11);
    assert_eq!(metrics.bans, 0);
    manager.shutdown().unwrap();
    node.wait_until("the node has seen us go", SOON, || {
        node.peer_info().is_empty()
    });
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn inbound_node_is_accepted_and_answers_requests() {
    let node = RealNode::start(&[]);
    let tip = node.generate(3).pop().unwrap();
    let mut config = config();
    config.target_connections = 0;
    config.listener.enabled = true;
    config.listener.address = Some("127.0.0.1:0".parse().unwrap());
    let manager = Manager::new(config).unwrap();
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let event = expect(&events, |event| {
        matches!(event, ControlEvent::ListenerStarted { .. })
    });
    let ControlEvent::ListenerStarted { address } = event else {
        panic!("{event}");
    };
    node.add_node_onetry(address);
    let accepted =
        |event: &ControlEvent| matches!(event, ControlEvent::InboundConnectionAccepted { .. });
    let (accepted, _) = expect(&events, accepted).peer().unwrap();
    let (peer_id, _) = expect(&events, is_handshake).peer().unwrap();
    assert_eq!(peer_id, accepted);
    let block = manager.block(peer_id, hash(&tip), SOON).unwrap();
    assert_eq!(block.hash(), hash(&tip));
    assert_eq!(manager.snapshot().unwrap().listening, Some(address));
    assert_good_standing(&node);
    manager.disconnect(peer_id).unwrap();
    node.wait_until("the node has seen us go", SOON, || {
        node.peer_info().is_empty()
    });
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn manager_relays_blocks_between_two_nodes() {
    let nodes = [RealNode::start(&[]), RealNode::start(&[])];
    // Both leave their initial download with a common block.
    let first = nodes[0].generate(1).pop().unwrap();
    nodes[1].rpc(
        "submitblock",
        serde_json::json!([nodes[0].block_hex(&first)]),
    );
    let manager = Manager::new(config()).unwrap();
    let messages = manager.subscribe_messages();
    let addresses = nodes.each_ref().map(RealNode::address);
    manager.start_fixed(addresses).unwrap();
    assert_eq!(manager.wait_for_peers(2, 3 * SOON), Ok(2));
    let connections = manager.connections();
    let [one, other] = addresses.map(|address| {
        let found = connections.iter().find(|one| one.address == address);
        found.unwrap().peer_id
    });
    let tip = hash(&nodes[0].generate(1).pop().unwrap());
    loop {
        let event = messages.recv_timeout(SOON).expect("an announcement");
        let announces = match &*event.message {
            Message::Inv(inv) => inv.inventory.contains(&Inventory::Block(tip)),
            Message::Headers(headers) => headers.headers.iter().any(|header| header.hash() == tip),
            _ => false,
        };
        if announces {
            assert_eq!(event.peer_id, one);
            break;
        }
    }
    let block = manager.block(one, tip, SOON).unwrap();
    manager.send(other, block, SOON).unwrap();
    nodes[1].wait_until("the other node has the block", SOON, || {
        nodes[1].best_height() == 2
    });
    nodes.iter().for_each(assert_good_standing);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn required_block_identifies_the_chain_of_node() {
    let node = RealNode::start(&[]);
    let blocks = node.generate(3);
    let connect = |required| {
        let mut config = config();
        config.connection.session.required_block = Some(required);
        let manager = Manager::new(config).unwrap();
        let events = manager.subscribe_control();
        manager.start().unwrap();
        manager.connect(node.address()).unwrap();
        let event = expect(&events, is_handshake);
        (manager, events, event)
    };
    for block in blocks {
        let (manager, _events, _) = connect(hash(&block));
        manager.ping(PeerSelector::Best, SOON).unwrap();
        let tip = node.rpc("getbestblockhash", serde_json::json!([]));
        let headers = manager.headers(
            PeerSelector::Best,
            &[BlockHash::default()],
            BlockHash::default(),
            SOON,
        );
        let last = headers.unwrap().pop().unwrap().hash();
        assert_eq!(last, hash(tip.as_str().unwrap()));
        assert_eq!(manager.connected_count(), 1);
    }
    let (_manager, events, _) = connect(BlockHash([7; 32]));
    let end = expect(&events, |event| {
        matches!(event, ControlEvent::ConnectionLost { .. })
    });
    assert!(end.to_string().contains("another chain"), "{end}");
    assert_good_standing(&node);
}
