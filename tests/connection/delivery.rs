//! Slow subscribers: backpressure, drops and timeouts.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::{
    EventBus, EventReceiver, OverflowPolicy, PeerConnectionActor, PeerConnectionHandle,
    PeerConnectionOptions, RecvTimeoutError, SubscriptionOptions, TryRecvError,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent, Event, SubscriptionEndReason};
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{Command, Pong};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, frame, wait_until};

use crate::harness::{PROMPT, config, discarded_frame, discarding_config, number_of, numbered};

/// The payload length of the flood.
const LEN: usize = 1000;
/// The number of handshake messages that the connection reads: version, verack, protoconf, pong.
const HANDSHAKE: u64 = 4;

/// Returns a configuration with a small backlog, and a subscriber timeout that tests do not reach.
fn config_with_backlog(max_subscriber_backlog_bytes: u64) -> ConnectionConfig {
    ConnectionConfig {
        max_subscriber_backlog_bytes,
        subscriber_timeout: 100 * DEADLINE,
        ..config()
    }
}

fn config_with_subscriber_timeout(
    max_subscriber_backlog_bytes: u64,
    subscriber_timeout: Duration,
) -> ConnectionConfig {
    ConnectionConfig {
        subscriber_timeout,
        ..config_with_backlog(max_subscriber_backlog_bytes)
    }
}

fn queue_of(capacity: usize) -> SubscriptionOptions {
    SubscriptionOptions {
        capacity,
        ..SubscriptionOptions::default()
    }
}

/// Returns options of a short queue that blocks, under a name.
fn stuck() -> SubscriptionOptions {
    SubscriptionOptions {
        capacity: 1,
        ..SubscriptionOptions::with_name("stuck")
    }
}

/// Returns options of a short queue with a name that drops messages above its capacity.
fn sampled() -> SubscriptionOptions {
    SubscriptionOptions {
        capacity: 4,
        overflow: OverflowPolicy::DropNewest,
        ..SubscriptionOptions::with_name("sampled")
    }
}

fn connected_on(bus: &EventBus, config: ConnectionConfig) -> (PeerConnectionHandle, RawPeer) {
    let listener = RawListener::new();
    let setup = PeerConnectionOptions {
        events: bus.clone(),
        ..PeerConnectionOptions::new(config)
    };
    let handle = PeerConnectionActor::spawn_outbound(listener.address(), setup).unwrap();
    let mut peer = listener.accept();
    peer.shake_hands();
    wait_until("the handshake is complete", || {
        handle.traffic().messages_received == HANDSHAKE
    });
    (handle, peer)
}

fn flood(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers
        .flat_map(|number| frame(&numbered(number, LEN)))
        .collect()
}

#[track_caller]
fn next_number(messages: &EventReceiver<BitcoinMessageEvent>) -> u32 {
    let event = messages.recv_timeout(DEADLINE).expect("a message");
    number_of(&event.message).expect("a numbered message")
}

/// Returns the next event that does not concern the start of a connection.
#[track_caller]
fn next_of_note(control: &EventReceiver<ControlEvent>) -> ControlEvent {
    loop {
        let event = control.recv_timeout(DEADLINE).expect("an event");
        if !matches!(event.name(), "ConnectionEstablished" | "HandshakeComplete") {
            return event;
        }
    }
}

fn lagged(subscription: &str, missed: u64) -> ControlEvent {
    ControlEvent::Lagged {
        subscription: subscription.into(),
        missed,
    }
}

