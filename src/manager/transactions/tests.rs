//! Broadcasts under simulated time.

use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::error::Error;
use crate::network::Network;
use crate::peers::{PeerId, PeerRef};
use crate::test_random::SeededRandom;
use crate::wire::{GetData, Inv, Inventory, Message, OutPoint, Reject, RejectCode};
use crate::wire::{Transaction, TransactionInput, TransactionOutput, Tx, Txid};

const NOBODY: [PeerId; 0] = [];
const SECOND: Duration = Duration::from_secs(1);

/// Returns a transaction of about this size in bytes. Each number results in another one.
fn transaction(number: u64, bytes: usize) -> Tx {
    let transaction = Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([7; 32]),
                index: 0,
            },
            script: vec![0; bytes],
            sequence: 0,
        }],
        outputs: vec![TransactionOutput {
            value: number as i64,
            script: Vec::new(),
        }],
        lock_time: 0,
    };
    Tx::from(&transaction)
}

fn offered(transactions: &BroadcastPool, number: u64, now: Instant) -> Arc<Offer> {
    let magic = Network::Regtest.magic();
    transactions
        .add(magic, transaction(number, 10), now)
        .unwrap()
}

fn peers<const N: usize>() -> [PeerId; N] {
    [(); N].map(|()| PeerId::random())
}

fn at(peer_id: PeerId) -> PeerRef {
    PeerRef::new(peer_id, ([203, 0, 113, 7], 8333).into())
}

fn asks(txids: &[Txid]) -> Message {
    let entries: Vec<_> = txids.iter().copied().map(Inventory::Tx).collect();
    GetData::from(entries).into()
}

fn announces(txid: Txid) -> Message {
    Inv::from(vec![Inventory::Tx(txid)]).into()
}

fn rejects(txid: Txid, command: &str) -> Message {
    let mut reject = Reject::new(command, RejectCode::INVALID, "bad-txns");
    reject.hash = Some(crate::wire::Hash256(txid.0));
    reject.into()
}

/// Requests transactions as a peer. Records the sent ones and returns them.
fn serve(pool: &BroadcastPool, peer_id: PeerId, txids: &[Txid]) -> Vec<Arc<Offer>> {
    let served = pool.on_message(at(peer_id), &asks(txids));
    served.iter().for_each(|offer| offer.on_served(at(peer_id)));
    served
}

/// Records a wave of announcements. Returns its peers.
fn wave(offer: &Offer, peers: &[PeerId], now: Instant) -> Vec<PeerId> {
    let mut random = SeededRandom::new(1);
    let told = offer.wave(peers, || random.next_u64(), now);
    told.iter().for_each(|peer_id| offer.on_told(*peer_id));
    told
}

#[test]
fn second_half_is_announced_after_five_seconds() {
    let (pool, now) = (BroadcastPool::default(), Instant::now());
    let offer = offered(&pool, 1, now);
    assert_eq!(pool.next_deadline(), Some(now));
    let peers: [PeerId; 7] = peers();
    let first = wave(&offer, &peers, now);
    assert_eq!(first.len(), 4);
    assert_eq!(wave(&offer, &peers, now), NOBODY);
    let rest: Vec<_> = peers
        .iter()
        .filter(|id| !first.contains(id))
        .copied()
        .collect();
    pool.on_message(at(rest[0]), &announces(offer.txid()));
    assert_eq!(pool.next_deadline(), Some(now + 5 * SECOND));
    let soon = now + 5 * SECOND - SECOND / 1000;
    assert_eq!(wave(&offer, &peers, soon), NOBODY);
    assert_eq!(wave(&offer, &peers, now + 5 * SECOND), rest[1..]);
    assert_eq!(wave(&offer, &peers, now + 10 * SECOND), NOBODY);
    let later = now + 10 * SECOND;
    assert_eq!(pool.next_deadline(), Some(now + SERVED_FOR));
    // Failed announcements are repeated without a limit.
    for turn in 0..20 {
        let at = later + 5 * turn * SECOND;
        offer.on_not_taken(rest[2], at);
        assert_eq!(pool.next_deadline(), Some(at + 5 * SECOND));
        assert_eq!(wave(&offer, &peers, at + 5 * SECOND), [rest[2]]);
    }
    assert_eq!(pool.next_deadline(), Some(now + SERVED_FOR));
    assert!(!offer.is_news_to(rest[0]) && !offer.is_news_to(first[0]));
    assert!(offer.is_news_to(PeerId::random()));
}

