//! Requests on the handle of an actor: each response reaches only its requester.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{
    PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions, SubscriptionOptions,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, BlockHeader, Inventory, Message, Ping, Pong, Tx, Txid};
use bsv_p2p::{Error, Network, Timeout};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, frame, teranode_version};

use crate::answers::{
    addr, block_question, getdata, header_on, headers, mined, not_found, recent_addr, tx,
};
use crate::harness::{Actor, config, message, numbered};

/// The timeout of requests without a response.
const SHORT: Duration = Duration::from_millis(200);

fn genesis() -> BlockHash {
    BlockHeader::genesis(&Network::Regtest).hash()
}

/// Runs a request while a scripted peer answers it.
fn asked<T: Send>(
    actor: &Actor,
    peer: &mut RawPeer,
    script: impl FnOnce(&mut RawPeer),
    request: impl FnOnce(&PeerConnectionHandle) -> T + Send,
) -> T {
    thread::scope(|scope| {
        let request = scope.spawn(|| request(&actor.handle));
        script(peer);
        request.join().unwrap()
    })
}

/// Asserts that subscribers received exactly these messages.
#[track_caller]
fn told(actor: &Actor, peer: &RawPeer, expected: &[Message]) {
    peer.send(message("the last"));
    for expected in expected {
        assert_eq!(actor.next_message(), *expected);
    }
    assert_eq!(actor.next_message(), message("the last"));
}

#[track_caller]
fn timed_out<T: std::fmt::Debug>(answer: Result<T, Error>, expected: Timeout) {
    match answer {
        Err(Error::Timeout { which, .. }) if which == expected => {}
        other => panic!("it should have timed out: {other:?}"),
    }
}

/// Subscribers receive none of the pongs.
#[test]
fn concurrent_pings_accept_pongs_in_any_order() {
    let (actor, mut peer) = Actor::connected(&config());
    let others = [numbered(1, 10), numbered(2, 10)];
    thread::scope(|scope| {
        let pings = [(); 3].map(|()| scope.spawn(|| actor.handle.ping(DEADLINE)));
        let nonces = [(); 3].map(|()| peer.expect_ping());
        peer.send(others[0].clone());
        peer.send(Pong::new(1));
        nonces
            .iter()
            .rev()
            .for_each(|nonce| peer.send(Pong::new(*nonce)));
        peer.send(others[1].clone());
        for ping in pings {
            assert!(ping.join().unwrap().unwrap() < DEADLINE);
        }
    });
    told(&actor, &peer, &others);
}

/// Subscribers receive only the other messages.
#[test]
fn concurrent_block_requests_accept_any_order() {
    let (actor, mut peer) = Actor::connected(&config());
    let blocks = [1, 2, 3, 4].map(mined);
    let others = [
        numbered(1, 10),
        mined(9).into(),
        not_found(&[Inventory::Tx(Txid([7; 32]))]).into(),
    ];
    thread::scope(|scope| {
        let asked = blocks.each_ref().map(|block| {
            let request = scope.spawn(|| actor.handle.block(block.hash(), DEADLINE));
            (request, block_question(&mut peer, block.hash()))
        });
        others.iter().for_each(|other| peer.send(other.clone()));
        // The last first, the first never, and the end markers of three responses in one message.
        for at in [3, 1, 2] {
            peer.send(blocks[at].clone());
        }
        let ends = [0, 1, 3].map(|at| asked[at].1);
        peer.send(not_found(&ends));
        peer.send(not_found(&[asked[2].1]));
        for ((request, _), block) in asked.into_iter().zip(&blocks) {
            match request.join().unwrap() {
                Ok(found) => assert_eq!(found, *block),
                Err(Error::NotFound { hash, .. }) => assert_eq!(hash, blocks[0].hash()),
                Err(other) => panic!("{other}"),
            }
        }
    });
    told(&actor, &peer, &others);
}

#[test]
fn identical_requests_are_both_answered() {
    let (actor, mut peer) = Actor::connected(&config());
    let (block, tx) = (mined(1), tx(1));
    let both = |peer: &mut RawPeer, times: usize| {
        thread::scope(|scope| {
            let blocks =
                [(); 2].map(|()| scope.spawn(|| actor.handle.block(block.hash(), DEADLINE)));
            let ends = [(); 2].map(|()| block_question(peer, block.hash()));
            (0..times).for_each(|_| peer.send(block.clone()));
            peer.send(not_found(&ends));
            for request in blocks {
                assert_eq!(request.join().unwrap().unwrap(), block);
            }
            let (handle, txids) = (&actor.handle, [tx.txid()]);
            let txs = [(); 2].map(|()| scope.spawn(move || handle.transactions(&txids, DEADLINE)));
            let asked = [(); 2].map(|()| getdata(peer));
            peer.send(tx.clone());
            if times == 2 {
                peer.send(tx.clone());
            } else {
                peer.send(not_found(&asked[0]));
            }
            for request in txs {
                assert_eq!(request.join().unwrap().unwrap(), [Some(tx.clone())]);
            }
        });
    };
    both(&mut peer, 2);
    both(&mut peer, 1);
    told(&actor, &peer, &[]);
}