/// Sends until the connection stops reading. Returns the number of messages it has read.
fn flood_until_held_back(handle: &PeerConnectionHandle, peer: &RawPeer) -> u64 {
    use std::io::{ErrorKind, Write};
    let mut socket = peer.another_holder();
    socket.set_nonblocking(true).unwrap();
    let bytes = flood(0..100);
    let (mut sent, mut quiet, mut read) = (0, 0, 0);
    wait_until("the peer is held back", || {
        loop {
            match socket.write(&bytes[sent..]) {
                Ok(len) => sent = (sent + len) % bytes.len(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            quiet = 0;
        }
        let now = handle.traffic().messages_received;
        quiet = if now == read { quiet + 1 } else { 0 };
        read = now;
        quiet == 50
    });
    read
}

/// The slow subscriber misses nothing.
#[test]
fn pings_are_answered_while_subscriber_is_slow() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(queue_of(1));
    let (handle, mut peer) = connected_on(&bus, config());
    for round in 0..3 {
        peer.send_bytes(&flood(round * 500..(round + 1) * 500));
        let began = Instant::now();
        peer.ping(u64::from(round) + 1);
        assert!(began.elapsed() < PROMPT);
    }
    assert_eq!(messages.len(), 1500);
    for number in 0..1500 {
        assert_eq!(next_number(&messages), number);
    }
    drop(handle);
}

#[test]
fn slow_subscriber_with_queue_of_one_keeps_order() {
    const MESSAGES: u32 = 5000;
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let (one, both) = (
        bus.subscribe_messages_with(queue_of(1)),
        bus.subscribe_with(queue_of(1)),
    );
    let (handle, mut peer) = connected_on(&bus, config_with_backlog(50_000));
    thread::scope(|scope| {
        scope.spawn(|| {
            peer.send_bytes(&flood(0..MESSAGES));
            peer.close_writing();
        });
        scope.spawn(|| {
            for number in 0..MESSAGES {
                assert_eq!(next_number(&one), number);
            }
        });
        let mut events = (0..MESSAGES + 3).map(|_| both.recv_timeout(DEADLINE).unwrap());
        let begin: Vec<_> = events.by_ref().take(2).collect();
        assert!(begin.iter().all(|event| matches!(event, Event::Control(_))));
        for number in 0..MESSAGES {
            let Some(Event::Message(event)) = events.next() else {
                panic!("no message {number}");
            };
            assert_eq!(number_of(&event.message), Some(number));
        }
        let Some(Event::Control(end)) = events.next() else {
            panic!("no end");
        };
        assert_eq!(end.name(), "ConnectionLost");
    });
    // The peer does not wait for the end earlier, because its deadline is for a single wait.
    peer.rest();
    assert_eq!(next_of_note(&control).name(), "ConnectionLost");
    handle.join();
    assert!(control.is_empty(), "nothing was dropped, nobody was ended");
}

#[test]
fn full_backlog_stops_reading() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(queue_of(1));
    let (handle, peer) = connected_on(&bus, config_with_backlog(100_000));
    let read = flood_until_held_back(&handle, &peer) - HANDSHAKE;
    // One without a charge; 100,000 bytes with 512 per message in addition to its payload; one
    // beyond.
    let waiting = 100_000_u64.div_ceil(LEN as u64 + 512);
    assert_eq!(read, 1 + waiting);
    drop(messages);
}

#[test]
fn stuck_subscription_ends_and_reading_resumes() {
    let timeout = Duration::from_millis(300);
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let stuck = bus.subscribe_messages_with(stuck());
    let living = bus.subscribe_messages();
    let config = config_with_subscriber_timeout(10_000, timeout);
    let (one, mut one_peer) = connected_on(&bus, config.clone());
    let (other, mut other_peer) = connected_on(&bus, config);
    let began = Instant::now();
    for peer in [&one_peer, &other_peer] {
        peer.send_bytes(&flood(0..200));
    }
    for peer in [&mut one_peer, &mut other_peer] {
        peer.ping(1);
    }
    assert!(began.elapsed() >= timeout, "reading had stopped");
    let ended = ControlEvent::SubscriptionEnded {
        subscription: "stuck".into(),
        reason: SubscriptionEndReason::TooSlow,
    };
    assert_eq!(next_of_note(&control), ended);
    // The events in its queue were discarded.
    assert_eq!(
        stuck.recv_timeout(DEADLINE),
        Err(RecvTimeoutError::Ended(SubscriptionEndReason::TooSlow))
    );
    // The other subscriber has received everything.
    for handle in [&one, &other] {
        handle.disconnect();
        handle.join();
    }
    let heard: Vec<_> = living.try_iter().map(Result::unwrap).collect();
    for handle in [&one, &other] {
        let numbers = heard.iter().filter(|e| e.peer_id == handle.peer_id());
        let numbers: Vec<_> = numbers.filter_map(|e| number_of(&e.message)).collect();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    }
    let rest: Vec<_> = control
        .try_iter()
        .map(Result::unwrap)
        .map(|event| event.name())
        .collect();
    assert_eq!(rest, ["ConnectionLost", "ConnectionLost"], "told once");
}