#[test]
fn without_peers_those_are_told_who_come() {
    let (pool, now) = (BroadcastPool::default(), Instant::now());
    let offer = offered(&pool, 1, now);
    assert_eq!(wave(&offer, &[], now), NOBODY);
    let [one] = peers();
    assert_eq!(wave(&offer, &[one], now + 5 * SECOND), [one]);
}

#[test]
fn each_peer_is_served_three_times() {
    let (pool, now) = (BroadcastPool::default(), Instant::now());
    let [one, other] = peers();
    let txid = transaction(1, 10).txid();
    assert!(serve(&pool, one, &[txid]).is_empty());
    let offer = offered(&pool, 1, now);
    let unknown = transaction(2, 10).txid();
    let served = serve(&pool, one, &[unknown, txid, txid]);
    assert_eq!(served.len(), 2);
    assert_eq!(
        *served[0].transaction().message(),
        Message::Tx(transaction(1, 10))
    );
    assert_eq!(serve(&pool, one, &[txid; 50]).len(), 1);
    assert!(serve(&pool, one, &[txid]).is_empty());
    assert_eq!(serve(&pool, other, &[txid]).len(), 1);
    assert_eq!(offer.report().requested_by, [at(one), at(other)]);
}

#[test]
fn unserved_request_is_announced_again() {
    let (pool, now) = (BroadcastPool::default(), Instant::now());
    let offer = offered(&pool, 1, now);
    let [busy] = peers();
    assert_eq!(wave(&offer, &[busy], now), [busy]);
    for turn in 1..=3 {
        let asked = now + 10 * turn * SECOND;
        assert_eq!(wave(&offer, &[busy], asked), NOBODY);
        let served = pool.on_message(at(busy), &asks(&[offer.txid()]));
        assert_eq!(served.len(), 1);
        served[0].on_not_taken(busy, asked);
        let report = offer.report();
        assert_eq!((report.announced_to, report.requested_by), (0, Vec::new()));
        assert_eq!(wave(&offer, &[busy], asked + 5 * SECOND), [busy]);
    }
    // The number of attempts to send is limited.
    assert!(pool.on_message(at(busy), &asks(&[offer.txid()])).is_empty());
}

#[test]
fn a_transaction_keeps_nothing_in_memory_but_itself() {
    let block =
        bytes::Bytes::from([vec![9; 1_000_000], transaction(1, 10).bytes().to_vec()].concat());
    let part = Tx::from_payload(block.slice(1_000_000..)).unwrap();
    let pool = BroadcastPool::default();
    let magic = Network::Regtest.magic();
    let offer = pool.add(magic, part, Instant::now()).unwrap();
    assert!(block.is_unique(), "{}", offer.txid());
}

