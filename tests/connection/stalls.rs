//! Peers that stop reading: wherever a write stops, the peer receives whole frames in order.
//! Finally the connection ends without affecting others.

use std::thread;
use std::time::Duration;

use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{Message, Ping, Pong};
use bsv_p2p::{ConnectionConfig, Error};
use crossbeam_channel::after;
use test_support::raw_peer::{RawPeer, frame, small_buffer_pair, wait_until};

use crate::harness::{
    Actor, SeededRandom, accepted, config, connected, message, number_of, numbered, reason_of,
};

/// The number of concurrently stalled connections.
const STALLS: u64 = 16;

fn config_with_write_timeout() -> ConnectionConfig {
    ConnectionConfig {
        write_timeout: Duration::from_millis(200),
        max_send_queue_bytes: 256 * 1024,
        ..config()
    }
}

/// Messages of all relevant sizes: below and above the sizes that are written at once, batched, or
/// written in pieces.
fn messages(seed: u64) -> impl Iterator<Item = Message> {
    let mut random = SeededRandom::new(seed);
    (0..).map(move |number| {
        let len = match random.below(8) {
            0..4 => random.below(100),
            4 | 5 => random.below(5_000),
            6 => 30_000 + random.below(6_000),
            _ => random.below(150_000),
        };
        numbered(number, len)
    })
}

/// Returns the byte at which the peer stops reading: often within the first frames.
fn stop_at(seed: u64) -> usize {
    let mut random = SeededRandom::new(seed ^ 0x57a11);
    let bound = [30, 200, 5_000, 200_000][random.below(4)];
    random.below(bound)
}

#[track_caller]
fn assert_prefix(read: &[u8], sent: &[u8], seed: u64) {
    let same = read.iter().zip(sent).take_while(|(a, b)| a == b).count();
    assert!(
        same == read.len(),
        "seed {seed}: byte {same} of {} is not what was sent",
        read.len()
    );
}

/// The peer stops reading at a random byte.
#[test]
fn stalled_actor_sends_only_whole_frames() {
    let (healthy, mut healthy_peer) = Actor::connected(&config());
    thread::scope(|scope| {
        for seed in 0..STALLS {
            scope.spawn(move || {
                let (actor, peer) =
                    Actor::connected_with_small_buffers(&config_with_write_timeout());
                let (mut sent, mut messages) = (Vec::new(), messages(seed));
                let mut send_some = || {
                    let next = messages.next().unwrap();
                    let result = actor.handle.send(&next, Duration::from_millis(50));
                    if result.is_ok() {
                        sent.extend_from_slice(&frame(&next));
                    }
                    result
                };
                while sent_enough(send_some()) {}
                let mut read = peer.read_bytes(stop_at(seed));
                // The reads free capacity: more is sent, and stalls again.
                while sent_enough(send_some()) {}
                let (_, reason) = actor.expect_end();
                let DisconnectReason::SlowReader { waiting } = reason else {
                    panic!("seed {seed}: {reason}");
                };
                assert!(waiting > 0);
                actor.expect_threads_to_end();
                read.extend(peer.read_to_end());
                assert_prefix(&read, &sent, seed);
                assert!(read.len() < sent.len(), "seed {seed}: nothing stalled");
            });
        }
    });
    healthy_peer.ping(1);
    healthy
        .handle
        .send(numbered(7, 10), Duration::ZERO)
        .unwrap();
    assert_eq!(number_of(&healthy_peer.expect("test")), Some(7));
}