/// The control receiver outlives the bus.
#[test]
fn stuck_combined_receiver_reports_reason_in_selection() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let stuck = bus.subscribe_with(SubscriptionOptions {
        capacity: 2,
        ..SubscriptionOptions::with_name("stuck")
    });
    let timeout = Duration::from_millis(300);
    let (handle, mut peer) = connected_on(&bus, config_with_subscriber_timeout(10_000, timeout));
    assert_eq!(stuck.end_reason(), None);
    peer.send_bytes(&flood(0..200));
    peer.ping(1);
    assert_eq!(next_of_note(&control).name(), "SubscriptionEnded");
    let too_slow = SubscriptionEndReason::TooSlow;
    assert_eq!(stuck.end_reason(), Some(too_slow));
    // The events in its queue were discarded.
    let event = crossbeam_channel::select! {
        recv(stuck.as_receiver()) -> event => stuck.with_end_reason(event),
        default(DEADLINE) => panic!("nothing was received"),
    };
    assert_eq!(event.map_err(|error| error.reason), Err(too_slow));
    let again = stuck.recv().map_err(|error| error.reason);
    assert_eq!(again, Err(too_slow));
    assert_eq!(stuck.try_recv(), Err(TryRecvError::Ended(too_slow)));
    drop((handle, bus));
    assert!(control.iter().all(|event| event.is_ok()));
    let dropped = SubscriptionEndReason::PublishersDropped;
    assert_eq!(control.end_reason(), Some(dropped));
    assert_eq!(control.try_recv(), Err(TryRecvError::Ended(dropped)));
    assert_eq!(stuck.end_reason(), Some(too_slow));
}

#[test]
fn paused_peer_does_not_block_other_peers() {
    let bus = EventBus::new();
    let stuck = bus.subscribe_messages_with(queue_of(1));
    let living = bus.subscribe_messages();
    let (held, held_peer) = connected_on(&bus, config_with_backlog(10_000));
    flood_until_held_back(&held, &held_peer);
    while living.try_recv().is_ok() {}
    let (_free, mut free_peer) = connected_on(&bus, config_with_backlog(10_000));
    free_peer.send(numbered(7, 4));
    let began = Instant::now();
    assert_eq!(next_number(&living), 7);
    free_peer.ping(1);
    assert!(began.elapsed() < PROMPT);
    assert!(!stuck.is_empty());
}

