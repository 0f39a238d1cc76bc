//! Fairness between subscribers and peers, and bounds of slow subscribers.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    EventBus, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
    SubscriptionOptions, TryRecvError,
};
use bsv_p2p::event::{ControlEvent, SubscriptionEndReason};
use bsv_p2p::session::ConnectionState;
use bsv_p2p::wire::{Inv, Inventory, Message, Tx, Txid};
use bsv_p2p::{ConnectionConfig, Error, Network};
use test_support::own_process::run_in_own_process;
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, frame, wait_until};

use crate::harness::{Actor, PROMPT, config, message, numbered};

fn connected_on(bus: &EventBus, config: &ConnectionConfig) -> (PeerConnectionHandle, RawPeer) {
    let listener = RawListener::new();
    let setup = PeerConnectionOptions {
        events: bus.clone(),
        ..PeerConnectionOptions::new(config.clone())
    };
    let handle = PeerConnectionActor::spawn_outbound(listener.address(), setup).unwrap();
    let mut peer = listener.accept();
    peer.shake_hands();
    (handle, peer)
}

fn queue_of(capacity: usize) -> SubscriptionOptions {
    SubscriptionOptions {
        capacity,
        ..SubscriptionOptions::default()
    }
}

/// Sets the flag when the test ends, also if it fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Writes `bytes` again and again until `stop` is set or the peer resets the connection.
fn flood(peer: &RawPeer, bytes: &[u8], stop: &AtomicBool) {
    let mut socket = peer.another_holder();
    let step = Some(Duration::from_millis(50));
    socket.set_write_timeout(step).unwrap();
    let mut at = 0;
    while !stop.load(SeqCst) {
        match socket.write(&bytes[at..]) {
            Ok(len) => at = (at + len) % bytes.len(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Waits until `handle` reads no more messages.
fn wait_until_paused(handle: &PeerConnectionHandle) {
    let (mut read, mut same) = (0, 0);
    wait_until("reading pauses", || {
        let now = handle.traffic().messages_received;
        same = if now == read { same + 1 } else { 0 };
        read = now;
        same == 50
    });
}

/// The flood consists of frames that score nothing.
#[test]
fn flood_of_invalid_frames_hides_no_life_cycle_event() {
    const LIVES: usize = 10;
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let (bad, bad_peer) = connected_on(&bus, &config());
    // An empty frame with an unprintable command.
    let mut invalid = Network::Regtest.magic().0.to_vec();
    invalid.extend_from_slice(&[7; 12]);
    invalid.extend_from_slice(&[0; 8]);
    let invalid = invalid.repeat(1000);
    let stop = AtomicBool::new(false);
    let (mut others, mut violations, mut reports) = (Vec::new(), 0, 0);
    let began = Instant::now();
    thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        scope.spawn(|| flood(&bad_peer, &invalid, &stop));
        let lives = scope.spawn(|| {
            wait_until("the flood is read", || {
                bad.traffic().bytes_received > 1 << 20
            });
            for _ in 0..LIVES {
                let (handle, mut peer) = connected_on(&bus, &config());
                peer.close();
                handle.join();
            }
            wait_until("there are reports", || began.elapsed() > 2 * PROMPT);
            stop.store(true, SeqCst);
        });
        // A slow receiver.
        while !(lives.is_finished() && control.is_empty()) {
            let Ok(event) = control.recv_timeout(PROMPT) else {
                continue;
            };
            match &event {
                ControlEvent::PeerMisbehavior { count, .. } => {
                    violations += count;
                    reports += 1;
                }
                ControlEvent::Lagged { missed, .. } => panic!("missed {missed}"),
                event if event.peer().unwrap().0 == bad.peer_id() => {}
                event => others.push(event.name()),
            }
            let ready = Instant::now() + Duration::from_micros(100);
            while Instant::now() < ready {
                std::hint::spin_loop();
            }
        }
    });
    let life = [
        "ConnectionEstablished",
        "HandshakeComplete",
        "ConnectionLost",
    ];
    assert_eq!(others, life.repeat(LIVES));
    assert!(violations > 10_000, "{violations}");
    // The first violation, and one report for each second.
    assert!(reports <= 2 + began.elapsed().as_secs(), "{reports}");
}

#[test]
fn aggregated_violations_are_reported_before_end() {
    let (actor, mut peer) = Actor::connected(&config());
    let mut malformed = frame(&message(vec![1]));
    malformed[4..16].copy_from_slice(b"feefilter\0\0\0");
    peer.send_bytes(&malformed.repeat(100));
    peer.close();
    let count = |event| match event {
        ControlEvent::PeerMisbehavior { count, score, .. } => {
            assert_eq!(score, 0);
            count
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(count(actor.next_event()), 1);
    let mut counted = 1;
    while counted < 100 {
        counted += count(actor.next_event());
    }
    assert_eq!(counted, 100);
    assert_eq!(actor.next_event().name(), "ConnectionLost");
}

#[test]
fn violations_of_quiet_peer_are_reported_within_two_seconds() {
    let (actor, mut peer) = Actor::connected(&config());
    let mut malformed = frame(&message(vec![1]));
    malformed[4..16].copy_from_slice(b"feefilter\0\0\0");
    peer.send_bytes(&malformed.repeat(2));
    peer.ping(1);
    let events = [(); 2].map(|()| actor.events.recv_timeout(2 * PROMPT).unwrap());
    assert!(events.iter().all(|event| event.name() == "PeerMisbehavior"));
}

/// The subscription takes 40 events in each timeout. On 50 peers, many wait longer for their turn.
#[test]
fn subscription_that_takes_events_of_others_is_not_ended() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let config = ConnectionConfig {
        subscriber_timeout: TIMEOUT,
        max_subscriber_backlog_bytes: 16 * 1024,
        ..config()
    };
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let messages = bus.subscribe_messages_with(queue_of(16));
    let peers: Vec<_> = (0..50).map(|_| connected_on(&bus, &config)).collect();
    let bytes = frame(&message(vec![1; 400]));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        for (_, peer) in &peers {
            scope.spawn(|| flood(peer, &bytes, &stop));
        }
        for (handle, _) in &peers {
            wait_until("reading has paused once", || {
                // The setup may take longer than the timeout.
                let _ = messages.try_recv();
                handle.traffic().messages_received > 16
            });
        }
        let until = Instant::now() + 5 * TIMEOUT / 2;
        let mut next = Instant::now();
        while next < until {
            let wait = next.saturating_duration_since(Instant::now());
            thread::park_timeout(wait);
            messages.try_recv().expect("an active subscription");
            next += TIMEOUT / 40;
        }
        assert_eq!(messages.end_reason(), None);
        // It ends once it takes nothing.
        let ended = |event: &ControlEvent| matches!(event, ControlEvent::SubscriptionEnded { .. });
        let deadline = Instant::now() + DEADLINE;
        while !ended(&control.recv_deadline(deadline).expect("the end")) {}
    });
    let too_slow = SubscriptionEndReason::TooSlow;
    assert_eq!(messages.try_recv(), Err(TryRecvError::Ended(too_slow)));
}

/// The queue was full for longer than a second.
#[test]
fn received_messages_are_available_at_once() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(queue_of(1024));
    let (_handle, mut peer) = connected_on(&bus, &config());
    for number in 0..1100 {
        peer.send(numbered(number, 10));
    }
    peer.ping(5);
    let full = Instant::now();
    wait_until("the queue was full for long", || {
        full.elapsed() > 3 * PROMPT / 2
    });
    assert_eq!(messages.try_iter().count(), 1100);
}

