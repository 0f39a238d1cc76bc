//! A long talk over two streams costs nothing with the node, whoever dials, and however many ask at once.

use std::thread;

use bsv_p2p::Error;
use bsv_p2p::connection::PeerConnectionHandle;
use bsv_p2p::event::Event;
use bsv_p2p::wire::{BlockHash, Inventory, Message, Txid};
use crossbeam_channel::Receiver;

use super::{
    assert_answers, assert_two_streams, dial_twice, listening, node_with_coins, pay,
    up_to_two_streams, wait_for,
};
use crate::manners::harmless;
use crate::peer::{SOON, UNKNOWN, announced, ask_for, config, genesis, tip};
use crate::support::RealNode;

/// How many threads ask.
const ASKERS: usize = 4;
/// How often each of them asks everything.
const ROUNDS: usize = 25;

/// Asks everything from several threads, says everything that is harmless, and lets the node pay and mine meanwhile.
#[track_caller]
fn talk(node: &RealNode, peer: &PeerConnectionHandle, events: &Receiver<Event>) {
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
    // Whoever has just asked for headers knows a block, and is not told of it: this one nobody has asked for.
    node.generate(1);
    let new = tip(node);
    wait_for(events, "the announcement of a block", |event| match event {
        Event::Message(event) => announced(&event.message).filter(|(hash, _)| *hash == new),
        Event::Control(_) => None,
    });
    // The answers to last questions, on each stream, show that everything has been read.
    let last = Inventory::Tx(Txid([0x99; 32]));
    peer.send(&ask_for(last), SOON).unwrap();
    wait_for(events, "the answer to the last question", |event| {
        let Event::Message(event) = event else {
            return None;
        };
        matches!(&*event.message, Message::NotFound(list) if list.inventory == [last]).then_some(())
    });
    assert_answers(node, peer);
    assert_two_streams(node);
    let streams = peer.statistics().streams;
    assert!(streams.iter().all(|one| one.stands), "{streams:#?}");
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn a_long_talk_over_two_streams_costs_nothing_with_a_node_that_we_have_dialled() {
    let node = node_with_coins(&[]);
    let actor = dial_twice(&node, config());
    talk(&node, &actor.handle, &actor.events);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn a_long_talk_over_two_streams_costs_nothing_with_a_node_that_has_dialled_us() {
    let node = node_with_coins(&[]);
    let (manager, events, address) = listening(|_| {});
    node.add_node_onetry(address);
    let (opened, _) = up_to_two_streams(&events);
    talk(&node, &manager.connection(opened).unwrap(), &events);
}
