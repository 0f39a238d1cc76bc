//! Requests to a real node, on one handle from several threads.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use bsv_p2p::event::{BitcoinMessageEvent, Event};
use bsv_p2p::local_node::Chain;
use bsv_p2p::wire::{
    Addr, BlockHash, Inventory, Message, NetworkAddress, Services, TimestampedAddress, Txid,
};
use bsv_p2p::{Error, Timeout};
use serde_json::json;
use test_support::real_node::RealNode;

use crate::mining::{now, spend};
use crate::objects::spendable;
use crate::peer::{
    Actor, SOON, UNKNOWN, assert_good_standing, be_dialed, config, dial, genesis, hash,
};

/// A transaction that does not exist.
const NO_TX: Txid = Txid([0x77; 32]);

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn concurrent_requests_of_all_kinds_succeed() {
    let node = RealNode::start(&[]);
    let mined: Vec<BlockHash> = node
        .generate(50)
        .iter()
        .map(|text| hash(&json!(text)))
        .collect();
    let mut actor = Actor::dial(&node, config());
    actor.connected(&node);
    let handle = &actor.handle;
    thread::scope(|scope| {
        for thread in 0..8 {
            let (node, mined) = (&node, &mined);
            scope.spawn(move || {
                for step in 0..mined.len() {
                    let at = (step * 7 + thread) % mined.len();
                    let block = handle.block(mined[at], SOON).expect("a block");
                    assert_eq!(block.hash(), mined[at]);
                    if step % 10 == thread {
                        assert!(block.bytes() == &node.block_bytes(&mined[at].to_string()));
                        match handle.block(UNKNOWN, SOON) {
                            Err(Error::NotFound { hash, .. }) => assert_eq!(hash, UNKNOWN),
                            other => panic!("{other:?}"),
                        }
                        let headers = handle.headers(&[mined[at]], BlockHash::ZERO, SOON);
                        let hashes = headers.expect("headers").into_iter().map(|h| h.hash());
                        assert!(hashes.eq(mined[at + 1..].iter().copied()));
                        assert!(handle.ping(SOON).expect("a pong") < SOON);
                        let missing = handle.transactions(&[NO_TX, NO_TX], SOON);
                        assert_eq!(missing.expect("an answer"), [None, None]);
                    }
                }
            });
        }
    });
    assert_good_standing(&node);
    let told = actor.life();
    let answers = told.iter().filter(|event| {
        matches!(event, Event::Message(BitcoinMessageEvent { message, .. })
            if matches!(**message, Message::Block(_) | Message::Headers(_) | Message::NotFound(_)))
    });
    assert_eq!(answers.count(), 0, "{told:#?}");
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn requested_transactions_come_in_order_with_gaps() {
    let node = RealNode::start(&[]);
    let mut chain = Chain::new();
    let tx = spend(spendable(&node, &mut chain), 4_999_000_000);
    let txid = tx.txid();
    let mut giver = dial(&node, &config());
    let mut actor = Actor::dial(&node, config());
    actor.connected(&node);
    giver.send(tx.clone()).expect("an open connection");
    // The node serves announced transactions.
    actor.receive("the announcement of the transaction", |message| {
        matches!(message, Message::Inv(inv) if inv.inventory.contains(&Inventory::Tx(txid)))
            .then_some(())
    });
    let handle = &actor.handle;
    let asked = [NO_TX, txid, NO_TX, txid];
    let expected = [None, Some(tx.clone()), None, Some(tx.clone())];
    thread::scope(|scope| {
        for _ in 0..8 {
            let expected = &expected;
            scope.spawn(move || {
                for _ in 0..20 {
                    let found = handle.transactions(&asked, SOON).expect("an answer");
                    assert_eq!(found, expected);
                }
            });
        }
    });
    let unlisted = giver.transactions(&[NO_TX], SOON);
    assert_eq!(unlisted.expect("an answer"), [None]);
    assert_good_standing(&node);
}

/// The node has a larger receive limit than this side, and lists all missing transactions of a
/// `getdata` in one message.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn request_above_own_limit_is_answered() {
    const COUNT: usize = 60_000;
    const LIMIT: u32 = 10_000_000;
    let node = RealNode::start(&["-maxprotocolrecvpayloadlength=10000000"]);
    let txid = |number: usize| {
        let mut txid = NO_TX;
        txid.0[..8].copy_from_slice(&(number as u64).to_le_bytes());
        txid
    };
    let txids: Vec<Txid> = (0..COUNT).map(txid).collect();

    let mut connection = dial(&node, &config());
    assert_eq!(connection.peer_max_payload(), LIMIT);
    let answer = connection.transactions(&txids, SOON);
    assert_eq!(answer.expect("an answer"), vec![None; COUNT]);
    connection.ping(SOON).expect("a pong");

    let mut actor = Actor::dial(&node, config());
    actor.connected(&node);
    let handle = &actor.handle;
    handle.ping(SOON).expect("a pong");
    assert_eq!(handle.peer_max_payload(), LIMIT);
    let answer = handle.transactions(&txids, SOON);
    assert_eq!(answer.expect("an answer"), vec![None; COUNT]);
    handle.ping(SOON).expect("a pong");
    assert_good_standing(&node);
}

