//! Second streams with the node, opened by either side, and peers without one.

mod chains;
mod ends;
mod large;
mod manners;
mod opening;
mod single;

use std::net::SocketAddr;

use bsv_p2p::connection::{
    CommandTraffic, ConnectionStatistics, EventReceiver, PeerConnectionHandle,
};
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::peers::PeerId;
use bsv_p2p::wire::{BlockHash, Command, Inventory, Message, StreamType, Txid};
use bsv_p2p::{ConnectionConfig, Error, Manager, ManagerConfig, Network};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

use crate::peer::{Actor, SOON, UNKNOWN, assert_good_standing, config, genesis, only_peer, tip};

/// Starts the node with coins, after its initial download.
fn node_with_coins(options: &[&str]) -> RealNode {
    let node = RealNode::start(options);
    let address = node.rpc("getnewaddress", json!([]));
    node.rpc("generatetoaddress", json!([101, address]));
    node
}

/// Makes the node pay, and returns the announced transaction.
fn pay(node: &RealNode) -> Txid {
    let address = node.rpc("getnewaddress", json!([]));
    let txid = node.rpc("sendtoaddress", json!([address, 1]));
    txid.as_str().expect("a txid").parse().expect("a txid")
}

/// Returns the node's streams to its only peer, with the bytes sent and received on each.
fn streams_of(peer: &Value) -> Vec<(String, u64, u64)> {
    let streams = peer["streams"].as_array().expect("a list of streams");
    let stream = |one: &Value| {
        let name = one["streamtype"].as_str().expect("a name").to_owned();
        let bytes = |field: &str| one[field].as_u64().expect("a number");
        (name, bytes("bytessent"), bytes("bytesrecv"))
    };
    streams.iter().map(stream).collect()
}

/// Waits until the node has two streams to its only peer, with traffic in both directions on each.
#[track_caller]
fn assert_two_streams(node: &RealNode) {
    let peer = node.wait_until("the node has two streams in use", SOON, || {
        let peer = only_peer(node)?;
        let streams = streams_of(&peer);
        let in_use = streams
            .iter()
            .all(|(_, sent, received)| *sent > 0 && *received > 0);
        (streams.len() == 2 && in_use).then_some(peer)
    });
    let streams = streams_of(&peer);
    let names: Vec<_> = streams.iter().map(|(name, ..)| &**name).collect();
    assert_eq!(names, ["GENERAL", "DATA1"]);
    assert_eq!(peer["streampolicy"], "BlockPriority");
    assert_good_standing(node);
}

#[track_caller]
fn assert_one_stream(node: &RealNode, peer: &PeerConnectionHandle) {
    let streams = streams_of(&only_peer(node).expect("one peer"));
    let names: Vec<_> = streams.iter().map(|(name, ..)| &**name).collect();
    assert_eq!(names, ["GENERAL"]);
    assert_eq!(peer.statistics().stream_policy, None);
    assert_eq!(peer.statistics().streams.len(), 1);
    assert_good_standing(node);
}

/// Returns how many messages with this command were received and sent on this stream.
fn count(numbers: &ConnectionStatistics, stream: StreamType, name: &str) -> (u64, u64) {
    let mut streams = numbers.streams.iter();
    let commands = streams
        .find(|one| one.stream == stream)
        .map_or(&[][..], |one| &one.commands);
    let named = |one: &&CommandTraffic| one.command == Command::new(name);
    let traffic = commands.iter().find(named).map(|one| one.traffic);
    let traffic = traffic.unwrap_or_default();
    (traffic.messages_received, traffic.messages_sent)
}

