//! Long traffic over two streams causes no misbehavior at the node, in both directions of dialing
//! and with many concurrent requests.

use std::thread;

use bsv_p2p::Error;
use bsv_p2p::connection::{EventReceiver, PeerConnectionHandle};
use bsv_p2p::event::Event;
use bsv_p2p::wire::{BlockHash, Inventory, Message, Txid};
use test_support::real_node::RealNode;

use super::{
    assert_answers, assert_two_streams, dial_twice, listening, node_with_coins, pay,
    up_to_two_streams, wait_for,
};
use crate::manners::harmless;
use crate::peer::{SOON, UNKNOWN, announced, ask_for, config, genesis, tip};

/// The number of requesting threads.
const ASKERS: usize = 4;
/// The number of rounds of each thread.
const ROUNDS: usize = 25;

/// Sends every kind of request from several threads and every harmless message, while the node pays
/// and mines.
#[track_caller]
fn talk(node: &RealNode, peer: &PeerConnectionHandle, events: &EventReceiver<Event>) {
    let headers = peer.headers(&[genesis()], BlockHash::ZERO, SOON).unwrap();
    thread::scope(|scope| {
        for asker in 0..ASKERS {
            let headers = &headers;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let there = headers[(asker * ROUNDS + round) % headers.len()].hash();
                    assert_eq!(peer.block(there, SOON).unwrap().hash(), there);
                    let unknown = BlockHash([asker as u8 + 1; 32]);
                    let answer = peer.block(unknown, SOON);
                    assert!(
                        matches!(&answer, Err(Error::NotFound { hash, .. }) if *hash == unknown),
                        "{answer:?}"
                    );
                    let nothing = peer.transactions(&[Txid([asker as u8; 32])], SOON);
                    assert_eq!(nothing.unwrap(), [None]);
                    let after = peer.headers(&[there], BlockHash::ZERO, SOON).unwrap();
                    assert!(after.iter().all(|header| header.hash() != there));
                    let from_the_beginning = peer.headers(&[UNKNOWN], BlockHash::ZERO, SOON);
                    assert_eq!(from_the_beginning.unwrap()[0], headers[0]);
                    peer.ping(SOON).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for message in harmless() {
                let sent = peer.send(&message, SOON);
                sent.unwrap_or_else(|error| panic!("{}: {error}", message.command()));
            }
        });
        for _ in 0..5 {
            pay(node);
            node.generate(1);
        }
    });
    // A peer that has just requested headers knows the block, and gets no announcement: this one
    // was not requested.
    node.generate(1);
    let new = tip(node);
    wait_for(events, "the announcement of a block", |event| match event {
        Event::Message(event) => announced(&event.message).filter(|(hash, _)| *hash == new),
        _ => None,
    });
    // The responses to final requests on each stream show that everything has been read.
    let last = Inventory::Tx(Txid([0x99; 32]));
    peer.send(ask_for(last), SOON).unwrap();
    wait_for(events, "the answer to the last question", |event| {
        let Event::Message(event) = event else {
            return None;
        };
        matches!(&*event.message, Message::NotFound(list) if list.inventory == [last]).then_some(())
    });
    assert_answers(node, peer);
    assert_two_streams(node);
    let streams = peer.statistics().streams;
    assert!(streams.iter().all(|one| one.is_open), "{streams:#?}");
}

/// Nothing counts as misbehavior at the node.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn long_traffic_with_dialed_node_is_clean() {
    let node = node_with_coins(&[]);
    let actor = dial_twice(&node, config());
    talk(&node, &actor.handle, &actor.events);
}

/// Nothing counts as misbehavior at the node.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn long_traffic_with_dialing_node_is_clean() {
    let node = node_with_coins(&[]);
    let (manager, events, address) = listening(|_| {});
    node.add_node_onetry(address);
    let (opened, _) = up_to_two_streams(&events);
    talk(&node, &manager.connection(opened).unwrap(), &events);
}
