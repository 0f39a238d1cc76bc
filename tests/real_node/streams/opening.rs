//! Opening of the second stream, and the messages on each stream.

use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::wire::{Inventory, Message, StreamPolicy, StreamType};
use bsv_p2p::{Manager, ManagerConfig, Network};

use super::{
    assert_announced, assert_answers, assert_came_over, assert_transactions_come,
    assert_two_streams, count, dial_twice, listening, node_with_coins, pay, told_of_streams,
    up_to_two_streams, wait_for,
};
use crate::peer::{SOON, announced, ask_for, config, tip};

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn second_stream_to_dialed_node_carries_blocks() {
    let node = node_with_coins(&[]);
    let mut actor = dial_twice(&node, config());
    assert_answers(&node, &actor.handle);
    assert_transactions_come(&node, &mut actor);
    node.generate(1);
    let new = tip(&node);
    actor.receive("the announcement of a block", |message| {
        announced(message).filter(|(hash, _)| *hash == new)
    });
    actor
        .handle
        .send(ask_for(Inventory::Block(new)), SOON)
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

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn dialing_node_opens_second_stream_without_slot() {
    let node = node_with_coins(&[]);
    let (manager, events, address) = listening(|config| {
        config.max_connections = 1;
        config.min_outbound = 0;
    });
    node.add_node_onetry(address);
    let (opened, seen) = up_to_two_streams(&events);
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
    // Messages that the node sends before our `streamack` still use the first stream.
    assert_two_streams(&node);
    assert_answers(&node, &peer);
    let txid = pay(&node);
    assert_announced(&events, txid);
    let found = peer.transactions(&[txid], SOON).unwrap();
    assert!(found[0].is_some());
    let numbers = peer.statistics();
    assert_came_over(&numbers, StreamType::Data1, &["block", "headers"]);
    assert_came_over(&numbers, StreamType::General, &["tx", "notfound"]);
    node.wait_until("the place of the newcomer is free", SOON, || {
        manager.metrics().streams_attached == 1
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
        _ => None,
    });
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn dialing_manager_shows_one_peer_with_two_streams() {
    let node = node_with_coins(&[]);
    let manager = Manager::new(ManagerConfig::new(Network::Regtest)).unwrap();
    let events = manager.subscribe();
    manager.start_fixed([node.address()]).unwrap();
    let (opened, seen) = up_to_two_streams(&events);
    let names: Vec<_> = seen.iter().map(ControlEvent::name).collect();
    assert_eq!(
        names,
        ["ConnectionEstablished", "HandshakeComplete", "StreamOpened"]
    );
    let peer = manager.connection(opened).unwrap();
    assert_answers(&node, &peer);
    assert_two_streams(&node);
    let snapshot = manager.snapshot().unwrap();
    let [connection] = &snapshot.connections[..] else {
        panic!("one peer: {snapshot:#?}");
    };
    assert_eq!(connection.peer_id, opened);
    assert_eq!(connection.stream_policy, Some(StreamPolicy::BlockPriority));
    let streams = connection.streams.iter();
    let kinds: Vec<_> = streams.clone().map(|one| one.stream).collect();
    assert_eq!(kinds, [StreamType::General, StreamType::Data1]);
    for one in streams.clone() {
        assert!(one.is_open, "{one:#?}");
        let both_ways = one.traffic.bytes_received > 0 && one.traffic.bytes_sent > 0;
        assert!(both_ways, "{one:#?}");
    }
    let bytes_received: u64 = streams.map(|one| one.traffic.bytes_received).sum();
    assert_eq!(connection.traffic.bytes_received, bytes_received);
    assert_eq!(snapshot.metrics.connected, 1);
    assert_eq!(snapshot.metrics.slots_taken, 1);
}
