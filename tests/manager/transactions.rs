//! Transactions that are broadcast.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::Error;
use bsv_p2p::wire::{
    GetData, Inv, InvalidTransaction, Inventory, Message, Reject, RejectCode, Tx, Txid,
};
use test_support::payment::payment;
use test_support::raw_peer::{RawListener, RawPeer};

use crate::harness::*;

fn transaction() -> Tx {
    Tx::from(&payment(7))
}

fn announcement(txid: Txid) -> Message {
    Inv::from(vec![Inventory::Tx(txid)]).into()
}

fn question(txid: Txid) -> Message {
    GetData::from(vec![Inventory::Tx(txid)]).into()
}

/// Returns a manager that is connected to `N` peers, in the order of their addresses.
fn connected<const N: usize>() -> (bsv_p2p::Manager, [RawPeer; N]) {
    let listeners: [RawListener; N] = [(); N].map(|()| RawListener::new());
    let manager = manager(config());
    let addresses = listeners.each_ref().map(RawListener::address);
    manager.start_fixed(addresses).unwrap();
    let peers = listeners.map(|listener| {
        let mut peer = listener.accept();
        peer.shake_hands();
        peer
    });
    manager.wait_for_peers(N, LIMIT).unwrap();
    (manager, peers)
}

#[test]
fn broadcast_of_invalid_transaction_fails() {
    let manager = manager(config());
    let mut transaction = payment(7);
    transaction.outputs.clear();
    let transaction = Tx::from(&transaction);
    let expected = Error::InvalidTransaction {
        txid: transaction.txid(),
        error: InvalidTransaction::NoOutputs,
    };
    let refused = manager.broadcast_transaction(transaction);
    assert_eq!(refused.map(drop), Err(expected));
}

#[test]
fn broadcast_reports_announcements_echoes_and_rejects() {
    let (manager, peers) = connected::<3>();
    let transaction = transaction();
    let txid = transaction.txid();
    let broadcast = manager.broadcast_transaction(transaction.clone()).unwrap();
    assert_eq!(broadcast.txid(), txid);
    let began = Instant::now();
    let answers = peers.map(|mut peer| {
        thread::spawn(move || {
            assert_eq!(peer.expect("inv"), announcement(txid));
            let told_after = began.elapsed();
            peer.send(question(txid));
            let Message::Tx(served) = peer.expect("tx") else {
                panic!("no transaction");
            };
            let mut reject = Reject::new("tx", RejectCode::INSUFFICIENT_FEE, "evil\n\u{1b}[2J");
            reject.hash = Some(bsv_p2p::wire::Hash256(txid.0));
            peer.send(reject);
            (told_after, served, peer)
        })
    });
    let report = broadcast.wait_for(3, LIMIT);
    assert_eq!((report.announced_to, report.requested_by.len()), (3, 3));
    let answers = answers.map(|answer| answer.join().unwrap());
    assert!(answers.iter().all(|(_, served, _)| *served == transaction));
    // Two at once, the third in the second wave.
    let late = answers
        .iter()
        .filter(|(after, ..)| *after > Duration::from_secs(4));
    assert_eq!(late.count(), 1);
    until("all rejections are there", || {
        broadcast.report().rejected_by.len() == 3
    });
    let rejection = &broadcast.report().rejected_by[0];
    assert_eq!(rejection.code, RejectCode::INSUFFICIENT_FEE);
    assert!(report.requested_by.contains(&rejection.peer));
    broadcast.cancel();
    assert!(broadcast.report().is_finished);
}

#[test]
fn broadcast_reaches_later_peer_that_relays() {
    let (manager, events, address) = running(listening());
    let broadcast = manager.broadcast_transaction(transaction()).unwrap();
    assert_eq!(broadcast.report().announced_to, 0);
    let mut unwilling = dial_from([127, 0, 0, 2], address);
    let version = bsv_p2p::wire::Version {
        relay: Some(false),
        ..test_support::raw_peer::version()
    };
    unwilling.shake_hands_as(version);
    manager.wait_for_peers(1, LIMIT).unwrap();
    let mut late = dial_from([127, 0, 0, 3], address);
    late.shake_hands();
    assert_eq!(late.expect("inv"), announcement(broadcast.txid()));
    // A peer without an announcement from us shows that it has the transaction.
    unwilling.send(announcement(broadcast.txid()));
    let report = broadcast.wait_for(1, LIMIT);
    assert_eq!((report.announced_to, report.relayed_by.len()), (1, 1));
    drop(events);
}

#[test]
fn shutdown_wakes_waiting_broadcast() {
    let manager = Arc::new(manager(config()));
    let early = manager.broadcast_transaction(transaction());
    assert_eq!(early.err(), Some(Error::NotRunning));
    manager.start().unwrap();
    let broadcast = manager.broadcast_transaction(transaction()).unwrap();
    let waiting = broadcast.clone();
    let waiting = thread::spawn(move || waiting.wait_for(1, LIMIT * 10));
    manager.shutdown().unwrap();
    assert!(waiting.join().unwrap().is_finished);
    let late = manager.broadcast_transaction(transaction());
    assert_eq!(late.err(), Some(Error::NotRunning));
}