/// Reading was paused for longer than a second.
#[test]
fn messages_follow_promptly_after_pause() {
    let config = ConnectionConfig {
        max_subscriber_backlog_bytes: 10_000,
        subscriber_timeout: 100 * DEADLINE,
        ..config()
    };
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(queue_of(1));
    let (handle, peer) = connected_on(&bus, &config);
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| (0..1000).for_each(|number| peer.send(numbered(number, 1000))));
        wait_until_paused(&handle);
        wait_until("the pause is long", || began.elapsed() > 3 * PROMPT / 2);
        let mut longest = Duration::ZERO;
        for _ in 0..1000 {
            let waits = Instant::now();
            messages.recv_timeout(DEADLINE).expect("a message");
            longest = longest.max(waits.elapsed());
        }
        assert!(longest < PROMPT / 2, "{longest:?}");
    });
}

#[test]
fn lower_subscriber_timeout_applies_during_pause() {
    let mut config = ConnectionConfig {
        max_subscriber_backlog_bytes: 1024,
        subscriber_timeout: 100 * DEADLINE,
        ..config()
    };
    let bus = EventBus::new();
    let stuck = bus.subscribe_messages_with(queue_of(1));
    let (handle, mut peer) = connected_on(&bus, &config);
    (0..20).for_each(|number| peer.send(numbered(number, 1000)));
    wait_until_paused(&handle);
    config.subscriber_timeout = Duration::from_millis(100);
    handle.update_config(config).unwrap();
    let too_slow = SubscriptionEndReason::TooSlow;
    wait_until("the subscription ends", || {
        stuck.end_reason() == Some(too_slow)
    });
    peer.ping(1);
}