#[test]
fn drop_newest_counts_drops_without_delay() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let sampled = bus.subscribe_messages_with(sampled());
    let (_handle, mut peer) = connected_on(&bus, config_with_backlog(1));
    peer.send_bytes(&flood(0..1000));
    peer.ping(1);
    let mut missed = 0;
    while missed < 996 {
        match next_of_note(&control) {
            ControlEvent::Lagged {
                subscription,
                missed: more,
            } if &*subscription == "sampled" => missed += more,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(missed, 996);
    for number in 0..4 {
        assert_eq!(next_number(&sampled), number);
    }
    peer.send(numbered(1000, 4));
    assert_eq!(next_number(&sampled), 1000);
    assert!(sampled.is_empty() && control.is_empty());
}

#[test]
fn combined_receiver_gets_lagged_event_in_order() {
    let bus = EventBus::new();
    let sampled = bus.subscribe_with(sampled());
    let (handle, mut peer) = connected_on(&bus, config());
    peer.send_bytes(&flood(0..100));
    peer.ping(1);
    // The start of the connection uses two slots of the queue.
    let taken = |count: usize| -> Vec<Event> {
        let events = (0..count).map(|_| sampled.recv_timeout(DEADLINE).unwrap());
        events.collect()
    };
    let number = |event: &Event| match event {
        Event::Message(event) => number_of(&event.message),
        _ => None,
    };
    let first = taken(4);
    assert_eq!(
        first.iter().map(number).collect::<Vec<_>>(),
        [None, None, Some(0), Some(1)]
    );
    peer.send(numbered(100, 4));
    let then = taken(2);
    assert_eq!(then[0], Event::Control(lagged("sampled", 98)));
    assert_eq!(number(&then[1]), Some(100));
    drop(handle);
}

#[test]
fn control_receiver_gets_lagged_event_without_further_events() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let (_handle, mut peer) = connected_on(&bus, discarding_config());
    peer.send_bytes(&discarded_frame().repeat(1500));
    peer.ping(1);
    for _ in 0..1024 {
        assert_ne!(control.recv_timeout(DEADLINE).unwrap().name(), "Lagged");
    }
    assert_eq!(
        control.recv_timeout(DEADLINE).unwrap(),
        lagged("control 1", 1502 - 1024)
    );
}

#[test]
fn subscription_filter_selects_commands() {
    let bus = EventBus::new();
    let chosen = bus.subscribe_messages_with(
        SubscriptionOptions::default().with_commands([const { Command::new("chosen") }]),
    );
    let (_handle, mut peer) = connected_on(&bus, config());
    let mut renamed = frame(&numbered(2, 4));
    renamed[4..16].copy_from_slice(b"chosen\0\0\0\0\0\0");
    peer.send_bytes(&[frame(&numbered(1, 4)), renamed].concat());
    assert_eq!(next_number(&chosen), 2);
    peer.ping(1);
    assert!(chosen.is_empty());
}

#[test]
fn disconnect_with_stuck_subscriber_is_prompt() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let stuck = bus.subscribe_messages_with(stuck());
    let (handle, peer) = connected_on(&bus, config_with_backlog(100_000));
    let read = flood_until_held_back(&handle, &peer) - HANDSHAKE;
    let began = Instant::now();
    handle.disconnect();
    handle.join();
    assert!(began.elapsed() < PROMPT, "took {:?}", began.elapsed());
    assert!(matches!(
        next_of_note(&control),
        ControlEvent::ConnectionLost {
            reason: DisconnectReason::Requested,
            ..
        }
    ));
    // The events stay in the queue.
    for number in 0..read as u32 {
        assert_eq!(next_number(&stuck), number % 100);
    }
    assert!(stuck.is_empty() && control.is_empty());
}

#[test]
fn dropped_receiver_unblocks_connection() {
    let bus = EventBus::new();
    let living = bus.subscribe_messages();
    // The credit is not spent.
    let lagging = bus.subscribe_messages_with(queue_of(1));
    let (_handle, mut peer) = connected_on(&bus, config_with_backlog(1_000_000));
    peer.send_bytes(&flood(0..100));
    peer.ping(1);
    assert_eq!(lagging.len(), 100);
    drop(lagging);
    // Reading has stopped because of two receivers.
    let (held, mut held_peer) = {
        let (one, both) = (
            bus.subscribe_messages_with(queue_of(1)),
            bus.subscribe_with(queue_of(1)),
        );
        let (held, held_peer) = connected_on(&bus, config_with_backlog(100_000));
        held_peer.send_bytes(&flood(0..500));
        // One and two messages without a charge, and the credit for both.
        wait_until("reading has stopped", || one.len() + both.len() >= 70);
        drop(one);
        drop(both);
        (held, held_peer)
    };
    let began = Instant::now();
    held_peer.ping(1);
    assert!(began.elapsed() < PROMPT);
    // The end of a connection does not wait for receivers.
    let last = bus.subscribe_messages_with(queue_of(1));
    held_peer.send_bytes(&flood(500..510));
    held_peer.ping(2);
    held_peer.close();
    let began = Instant::now();
    held.join();
    assert!(began.elapsed() < PROMPT);
    assert_eq!(last.len(), 10);
    let numbers = living
        .try_iter()
        .map(Result::unwrap)
        .filter(|event| event.peer_id == held.peer_id())
        .filter_map(|event| number_of(&event.message));
    assert_eq!(numbers.collect::<Vec<_>>(), (0..510).collect::<Vec<_>>());
}

