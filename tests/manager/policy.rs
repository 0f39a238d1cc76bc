//! Accepted and rejected peers: other chains, other networks, misbehavior.

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::manager::PeerSelector;
use bsv_p2p::peers::BanReason;
use bsv_p2p::session::{DisconnectReason, UserAgentPolicy};
use bsv_p2p::wire::Version;
use bsv_p2p::{Manager, ManagerConfig, Network};
use test_support::raw_peer::{RawListener, RawPeer, echo, frame_of, header_claiming, version};

use crate::harness::*;

/// Starts a manager that treats loopback addresses like public ones.
fn strict() -> ManagerConfig {
    let mut config = listening();
    config.allow_private = Some(false);
    config
}

#[track_caller]
fn expect_ban(manager: &Manager, events: &EventReceiver<ControlEvent>) -> BanReason {
    let ban = wait_for(events, |event| match event {
        ControlEvent::PeerBanned { ban, .. } => Some(*ban),
        _ => None,
    });
    assert_eq!(manager.bans(), [ban]);
    ban.reason
}

/// Waits until a connection ends because of its user agent. Returns the agent.
#[track_caller]
fn expect_rejected_agent(events: &EventReceiver<ControlEvent>) -> String {
    wait_for(events, |event| match event {
        ControlEvent::ConnectionFailed {
            reason: DisconnectReason::UserAgentRejected { user_agent, .. },
            ..
        } => Some(user_agent.to_string()),
        _ => None,
    })
}

fn version_of(user_agent: &str) -> Version {
    Version {
        user_agent: Some(user_agent.into()),
        ..version()
    }
}

#[test]
fn inbound_agent_of_another_chain_is_not_banned() {
    let (manager, events, address) = running(strict());
    let peer = RawPeer::dial(address);
    peer.send(version_of("/Bitcoin Cash Node:27.0.0(EB32.0)/"));
    assert_eq!(
        expect_rejected_agent(&events),
        "/Bitcoin Cash Node:27.0.0(EB32.0)/"
    );
    assert_eq!(manager.bans(), []);
    // Another node at the same address is accepted.
    let mut other = RawPeer::dial(address);
    other.shake_hands();
    manager.wait_for_peers(1, LIMIT).unwrap();
}

#[test]
fn dialed_agent_of_another_chain_cools_down() {
    let listener = RawListener::new();
    let mut config = strict();
    config.listener.enabled = false;
    config.allow_private = Some(true);
    config.target_connections = 1;
    config.discovery.addresses = vec![listener.address()];
    let cooldown = config.cooldown;
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let peer = listener.accept();
    peer.send(version_of("/Bitcoin Cash Node:27.0.0(EB32.0)/"));
    expect_rejected_agent(&events);
    let mut waiting = Vec::new();
    until("it is left alone", || {
        waiting = manager.snapshot().unwrap().waiting;
        waiting.len() == 1
    });
    assert!(waiting[0].next_retry > cooldown / 2, "{waiting:?}");
    assert_eq!(manager.bans(), []);
}

#[test]
fn wrong_magic_leads_to_ban() {
    let (manager, events, address) = running(strict());
    let peer = RawPeer::dial(address);
    peer.send_bytes(&frame_of(Network::Stn.magic(), &version().into()));
    assert_eq!(expect_ban(&manager, &events), BanReason::WrongMagic);
}

#[test]
fn misbehaving_peer_is_banned_and_then_refused() {
    let (manager, events, address) = running(strict());
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    peer.send_bytes(&header_claiming("ping", 1 << 30));
    let reason = expect_ban(&manager, &events);
    assert_eq!(reason, BanReason::FrameTooLarge);
    let refused = RawPeer::dial(address);
    assert!(refused.read_to_end().is_empty());
    wait_for(&events, |event| match event {
        ControlEvent::InboundConnectionRejected { .. } => Some(()),
        _ => None,
    });
    manager.unban_address(address.ip()).unwrap();
    RawPeer::dial(address).shake_hands();
}

