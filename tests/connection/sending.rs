//! Sends of the handle: rejection, waiting, completeness and order.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{EncodedMessage, PeerConnectionCommand, QueueStats};
use bsv_p2p::session::{AwaitedMessage, DisconnectReason, SendError};
use bsv_p2p::wire::{
    Command, DEFAULT_MAX_RECEIVE_PAYLOAD, Headers, Inv, Inventory, Mempool, Message, Ping, Pong,
    Protoconf, Transaction, Tx, Txid, inventory_limit,
};
use bsv_p2p::{ConnectionConfig, Error, Network, Timeout};
use test_support::mining::{mined_block, mined_headers};
use test_support::payment::payment;
use test_support::raw_peer::{DEADLINE, RawListener, version};

use crate::harness::{
    Actor, PROMPT, SeededRandom, config, connected, message, number_of, numbered, reason_of,
};
use test_support::with_sources::with_sources;

fn refusal(result: Result<(), Error>) -> SendError {
    match result {
        Err(Error::Send { refused, .. }) => refused,
        other => panic!("it should have been refused: {other:?}"),
    }
}

#[test]
fn nothing_is_sent_before_the_handshake() {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    let mut peer = listener.accept();
    peer.expect("version");
    let (handle, ping) = (&actor.handle, Message::Ping(Ping::new(5)));
    let incomplete = SendError::HandshakeIncomplete {
        command: Command::new("ping"),
    };
    let error = handle.send(&ping, DEADLINE).unwrap_err();
    let address = handle.peer_addr();
    let text = format!("{address}: message not sent: ping: handshake is not complete");
    assert_eq!(with_sources(&error), text);
    assert_eq!(refusal(handle.try_send(&ping)), incomplete);
    assert_eq!(refusal(handle.send_unchecked(&ping, DEADLINE)), incomplete);
    let command = PeerConnectionCommand::SendMessage(ping.clone());
    assert_eq!(refusal(handle.command(command)), incomplete);
    handle.flush(DEADLINE).unwrap();

    peer.shake_hands();
    actor.expect_handshake();
    let command = PeerConnectionCommand::SendMessage(ping.clone());
    handle.command(command).unwrap();
    assert_eq!(peer.next_message(), ping);
}

#[test]
fn send_on_handshake_event_follows_handshake_messages() {
    // The event arrives in another thread. Either thread can be faster.
    for _ in 0..400 {
        let listener = RawListener::new();
        let actor = Actor::dial(listener.address(), &config());
        let mut peer = listener.accept();
        peer.send(version());
        peer.send(Message::Verack);
        while actor.next_event().name() != "HandshakeComplete" {}
        actor.handle.try_send(message("hasty")).unwrap();
        for expected in [
            "version",
            "verack",
            "protoconf",
            "sendheaders",
            "ping",
            "test",
        ] {
            assert_eq!(peer.next_message().command().name(), expected);
        }
    }
}

#[test]
fn unchecked_send_allows_punished_but_not_session_messages() {
    let (actor, mut peer) = Actor::connected(&config());
    let mempool = Message::from(Mempool::Empty);
    let refused = refusal(actor.handle.send(&mempool, DEADLINE));
    assert!(matches!(refused, SendError::Punished { .. }), "{refused}");
    for owned in [Message::Verack, Message::SendHeaders] {
        let command = owned.command();
        let refused = refusal(actor.handle.send_unchecked(&owned, DEADLINE));
        assert_eq!(refused, SendError::SessionOwned { command });
    }
    actor.handle.send_unchecked(&mempool, DEADLINE).unwrap();
    assert_eq!(peer.next_message(), mempool);
}

