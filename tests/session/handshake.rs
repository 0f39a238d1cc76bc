//! Successful handshakes, and the messages of each side.

use bsv_p2p::session::{
    ConnectionState, Direction, DisconnectReason, NonceRegistry, Output, PeerInfo, SessionConfig,
    SessionEvent, USER_AGENT,
};
use bsv_p2p::wire::{
    AssociationId, Authch, Encode, Message, NetworkAddress, Pong, Protoconf, Services, Version,
};
use uuid::Uuid;

use crate::pair::{DIALLER, LISTENER, Pair};
use crate::side::{
    DIRECTIONS, Fate, SECOND, Side, UNIX_TIME, peer_address, peer_version, protoconf, send,
    send_ping, shortest_version,
};

fn own_version(nonce: u64) -> Version {
    Version {
        version: 70016,
        services: Services::NONE,
        timestamp: UNIX_TIME,
        receiver: NetworkAddress::new(Services::NONE, peer_address()),
        sender: Some(NetworkAddress::unspecified(Services::NONE)),
        nonce: Some(nonce),
        user_agent: Some(USER_AGENT.into()),
        start_height: Some(0),
        relay: Some(true),
        association_id: Some(AssociationId::Null),
    }
}

pub(crate) fn own_protoconf() -> Protoconf {
    Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: Some("Default".into()),
    }
}

pub(crate) fn handshake_complete(version: &Version) -> Output {
    let peer = Box::new(PeerInfo::from(version));
    Output::Event(SessionEvent::HandshakeComplete(peer))
}

/// Asserts that only the peer's verack is missing.
#[track_caller]
fn assert_completed_by_verack(side: &mut Side) {
    side.receive(Message::Verack);
    assert_eq!(
        side.take(),
        [
            handshake_complete(&peer_version()),
            send(Message::SendHeaders),
            send_ping(1001),
        ]
    );
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn outbound_handshake_sends_messages_in_fixed_order() {
    let mut side = Side::connected(Direction::Outbound);
    assert_eq!(side.take(), [send(own_version(1000))]);
    side.receive(peer_version());
    assert_eq!(
        side.take(),
        [send(Message::Verack), send(own_protoconf())],
        "nothing else before the peer's verack"
    );
    assert_eq!(side.session.state(), ConnectionState::AwaitingHandshake);
    assert_completed_by_verack(&mut side);
}

#[test]
fn inbound_handshake_waits_for_version() {
    let mut side = Side::connected(Direction::Inbound);
    assert_eq!(side.take(), []);
    side.receive(peer_version());
    assert_eq!(
        side.take(),
        [
            send(own_version(1000)),
            send(Message::Verack),
            send(own_protoconf()),
        ]
    );
    assert_completed_by_verack(&mut side);
}

#[test]
fn version_contains_configured_values() {
    let mut side = Side::connected_with(Direction::Outbound, |config| {
        config.protocol_version = 70015;
        config.services = Services::NETWORK;
        config.user_agent = "/mine:3(BSV)/".into();
        config.start_height = 812_345;
        config.relay = false;
        config.limits.general = 1_048_576;
    });
    let version = Version {
        version: 70015,
        services: Services::NETWORK,
        sender: Some(NetworkAddress::unspecified(Services::NETWORK)),
        user_agent: Some("/mine:3(BSV)/".into()),
        start_height: Some(812_345),
        relay: Some(false),
        ..own_version(1000)
    };
    assert_eq!(side.take(), [send(version)]);
    side.receive(peer_version());
    let protoconf = Protoconf {
        max_receive_payload: 1_048_576,
        ..own_protoconf()
    };
    assert_eq!(side.take(), [send(Message::Verack), send(protoconf)]);
}

#[test]
fn only_handshake_messages_precede_verack_of_peer() {
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        side.receive(peer_version());
        let delivery = side.receive(Authch {
            version: 1,
            challenge: [9; 32],
        });
        assert_eq!(delivery, Fate::Consumed);
        side.wait(20 * SECOND);
        let sent = side.take_sent();
        assert_eq!(
            sent,
            [
                own_version(1000).into(),
                Message::Verack,
                own_protoconf().into()
            ],
            "{direction}"
        );
    }
}

#[test]
fn handshake_time_depends_on_latency() {
    let latency = 3 * SECOND;
    let mut pair = Pair::new().with_latency(latency);
    pair.run_for(2 * latency - SECOND);
    assert_eq!(pair.completions(DIALLER), 0);
    pair.run_for(SECOND);
    assert_eq!(pair.completions(DIALLER), 1);
    assert_eq!(pair.completions(LISTENER), 0);
    pair.run_for(latency);
    assert_eq!(pair.completions(LISTENER), 1);
    pair.run_for(2 * latency);
    for side in pair.sides {
        assert_eq!(side.session.round_trip().last, Some(2 * latency));
    }
}

#[test]
fn disabled_streams_are_declined_in_version() {
    let id = AssociationId::Uuid(Uuid::from_u128(5));
    let version = Version {
        association_id: Some(id),
        ..peer_version()
    };
    let mut side = Side::connected(Direction::Inbound);
    side.receive(version);
    let Some(Output::Send(own)) = side.take().into_iter().next() else {
        panic!("no version");
    };
    assert_eq!(own.command().name(), "version");
    let bytes = own.encode_to_vec();
    assert_eq!(bytes[bytes.len() - 2..], [1, 0], "relay, then no identity");
    assert_eq!(side.session.peer_info().unwrap().association_id, Some(id));
}

