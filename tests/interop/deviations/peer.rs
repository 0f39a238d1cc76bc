//! The handshake and the connection.

use std::time::Duration;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::NonceRegistry;
use bsv_p2p::wire::{
    BlockHash, LEGACY_MAX_RECEIVE_PAYLOAD, Message, Ping, Pong, Version, WireString,
};
use bsv_p2p::{Connection, ConnectionConfig, Error, Network};
use chain_gang::messages::{self as theirs, INV_VECT_BLOCK, INV_VECT_TX};
use chain_gang::peer::{PeerNodeFilter, SVPeerFilter};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, protoconf, version};

use super::{accept_dialer, connected_dialer};
use crate::dialer::{Dialer, chain_gang_version};
use crate::served_chain::{ServedChain, mine_chain, spend_reward, their_hash};
use crate::server::Server;

/// Answers a dial of chain-gang with a `version`, which ends the handshake.
#[track_caller]
fn assert_handshake_ends(version: Version) {
    let (dialer, raw) = accept_dialer();
    raw.send(version);
    dialer.wait_disconnected();
    assert!(dialer.peer.version().is_err());
}

fn connection_to_server() -> (Server, Connection) {
    let server = Server::start(ServedChain::new(&mine_chain(0)));
    let config = ConnectionConfig::new(Network::Regtest);
    let connection = Connection::connect(server.address.to_string(), &config).unwrap();
    (server, connection)
}

#[test]
fn protocol_version_is_70015() {
    let (_server, connection) = connection_to_server();
    assert_eq!(connection.peer_info().version, 70015);
}

#[test]
fn version_has_no_association_id() {
    let (_dialer, mut raw) = accept_dialer();
    let Message::Version(version) = raw.next_message() else {
        panic!("not a version");
    };
    assert_eq!(version.association_id, None);
    assert_eq!(version.relay, Some(true));
}

#[test]
fn default_version_disables_transaction_relay() {
    let node = LocalNode::start().unwrap();
    let version = theirs::Version {
        version: theirs::PROTOCOL_VERSION,
        ..theirs::Version::default()
    };
    assert_eq!((version.nonce, version.timestamp), (0, 0));
    let filter = std::sync::Arc::new(PeerNodeFilter::default());
    let dialer = Dialer::dial_with(node.address(), version, filter);
    dialer.wait_connected();
    assert!(node.wait_for_peers(1, DEADLINE));
    node.submit(&spend_reward(bsv_p2p::wire::Txid([1; 32])))
        .unwrap();
    let mined = their_hash(node.mine(1).unwrap()[0]);
    dialer.expect(|message| match message {
        theirs::Message::Inv(inv) => {
            let kinds: Vec<_> = inv.objects.iter().map(|entry| entry.obj_type).collect();
            assert!(!kinds.contains(&INV_VECT_TX), "{inv:?}");
            let is_mined = |entry: &theirs::InvVect| entry.hash == mined;
            (kinds == [INV_VECT_BLOCK] && inv.objects.iter().all(is_mined)).then_some(())
        }
        _ => None,
    });
}

#[test]
fn message_between_version_and_verack_ends_handshake() {
    let (dialer, mut raw) = accept_dialer();
    // chain-gang sends its version in 19 segments. A close before all of them are sent discards the
    // rest.
    assert!(matches!(raw.next_message(), Message::Version(_)));
    raw.send(version());
    raw.send(protoconf());
    raw.send(Message::Verack);
    dialer.wait_disconnected();
    assert_eq!(raw.rest(), []);

    // bsv-p2p sends nothing between the two.
    let node = LocalNode::start().unwrap();
    let mut raw = RawPeer::dial(node.address());
    raw.send(version());
    assert!(matches!(raw.next_message(), Message::Version(_)));
    assert_eq!(raw.next_message(), Message::Verack);
}

/// chain-gang waits for 3 s.
#[test]
fn verack_is_sent_after_the_peers_verack() {
    let (dialer, mut raw) = accept_dialer();
    raw.send(version());
    let sent = raw.rest();
    assert!(matches!(sent[..], [Message::Version(_)]), "{sent:?}");
    dialer.wait_disconnected();
}

#[test]
fn user_agent_must_be_utf8() {
    assert_handshake_ends(Version {
        user_agent: Some(WireString::from(&b"/node\xff/"[..])),
        ..version()
    });
}

#[test]
fn version_must_have_all_fields() {
    assert_handshake_ends(Version {
        sender: None,
        nonce: None,
        user_agent: None,
        start_height: None,
        relay: None,
        association_id: None,
        ..version()
    });
}

#[test]
fn protocol_version_below_70001_is_refused() {
    assert_handshake_ends(Version {
        version: 70000,
        ..version()
    });
}

#[test]
fn node_filter_requires_bitcoin_sv_agent() {
    let dial = |address| Dialer::dial_with(address, chain_gang_version(), SVPeerFilter::new(0));
    let listener = RawListener::new();
    let dialer = dial(listener.address());
    let raw = listener.accept();
    raw.send(Version {
        user_agent: Some("/node:1.0/".into()),
        ..version()
    });
    dialer.wait_disconnected();
    assert!(dialer.peer.version().is_err());

    // The default user agent of bsv-p2p passes.
    let node = LocalNode::start().unwrap();
    dial(node.address()).wait_connected();
}

#[test]
fn protoconf_is_never_sent() {
    let (dialer, mut raw) = accept_dialer();
    raw.send(version());
    raw.send(Message::Verack);
    assert!(matches!(raw.next_message(), Message::Version(_)));
    assert_eq!(raw.next_message(), Message::Verack);
    assert!(matches!(raw.next_message(), Message::Ping(_)));
    dialer.wait_connected();
    raw.send(protoconf());
    raw.send(Ping::new(7));
    assert_eq!(raw.next_message(), Message::Pong(Pong::new(7)));

    let (_server, connection) = connection_to_server();
    assert_eq!(connection.peer_max_payload(), LEGACY_MAX_RECEIVE_PAYLOAD);
}

#[test]
fn second_version_is_not_rejected() {
    let (dialer, mut raw) = connected_dialer();
    raw.send(version());
    dialer.expect(|message| matches!(message, theirs::Message::Version(_)).then_some(()));
    raw.send(Ping::new(7));
    assert_eq!(raw.next_message(), Message::Pong(Pong::new(7)));
}

#[test]
fn peer_answers_nothing_but_pings() {
    let listener = RawListener::new();
    let _dialer = Dialer::dial(listener.address());
    let config = ConnectionConfig::new(Network::Regtest);
    let tcp = listener.accept_tcp();
    let mut connection = Connection::accept(tcp, &config, &NonceRegistry::default()).unwrap();
    let timeout = Duration::from_millis(200);
    let headers = connection.headers(&[BlockHash::ZERO], BlockHash::ZERO, timeout);
    assert!(matches!(headers, Err(Error::Timeout { .. })));
    let block = connection.block(BlockHash([9; 32]), timeout);
    assert!(matches!(block, Err(Error::Timeout { .. })));
    connection.ping(DEADLINE).unwrap();
}