/// The peer receives none of the messages.
#[test]
fn invalid_messages_are_refused_by_both_drivers() {
    let headers = mined_headers(3);
    let gap = Headers {
        headers: vec![headers[0], headers[2]],
    };
    let empty = Transaction {
        outputs: Vec::new(),
        ..payment(1)
    };
    let (actor, mut peer) = Actor::connected(&config());
    let (mut connection, mut other) = connected(&config());
    for invalid in [
        Message::from(gap),
        Tx::from(&empty).into(),
        mined_block(&[]).into(),
    ] {
        let command = invalid.command();
        let encoded = EncodedMessage::new(config().magic(), &invalid);
        for result in [
            actor.handle.try_send(&invalid),
            actor.handle.send_encoded(&encoded, DEADLINE),
            actor.handle.send_encoded(&encoded, DEADLINE),
            connection.send(&invalid),
        ] {
            let refused = refusal(result);
            assert!(
                matches!(&refused, SendError::InvalidContent { command: named, .. } if *named == command),
                "{refused}"
            );
        }
    }
    actor.handle.try_send(message("valid")).unwrap();
    assert_eq!(peer.next_message(), message("valid"));
    connection.send(message("valid")).unwrap();
    assert_eq!(other.next_message(), message("valid"));
}

#[test]
fn sendhdrsen_is_refused_once_it_was_sent() {
    let command = Message::SendHdrsEn.command();
    let (mut connection, mut peer) = connected(&config());
    connection.send(Message::SendHdrsEn).unwrap();
    let refused = refusal(connection.send(Message::SendHdrsEn));
    assert_eq!(refused, SendError::AlreadySent { command });
    assert_eq!(peer.next_message(), Message::SendHdrsEn);

    let config = ConnectionConfig {
        max_send_queue_messages: 1,
        ..config()
    };
    let (actor, mut peer) = Actor::connected_with_small_buffers(&config);
    let mut queued = 0;
    while actor.handle.try_send(numbered(queued, 90_000)).is_ok() {
        queued += 1;
    }
    // A message that was not queued was not sent.
    for _ in 0..2 {
        let full = actor.handle.try_send(Message::SendHdrsEn);
        assert!(matches!(full, Err(Error::Timeout { .. })), "{full:?}");
    }
    for number in 0..queued {
        assert_eq!(peer.next_message(), numbered(number, 90_000));
    }
    actor.handle.send(Message::SendHdrsEn, DEADLINE).unwrap();
    let refused = refusal(actor.handle.try_send(Message::SendHdrsEn));
    assert_eq!(refused, SendError::AlreadySent { command });
    assert_eq!(peer.next_message(), Message::SendHdrsEn);
}

#[test]
fn sends_after_disconnect_fail_with_its_reason() {
    let impatient = ConnectionConfig {
        write_timeout: Duration::from_millis(100),
        ..config()
    };
    let all_told = |actor: &Actor| {
        let (_, reason) = actor.expect_end();
        let (handle, text) = (&actor.handle, message("x"));
        assert_eq!(reason_of(handle.send(&text, DEADLINE)), reason);
        assert_eq!(reason_of(handle.try_send(&text)), reason);
        assert_eq!(reason_of(handle.send_unchecked(&text, DEADLINE)), reason);
        assert_eq!(reason_of(handle.flush(DEADLINE)), reason);
        reason
    };
    let (actor, mut peer) = Actor::connected(&config());
    peer.close();
    assert_eq!(all_told(&actor), DisconnectReason::ConnectionClosed);

    let (actor, _peer) = Actor::connected(&config());
    actor.handle.disconnect();
    assert_eq!(
        reason_of(actor.handle.try_send(message("x"))),
        DisconnectReason::Requested,
        "at once"
    );
    assert_eq!(all_told(&actor), DisconnectReason::Requested);

    let (actor, _peer) = Actor::connected_with_small_buffers(&impatient);
    actor.handle.try_send(numbered(1, 100_000)).unwrap();
    let reason = all_told(&actor);
    assert!(
        matches!(reason, DisconnectReason::SlowReader { .. }),
        "{reason}"
    );

    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    listener.accept().close();
    let missing = AwaitedMessage::Version;
    let closed = DisconnectReason::ClosedDuringHandshake { missing };
    assert_eq!(all_told(&actor), closed);
}