#[test]
fn peer_info_is_emitted_once_and_kept() {
    for direction in DIRECTIONS {
        let mut side = Side::connected(direction);
        assert_eq!(side.session.peer_info(), None);
        side.receive(peer_version());
        side.receive(Message::Verack);
        let expected = PeerInfo {
            version: 70016,
            services: Services(0x21),
            timestamp: UNIX_TIME + 3,
            user_agent: "/Bitcoin SV:1.2.2/".into(),
            start_height: 800_000,
            relay: true,
            association_id: None,
        };
        assert_eq!(
            side.take_events(),
            [SessionEvent::HandshakeComplete(Box::new(expected.clone()))]
        );
        assert_eq!(side.session.peer_info(), Some(&expected));
    }
}

#[test]
fn shortest_version_is_completed_with_defaults() {
    let shortest = shortest_version();
    assert_eq!(shortest.encoded_len(), 46);
    let mut side = Side::connected(Direction::Inbound);
    side.receive(shortest);
    side.receive(Message::Verack);
    let peer = side.session.peer_info().unwrap();
    assert_eq!(peer.user_agent, "");
    assert_eq!(peer.start_height, -1);
    assert!(peer.relay);
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn sendheaders_requires_version_and_configuration() {
    let names = |peer: i32, wanted: bool| -> Vec<String> {
        let mut side = Side::connected_with(Direction::Outbound, |config| {
            config.send_headers = wanted;
        });
        side.receive(Version {
            version: peer,
            ..peer_version()
        });
        side.take();
        side.receive(Message::Verack);
        let name = |message: Message| message.command().name().to_owned();
        side.take_sent().into_iter().map(name).collect()
    };
    assert_eq!(names(70012, true), ["sendheaders", "ping"]);
    assert_eq!(names(70011, true), ["ping"]);
    assert_eq!(names(70016, false), ["ping"]);
}

#[test]
fn protoconf_counts_after_verack_of_peer() {
    let mut side = Side::connected(Direction::Inbound);
    side.receive(peer_version());
    side.receive(protoconf(8_388_608));
    assert_eq!(side.session.peer_max_payload(), 1_048_576, "too early");
    side.receive(Message::Verack);
    side.take();
    assert_eq!(side.receive(protoconf(8_388_608)), Fate::Consumed);
    assert_eq!(side.take(), [], "it may be sent again");
    assert_eq!(side.session.peer_max_payload(), 8_388_608);
}

#[test]
fn protoconf_with_one_field_is_accepted() {
    let mut side = Side::complete(Direction::Outbound);
    side.receive_bytes("protoconf", &[1, 0, 0, 0x10, 0]);
    assert_eq!(side.take(), []);
    assert_eq!(side.session.peer_max_payload(), 1_048_576);
    assert_eq!(side.session.state(), ConnectionState::Connected);
}

#[test]
fn little_is_read_before_the_handshake_is_complete() {
    let block = bsv_p2p::wire::Command::new("block");
    let mut side = Side::connected(Direction::Inbound);
    assert_eq!(side.session.limits().limit(block), 65_536);
    side.receive(peer_version());
    assert_eq!(side.session.limits().limit(block), 65_536);
    side.receive(Message::Verack);
    assert_eq!(side.session.limits(), SessionConfig::default().limits);
}

#[test]
fn nonce_is_registered_during_outbound_handshake() {
    let registry = NonceRegistry::default();
    let config = SessionConfig::default();
    let mut outbound = Side::new(Direction::Outbound, config.clone(), registry.clone(), 1000);
    assert!(registry.is_empty());
    outbound.connect();
    assert_eq!(registry.len(), 1);
    outbound.shake_hands(peer_version());
    assert!(registry.is_empty(), "the handshake is complete");

    let mut inbound = Side::new(Direction::Inbound, config.clone(), registry.clone(), 2000);
    inbound.connect();
    inbound.receive(peer_version());
    assert!(registry.is_empty(), "an inbound session enters none");

    let mut closed = Side::new(Direction::Outbound, config, registry.clone(), 3000);
    closed.connect();
    closed.with(|session, _| session.close(DisconnectReason::Shutdown));
    assert!(registry.is_empty(), "the connection has ended");
}

/// Returns the `version` of Teranode.
fn teranode_version() -> Version {
    Version {
        user_agent: Some("/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/".into()),
        ..peer_version()
    }
}

#[test]
fn teranode_that_sends_verack_early_scores_nothing() {
    // It sends both before it has read our version.
    let mut side = Side::connected(Direction::Inbound);
    side.receive(teranode_version());
    side.receive(Message::Verack);
    assert_eq!(side.session.state(), ConnectionState::Connected);
    // After our version: its address, a request for addresses, and protoconf.
    side.receive(Message::GetAddr);
    side.receive(protoconf(2_097_152));
    assert_eq!(side.session.peer_max_payload(), 2_097_152);
    assert_eq!((side.session.score(), side.closed()), (0, None));
}

#[test]
fn dialed_teranode_scores_nothing_in_any_order() {
    // The protoconf follows its verack by 10 ms, or by any message that we send in this time.
    for late_protoconf in [false, true] {
        let mut side = Side::connected(Direction::Outbound);
        side.receive(teranode_version());
        side.receive(Message::Verack);
        assert_eq!(side.session.state(), ConnectionState::Connected);
        let sent = side.take_sent();
        let ping = sent.iter().find_map(|message| match message {
            Message::Ping(ping) => ping.nonce,
            _ => None,
        });
        let pong = Pong::new(ping.expect("a ping after the handshake"));
        if late_protoconf {
            side.receive(pong);
            side.receive(protoconf(2_097_152));
        } else {
            side.receive(protoconf(2_097_152));
            side.receive(pong);
        }
        assert_eq!(side.session.peer_max_payload(), 2_097_152);
        assert_eq!((side.session.score(), side.closed()), (0, None));
    }
}