#[test]
fn relay_counts_only_from_unannounced_peers() {
    let (pool, now) = (BroadcastPool::default(), Instant::now());
    let offer = offered(&pool, 1, now);
    let [told, untold, other] = peers();
    offer.on_told(told);
    for peer_id in [told, untold, untold] {
        pool.on_message(at(peer_id), &announces(offer.txid()));
    }
    assert_eq!(offer.report().relayed_by, [at(untold)]);
    for command in ["block", "tx", "tx"] {
        pool.on_message(at(other), &rejects(offer.txid(), command));
    }
    pool.on_message(at(other), &rejects(transaction(2, 10).txid(), "tx"));
    let expected = Rejection {
        peer: at(other),
        code: RejectCode::INVALID,
        reason: "bad-txns".into(),
    };
    assert_eq!(offer.report().rejected_by, [expected]);
    assert_eq!(
        offer.report().rejected_by[0].to_string(),
        "203.0.113.7:8333: transaction rejected (0x10 invalid): bad-txns"
    );
    assert_eq!(
        offer.report().to_string(),
        "announced to 1, requested by 0, relayed by 1, rejected by 1"
    );
    // A peer that announced and requested the transaction counts once.
    serve(&pool, untold, &[offer.txid()]);
    let report = offer.wait_for(2, Instant::now());
    assert_eq!((report.requested_by.len(), report.relayed_by.len()), (1, 1));
    assert!(!report.is_finished);
    assert_eq!(
        offer
            .wait_for(1, Instant::now() + 1000 * SECOND)
            .announced_to,
        1
    );
}

#[test]
fn lists_are_bounded() {
    let (pool, now) = (BroadcastPool::default(), Instant::now());
    let offer = offered(&pool, 1, now);
    for _ in 0..MAX_LISTED + 10 {
        let peer_id = PeerId::random();
        pool.on_message(at(peer_id), &announces(offer.txid()));
        pool.on_message(at(peer_id), &rejects(offer.txid(), "tx"));
        serve(&pool, PeerId::random(), &[offer.txid()]);
    }
    let report = offer.report();
    assert_eq!(report.requested_by.len(), MAX_LISTED);
    assert_eq!(report.relayed_by.len(), MAX_LISTED);
    assert_eq!(report.rejected_by.len(), MAX_LISTED);
}

#[test]
fn offer_expires_after_30_minutes() {
    let (pool, now) = (BroadcastPool::default(), Instant::now());
    let (one, other) = (offered(&pool, 1, now), offered(&pool, 2, now));
    let [shows, silent] = peers();
    for offer in [&one, &other] {
        wave(offer, &[shows], now);
        wave(offer, &[silent], now + 5 * SECOND);
    }
    serve(&pool, shows, &[other.txid()]);
    let again = now + SERVED_FOR - SECOND;
    pool.expire(again);
    assert_eq!(pool.all().len(), 2);
    assert_eq!(offered(&pool, 2, again).txid(), other.txid());
    pool.expire(now + SERVED_FOR);
    assert_eq!(pool.all().len(), 1);
    assert!(one.report().is_finished && !other.report().is_finished);
    assert!(serve(&pool, silent, &[one.txid()]).is_empty());
    // A restart announces the transaction to the peer that did not request it.
    assert_eq!(wave(&other, &[shows, silent], again), [silent]);
    pool.cancel(other.txid());
    assert!(other.report().is_finished && pool.all().is_empty());
    assert_eq!(pool.next_deadline(), None);
}

#[test]
fn offers_are_bounded_by_count_and_bytes() {
    let (pool, now) = (BroadcastPool::default(), Instant::now());
    for number in 0..MAX_TRANSACTIONS as u64 {
        offered(&pool, number, now);
    }
    let magic = Network::Regtest.magic();
    let refused = pool.add(magic, transaction(5000, 10), now);
    assert!(matches!(
        refused.err(),
        Some(Error::TooManyTransactions {
            transactions: 1000,
            ..
        })
    ));
    // A restart does not count as a further transaction.
    offered(&pool, 7, now);
    pool.end();
    let large = (MAX_BYTES / 2) as usize;
    pool.add(magic, transaction(1, large - 200), now).unwrap();
    let refused = pool.add(magic, transaction(2, large + 200), now);
    assert!(matches!(
        refused.err(),
        Some(Error::TooManyTransactions {
            transactions: 1,
            ..
        })
    ));
    pool.add(magic, transaction(3, large - 200), now).unwrap();
}
