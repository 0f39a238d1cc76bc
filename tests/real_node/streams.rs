//! A second stream to the node, whoever opens it, and peers that have none.

use std::net::SocketAddr;

use bsv_p2p::connection::{CommandTraffic, ConnectionStatistics, PeerConnectionHandle};
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::session::StreamRefusal;
use bsv_p2p::wire::{BlockHash, Command, Inventory, Message, StreamPolicy, StreamType, Txid};
use bsv_p2p::{ConnectionConfig, Error, Manager, ManagerConfig, Network};
use crossbeam_channel::Receiver;
use serde_json::{Value, json};

use crate::peer::{
    Actor, SOON, UNKNOWN, ask_for, assert_good_standing, config, genesis, only_peer, tip,
};
use crate::support::RealNode;

/// The node with coins to spend, and out of its initial download.
fn node_with_coins(options: &[&str]) -> RealNode {
    let node = RealNode::start(options);
    let address = node.rpc("getnewaddress", json!([]));
    node.rpc("generatetoaddress", json!([101, address]));
    node
}

/// Makes the node pay, and returns the transaction that it announces.
fn pay(node: &RealNode) -> Txid {
    let address = node.rpc("getnewaddress", json!([]));
    let txid = node.rpc("sendtoaddress", json!([address, 1]));
    txid.as_str().expect("a txid").parse().expect("a txid")
}

/// The names of the node's streams to its only peer, with the bytes that it has sent and received over each.
fn streams_of(peer: &Value) -> Vec<(String, u64, u64)> {
    let streams = peer["streams"].as_array().expect("a list of streams");
    let stream = |one: &Value| {
        let name = one["streamtype"].as_str().expect("a name").to_owned();
        let bytes = |field: &str| one[field].as_u64().expect("a number");
        (name, bytes("bytessent"), bytes("bytesrecv"))
    };
    streams.iter().map(stream).collect()
}

/// Waits until the node has two streams to its only peer, with traffic both ways over each.
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

/// How many messages of that name have come over that stream, and gone.
fn count(numbers: &ConnectionStatistics, stream: StreamType, name: &str) -> (u64, u64) {
    let mut streams = numbers.streams.iter();
    let commands = streams
        .find(|one| one.stream == stream)
        .map_or(&[][..], |one| &one.commands);
    let named = |one: &&CommandTraffic| one.command == Command::new(name);
    let traffic = commands.iter().find(named).map(|one| one.traffic);
    let traffic = traffic.unwrap_or_default();
    (traffic.messages_in, traffic.messages_out)
}

/// Asserts that these messages have come over that stream, and none over the other.
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

/// Asks everything that can be asked.
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

/// Waits for the announcement of a payment, asks for it, and waits for it.
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