#[test]
fn unrequested_messages_are_delivered() {
    let (actor, peer) = Actor::connected(&config());
    let unasked = [
        mined(1).into(),
        tx(1).into(),
        headers(&[]),
        addr(&[1, 2]).into(),
        not_found(&[Inventory::Tx(tx(1).txid())]).into(),
    ];
    unasked
        .iter()
        .for_each(|message| peer.send(message.clone()));
    told(&actor, &peer, &unasked);
}

#[test]
fn late_response_is_delivered_but_its_marker_dropped() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = mined(1);
    timed_out(actor.handle.block(block.hash(), SHORT), Timeout::Response);
    let marker = block_question(&mut peer, block.hash());
    let txids = [1, 2].map(|number| tx(number).txid());
    timed_out(actor.handle.transactions(&txids, SHORT), Timeout::Response);
    timed_out(actor.handle.ping(SHORT), Timeout::Response);
    timed_out(actor.handle.addresses(SHORT), Timeout::Response);
    let late: [Message; 4] = [
        block.into(),
        tx(1).into(),
        not_found(&[Inventory::Tx(txids[1])]).into(),
        addr(&[1, 2]).into(),
    ];
    late.iter().for_each(|message| peer.send(message.clone()));
    peer.send(not_found(&[marker]));
    let nonce = peer.expect_ping();
    peer.send(Pong::new(nonce));
    told(&actor, &peer, &late);
}

#[test]
fn concurrent_header_requests_are_serialized() {
    let (actor, mut peer) = Actor::connected(&config());
    let found = [genesis(), BlockHash([8; 32])].map(|previous| [header_on(previous)]);
    let stray = headers(&[header_on(BlockHash([7; 32]))]);
    thread::scope(|scope| {
        let requests = found.map(|[header]| {
            let (handle, locator) = (&actor.handle, [header.previous]);
            scope.spawn(move || handle.headers(&locator, BlockHash::ZERO, DEADLINE))
        });
        // The second request is not sent before the first is answered.
        for left in [1, 0] {
            let Message::GetHeaders(question) = peer.expect("getheaders") else {
                panic!("another message");
            };
            let _marker = getdata(&mut peer);
            peer.send(stray.clone());
            if left == 1 {
                timed_out(
                    actor.handle.headers(&[genesis()], BlockHash::ZERO, SHORT),
                    Timeout::RequestQueue,
                );
                actor.handle.send(Ping::new(5), DEADLINE).unwrap();
                assert_eq!(peer.next_message(), Ping::new(5).into());
            }
            peer.send(headers(&[header_on(question.locator[0])]));
        }
        for (request, found) in requests.into_iter().zip(&found) {
            assert_eq!(request.join().unwrap().unwrap(), found);
        }
    });
    told(&actor, &peer, &[stray.clone(), stray]);
}

#[test]
fn late_headers_do_not_answer_next_request() {
    let (actor, mut peer) = Actor::connected(&config());
    let ask = |timeout| actor.handle.headers(&[genesis()], BlockHash::ZERO, timeout);
    timed_out(ask(SHORT), Timeout::Response);
    let current = [header_on(genesis())];
    let answer = asked(
        &actor,
        &mut peer,
        |peer| {
            peer.expect("getheaders");
            let nonce = peer.expect_ping();
            peer.expect("getheaders");
            peer.send(headers(&[]));
            peer.send(Pong::new(nonce));
            peer.send(headers(&current));
        },
        |_| ask(DEADLINE),
    );
    assert_eq!(answer.unwrap(), current);
    told(&actor, &peer, &[headers(&[])]);
}