/// The same peer has paused reading, and another one connects.
#[test]
fn stuck_subscriber_delays_no_handshake_and_no_request() {
    let config = ConnectionConfig {
        max_subscriber_backlog_bytes: 1024,
        subscriber_timeout: 100 * DEADLINE,
        ..config()
    };
    let bus = EventBus::new();
    let _stuck = bus.subscribe_messages_with(queue_of(1));
    let _both = bus.subscribe_with(queue_of(2));
    let (paused, mut peer) = connected_on(&bus, &config);
    (0..20).for_each(|number| peer.send(numbered(number, 1000)));
    wait_until_paused(&paused);
    let began = Instant::now();
    let (other, mut other_peer) = connected_on(&bus, &config);
    other_peer.ping(1);
    thread::scope(|scope| {
        for (handle, peer) in [(&other, &mut other_peer), (&paused, &mut peer)] {
            scope.spawn(|| {
                let nonce = peer.expect_ping();
                peer.send(bsv_p2p::wire::Pong::new(nonce));
            });
            handle.ping(DEADLINE).unwrap();
        }
    });
    assert!(began.elapsed() < PROMPT, "took {:?}", began.elapsed());
}

/// The defaults of both peers, in a fifth of the time.
#[test]
fn stuck_subscriber_of_default_peer_keeps_connection() {
    let mut config = config();
    config.subscriber_timeout /= 5;
    config.write_timeout /= 5;
    let listener = RawListener::new();
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let stuck = bus.subscribe_messages();
    let sender = Actor::dial(listener.address(), &config);
    let setup = PeerConnectionOptions {
        events: bus.clone(),
        ..PeerConnectionOptions::new(config)
    };
    let handle = PeerConnectionActor::spawn_inbound(listener.accept_tcp(), setup).unwrap();
    sender.expect_handshake();
    let too_slow = Some(SubscriptionEndReason::TooSlow);
    let deadline = Instant::now() + 2 * DEADLINE;
    while stuck.end_reason() != too_slow {
        assert!(Instant::now() < deadline, "the subscription did not end");
        match sender
            .handle
            .send(message(vec![1; 30_000]), Duration::from_millis(100))
        {
            Ok(()) | Err(Error::Timeout { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    sender.handle.flush(2 * DEADLINE).unwrap();
    sender.handle.ping(DEADLINE).unwrap();
    handle.ping(DEADLINE).unwrap();
    assert_eq!(handle.state(), ConnectionState::Connected);
    let names: Vec<_> = control
        .try_iter()
        .map(|event| event.unwrap().name())
        .collect();
    let expected = [
        "ConnectionEstablished",
        "HandshakeComplete",
        "SubscriptionEnded",
    ];
    assert_eq!(names, expected);
}

/// Returns the resident memory of this process in bytes.
fn resident_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    let pages = status.split_whitespace().nth(1).unwrap();
    pages.parse::<u64>().unwrap() * 4096
}

/// Lets peers send a message until reading pauses, because a subscriber takes nothing. Checks the
/// memory of this process against the bound of the guide: the credit of each stream with one
/// message, and the capacity of the queue.
fn check_memory_of_stuck_subscriber(message: &Message) {
    const PEERS: u64 = 8;
    const CAPACITY: u64 = 1024;
    let config = ConnectionConfig {
        subscriber_timeout: 100 * DEADLINE,
        ..config()
    };
    let bus = EventBus::new();
    let stuck = bus.subscribe_messages_with(queue_of(CAPACITY as usize));
    let peers: Vec<_> = (0..PEERS).map(|_| connected_on(&bus, &config)).collect();
    let one = frame(message);
    let bytes = one.repeat(1 + (1 << 16) / one.len());
    let stop = AtomicBool::new(false);
    let before = resident_memory();
    thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        for (_, peer) in &peers {
            scope.spawn(|| flood(peer, &bytes, &stop));
        }
        peers
            .iter()
            .for_each(|(handle, _)| wait_until_paused(handle));
    });
    let grown = resident_memory().saturating_sub(before);
    let payload = one.len() as u64 - 24;
    let content = match message.payload_bytes() {
        Some(_) => payload,
        None => 2 * payload,
    };
    let size = content + 512;
    let credit = config.max_subscriber_backlog_bytes + size;
    // Each stream also has a read buffer of 64 KiB and an incomplete payload. The allocator and the
    // stack take as much again.
    let buffers = 2 * ((64 << 10) + payload);
    let bound = PEERS * (credit + buffers) + CAPACITY * size;
    let (name, events) = (message.command(), stuck.len());
    println!("{name} of {payload} bytes: {events} events, {grown} bytes of {bound}");
    assert!(events as u64 > CAPACITY);
    assert!(grown <= bound, "{name}: {grown} bytes of {bound}");
}

fn inv_of(entries: usize) -> Message {
    let inventory = vec![Inventory::Tx(Txid([7; 32])); entries];
    Inv { inventory }.into()
}

/// Returns a transaction with one input and one output.
fn tx_of(script_len: usize) -> Message {
    let mut bytes = vec![1, 0, 0, 0, 1];
    bytes.extend([7; 36]);
    bytes.push(0xfd);
    bytes.extend((script_len as u16).to_le_bytes());
    bytes.extend(vec![1; script_len]);
    bytes.extend([255; 4]);
    bytes.push(1);
    bytes.extend([0; 9]);
    bytes.extend([0; 4]);
    Message::Tx(Tx::try_from(bytes).unwrap())
}

/// Each test runs in its own process, so that no freed memory is used again.
macro_rules! memory_of_stuck_subscriber {
    ($($name:ident: $message:expr;)*) => {$(
        #[test]
        fn $name() {
            let path = concat!("subscribers::", stringify!($name));
            run_in_own_process(path, || check_memory_of_stuck_subscriber(&$message));
        }
    )*};
}

memory_of_stuck_subscriber! {
    memory_of_pending_getaddr_is_bounded: Message::GetAddr;
    memory_of_pending_small_inv_is_bounded: inv_of(1);
    memory_of_pending_large_inv_is_bounded: inv_of(1000);
    memory_of_pending_unknown_is_bounded: message(vec![1; 100]);
    memory_of_pending_small_tx_is_bounded: tx_of(300);
    memory_of_pending_large_tx_is_bounded: tx_of(33_000);
}
