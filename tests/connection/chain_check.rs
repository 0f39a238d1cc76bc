//! The session's check of the peer's chain, on connections.

use std::thread;

use bsv_p2p::wire::{BlockHash, Inventory, Message, Txid};
use bsv_p2p::{Connection, ConnectionConfig};
use test_support::raw_peer::{RawListener, RawPeer, protoconf, version};

use crate::answers::{getdata, header_on, headers, not_found};
use crate::harness::{Actor, config, message};

const REQUIRED: BlockHash = BlockHash([7; 32]);

fn requiring() -> ConnectionConfig {
    let mut config = config();
    config.session.required_block = Some(REQUIRED);
    config
}

/// Completes the handshake, then reports the end marker as missing: among other objects, and alone.
fn report_end_marker(peer: &mut RawPeer) {
    peer.send(version());
    peer.send(Message::Verack);
    peer.send(protoconf());
    let marker = getdata(peer);
    peer.send(not_found(&[others()[0], marker[0], others()[1]]));
    peer.send(not_found(&marker));
    peer.send(announcement());
    peer.send(message("last"));
}

fn others() -> [Inventory; 2] {
    [1, 2].map(|number| Inventory::Tx(Txid([number; 32])))
}

/// Returns headers that would answer an open probe.
fn announcement() -> Message {
    headers(&[header_on(REQUIRED)])
}

/// Returns the messages that the application receives.
fn expected() -> [Message; 3] {
    [not_found(&others()).into(), announcement(), message("last")]
}

#[test]
fn connection_never_delivers_probe_end_marker() {
    let listener = RawListener::new();
    thread::scope(|scope| {
        let peer = scope.spawn(|| {
            let mut peer = listener.accept();
            report_end_marker(&mut peer);
            peer
        });
        let address = listener.address().to_string();
        let mut connection = Connection::connect(&address, &requiring()).unwrap();
        let _peer = peer.join().unwrap();
        for expected in expected() {
            assert_eq!(connection.receive().unwrap(), expected);
        }
    });
}

#[test]
fn subscribers_never_receive_probe_end_marker() {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &requiring());
    let mut peer = listener.accept();
    report_end_marker(&mut peer);
    for expected in expected() {
        assert_eq!(actor.next_message(), expected);
    }
}
