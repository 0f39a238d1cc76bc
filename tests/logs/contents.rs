//! The log records, their keys and values, and log levels.

use std::net::SocketAddr;

use bsv_p2p::Manager;
use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::BitcoinMessageEvent;
use bsv_p2p::peers::Subnet;
use bsv_p2p::wire::{BlockHash, Inv, Inventory, Message};
use log::{Level, LevelFilter};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, wait_until};

use crate::capture::{Captured, listening, records_of, wait_for_end};

const KEYS: [&str; 5] = ["direction", "network", "peer_address", "peer_id", "state"];
const MESSAGE_KEYS: [&str; 6] = [
    "command",
    "direction",
    "network",
    "peer_address",
    "peer_id",
    "state",
];

/// Returns the only record with this text.
#[track_caller]
fn record<'a>(records: &'a [Captured], text: &str) -> &'a Captured {
    let mut found = records.iter().filter(|record| record.text.contains(text));
    match (found.next(), found.next()) {
        (Some(record), None) => record,
        found => panic!("{text:?}: {found:?} in {records:#?}"),
    }
}

#[test]
fn handshake_and_messages_are_logged_with_all_keys() {
    let (manager, events, address) = listening(LevelFilter::Trace);
    let messages = manager.subscribe_messages();
    let mut peer = RawPeer::dial(address);
    let name = peer.tcp().local_addr().unwrap();
    peer.shake_hands();
    peer.send(Inv::from(vec![Inventory::Block(BlockHash([7; 32]))]));
    let peer_id = messages.recv_timeout(DEADLINE).unwrap().peer_id.to_string();
    peer.close();
    wait_for_end(&events, name);

    let records = records_of(name);
    let inv = "received Inv(Inv { inventory: [Block(";
    for (text, level, state, command) in [
        (
            "inbound connection established",
            Level::Info,
            "awaiting handshake",
            None,
        ),
        (
            "sent version of",
            Level::Debug,
            "awaiting handshake",
            Some("version"),
        ),
        (
            "handshake complete with /Bitcoin SV:1.2.2/",
            Level::Info,
            "connected",
            None,
        ),
        (
            "received inv of 37 bytes",
            Level::Debug,
            "connected",
            Some("inv"),
        ),
        (inv, Level::Trace, "connected", Some("inv")),
    ] {
        let record = record(&records, text);
        assert_eq!(record.level, level, "{record:?}");
        assert_eq!(record.target, "bsv_p2p::connection");
        match command {
            None => assert_eq!(record.keys(), KEYS, "{record:?}"),
            Some(command) => {
                assert_eq!(record.keys(), MESSAGE_KEYS, "{record:?}");
                assert_eq!(record.value("command"), command);
            }
        }
        assert_eq!(record.value("peer_id"), peer_id);
        assert_eq!(record.value("peer_address"), name.to_string());
        assert_eq!(record.value("direction"), "inbound");
        assert_eq!(record.value("state"), state, "{record:?}");
        assert_eq!(record.value("network"), "regtest");
        assert!(record.text.starts_with(&format!("{name}: ")), "{record:?}");
    }
    let ended = record(&records, "inbound connection closed: ");
    assert_eq!(ended.level, Level::Info);
    assert_eq!(ended.value("error"), "connection closed by peer");
    assert_eq!(ended.value("state"), "failed");
    assert_eq!(ended.value("peer_id"), peer_id);
}

#[test]
fn sends_and_failed_restarts_are_logged() {
    let (manager, events, _) = listening(LevelFilter::Trace);
    let listener = RawListener::new();
    let address = listener.address();
    let peer_id = manager.connect(address).unwrap();
    let mut peer = listener.accept();
    peer.shake_hands();
    manager.wait_for_peers(1, DEADLINE).unwrap();
    let inv = Inv::from(vec![Inventory::Block(BlockHash([7; 32]))]);
    manager.send(peer_id, inv, DEADLINE).unwrap();
    peer.expect("inv");
    drop(listener);
    peer.reset();
    let says_again = |record: &Captured| record.text.contains("reconnecting ");
    wait_until("the pause is recorded", || {
        records_of(address).iter().any(says_again)
    });
    manager.disconnect(peer_id).unwrap();
    wait_for_end(&events, address);
    let records = records_of(address);
    assert_eq!(record(&records, "sent inv of 37 bytes").level, Level::Debug);
    assert_eq!(record(&records, "sent Inv(Inv {").level, Level::Trace);
    let dialing = records
        .iter()
        .find(|record| record.text.ends_with(": dialing"));
    let dialing = dialing.expect("a record");
    assert_eq!(dialing.level, Level::Debug);
    assert_eq!(dialing.value("state"), "connecting");
    assert_eq!(dialing.value("direction"), "outbound");
    let again = records.iter().find(|record| says_again(record)).unwrap();
    assert_eq!(again.level, Level::Info);
    assert_eq!(again.value("error"), "connection reset by peer");
    assert_eq!(again.value("direction"), "outbound");
    let text = &again.text;
    assert!(text.ends_with(": connection reset by peer"), "{text}");
}

