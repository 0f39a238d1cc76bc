//! Requests of a `Connection`: all outcomes, and the handling of other messages that arrive during
//! a request.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::local_node::BlockTemplate;
use bsv_p2p::session::{DisconnectReason, SendError};
use bsv_p2p::wire::{Block, BlockError, BlockHash, Inventory, Message, NotFound, Ping, Pong, Tx};
use bsv_p2p::{Connection, Error, InvalidBlock, Network, Timeout};
use test_support::raw_peer::{DEADLINE, RawPeer, frame};

use crate::answers::{
    addr, block_question, getdata, header_on, headers, mined, not_found, recent_addr, tx,
};
use crate::harness::{config, connected, message, numbered, reason_of};
use test_support::with_sources::with_sources;

/// The timeout of requests without a response.
const SHORT: Duration = Duration::from_millis(200);

/// Runs a request while a scripted peer answers it.
fn asked<T: Send>(
    connection: &mut Connection,
    peer: &mut RawPeer,
    script: impl FnOnce(&mut RawPeer) + Send,
    request: impl FnOnce(&mut Connection) -> T,
) -> T {
    thread::scope(|scope| {
        let script = scope.spawn(|| script(peer));
        let answer = request(connection);
        script.join().unwrap();
        answer
    })
}

#[track_caller]
fn kept_in_order(connection: &mut Connection, expected: &[Message]) {
    for expected in expected {
        let received = connection.receive_timeout(DEADLINE).unwrap();
        assert_eq!(received.as_ref(), Some(expected));
    }
    assert_eq!(connection.receive_timeout(Duration::ZERO).unwrap(), None);
    assert_eq!(connection.dropped_messages(), 0);
}

/// Asserts that an error consists of the address of the peer and `text`.
#[track_caller]
fn assert_text(connection: &Connection, error: &Error, text: &str) {
    let address = connection.peer_addr();
    assert_eq!(with_sources(error), format!("{address}: {text}"));
}

#[test]
fn messages_during_ping_are_kept() {
    let (mut connection, mut peer) = connected(&config());
    let others = [numbered(1, 10), numbered(2, 100_000), numbered(3, 0)];
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let nonce = peer.expect_ping();
            peer.send(others[0].clone());
            peer.send(Pong::new(nonce.wrapping_add(1)));
            peer.send(others[1].clone());
            peer.send(Pong::new(nonce));
            peer.send(others[2].clone());
        },
        |connection| connection.ping(DEADLINE),
    );
    assert!(answer.unwrap() < DEADLINE);
    assert!(connection.round_trip().last.is_some());
    kept_in_order(&mut connection, &others);
}

#[test]
fn ping_timeout_keeps_connection() {
    let (mut connection, mut peer) = connected(&config());
    let began = Instant::now();
    let error = connection.ping(SHORT).unwrap_err();
    assert!(began.elapsed() >= SHORT);
    assert!(matches!(
        error,
        Error::Timeout { which: Timeout::Response, after, .. } if after == SHORT
    ));
    assert_text(&connection, &error, "response timed out after 200ms");

    // The late pong does not answer the next ping.
    let late = peer.expect_ping();
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let nonce = peer.expect_ping();
            peer.send(Pong::new(late));
            peer.send(message("between"));
            peer.send(Pong::new(nonce));
        },
        |connection| {
            let answer = connection.ping(DEADLINE);
            kept_in_order(connection, &[message("between")]);
            answer
        },
    );
    assert!(answer.is_ok());
}

#[test]
fn request_fails_when_connection_ends() {
    let (mut connection, mut peer) = connected(&config());
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getdata");
            peer.send(message("last words"));
            peer.close();
        },
        |connection| connection.block(mined(1).hash(), DEADLINE),
    );
    assert_eq!(reason_of(answer), DisconnectReason::ConnectionClosed);
    // Messages before the end are still received.
    assert_eq!(connection.receive().unwrap(), message("last words"));
    for _ in 0..2 {
        let ended = DisconnectReason::ConnectionClosed;
        assert_eq!(reason_of(connection.ping(DEADLINE)), ended);
        assert_eq!(reason_of(connection.receive()), ended);
        assert_eq!(reason_of(connection.send(message("x"))), ended);
    }
}