/// A second request is rejected.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_without_addresses_leaves_getaddr_unanswered() {
    let node = RealNode::start(&[]);
    let mut connection = dial(&node, &config());
    // The node has no addresses and does not respond. A response would take half a minute on
    // average.
    let silence = connection.addresses(Duration::from_secs(1));
    assert!(
        matches!(
            silence,
            Err(Error::Timeout {
                which: Timeout::Response,
                ..
            })
        ),
        "{silence:?}"
    );
    let again = connection.addresses(SOON);
    assert!(
        matches!(again, Err(Error::AlreadyRequested { .. })),
        "{again:?}"
    );
    connection.ping(SOON).expect("a pong");
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn canceled_request_does_not_disturb_the_next() {
    let node = RealNode::start(&[]);
    node.generate(5);
    let mut actor = Actor::dial(&node, config());
    actor.connected(&node);
    let handle = &actor.handle;
    for _ in 0..20 {
        // The node may be faster than the timeout, rarely.
        let first = handle.headers(&[genesis()], BlockHash::ZERO, Duration::ZERO);
        assert!(
            matches!(first, Ok(_) | Err(Error::Timeout { .. })),
            "{first:?}"
        );
        let tip = handle.headers(&[genesis()], BlockHash::ZERO, SOON);
        let tip = tip.expect("headers").last().expect("a header").hash();
        let none = handle
            .headers(&[tip], BlockHash::ZERO, SOON)
            .expect("an answer");
        assert_eq!(none, []);
        let given_up = handle.block(UNKNOWN, Duration::ZERO);
        assert!(
            matches!(
                given_up,
                Err(Error::Timeout { .. } | Error::NotFound { .. })
            ),
            "{given_up:?}"
        );
        assert_eq!(handle.block(tip, SOON).expect("a block").hash(), tip);
    }
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn addresses_sent_to_node_are_advertised_to_others() {
    /// The node answers after half a minute on average, and within this time in all but one of ten
    /// thousand cases.
    const PATIENT: Duration = Duration::from_secs(300);
    let node = RealNode::start(&[]);
    // The node accepts addresses from peers that it dialed.
    let mut teller = be_dialed(&node, &config());
    let entry = |number: u32| {
        let ip = Ipv4Addr::from(0x2000_0001 + (number << 16));
        let socket = SocketAddr::from((ip, 18444));
        TimestampedAddress {
            time: now(),
            address: NetworkAddress::new(Services::NETWORK, socket),
        }
    };
    let told: Vec<_> = (0..200).map(entry).collect();
    let addresses = told.clone();
    teller.send(Addr { addresses }).expect("an open connection");
    teller.ping(SOON).expect("a pong");
    let mut asker = dial(&node, &config());
    let answer = asker.addresses(PATIENT).expect("addresses");
    // 23 percent of its addresses.
    assert!((2..=46).contains(&answer.len()), "{answer:?}");
    for found in &answer {
        assert!(
            told.iter().any(|entry| entry.address == found.address),
            "{found:?}"
        );
    }
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn headers_of_node_in_initial_download_are_empty() {
    // Its tip is genesis, which is older than a day.
    let node = RealNode::start(&[]);
    let mut connection = dial(&node, &config());
    for locator in [[genesis()], [UNKNOWN]] {
        let found = connection.headers(&locator, BlockHash::ZERO, SOON);
        assert_eq!(found, Ok(Vec::new()));
    }
    let mut actor = Actor::dial(&node, config());
    actor.connected(&node);
    for _ in 0..3 {
        let found = actor.handle.headers(&[genesis()], BlockHash::ZERO, SOON);
        assert_eq!(found, Ok(Vec::new()));
    }
    assert_good_standing(&node);
    let told = actor.life();
    let is_answer = |event: &&Event| {
        matches!(event, Event::Message(BitcoinMessageEvent { message, .. })
            if matches!(**message, Message::Headers(_) | Message::NotFound(_)))
    };
    assert_eq!(told.iter().filter(is_answer).count(), 0, "{told:#?}");
}