#[test]
fn many_transactions_are_requested_in_several_messages() {
    let (actor, mut peer) = Actor::connected(&config());
    // As many as fit 2 MiB, and one more. The first is requested twice.
    let limit = 58_254;
    let mut txids: Vec<Txid> = (0..limit as u32)
        .map(|number| {
            let mut txid = Txid([9; 32]);
            txid.0[..4].copy_from_slice(&number.to_le_bytes());
            txid
        })
        .collect();
    txids.extend([tx(1).txid(), txids[0]]);
    let answer = asked(
        &actor,
        &mut peer,
        |peer| {
            peer.ping(1);
            let (first, second) = (getdata(peer), getdata(peer));
            assert_eq!((first.len(), second.len()), (limit, 1));
            peer.send(tx(1));
            peer.send(not_found(&first));
        },
        |handle| handle.transactions(&txids, DEADLINE),
    );
    let answer = answer.unwrap();
    assert_eq!(answer.len(), limit + 2);
    let found: Vec<_> = answer
        .iter()
        .enumerate()
        .filter(|(_, tx)| tx.is_some())
        .collect();
    assert_eq!(found, [(limit, &Some(tx(1)))]);
    told(&actor, &peer, &[]);
}

/// Subscribers receive the unrequested addresses.
#[test]
fn relayed_addresses_do_not_end_request() {
    let (actor, mut peer) = Actor::connected(&config());
    let relayed = [addr(&[1]), recent_addr(&[2, 3]), recent_addr(&[4; 20])];
    let answer = asked(
        &actor,
        &mut peer,
        |peer| {
            peer.expect("getaddr");
            relayed.iter().for_each(|addr| peer.send(addr.clone()));
            peer.send(addr(&[5, 6]));
        },
        |handle| handle.addresses(DEADLINE),
    );
    assert_eq!(answer.unwrap(), addr(&[5, 6]).addresses);
    told(&actor, &peer, &relayed.map(Message::from));
}

/// In a small network, the answer cannot be told from relayed addresses.
#[test]
fn recent_addresses_are_returned_at_timeout() {
    let (actor, mut peer) = Actor::connected(&config());
    let answer = recent_addr(&[1, 2, 3]);
    let found = asked(
        &actor,
        &mut peer,
        |peer| {
            peer.expect("getaddr");
            peer.send(answer.clone());
            peer.send(addr(&[4]));
        },
        |handle| handle.addresses(SHORT),
    );
    assert_eq!(found.unwrap(), answer.addresses);
    told(&actor, &peer, &[answer.into(), addr(&[4]).into()]);
}

#[test]
fn teranode_answers_with_recent_addresses() {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    let mut peer = listener.accept();
    peer.shake_hands_as(teranode_version());
    actor.expect_handshake();
    let answer = recent_addr(&[1]);
    let found = asked(
        &actor,
        &mut peer,
        |peer| {
            peer.expect("getaddr");
            peer.send(answer.clone());
        },
        |handle| handle.addresses(DEADLINE),
    );
    assert_eq!(found.unwrap(), answer.addresses);
    told(&actor, &peer, &[]);
}

/// This includes a `getaddr` that the application sends as a message.
#[test]
fn second_request_for_addresses_is_rejected() {
    let (actor, mut peer) = Actor::connected(&config());
    let answer = asked(
        &actor,
        &mut peer,
        |peer| {
            peer.expect("getaddr");
            let again = actor.handle.addresses(DEADLINE);
            assert!(
                matches!(again, Err(Error::AlreadyRequested { .. })),
                "{again:?}"
            );
            peer.send(addr(&[1]));
            peer.send(addr(&[2, 3, 4]));
        },
        |handle| handle.addresses(DEADLINE),
    );
    assert_eq!(answer.unwrap(), addr(&[2, 3, 4]).addresses);
    told(&actor, &peer, &[addr(&[1]).into()]);

    let (actor, _peer) = Actor::connected(&config());
    actor.handle.try_send(&Message::GetAddr).unwrap();
    let refused = actor.handle.addresses(DEADLINE);
    assert!(
        matches!(refused, Err(Error::AlreadyRequested { .. })),
        "{refused:?}"
    );
}