#[test]
fn messages_during_block_request_are_kept() {
    let (mut connection, mut peer) = connected(&config());
    let (wanted, another) = (mined(1), mined(2));
    let others = [numbered(1, 10), another.clone().into(), numbered(2, 10)];
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let marker = block_question(peer, wanted.hash());
            peer.send(others[0].clone());
            peer.send(others[1].clone());
            peer.send(wanted.clone());
            peer.send(others[2].clone());
            peer.send(NotFound::from(vec![marker]));
        },
        |connection| connection.block(wanted.hash(), DEADLINE),
    );
    assert_eq!(answer.unwrap(), wanted);
    kept_in_order(&mut connection, &others);
}

#[test]
fn marker_before_block_means_not_found() {
    let (mut connection, mut peer) = connected(&config());
    let (wanted, another) = (mined(1), mined(2));
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let marker = block_question(peer, wanted.hash());
            peer.send(another.clone());
            peer.send(NotFound::from(vec![marker]));
        },
        |connection| connection.block(wanted.hash(), DEADLINE),
    );
    let (error, hash) = (answer.unwrap_err(), wanted.hash());
    assert!(matches!(&error, Error::NotFound { hash: not_found, .. } if *not_found == hash));
    assert_text(&connection, &error, &format!("block {hash} not found"));
    kept_in_order(&mut connection, &[another.into()]);
}

#[test]
fn block_received_before_request_does_not_answer_it() {
    let (mut connection, mut peer) = connected(&config());
    let block = mined(1);
    peer.send(block.clone());
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let nonce = peer.expect_ping();
            peer.send(Pong::new(nonce));
        },
        |connection| connection.ping(DEADLINE),
    );
    answer.unwrap();
    let error = connection.block(block.hash(), SHORT).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    kept_in_order(&mut connection, &[block.into()]);
}

#[test]
fn block_with_mismatched_content_fails_request() {
    let (mut connection, mut peer) = connected(&config());
    let honest = mined(1);
    let other_coinbase = BlockTemplate::new(honest.hash(), 9, 1, 9).coinbase();
    let forged = Block::new(&honest.header(), std::slice::from_ref(&other_coinbase));
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getdata");
            peer.send(forged.clone());
        },
        |connection| connection.block(honest.hash(), DEADLINE),
    );
    let mismatch = BlockError::MerkleRootMismatch {
        expected: honest.header().merkle_root,
        got: bsv_p2p::wire::merkle_root([other_coinbase.txid()]).0,
    };
    let (error, hash) = (answer.unwrap_err(), honest.hash());
    let text = format!("block {hash} is invalid: {mismatch}");
    assert_text(&connection, &error, &text);
    assert!(
        matches!(error, Error::InvalidBlock { error, .. } if *error == InvalidBlock::Content(mismatch))
    );
}

#[test]
fn too_long_block_reports_both_sizes() {
    let mut config = config();
    config.session.limits.buffered = 150;
    let (mut connection, mut peer) = connected(&config);
    let block = mined(1);
    let bytes = block.bytes().len() as u64;
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let marker = block_question(peer, block.hash());
            // In one write, like a node.
            let both = [block.clone().into(), NotFound::from(vec![marker]).into()];
            peer.send_bytes(&both.map(|message| frame(&message)).concat());
        },
        |connection| connection.block(block.hash(), DEADLINE),
    );
    let error = answer.unwrap_err();
    let text = format!("expected a response of at most 150 bytes, got {bytes} bytes");
    assert_text(&connection, &error, &text);
    assert!(matches!(error, Error::PayloadTooLarge { limit: 150, .. }));
    // The block was skipped, and the connection continues.
    peer.send(message("next"));
    assert_eq!(connection.receive().unwrap(), message("next"));
}