/// Messages that were accepted are not lost.
#[test]
fn full_outbox_blocks_senders_until_timeout() {
    for config in [
        ConnectionConfig {
            max_send_queue_messages: 5,
            ..config()
        },
        ConnectionConfig {
            max_send_queue_bytes: 500_000,
            ..config()
        },
    ] {
        let (actor, mut peer) = Actor::connected_with_small_buffers(&config);
        let mut taken = 0;
        let error = loop {
            match actor.handle.try_send(numbered(taken, 90_000)) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        // The limits, and the frame being written.
        assert!((5..=7).contains(&taken), "{taken}");
        let address = actor.handle.peer_addr();
        let text = format!("{address}: send timed out after 0ns");
        assert_eq!(error.to_string(), text);
        let wait = Duration::from_millis(100);
        let began = Instant::now();
        let error = actor.handle.send(numbered(99, 90_000), wait).unwrap_err();
        let took = began.elapsed();
        assert!(took >= wait && took < wait + PROMPT, "{took:?}");
        assert!(matches!(
            error,
            Error::Timeout { which: Timeout::Send, after, .. } if after == wait
        ));
        assert!(matches!(
            actor.handle.flush(wait),
            Err(Error::Timeout { .. })
        ));
        let QueueStats {
            messages, bytes, ..
        } = actor.handle.send_queue();
        assert!((5..=7).contains(&messages), "{messages}");
        assert!(
            (400_000..=taken as usize * 90_100).contains(&bytes),
            "{bytes}"
        );

        // Once the peer reads there is capacity again, and only accepted messages arrive.
        thread::scope(|scope| {
            scope.spawn(|| {
                let last = numbered(taken, 90_000);
                actor.handle.send(&last, DEADLINE).unwrap();
                actor.handle.flush(DEADLINE).unwrap();
                assert_eq!(actor.handle.send_queue(), QueueStats::default());
            });
            for number in 0..=taken {
                assert_eq!(peer.next_message(), numbered(number, 90_000));
            }
        });
    }
}

#[test]
fn empty_outbox_accepts_message_above_its_limit() {
    let config = ConnectionConfig {
        max_send_queue_bytes: 10_000,
        ..config()
    };
    let (actor, mut peer) = Actor::connected_with_small_buffers(&config);
    actor.handle.try_send(numbered(0, 300_000)).unwrap();
    let full = actor.handle.try_send(numbered(1, 300_000));
    assert!(matches!(full, Err(Error::Timeout { .. })), "{full:?}");
    assert_eq!(peer.next_message(), numbered(0, 300_000));
    actor.handle.send(numbered(1, 300_000), DEADLINE).unwrap();
    assert_eq!(peer.next_message(), numbered(1, 300_000));
}

#[test]
fn maximum_duration_is_valid_for_every_timeout() {
    let endless = ConnectionConfig {
        connect_timeout: Duration::MAX,
        read_stall_timeout: Duration::MAX,
        write_timeout: Duration::MAX,
        ..config()
    };
    let (actor, mut peer) = Actor::connected(&endless);
    let long = numbered(1, 300_000);
    actor.handle.send(&long, Duration::MAX).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| actor.handle.flush(Duration::MAX).unwrap());
        assert_eq!(peer.next_message(), long);
    });
    let (mut connection, mut peer) = connected(&endless);
    peer.send(long.clone());
    assert_eq!(
        connection.receive_timeout(Duration::MAX).unwrap(),
        Some(long)
    );
    thread::scope(|scope| {
        scope.spawn(|| {
            let nonce = peer.expect_ping();
            peer.send(Pong::new(nonce));
        });
        connection.ping(Duration::MAX).unwrap();
    });
}