#[test]
fn changed_agent_policy_applies_to_next_handshake() {
    let mut config = strict();
    config.connection.session.user_agents = UserAgentPolicy::Require(vec!["*Bitcoin SV*".into()]);
    let (manager, events, address) = running(config.clone());
    let refused = RawPeer::dial(address);
    let foreign = version_of("/Satoshi:25.0.0/");
    refused.send(foreign.clone());
    assert_eq!(expect_rejected_agent(&events), "/Satoshi:25.0.0/");
    assert_eq!(manager.bans(), []);
    config.connection.session.user_agents = UserAgentPolicy::Any;
    // It applies to further handshakes.
    manager.update_config(config).unwrap();
    let mut peer = RawPeer::dial(address);
    peer.shake_hands_as(foreign);
    manager.wait_for_peers(1, LIMIT).unwrap();
}

#[test]
fn private_peer_is_disconnected_but_not_banned() {
    let (manager, events, address) = running(listening());
    let peer = RawPeer::dial(address);
    peer.send_bytes(&frame_of(Network::Stn.magic(), &version().into()));
    let reason = wait_for(&events, |event| match event {
        ControlEvent::ConnectionFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(
        matches!(reason, DisconnectReason::WrongMagic(_)),
        "{reason}"
    );
    assert_eq!(manager.bans(), []);
    RawPeer::dial(address).shake_hands();
}

#[test]
fn manual_peer_is_stopped_but_not_banned() {
    let listener = RawListener::new();
    let mut config = strict();
    config.listener.enabled = false;
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start().unwrap();
    manager.connect(listener.address()).unwrap();
    let peer = listener.accept();
    peer.send_bytes(&frame_of(Network::Stn.magic(), &version().into()));
    let reason = wait_for(&events, |event| match event {
        ControlEvent::ConnectionFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(
        matches!(reason, DisconnectReason::WrongMagic(_)),
        "{reason}"
    );
    assert_eq!(manager.bans(), []);
    until("it is left alone", || {
        manager.snapshot().unwrap().waiting.len() == 1
    });
}

#[test]
fn self_connection_is_detected() {
    let (manager, events, address) = running(listening());
    let ours = manager.connect(address).unwrap();
    let reason = wait_for(&events, |event| match event {
        ControlEvent::ConnectionFailed {
            peer_id, reason, ..
        } if *peer_id == ours => Some(reason.clone()),
        _ => None,
    });
    // Whichever side notices it first.
    let noticed = matches!(
        reason,
        DisconnectReason::SelfConnection | DisconnectReason::ClosedDuringHandshake { .. }
    );
    assert!(noticed, "{reason}");
    until("both ends are gone", || manager.connections().is_empty());
}

#[test]
fn echo_server_is_recognized_as_self_connection() {
    let listener = RawListener::new();
    let address = listener.address();
    let manager = manager(config());
    let events = manager.subscribe_control();
    manager.start_fixed([address]).unwrap();
    echo(listener.accept_tcp());
    let reason = wait_for(&events, |event| match event {
        ControlEvent::HandshakeComplete { .. } => panic!("{event}"),
        // A fixed peer is dialed again.
        ControlEvent::ConnectionRestarting { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, DisconnectReason::SelfConnection);
    assert_eq!(manager.connected_count(), 0);
    assert_eq!(manager.bans(), []);
}

#[test]
fn node_without_required_block_is_banned() {
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    let [right, wrong] = nodes.each_ref();
    let required = right.mine(3).unwrap()[2];
    wrong.mine(2).unwrap();
    let mut config = strict();
    config.connection.session.required_block = Some(required);
    let (manager, events, address) = running(config);
    right.connect(address).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    manager.ping(PeerSelector::Best, LIMIT).unwrap();
    wrong.connect(address).unwrap();
    assert_eq!(expect_ban(&manager, &events), BanReason::WrongChain);
}