#[test]
fn headers_after_locator_answer_and_others_are_kept() {
    let (mut connection, mut peer) = connected(&config());
    let known = Block::genesis(&Network::Regtest).hash();
    let first = header_on(known);
    let answer_headers = [first, header_on(first.hash())];
    let others = [
        headers(&[header_on(BlockHash([7; 32]))]),
        numbered(1, 10),
        headers(&[first]),
    ];
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let Message::GetHeaders(question) = peer.expect("getheaders") else {
                panic!("another message");
            };
            assert_eq!(question.locator, [BlockHash([9; 32]), known]);
            assert_eq!(question.stop, BlockHash([3; 32]));
            peer.send(others[0].clone());
            peer.send(others[1].clone());
            peer.send(headers(&answer_headers));
            // A second matching message is an announcement.
            peer.send(others[2].clone());
        },
        |connection| {
            let locator = [BlockHash([9; 32]), known];
            connection.headers(&locator, BlockHash([3; 32]), DEADLINE)
        },
    );
    assert_eq!(answer.unwrap(), answer_headers);
    kept_in_order(&mut connection, &others);
}

#[test]
fn empty_headers_answer_and_no_headers_time_out() {
    let (mut connection, mut peer) = connected(&config());
    let known = Block::genesis(&Network::Regtest).hash();
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getheaders");
            peer.send(headers(&[]));
        },
        |connection| connection.headers(&[known], BlockHash([0; 32]), DEADLINE),
    );
    assert_eq!(answer.unwrap(), []);

    let stray = headers(&[header_on(BlockHash([7; 32]))]);
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getheaders");
            peer.send(stray.clone());
        },
        |connection| connection.headers(&[known], BlockHash([0; 32]), SHORT),
    );
    assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}");
    kept_in_order(&mut connection, &[stray]);
}

#[test]
fn empty_locator_requests_header_by_hash() {
    let (mut connection, mut peer) = connected(&config());
    let wanted = header_on(BlockHash([7; 32]));
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getheaders");
            peer.send(headers(&[header_on(wanted.hash())]));
            peer.send(headers(&[wanted]));
        },
        |connection| connection.headers(&[], wanted.hash(), DEADLINE),
    );
    assert_eq!(answer.unwrap(), [wanted]);
}

#[test]
fn invalid_request_is_rejected_before_sending() {
    let (mut connection, mut peer) = connected(&config());
    let error = connection.send(&Message::Verack).unwrap_err();
    assert_text(
        &connection,
        &error,
        "message not sent: verack is sent by the session only",
    );
    // More than the 2 MiB that the peer announced.
    let locator = vec![BlockHash([1; 32]); 80_000];
    let error = connection
        .headers(&locator, BlockHash([0; 32]), DEADLINE)
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Send {
            refused: SendError::PayloadTooLarge { .. },
            ..
        }
    ));
    connection.send(Message::Ping(Ping::new(5))).unwrap();
    assert_eq!(peer.next_message(), Ping::new(5).into());
}

#[test]
fn notfound_of_block_itself_fails_request() {
    let (mut connection, mut peer) = connected(&config());
    let hash = mined(1).hash();
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let marker = block_question(peer, hash);
            peer.send(NotFound::from(vec![Inventory::Block(hash), marker]));
        },
        |connection| connection.block(hash, DEADLINE),
    );
    assert!(matches!(answer, Err(Error::NotFound { .. })), "{answer:?}");
    kept_in_order(&mut connection, &[]);
}

#[test]
fn unrelated_pong_does_not_fail_block_request() {
    let (mut connection, mut peer) = connected(&config());
    let wanted = mined(1);
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            block_question(peer, wanted.hash());
            peer.send(Pong::new(1));
            peer.send(wanted.clone());
        },
        |connection| connection.block(wanted.hash(), DEADLINE),
    );
    assert_eq!(answer.unwrap(), wanted);
}

#[test]
fn late_response_does_not_answer_next_request() {
    let (mut connection, mut peer) = connected(&config());
    let known = Block::genesis(&Network::Regtest).hash();
    let stop = BlockHash([0; 32]);
    let error = connection.headers(&[known], stop, SHORT).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let late = headers(&[]);
    let current = [header_on(known)];
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getheaders");
            let nonce = peer.expect_ping();
            peer.expect("getheaders");
            peer.send(late.clone());
            peer.send(Pong::new(nonce));
            peer.send(headers(&current));
        },
        |connection| connection.headers(&[known], stop, DEADLINE),
    );
    assert_eq!(answer.unwrap(), current);
    kept_in_order(&mut connection, &[late]);
}