/// What has been told of a second stream so far.
fn told_of_streams(control: &Receiver<ControlEvent>) -> Vec<ControlEvent> {
    let is_of_stream = |event: &ControlEvent| {
        matches!(
            event,
            ControlEvent::StreamOpened { .. } | ControlEvent::StreamRefused { .. }
        )
    };
    control.try_iter().filter(is_of_stream).collect()
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn a_second_stream_to_a_node_that_we_have_dialled_carries_blocks_and_headers() {
    let node = node_with_coins(&[]);
    let mut actor = Actor::dial(&node, config());
    actor.connected(&node);
    node.wait_until("the second stream", SOON, || {
        actor.handle.statistics().stream_policy == Some(StreamPolicy::BlockPriority)
    });
    assert_answers(&node, &actor.handle);
    assert_transactions_come(&node, &mut actor);
    node.generate(1);
    let new = tip(&node);
    actor.receive("the announcement of a block", |message| {
        crate::peer::announced(message).filter(|(hash, _)| *hash == new)
    });
    actor
        .handle
        .send(&ask_for(Inventory::Block(new)), SOON)
        .unwrap();
    actor.receive("the block", |message| match message {
        Message::Block(block) => (block.hash() == new).then_some(()),
        _ => None,
    });
    let numbers = actor.handle.statistics();
    assert_came_over(&numbers, StreamType::Data1, &["block", "headers"]);
    assert_came_over(&numbers, StreamType::General, &["tx", "notfound", "authch"]);
    for (stream, name) in [
        (StreamType::Data1, "getheaders"),
        (StreamType::Data1, "ping"),
        (StreamType::General, "getdata"),
    ] {
        assert!(count(&numbers, stream, name).1 > 0, "{name}: {numbers:#?}");
    }
    assert_two_streams(&node);
    let told = told_of_streams(&actor.control);
    assert!(
        matches!(
            told[..],
            [ControlEvent::StreamOpened {
                stream: StreamType::Data1,
                policy: StreamPolicy::BlockPriority,
                ..
            }]
        ),
        "{told:?}"
    );
}

/// A manager that listens, what it tells, and where.
fn listening(change: impl FnOnce(&mut ManagerConfig)) -> (Manager, Receiver<Event>, SocketAddr) {
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
    events: &Receiver<Event>,
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

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn a_node_that_dials_us_opens_a_second_stream_which_takes_no_place() {
    let node = node_with_coins(&[]);
    let (manager, events, address) = listening(|config| {
        config.max_connections = 1;
        config.min_outbound = 0;
    });
    node.add_node_onetry(address);
    let mut seen = Vec::new();
    let opened = wait_for(&events, "the second stream", |event| {
        if let Event::Control(event) = event {
            seen.push(event.clone());
        }
        match event {
            Event::Control(ControlEvent::StreamOpened { peer_id, .. }) => Some(*peer_id),
            _ => None,
        }
    });
    let names: Vec<_> = seen.iter().map(ControlEvent::name).collect();
    assert_eq!(
        names,
        [
            "InboundConnectionAccepted",
            "ConnectionEstablished",
            "HandshakeComplete",
            "StreamOpened"
        ]
    );
    let same = |event: &ControlEvent| event.peer().map(|(peer_id, _)| peer_id) == Some(opened);
    assert!(seen.iter().all(same), "one peer: {seen:#?}");
    let peer = manager.connection(opened).unwrap();
    // What it says before it has our answer still goes over the first one.
    assert_two_streams(&node);
    assert_answers(&node, &peer);
    let txid = pay(&node);
    wait_for(
        &events,
        "the announcement of the payment",
        |event| match event {
            Event::Message(event) => match &*event.message {
                Message::Inv(inv) => inv.inventory.contains(&Inventory::Tx(txid)).then_some(()),
                _ => None,
            },
            Event::Control(_) => None,
        },
    );
    let found = peer.transactions(&[txid], SOON).unwrap();
    assert!(found[0].is_some());
    let numbers = peer.statistics();
    assert_came_over(&numbers, StreamType::Data1, &["block", "headers"]);
    assert_came_over(&numbers, StreamType::General, &["tx", "notfound"]);
    node.wait_until("the place of the newcomer is free", SOON, || {
        manager.metrics().streams_taken_in == 1
    });
    let snapshot = manager.snapshot().unwrap();
    assert_eq!(snapshot.connections.len(), 1, "{snapshot:#?}");
    assert_eq!(manager.metrics().slots_taken, 1);

    manager.disconnect(opened).unwrap();
    node.wait_until("both are gone", SOON, || node.peer_info().is_empty());
    wait_for(&events, "one end", |event| match event {
        Event::Control(ControlEvent::ConnectionLost { peer_id, .. }) => {
            assert_eq!(*peer_id, opened);
            Some(())
        }
        Event::Control(other) => panic!("{other}"),
        Event::Message(_) => None,
    });
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn a_node_without_further_streams_has_one_whoever_dials() {
    for (option, refusals) in [
        ("-multistreams=0", 1),
        // Both know `Default`: nothing is refused.
        ("-multistreampolicies=Default", 0),
    ] {
        let node = node_with_coins(&[option]);
        let mut actor = Actor::dial(&node, config());
        actor.connected(&node);
        assert_answers(&node, &actor.handle);
        assert_transactions_come(&node, &mut actor);
        assert_one_stream(&node, &actor.handle);
        let told = told_of_streams(&actor.control);
        assert_eq!(told.len(), refusals, "{option}: {told:?}");
        for event in told {
            let ControlEvent::StreamRefused { refusal, .. } = event else {
                panic!("{event}");
            };
            assert_eq!(refusal, StreamRefusal::NotEchoed);
        }
        drop(actor);
        node.wait_until("we are gone", SOON, || node.peer_info().is_empty());

        let (manager, events, address) = listening(|_| {});
        node.add_node_onetry(address);
        let peer_id = wait_for(&events, "the handshake", |event| match event {
            Event::Control(ControlEvent::HandshakeComplete { peer_id, .. }) => Some(*peer_id),
            _ => None,
        });
        let peer = manager.connection(peer_id).unwrap();
        assert_answers(&node, &peer);
        assert_one_stream(&node, &peer);
        assert_eq!(manager.metrics().let_in, 1);
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn whoever_wants_one_stream_has_one_and_is_told_of_no_refusal() {
    let node = node_with_coins(&[]);
    for config in [
        with(|config| config.session.multistreams = false),
        with(|config| config.session.stream_policies = vec![StreamPolicy::Default]),
        with(|config| config.session.stream_policies.reverse()),
    ] {
        let mut actor = Actor::dial(&node, config.clone());
        actor.connected(&node);
        assert_answers(&node, &actor.handle);
        assert_one_stream(&node, &actor.handle);
        assert_eq!(told_of_streams(&actor.control), []);
        drop(actor);
        node.wait_until("we are gone", SOON, || node.peer_info().is_empty());
    }
    // The node knows by our protoconf that there is no use in another one.
    let (manager, events, address) = listening(|config| {
        config.connection.session.stream_policies = vec![StreamPolicy::Default];
    });
    node.add_node_onetry(address);
    let peer_id = wait_for(&events, "the handshake", |event| match event {
        Event::Control(ControlEvent::HandshakeComplete { peer_id, .. }) => Some(*peer_id),
        _ => None,
    });
    let peer = manager.connection(peer_id).unwrap();
    assert_answers(&node, &peer);
    assert_one_stream(&node, &peer);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn both_streams_end_with_the_node_and_come_back_with_it() {
    let node = node_with_coins(&[]);
    let manager = {
        let mut config = ManagerConfig::new(Network::Regtest);
        config.restarts.backoff = std::time::Duration::from_millis(50);
        config.restarts.max_backoff = std::time::Duration::from_millis(200);
        Manager::new(config).unwrap()
    };
    let events = manager.subscribe();
    manager.start_fixed(&[node.address()]).unwrap();
    for turn in 0..4 {
        let mut ends = 0;
        let opened = wait_for(&events, "both streams", |event| match event {
            Event::Control(ControlEvent::StreamOpened { peer_id, .. }) => Some(*peer_id),
            Event::Control(ControlEvent::ConnectionRestarting { reason, .. }) => {
                // The node that is being started refuses connections for a while.
                ends += usize::from(crate::peer::is_cut(reason));
                None
            }
            _ => None,
        });
        assert_eq!(ends, usize::from(turn > 0), "one end for both streams");
        let peer = manager.connection(opened).unwrap();
        // One that was killed may have lost its chain, and answers nothing before it has a recent block.
        node.generate(1);
        assert_answers(&node, &peer);
        if turn % 2 == 0 {
            node.kill();
        } else {
            node.shutdown();
        }
        node.restart();
    }
}