#[test]
fn final_event_is_immediate_and_queue_is_kept() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let (messages, both) = (
        bus.subscribe_messages_with(queue_of(1)),
        bus.subscribe_with(queue_of(1)),
    );
    let (handle, mut peer) = connected_on(&bus, config_with_backlog(1_000_000));
    peer.send_bytes(&flood(0..100));
    peer.ping(1);
    peer.close();
    // No event was received yet.
    assert_eq!(next_of_note(&control).name(), "ConnectionLost");
    handle.join();
    assert_eq!((messages.len(), both.len()), (100, 103));
    for number in 0..100 {
        assert_eq!(next_number(&messages), number);
    }
    let heard: Vec<_> = (0..103)
        .map(|_| both.recv_timeout(DEADLINE).unwrap())
        .collect();
    assert!(matches!(
        heard.last(),
        Some(Event::Control(ControlEvent::ConnectionLost { .. }))
    ));
    assert!(control.is_empty() && messages.is_empty() && both.is_empty());
}

#[test]
fn peer_deadlines_pause_while_reading_is_paused() {
    let mut config = config_with_subscriber_timeout(10_000, Duration::from_millis(2500));
    config.session.ping_interval = Duration::from_millis(50);
    config.session.ping_timeout = Duration::from_secs(1);
    // Created in advance, because it takes time that would delay the ping.
    let flood = flood(0..1000);
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let stuck = bus.subscribe_messages_with(queue_of(1));
    let (_handle, mut peer) = connected_on(&bus, config);
    let nonce = peer.expect_ping();
    // The pong follows more bytes than one read takes.
    let answer = frame(&Pong::new(nonce).into());
    peer.send_bytes(&[flood, answer].concat());
    let nonce = peer.expect_ping();
    peer.send(Pong::new(nonce));
    assert_eq!(next_of_note(&control).name(), "SubscriptionEnded");
    assert!(control.is_empty());
    drop(stuck);
}

#[test]
fn full_combined_receiver_gets_report_and_final_event() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let full = bus.subscribe_with(SubscriptionOptions {
        capacity: 4,
        overflow: OverflowPolicy::DropNewest,
        ..SubscriptionOptions::with_name("full")
    });
    let (handle, mut peer) = connected_on(&bus, config());
    peer.send_bytes(&flood(0..10));
    peer.ping(1);
    drop((handle, bus));
    // Two events of the connection and ten messages, of which four fit. The end of the connection
    // is never dropped.
    let events: Vec<_> = full.iter().map(Result::unwrap).skip(4).collect();
    assert_eq!(events[0], Event::Control(lagged("full", 8)));
    assert!(matches!(
        &events[1..],
        [Event::Control(ControlEvent::ConnectionLost { .. })]
    ));
    assert!(control.iter().all(|event| event.unwrap().is_life_cycle()));
}

#[test]
fn queue_of_zero_becomes_queue_of_one() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(SubscriptionOptions {
        capacity: 0,
        ..sampled()
    });
    let (_handle, mut peer) = connected_on(&bus, config());
    peer.send_bytes(&flood(0..10));
    peer.ping(1);
    assert_eq!(next_number(&messages), 0);
    assert!(messages.is_empty());
}