/// Returns whether the outbox accepted the message. The connection may also have ended.
fn sent_enough(result: Result<(), Error>) -> bool {
    match result {
        Ok(()) => true,
        Err(Error::Timeout { .. } | Error::Disconnected { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// The peer stops reading at a random byte.
#[test]
fn stalled_connection_sends_only_whole_frames() {
    thread::scope(|scope| {
        for seed in 0..STALLS {
            scope.spawn(move || {
                let (mut connection, peer) =
                    accepted(small_buffer_pair(), &config_with_write_timeout());
                let reader = thread::spawn(move || {
                    let read = peer.read_bytes(stop_at(seed));
                    (peer, read)
                });
                let mut sent = Vec::new();
                let reason = messages(seed).find_map(|next| {
                    sent.extend_from_slice(&frame(&next));
                    connection.send(&next).err()
                });
                let reason = reason_of::<()>(Err(reason.unwrap()));
                assert!(
                    matches!(reason, DisconnectReason::SlowReader { waiting } if waiting > 0),
                    "seed {seed}: {reason}"
                );
                drop(connection);
                let (peer, mut read) = reader.join().unwrap();
                read.extend(peer.read_to_end());
                assert_prefix(&read, &sent, seed);
            });
        }
    });
}

/// Returns the numbers of the bulk messages that the peer read before and after the pong.
fn around_the_pong(peer: &mut RawPeer, messages: usize) -> (Vec<u32>, Vec<u32>) {
    let (mut before, mut behind, mut answered) = (Vec::new(), Vec::new(), false);
    while before.len() + behind.len() < messages || !answered {
        match peer.next_message() {
            Message::Pong(pong) => {
                assert_eq!(pong, Pong::new(1));
                answered = true;
            }
            other => {
                let number = number_of(&other).expect("bulk");
                (if answered { &mut behind } else { &mut before }).push(number);
            }
        }
    }
    (before, behind)
}

#[test]
fn many_pings_are_answered_in_order() {
    const PINGS: u64 = 2_000;
    let pings: Vec<u8> = (1..=PINGS)
        .flat_map(|nonce| frame(&Ping::new(nonce).into()))
        .collect();
    let actors = [
        Actor::connected(&config()),
        Actor::connected_with_small_buffers(&config()),
    ];
    for (actor, mut peer) in actors {
        let sent = actor.handle.traffic().messages_sent;
        peer.send_bytes(&pings);
        wait_until("the pongs are sent, or wait", || {
            actor.handle.traffic().messages_sent == sent + PINGS
        });
        for nonce in 1..=PINGS {
            assert_eq!(peer.expect("pong"), Message::Pong(Pong::new(nonce)));
        }
        wait_until("nothing waits", || actor.handle.send_queue().messages == 0);
    }
}

#[test]
fn pongs_do_not_wait_for_blocked_subscriber() {
    // The capacity of a subscription queue. The next message waits for the subscriber.
    const QUEUE: u32 = 1024;
    let (actor, mut peer) = Actor::connected(&config());
    let numbers =
        |numbers: std::ops::Range<u32>| numbers.flat_map(|number| frame(&numbered(number, 10)));
    let pings = (1..=3).flat_map(|nonce| frame(&Ping::new(nonce).into()));
    let together: Vec<u8> = numbers(0..QUEUE)
        .chain(pings)
        .chain(numbers(QUEUE..2 * QUEUE))
        .collect();
    peer.send_bytes(&together);
    for nonce in 1..=3 {
        assert_eq!(peer.expect("pong"), Message::Pong(Pong::new(nonce)));
    }
    for number in 0..2 * QUEUE {
        assert_eq!(number_of(&actor.next_message()), Some(number));
    }
}

#[test]
fn pong_follows_frame_being_written() {
    const MESSAGES: u32 = 30;
    // The lengths are around the limit of batches.
    for len in [40_000, 64 * 1024, 200_000] {
        let (actor, mut peer) = Actor::connected_with_small_buffers(&config());
        for number in 0..MESSAGES {
            actor.handle.try_send(numbered(number, len)).unwrap();
        }
        let sent = actor.handle.traffic().messages_sent;
        let waiting = actor.handle.send_queue().messages;
        assert!(
            waiting > 20,
            "the peer does not read, but only {waiting} wait"
        );
        peer.send(Ping::new(1));
        wait_until("the pong waits", || {
            actor.handle.traffic().messages_sent > sent
        });
        let (before, behind) = around_the_pong(&mut peer, MESSAGES as usize);
        let all: Vec<_> = before.iter().chain(&behind).copied().collect();
        assert_eq!(all, (0..MESSAGES).collect::<Vec<_>>());
        // One frame may have started, and one write takes at most 64 KiB of others.
        assert!(
            behind.len() + 2 > waiting,
            "{len}: {waiting} were waiting, only {} came behind the pong",
            behind.len()
        );
    }
}

#[test]
fn pong_precedes_next_long_frame() {
    let (actor, mut peer) = Actor::connected_with_small_buffers(&config());
    // Stalls with so few bytes missing that one write could include the next frame.
    actor.handle.try_send(numbered(0, 50_000)).unwrap();
    for number in 1..4 {
        actor.handle.try_send(numbered(number, 400_000)).unwrap();
    }
    // A blocked write is retried after a second.
    let _ = after(Duration::from_millis(1200)).recv();
    let sent = actor.handle.traffic().messages_sent;
    peer.send(Ping::new(1));
    wait_until("the pong waits", || {
        actor.handle.traffic().messages_sent > sent
    });
    let (before, behind) = around_the_pong(&mut peer, 4);
    assert_eq!((before, behind), (vec![0], vec![1, 2, 3]));
}

/// At most about 1 MiB of pongs is queued.
#[test]
fn blocked_peer_that_floods_pings_is_disconnected() {
    let flood = |peer: RawPeer| {
        thread::spawn(move || {
            use std::io::Write as _;
            let pings: Vec<u8> = (1..=1000)
                .flat_map(|n| frame(&Ping::new(n).into()))
                .collect();
            // Until the other side closes.
            while peer.tcp().write_all(&pings).is_ok() {}
            peer
        })
    };
    let waits_for_a_mib_at_most = |reason: DisconnectReason| {
        assert!(
            matches!(reason, DisconnectReason::SlowReader { waiting } if waiting < 1_100_000),
            "{reason}"
        );
    };

    let (actor, peer) = Actor::connected_with_small_buffers(&config());
    let flooder = flood(peer);
    waits_for_a_mib_at_most(actor.expect_end().1);
    actor.expect_threads_to_end();
    drop(actor);
    flooder.join().unwrap();

    let (mut connection, peer) = accepted(small_buffer_pair(), &config());
    let flooder = flood(peer);
    waits_for_a_mib_at_most(reason_of(connection.receive()));
    drop(connection);
    flooder.join().unwrap();
}

#[test]
fn receive_keeps_timeout_while_pongs_are_blocked() {
    let (mut connection, peer) = accepted(small_buffer_pair(), &config());
    let pings: Vec<u8> = (1..=3000)
        .flat_map(|n| frame(&Ping::new(n).into()))
        .collect();
    let sender = thread::spawn(move || {
        peer.send_bytes(&pings);
        peer.send(message("after"));
        peer
    });
    let began = std::time::Instant::now();
    let received = connection.receive_timeout(test_support::raw_peer::DEADLINE);
    assert_eq!(received.unwrap(), Some(message("after")));
    assert!(began.elapsed() < test_support::raw_peer::DEADLINE);
    assert_eq!(
        connection
            .receive_timeout(Duration::from_millis(20))
            .unwrap(),
        None
    );
    let mut peer = sender.join().unwrap();
    let reading = thread::spawn(move || {
        let pongs = (1..=3000).map(|_| peer.expect("pong"));
        let in_order = pongs.eq((1..=3000).map(|nonce| Pong::new(nonce).into()));
        (in_order, peer)
    });
    // The pongs are sent inside later calls.
    while !reading.is_finished() {
        let nothing = connection.receive_timeout(Duration::from_millis(20));
        assert_eq!(nothing.unwrap(), None);
    }
    assert!(reading.join().unwrap().0);
}

#[test]
fn send_to_closed_peer_keeps_received_messages() {
    for _ in 0..20 {
        let (mut connection, mut peer) = connected(&config());
        peer.send(message("last words"));
        peer.reset();
        let reason = loop {
            if let Err(error) = connection.send(message("x")) {
                break reason_of::<()>(Err(error));
            }
        };
        assert_eq!(reason, DisconnectReason::ConnectionReset);
        assert_eq!(connection.receive().unwrap(), message("last words"));
        assert_eq!(reason_of(connection.receive()), reason);
    }
}

#[test]
fn pong_to_closed_peer_keeps_received_messages() {
    for _ in 0..20 {
        let (actor, mut peer) = Actor::connected(&config());
        // Each ping is answered, which fails immediately.
        let words: Vec<u8> = (0..50)
            .flat_map(|n| [frame(&Ping::new(1).into()), frame(&numbered(n, 4))].concat())
            .collect();
        peer.send_bytes(&words);
        peer.reset();
        assert_eq!(actor.expect_end().1, DisconnectReason::ConnectionReset);
        let heard: Vec<_> = actor.messages.try_iter().map(Result::unwrap).collect();
        let heard: Vec<_> = heard.iter().filter_map(|e| number_of(&e.message)).collect();
        assert_eq!(heard, (0..50).collect::<Vec<_>>());
    }
}