#[test]
fn concurrent_sends_keep_order_per_thread() {
    const THREADS: u32 = 8;
    const MESSAGES: u32 = 300;
    let config = ConnectionConfig {
        max_send_queue_messages: 40,
        max_send_queue_bytes: 300_000,
        ..config()
    };
    // A wide connection writes most messages at once, a narrow one queues most.
    for narrow in [false, true] {
        let (actor, mut peer) = if narrow {
            Actor::connected_with_small_buffers(&config)
        } else {
            Actor::connected(&config)
        };
        let handle = &actor.handle;
        thread::scope(|scope| {
            for sender in 0..THREADS {
                scope.spawn(move || {
                    let mut random = SeededRandom::new(sender.into());
                    for number in 0..MESSAGES {
                        let len = match random.below(20) {
                            0 => 32 * 1024 + random.below(60_000),
                            1..4 => random.below(8_000),
                            _ => random.below(200),
                        };
                        let message = numbered(sender * MESSAGES + number, len);
                        handle.send(&message, DEADLINE).unwrap();
                    }
                });
            }
            scope.spawn(|| {
                // Other messages of this side in between.
                for nonce in 1..=20 {
                    handle.flush(DEADLINE).unwrap();
                    handle.send(Ping::new(nonce), DEADLINE).unwrap();
                }
            });
            let mut next = [0; THREADS as usize];
            let mut pings = 0;
            for _ in 0..THREADS * MESSAGES + 20 {
                let message = peer.next_message();
                let Some(number) = number_of(&message) else {
                    pings += 1;
                    assert_eq!(message, Ping::new(pings).into());
                    continue;
                };
                let sender = (number / MESSAGES) as usize;
                assert_eq!(number % MESSAGES, next[sender], "thread {sender}");
                next[sender] += 1;
            }
            assert_eq!(next, [MESSAGES; THREADS as usize]);
        });
        handle.flush(DEADLINE).unwrap();
        let traffic = actor.handle.traffic();
        let own = 5; // version, verack, protoconf, sendheaders, ping
        let sent = u64::from(THREADS * MESSAGES) + 20 + own;
        assert_eq!(traffic.messages_sent, sent);
    }
}

#[test]
fn inventory_is_split_to_maximum_payload_of_peer() {
    let announced = Protoconf {
        max_receive_payload: 1_500_000,
        stream_policies: None,
    };
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    let mut peer = listener.accept();
    peer.send(version());
    peer.send(Message::Verack);
    peer.ping(1);
    actor.expect_handshake();
    assert_eq!(actor.handle.peer_max_payload(), 1_048_576);
    peer.send(announced.clone());
    peer.ping(2);
    let max_payload = actor.handle.peer_max_payload();
    assert_eq!(max_payload, 1_500_000);

    let limit = inventory_limit(max_payload);
    let entries = vec![Inventory::Tx(Txid([7; 32])); 2 * limit + 1];
    thread::scope(|scope| {
        scope.spawn(|| {
            for inv in Inv::split(&entries, limit) {
                actor.handle.send(inv, DEADLINE).unwrap();
            }
        });
        for count in [limit, limit, 1] {
            let inv = Inv::from(entries[..count].to_vec()).into();
            assert!(peer.expect("inv") == inv, "{count} entries");
        }
    });

    let (mut connection, peer) = connected(&config());
    // All earlier messages were processed when this one is received.
    peer.send(message("x"));
    connection.receive().unwrap();
    assert_eq!(connection.peer_max_payload(), DEFAULT_MAX_RECEIVE_PAYLOAD);
}

#[test]
fn prepared_message_reaches_each_peer_in_order() {
    let mut pairs: Vec<_> = (0..4).map(|_| Actor::connected(&config())).collect();
    let prepared = EncodedMessage::new(config().magic(), numbered(2, 100_000));
    for (actor, _) in &pairs {
        actor.handle.try_send(numbered(1, 10)).unwrap();
        actor.handle.send_encoded(&prepared, DEADLINE).unwrap();
        actor.handle.try_send(numbered(3, 10)).unwrap();
    }
    for (_, peer) in &mut pairs {
        for (number, len) in [(1, 10), (2, 100_000), (3, 10)] {
            assert_eq!(peer.expect("test"), numbered(number, len));
        }
    }
}

#[test]
fn prepared_message_is_checked_per_peer() {
    let (actor, mut peer) = Actor::connected(&config());
    let foreign = EncodedMessage::new(Network::Mainnet.magic(), message("x"));
    let refused = actor.handle.send_encoded(&foreign, DEADLINE);
    assert!(matches!(refused, Err(Error::Config(error)) if error.field == "magic"));
    let own = EncodedMessage::new(config().magic(), Message::Verack);
    let refused = actor.handle.send_encoded(&own, DEADLINE);
    assert!(matches!(refused, Err(Error::Send { .. })));
    peer.close();
    actor.handle.join();
    let late = EncodedMessage::new(config().magic(), message("x"));
    let refused = actor.handle.send_encoded(&late, DEADLINE);
    assert_eq!(reason_of(refused), DisconnectReason::ConnectionClosed);
}
