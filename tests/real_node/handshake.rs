//! The handshake with a real node in both directions, and the resulting peer information.

use std::time::{SystemTime, UNIX_EPOCH};

use bsv_p2p::connection::PeerConnectionHandle;
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::session::{AwaitedMessage, ConnectionState, Direction, DisconnectReason, PeerInfo};
use bsv_p2p::wire::{AssociationId, BlockHash, Message, Services};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

use crate::peer::{
    Actor, SOON, announced, assert_good_standing, be_dialed, config, dial, disconnect, end_of,
    genesis, is_cut, mine_and_hear, only_peer, serve_until, tip,
};

/// Runs ordinary traffic of an application.
fn ordinary_traffic(node: &RealNode, connection: &mut Connection) {
    for _ in 0..5 {
        connection.ping(SOON).expect("a pong");
        let headers = connection.headers(&[genesis()], BlockHash::ZERO, SOON);
        let last = headers.expect("headers").pop().expect("a header").hash();
        assert_eq!(last, tip(node));
        assert_eq!(connection.block(last, SOON).expect("a block").hash(), last);
        connection
            .send(&Message::GetAddr)
            .expect("an open connection");
        mine_and_hear(node, connection);
    }
}

#[track_caller]
fn assert_is_the_node(peer: &PeerInfo, node: &RealNode, height: i32) {
    let network = node.rpc("getnetworkinfo", json!([]));
    assert_eq!(peer.version, network["protocolversion"]);
    let services = u64::from_str_radix(network["localservices"].as_str().unwrap(), 16);
    assert_eq!(peer.services, Services(services.unwrap()));
    assert!(peer.services.contains(Services::NETWORK));
    assert_eq!(peer.user_agent.to_string(), network["subversion"]);
    assert_eq!(peer.start_height, height);
    assert!(peer.relay);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let clocks = peer.timestamp.abs_diff(since.as_secs() as i64);
    assert!(clocks <= SOON.as_secs(), "{clocks} s between the clocks");
}

