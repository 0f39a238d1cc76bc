//! A single stream, because one side declines a second one.

use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::session::{SessionConfig, StreamSetupError};
use bsv_p2p::wire::StreamPolicy;
use test_support::real_node::RealNode;

use super::{
    assert_announced, assert_answers, assert_one_stream, assert_transactions_come,
    assert_two_streams, is_of_stream, listening, node_with_coins, pay, told_of_streams,
    up_to_two_streams, wait_for, with,
};
use crate::peer::{Actor, SOON, config};

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_without_streams_keeps_one_stream() {
    for (option, refusals) in [
        ("-multistreams=0", 1),
        // Both support `Default`: nothing is refused.
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
            let ControlEvent::StreamRefused { error, .. } = event else {
                panic!("{event}");
            };
            assert_eq!(error, StreamSetupError::AssociationNotEchoed);
        }
        drop(actor);
        node.wait_until("we are gone", SOON, || node.peer_info().is_empty());

        assert_one_stream_where_it_dials(&node, |_| {});
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn disabled_streams_emit_no_refusal() {
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
    for change in [
        |session: &mut SessionConfig| session.multistreams = false,
        // The node sees in our protoconf that another stream is useless.
        |session: &mut SessionConfig| session.stream_policies = vec![StreamPolicy::Default],
    ] {
        assert_one_stream_where_it_dials(&node, change);
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn dialing_node_chooses_the_stream_policy() {
    let node = node_with_coins(&[]);
    let (manager, events, address) =
        listening(|config| config.connection.session.stream_policies.reverse());
    node.add_node_onetry(address);
    let (opened, _) = up_to_two_streams(&events);
    let peer = manager.connection(opened).unwrap();
    let policy = peer.statistics().stream_policy;
    assert_eq!(policy, Some(StreamPolicy::BlockPriority));
    assert_two_streams(&node);
    assert_answers(&node, &peer);
}

/// Sends every kind of request to a dialing node over one stream, and waits until it has dropped
/// us.
#[track_caller]
fn assert_one_stream_where_it_dials(node: &RealNode, change: impl FnOnce(&mut SessionConfig)) {
    let (manager, events, address) = listening(|config| change(&mut config.connection.session));
    node.add_node_onetry(address);
    let peer_id = wait_for(&events, "the handshake", |event| match event {
        Event::Control(ControlEvent::HandshakeComplete { peer_id, .. }) => Some(*peer_id),
        _ => None,
    });
    let peer = manager.connection(peer_id).unwrap();
    assert_answers(node, &peer);
    let txid = pay(node);
    assert_announced(&events, txid);
    let found = peer.transactions(&[txid], SOON).unwrap();
    assert!(found[0].is_some());
    assert_one_stream(node, &peer);
    assert_eq!(manager.metrics().inbound_accepted, 1);
    manager.shutdown().unwrap();
    let told = events
        .iter()
        .map(Result::unwrap)
        .filter(|event| matches!(event, Event::Control(event) if is_of_stream(event)));
    assert_eq!(told.count(), 0);
    node.wait_until("we are gone", SOON, || node.peer_info().is_empty());
}