/// Asserts that these messages arrived on this stream, and none on the other.
#[track_caller]
fn assert_came_over(numbers: &ConnectionStatistics, stream: StreamType, names: &[&'static str]) {
    let other = match stream {
        StreamType::General => StreamType::Data1,
        _ => StreamType::General,
    };
    for name in names {
        assert!(count(numbers, stream, name).0 > 0, "{name}: {numbers:#?}");
        assert_eq!(count(numbers, other, name).0, 0, "{name}: {numbers:#?}");
    }
}

/// Sends every kind of request and checks the responses.
#[track_caller]
fn assert_answers(node: &RealNode, peer: &PeerConnectionHandle) {
    let headers = peer
        .headers(&[genesis()], BlockHash::default(), SOON)
        .unwrap();
    assert_eq!(headers.len() as u32, node.best_height());
    let tip = tip(node);
    assert_eq!(peer.block(tip, SOON).unwrap().hash(), tip);
    let mut reader = peer.block_reader(tip, SOON).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
    assert_eq!(bytes, node.block_bytes(&tip.to_string()));
    let unknown = peer.block(UNKNOWN, SOON);
    assert!(
        matches!(unknown, Err(Error::NotFound { .. })),
        "{unknown:?}"
    );
    peer.ping(SOON).unwrap();
}

/// Waits for the announcement of a payment, requests it, and waits for it.
#[track_caller]
fn assert_transactions_come(node: &RealNode, actor: &mut Actor) {
    let txid = pay(node);
    actor.receive("the announcement of the payment", |message| match message {
        Message::Inv(inv) => inv.inventory.contains(&Inventory::Tx(txid)).then_some(()),
        _ => None,
    });
    let found = actor.handle.transactions(&[txid], SOON).unwrap();
    assert_eq!(found[0].as_ref().map(|tx| tx.txid()), Some(txid));
}

fn with(change: impl FnOnce(&mut ConnectionConfig)) -> ConnectionConfig {
    let mut config = config();
    change(&mut config);
    config
}

/// Returns the events about a second stream so far.
fn told_of_streams(control: &EventReceiver<ControlEvent>) -> Vec<ControlEvent> {
    control
        .try_iter()
        .map(Result::unwrap)
        .filter(is_of_stream)
        .collect()
}

fn is_of_stream(event: &ControlEvent) -> bool {
    matches!(
        event,
        ControlEvent::StreamOpened { .. } | ControlEvent::StreamRefused { .. }
    )
}

/// Starts a listening manager. Returns its events and its address, too.
fn listening(
    change: impl FnOnce(&mut ManagerConfig),
) -> (Manager, EventReceiver<Event>, SocketAddr) {
    let mut config = ManagerConfig::new(Network::Regtest);
    config.target_connections = 0;
    config.listener.enabled = true;
    config.listener.address = Some("127.0.0.1:0".parse().unwrap());
    change(&mut config);
    let manager = Manager::new(config).unwrap();
    let events = manager.subscribe();
    manager.start().unwrap();
    let address = wait_for(&events, "the listener", |event| match event {
        Event::Control(ControlEvent::ListenerStarted { address }) => Some(*address),
        _ => None,
    });
    (manager, events, address)
}

#[track_caller]
fn wait_for<T>(
    events: &EventReceiver<Event>,
    what: &str,
    mut found: impl FnMut(&Event) -> Option<T>,
) -> T {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let event = events.recv_deadline(deadline);
        let event = event.unwrap_or_else(|error| panic!("{what}: {error}"));
        if let Some(value) = found(&event) {
            return value;
        }
    }
}

/// Waits until a peer has two streams, and returns the events up to then.
#[track_caller]
fn up_to_two_streams(events: &EventReceiver<Event>) -> (PeerId, Vec<ControlEvent>) {
    let mut seen = Vec::new();
    let opened = wait_for(events, "the second stream", |event| {
        let Event::Control(event) = event else {
            return None;
        };
        seen.push(event.clone());
        match event {
            ControlEvent::StreamOpened { peer_id, .. } => Some(*peer_id),
            _ => None,
        }
    });
    (opened, seen)
}

/// Returns a connection to the node with both streams in use.
#[track_caller]
fn dial_twice(node: &RealNode, config: ConnectionConfig) -> Actor {
    let mut actor = Actor::dial(node, config);
    actor.connected_twice(node);
    actor
}

/// Waits until the node has announced a transaction.
#[track_caller]
fn assert_announced(events: &EventReceiver<Event>, txid: Txid) {
    wait_for(events, "the announcement of the payment", |event| {
        let Event::Message(event) = event else {
            return None;
        };
        match &*event.message {
            Message::Inv(inv) => inv.inventory.contains(&Inventory::Tx(txid)).then_some(()),
            _ => None,
        }
    });
}