/// Sends a message that is logged, and waits for its delivery. Returns the number of records about
/// received messages.
fn exchange(
    peer: &RawPeer,
    messages: &EventReceiver<BitcoinMessageEvent>,
    name: SocketAddr,
) -> usize {
    peer.send(Inv::from(vec![Inventory::Block(BlockHash([7; 32]))]));
    loop {
        let event = messages.recv_timeout(DEADLINE).expect("the message");
        if matches!(*event.message, Message::Inv(_)) {
            return count(name, "received ");
        }
    }
}

fn count(peer: SocketAddr, text: &str) -> usize {
    let records = records_of(peer).into_iter();
    records.filter(|record| record.text.contains(text)).count()
}

fn set_level(manager: &Manager, level: LevelFilter) {
    let mut config = manager.config();
    config.log_level = level;
    manager.update_config(config).unwrap();
}

#[test]
fn log_level_change_takes_effect_immediately() {
    let (manager, events, address) = listening(LevelFilter::Trace);
    let messages = manager.subscribe_messages();
    let mut peer = RawPeer::dial(address);
    let name = peer.tcp().local_addr().unwrap();
    peer.shake_hands();
    let before = exchange(&peer, &messages, name);
    let after = exchange(&peer, &messages, name);
    assert_eq!(after, before + 2, "the message, and its contents");
    set_level(&manager, LevelFilter::Debug);
    let after = exchange(&peer, &messages, name);
    assert_eq!(after, before + 3, "the message alone");
    set_level(&manager, LevelFilter::Info);
    let after = exchange(&peer, &messages, name);
    assert_eq!(after, before + 3);
    set_level(&manager, LevelFilter::Trace);
    let after = exchange(&peer, &messages, name);
    assert_eq!(after, before + 5);
    set_level(&manager, LevelFilter::Off);
    peer.close();
    wait_for_end(&events, name);
    assert_eq!(count(name, "connection established"), 1);
    assert_eq!(count(name, "connection closed"), 0);
}

#[test]
fn ban_and_rejected_connection_are_logged_with_subnet() {
    let (manager, events, address) = listening(LevelFilter::Trace);
    let mut config = manager.config();
    // Loopback addresses are treated like public ones.
    config.allow_private = Some(false);
    manager.update_config(config).unwrap();
    let foreign = RawPeer::dial(address);
    let name = foreign.tcp().local_addr().unwrap();
    foreign.send_bytes(&[0; 24]);
    wait_for_end(&events, name);
    let subnet = "127.0.0.1";
    wait_until("the ban is recorded", || !records_of(subnet).is_empty());
    let banned = records_of(subnet);
    let banned = record(&banned, "127.0.0.1 banned for 86400 s (");
    assert_eq!(banned.level, Level::Warn);
    assert_eq!(banned.target, "bsv_p2p::manager");
    assert_eq!(
        banned.value("peer_id"),
        records_of(name)[0].value("peer_id")
    );
    assert_eq!(banned.value("network"), "regtest");
    assert!(banned.value("error").contains("magic mismatch"));

    let again = RawPeer::dial(address);
    let name = again.tcp().local_addr().unwrap();
    wait_until("it is recorded", || !records_of(name).is_empty());
    let refused = records_of(name);
    let refused = record(&refused, "inbound connection rejected: address is banned");
    assert_eq!(refused.level, Level::Debug);
    let keys = ["direction", "error", "network", "peer_address"];
    assert_eq!(refused.keys(), keys);
    // A manual ban has no peer.
    let far = "192.0.2.0/24";
    let subnet: Subnet = far.parse().unwrap();
    manager.ban(subnet, None).unwrap();
    wait_until("the ban is recorded", || !records_of(far).is_empty());
    let manual = &records_of(far)[0];
    assert_eq!(manual.keys(), ["error", "network", "peer_address"]);
}