#[test]
fn transactions_come_in_requested_order_with_gaps() {
    let (mut connection, mut peer) = connected(&config());
    let [one, missing, two] = [1, 2, 3].map(tx);
    let txids = [&one, &missing, &two, &one].map(Tx::txid);
    let others: [Message; 2] = [
        tx(4).into(),
        not_found(&[Inventory::Tx(tx(4).txid())]).into(),
    ];
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            let listed = getdata(peer);
            assert_eq!(listed, [0, 1, 2].map(|at| Inventory::Tx(txids[at])));
            peer.send(two.clone());
            others.iter().for_each(|other| peer.send(other.clone()));
            peer.send(one.clone());
            peer.send(not_found(&listed[1..2]));
        },
        |connection| connection.transactions(&txids, DEADLINE),
    );
    assert_eq!(
        answer.unwrap(),
        [Some(one.clone()), None, Some(two), Some(one)]
    );
    kept_in_order(&mut connection, &others);
    assert_eq!(connection.transactions(&[], Duration::ZERO), Ok(Vec::new()));
}

/// The receive queue gets the unrequested addresses.
#[test]
fn relayed_addresses_do_not_end_request() {
    let (mut connection, mut peer) = connected(&config());
    let relayed = [addr(&[1]), recent_addr(&[2, 3]), recent_addr(&[4; 20])];
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getaddr");
            relayed.iter().for_each(|addr| peer.send(addr.clone()));
            peer.send(addr(&[5, 6]));
        },
        |connection| connection.addresses(DEADLINE),
    );
    assert_eq!(answer.unwrap(), addr(&[5, 6]).addresses);
    kept_in_order(&mut connection, &relayed.map(Message::from));
}

/// Addresses can be requested once per connection.
#[test]
fn single_address_answers_only_at_timeout() {
    let (mut connection, mut peer) = connected(&config());
    let own = Message::from(addr(&[1]));
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getaddr");
            peer.send(own.clone());
            peer.send(addr(&[2, 3]));
        },
        |connection| connection.addresses(DEADLINE),
    );
    assert_eq!(answer.unwrap(), addr(&[2, 3]).addresses);
    kept_in_order(&mut connection, std::slice::from_ref(&own));
    let error = connection.addresses(DEADLINE).unwrap_err();
    let text = "addresses were already requested on this connection";
    assert_text(&connection, &error, text);
    assert!(matches!(error, Error::AlreadyRequested { .. }));

    let (mut connection, mut peer) = connected(&config());
    peer.send(Ping::new(1));
    let answer = asked(
        &mut connection,
        &mut peer,
        |peer| {
            peer.expect("getaddr");
            peer.send(own.clone());
        },
        |connection| connection.addresses(SHORT),
    );
    assert_eq!(answer.unwrap(), addr(&[1]).addresses);

    let (mut connection, _peer) = connected(&config());
    connection.send(&Message::GetAddr).unwrap();
    let refused = connection.addresses(DEADLINE);
    assert!(
        matches!(refused, Err(Error::AlreadyRequested { .. })),
        "{refused:?}"
    );
}

#[test]
fn late_block_is_kept_but_its_marker_dropped() {
    let (mut connection, mut peer) = connected(&config());
    let late = mined(1);
    let error = connection.block(late.hash(), SHORT).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let marker = block_question(&mut peer, late.hash());
    peer.send(late.clone());
    peer.send(not_found(&[marker]));
    peer.send(message("next"));
    kept_in_order(&mut connection, &[late.into(), message("next")]);
}

#[test]
fn requests_after_disconnect_fail_with_its_reason() {
    let (mut connection, mut peer) = connected(&config());
    connection.send(&Message::GetAddr).unwrap();
    peer.expect("getaddr");
    peer.close();
    let hash = mined(1).hash();
    for _ in 0..2 {
        let ended = DisconnectReason::ConnectionClosed;
        assert_eq!(reason_of(connection.ping(DEADLINE)), ended);
        assert_eq!(
            reason_of(connection.headers(&[hash], hash, DEADLINE)),
            ended
        );
        assert_eq!(reason_of(connection.block(hash, DEADLINE)), ended);
        let txids = [tx(1).txid()];
        assert_eq!(reason_of(connection.transactions(&txids, DEADLINE)), ended);
        assert_eq!(reason_of(connection.addresses(DEADLINE)), ended);
    }
}