#[track_caller]
fn assert_is_us(peer: &Value, direction: Direction) {
    assert_eq!(peer["subver"], "/bsv-p2p:0.1.0(Bitcoin SV)/", "{peer:#}");
    assert_eq!(peer["version"], 70016, "{peer:#}");
    assert_eq!(peer["services"], "0000000000000000", "{peer:#}");
    assert_eq!(peer["startingheight"], 0, "{peer:#}");
    assert_eq!(peer["relaytxes"], true, "{peer:#}");
    assert_eq!(
        peer["inbound"],
        direction == Direction::Outbound,
        "{peer:#}"
    );
    assert_eq!(peer["banscore"], 0, "{peer:#}");
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn dialed_handshake_informs_both_sides() {
    let node = RealNode::start(&[]);
    node.generate(3);
    let mut connection = dial(&node, &config());
    assert_is_the_node(connection.peer_info(), &node, 3);
    assert_eq!(
        connection.peer_info().association_id,
        Some(AssociationId::Null)
    );
    assert_eq!(connection.peer_addr(), node.address());

    let peer = serve_until(&node, &mut connection, "the node is done as well", |peer| {
        peer["pingtime"].is_number()
    });
    assert_is_us(&peer, Direction::Outbound);
    ordinary_traffic(&node, &mut connection);
    assert_is_us(&only_peer(&node).expect("one peer"), Direction::Outbound);
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn accepted_handshake_informs_both_sides() {
    let node = RealNode::start(&[]);
    node.generate(3);
    let mut connection = be_dialed(&node, &config());
    assert_is_the_node(connection.peer_info(), &node, 3);
    let association = connection.peer_info().association_id;
    assert!(
        matches!(association, Some(AssociationId::Uuid(_))),
        "{association:?}"
    );

    let peer = serve_until(&node, &mut connection, "the node is done as well", |peer| {
        peer["pingtime"].is_number()
    });
    assert_is_us(&peer, Direction::Inbound);
    ordinary_traffic(&node, &mut connection);
    assert_is_us(&only_peer(&node).expect("one peer"), Direction::Inbound);
    assert_good_standing(&node);
}

/// Returns the names of the events, with consecutive messages merged. The time of a second stream
/// says nothing about the messages on the first.
fn chapters(life: &[Event]) -> Vec<&'static str> {
    let opened =
        |event: &&Event| matches!(event, Event::Control(ControlEvent::StreamOpened { .. }));
    let mut names: Vec<_> = life
        .iter()
        .filter(|event| !opened(event))
        .map(|event| match event {
            Event::Control(event) => event.name(),
            Event::Message(_) => "messages",
            other => panic!("{other:?}"),
        })
        .collect();
    names.dedup();
    names
}

fn commands(life: &[Event]) -> Vec<String> {
    let messages = life.iter().filter_map(|event| match event {
        Event::Message(event) => Some(event.message.command().to_string()),
        _ => None,
    });
    messages.collect()
}

#[track_caller]
fn assert_whole_life(actor: Actor, node: &RealNode, end: impl FnOnce(&PeerConnectionHandle)) {
    let mut actor = actor;
    let (address, direction) = (actor.handle.peer_addr(), actor.handle.direction());
    let peer_id = actor.handle.peer_id();
    let info = actor.connected(node);
    assert_is_the_node(&info, node, 3);
    assert_eq!(actor.handle.peer_info(), Some(info));
    assert_eq!(actor.handle.state(), ConnectionState::Connected);
    let peer = node.wait_until("the node is done as well", SOON, || {
        only_peer(node).filter(|peer| peer["pingtime"].is_number())
    });
    assert_is_us(&peer, direction);
    // The node sends this right after the handshake: it is delivered as a known message.
    actor.receive("sendcmpct", |message| {
        matches!(message, Message::SendCmpct(_)).then_some(())
    });
    assert!(actor.handle.wants_headers());
    node.generate(1);
    let (hash, _) = actor.receive("the announcement of a block", announced);
    assert_eq!(hash, tip(node));
    assert_good_standing(node);
    let mut expected = vec!["ConnectionEstablished", "HandshakeComplete"];
    // The node opens no second stream here, because the dialed listener is closed.
    if direction == Direction::Outbound {
        node.wait_until("the second stream", SOON, || {
            actor.handle.statistics().stream_policy.is_some()
        });
        expected.push("StreamOpened");
    }
    expected.push("ConnectionLost");

    end(&actor.handle);
    actor.lost();
    node.wait_until("the node has no peer any more", SOON, || {
        node.peer_info().is_empty()
    });
    let control = actor.control.clone();
    let life = actor.life();
    let whole = [
        "ConnectionEstablished",
        "HandshakeComplete",
        "messages",
        "ConnectionLost",
    ];
    assert_eq!(chapters(&life), whole, "{life:#?}");
    // Messages of the session are not delivered to the application.
    for own in ["version", "verack", "protoconf", "ping", "pong"] {
        assert!(
            !commands(&life).iter().any(|command| command == own),
            "{own}"
        );
    }
    let told = |event: &ControlEvent| event.peer();
    let control: Vec<_> = control.iter().map(Result::unwrap).collect();
    assert_eq!(
        control.iter().map(ControlEvent::name).collect::<Vec<_>>(),
        expected
    );
    assert!(
        control
            .iter()
            .all(|event| told(event) == Some((peer_id, address)))
    );
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn outbound_actor_emits_events_once_in_order() {
    let node = RealNode::start(&[]);
    node.generate(3);
    let actor = Actor::dial(&node, config());
    assert_eq!(actor.handle.direction(), Direction::Outbound);
    assert_eq!(actor.handle.peer_addr(), node.address());
    assert_whole_life(actor, &node, |_| {
        disconnect(&node, &only_peer(&node).expect("one peer"));
    });
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn inbound_actor_emits_events_once_in_order() {
    let node = RealNode::start(&[]);
    node.generate(3);
    let actor = Actor::be_dialed(&node, config());
    assert_eq!(actor.handle.direction(), Direction::Inbound);
    assert_whole_life(actor, &node, PeerConnectionHandle::disconnect);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn local_and_remote_disconnect_have_different_reasons() {
    let node = RealNode::start(&[]);
    let [mut one, mut other] = [(); 2].map(|()| Actor::dial(&node, config()));
    one.connected(&node);
    other.connected(&node);

    one.handle.disconnect();
    assert_eq!(one.lost(), DisconnectReason::Requested);
    assert_eq!(one.handle.state(), ConnectionState::Disconnected);
    let refused = one.handle.try_send(&Message::GetAddr);
    assert_eq!(end_of(refused), DisconnectReason::Requested);

    let peer = node.wait_until("one peer is left", SOON, || only_peer(&node));
    disconnect(&node, &peer);
    let reason = other.lost();
    assert!(is_cut(&reason), "{reason:?}");
    assert_eq!(other.handle.state(), ConnectionState::Failed);
    assert_eq!(end_of(other.handle.try_send(&Message::GetAddr)), reason);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn connection_with_other_magic_is_closed_and_banned() {
    let node = RealNode::start(&[]);
    let address = node.address().to_string();
    // The node bans a peer with another magic and closes: it never sends its version.
    let cut = DisconnectReason::ClosedDuringHandshake {
        missing: AwaitedMessage::Version,
    };
    let mainnet = ConnectionConfig::new(Network::Mainnet);
    assert_eq!(end_of(Connection::connect(&address, &mainnet)), cut);
    let banned = node.rpc("listbanned", json!([]));
    assert_eq!(banned[0]["address"], "127.0.0.1/32", "{banned}");

    // Connections of a banned address are closed before any byte.
    assert_eq!(end_of(Connection::connect(&address, &config())), cut);
    let mut actor = Actor::dial(&node, mainnet);
    assert_eq!(actor.lost(), cut);
    let life = actor.life();
    assert_eq!(
        chapters(&life),
        ["ConnectionEstablished", "ConnectionFailed"],
        "{life:#?}"
    );

    node.rpc("clearbanned", json!([]));
    drop(dial(&node, &config()));
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn dialing_stopped_node_is_refused() {
    let node = RealNode::start(&[]);
    let address = node.address();
    drop(dial(&node, &config()));
    node.kill();
    let refused = DisconnectReason::ConnectRefused;
    assert_eq!(
        end_of(Connection::connect(address.to_string(), &config())),
        refused
    );
    let mut actor = Actor::dial(&node, config());
    assert_eq!(actor.lost(), refused);
    assert_eq!(chapters(&actor.life()), ["ConnectionFailed"]);
}