/// Its request fails.
#[test]
fn invalid_or_too_long_block_keeps_connection() {
    let mut config = config();
    config.session.limits.buffered = 250;
    let (actor, mut peer) = Actor::connected(&config);
    let (honest, other) = (mined(1), mined(2));
    let coinbase: Vec<_> = other.transactions().map(Tx::from).collect();
    let mut forged = honest.bytes().to_vec();
    forged.truncate(81);
    forged.extend_from_slice(coinbase[0].bytes());
    let answer = asked(
        &actor,
        &mut peer,
        |peer| {
            block_question(peer, honest.hash());
            let command = bsv_p2p::wire::Command::new("block");
            let payload = forged.clone().into();
            peer.send(Message::Unknown { command, payload });
        },
        |handle| handle.block(honest.hash(), DEADLINE),
    );
    assert!(
        matches!(&answer, Err(Error::InvalidBlock { hash, .. }) if *hash == honest.hash()),
        "{answer:?}"
    );

    let answer = asked(
        &actor,
        &mut peer,
        |peer| {
            let marker = block_question(peer, honest.hash());
            let mut long = honest.bytes().to_vec();
            long.resize(251, 0);
            let command = bsv_p2p::wire::Command::new("block");
            let payload = long.into();
            let block = Message::Unknown { command, payload };
            let both = [block, not_found(&[marker]).into()];
            peer.send_bytes(&both.map(|message| frame(&message)).concat());
        },
        |handle| handle.block(honest.hash(), DEADLINE),
    );
    let expected = |error: &Error| {
        matches!(
            error,
            Error::PayloadTooLarge {
                bytes: 251,
                limit: 250,
                ..
            }
        )
    };
    assert!(answer.as_ref().is_err_and(expected), "{answer:?}");
    told(&actor, &peer, &[]);
    let events: Vec<_> = actor.events.try_iter().map(Result::unwrap).collect();
    let is_passed_over =
        |event: &ControlEvent| matches!(event, ControlEvent::PayloadDiscarded { .. });
    assert!(!events.iter().any(is_passed_over), "{events:?}");
}

#[test]
fn sixteen_threads_request_a_hundred_blocks_each() {
    const THREADS: usize = 16;
    let node = LocalNode::start().unwrap();
    let mined = node.mine(100).unwrap();
    let actor = Actor::dial(node.address(), &config());
    actor.expect_handshake();
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (handle, node, mined, start) = (&actor.handle, &node, &mined, &start);
            scope.spawn(move || {
                start.wait();
                // Each thread in its own order, with unknown blocks in between.
                for step in 0..mined.len() {
                    let hash = mined[(thread * 7 + step * (2 * thread + 1)) % mined.len()];
                    assert_eq!(handle.block(hash, DEADLINE).unwrap(), node.block(hash).unwrap());
                    if step % 10 == 0 {
                        let unknown = BlockHash([thread as u8; 32]);
                        let answer = handle.block(unknown, DEADLINE);
                        let not_found = |error: &Error| matches!(error, Error::NotFound { hash, .. } if *hash == unknown);
                        assert!(answer.as_ref().is_err_and(not_found), "{answer:?}");
                        handle.ping(DEADLINE).unwrap();
                        let locator = [mined[step]];
                        let headers = handle.headers(&locator, BlockHash::ZERO, DEADLINE).unwrap();
                        assert_eq!(headers.len(), mined.len() - step - 1);
                        assert_eq!(handle.transactions(&[Txid([1; 32])], DEADLINE).unwrap(), [None]);
                    }
                }
            });
        }
    });
    let told: Vec<_> = actor.messages.try_iter().map(Result::unwrap).collect();
    let is_answer = |message: &Message| {
        matches!(
            message,
            Message::Block(_) | Message::NotFound(_) | Message::Headers(_) | Message::Tx(_)
        )
    };
    assert!(
        !told.iter().any(|event| is_answer(&event.message)),
        "{told:?}"
    );
}

/// The subscription has a queue of one.
#[test]
fn block_request_within_message_loop_does_not_deadlock() {
    const ASKED: usize = 100;
    let node = LocalNode::start().unwrap();
    let mut config = config();
    // The backlog has capacity for few announcements while the application waits for a block.
    config.max_subscriber_backlog_bytes = 2_000;
    config.session.send_headers = false;
    let setup = PeerConnectionOptions::new(config);
    let events = setup.events.subscribe_control();
    let messages = setup.events.subscribe_messages_with(SubscriptionOptions {
        capacity: 1,
        ..SubscriptionOptions::default()
    });
    let handle = PeerConnectionActor::spawn_outbound(node.address(), setup).unwrap();
    assert!(node.wait_for_peers(1, DEADLINE));
    node.mine(1).unwrap();
    for _ in 0..ASKED {
        let event = messages.recv_timeout(DEADLINE).expect("an announcement");
        // More announcements than the backlog has capacity for, while the application waits for a
        // block. Drops are counted.
        node.mine(10).unwrap();
        if let Message::Inv(inv) = &*event.message
            && let [Inventory::Block(hash)] = inv.inventory[..]
        {
            assert_eq!(handle.block(hash, DEADLINE).unwrap().hash(), hash);
        }
    }
    let too_slow = |event: &ControlEvent| event.name() == "SubscriptionEnded";
    assert!(
        !events
            .try_iter()
            .map(Result::unwrap)
            .any(|event| too_slow(&event))
    );
}
