//! Shared payload memory: peers that fill it do not harm others.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    EventBus, EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
    SubscriptionOptions,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::peers::PeerId;
use bsv_p2p::session::{ConnectionState, DisconnectReason};
use bsv_p2p::{ConnectionConfig, PayloadMemory};
use crossbeam_channel::tick;
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, frame};

use crate::harness::{config, numbered};

const MEBIBYTE: u64 = 1024 * 1024;

/// The owner of connections that share their events and their payload memory.
struct Owner {
    listener: RawListener,
    config: ConnectionConfig,
    memory: PayloadMemory,
    bus: EventBus,
    control: EventReceiver<ControlEvent>,
}

impl Owner {
    /// Creates an owner of connections that receive payloads of at most one mebibyte.
    fn new(memory: u64, timeout: Duration) -> Self {
        let mut config = config();
        config.session.limits.buffered = MEBIBYTE;
        config.payload_memory_timeout = timeout;
        let bus = EventBus::new();
        Self {
            listener: RawListener::new(),
            config,
            memory: PayloadMemory::new(memory),
            control: bus.subscribe_control(),
            bus,
        }
    }

    /// Creates a connection and its scripted peer, which has not sent anything.
    fn dial(&self) -> (PeerConnectionHandle, RawPeer) {
        let mut options = PeerConnectionOptions::new(self.config.clone());
        options.events = self.bus.clone();
        options.memory = self.memory.clone();
        let address = self.listener.address();
        let handle = PeerConnectionActor::spawn_outbound(address, options).unwrap();
        (handle, self.listener.accept())
    }

    fn connect(&self) -> (PeerConnectionHandle, RawPeer) {
        let (handle, mut peer) = self.dial();
        peer.shake_hands();
        handle.wait_connected(DEADLINE).unwrap();
        (handle, peer)
    }

    /// Returns the next end of a connection.
    #[track_caller]
    fn next_end(&self) -> (PeerId, DisconnectReason) {
        loop {
            match self.control.recv_timeout(DEADLINE).expect("an end") {
                ControlEvent::ConnectionLost {
                    peer_id, reason, ..
                }
                | ControlEvent::ConnectionFailed {
                    peer_id, reason, ..
                } => return (peer_id, reason),
                _ => {}
            }
        }
    }

    /// Asserts that no connection has ended.
    #[track_caller]
    fn assert_no_end(&self) {
        for event in self.control.try_iter() {
            let is_end = matches!(
                event,
                Ok(ControlEvent::ConnectionLost { .. } | ControlEvent::ConnectionFailed { .. })
            );
            assert!(!is_end, "{event:?}");
        }
    }
}

/// The caller keeps all memory. Only the connection that sends more is closed.
#[test]
fn kept_messages_do_not_affect_quiet_peers() {
    let owner = Owner::new(2 * MEBIBYTE, Duration::from_millis(500));
    let messages = owner.bus.subscribe_messages();
    let (talker, talker_peer) = owner.connect();
    let (_quiet, mut quiet_peer) = owner.connect();
    // One mebibyte is the minimum of the peer, and two fill the shared memory.
    let kept: Vec<_> = (0..3)
        .map(|number| {
            talker_peer.send(numbered(number, MEBIBYTE as usize));
            messages.recv_timeout(DEADLINE).unwrap()
        })
        .collect();
    talker_peer.send(numbered(3, MEBIBYTE as usize / 2));
    quiet_peer.ping(1);
    let (_newcomer, mut newcomer_peer) = owner.connect();
    newcomer_peer.ping(2);
    let end = (talker.peer_id(), DisconnectReason::PayloadMemoryExhausted);
    assert_eq!(owner.next_end(), end);
    quiet_peer.ping(3);
    newcomer_peer.ping(4);
    let (_next, mut next_peer) = owner.connect();
    next_peer.ping(5);
    // The minimum of a peer is always available.
    next_peer.send(numbered(9, MEBIBYTE as usize));
    assert!(messages.recv_timeout(DEADLINE).is_ok());
    owner.assert_no_end();
    drop(kept);
}

/// A subscriber takes messages all the time, more slowly than they arrive.
#[track_caller]
fn assert_honest_peer_is_served(greedy: usize, greedy_len: usize) {
    const MESSAGES: u32 = 7;
    let mut owner = Owner::new(4 * MEBIBYTE, Duration::from_secs(3));
    owner.config.max_subscriber_backlog_bytes = 64 * 1024;
    let messages = owner.bus.subscribe_messages_with(SubscriptionOptions {
        capacity: 256,
        ..SubscriptionOptions::default()
    });
    let greedy: Vec<_> = (0..greedy).map(|_| owner.connect()).collect();
    let (honest, honest_peer) = owner.connect();
    let is_over = &AtomicBool::new(false);
    let large = frame(&numbered(1, MEBIBYTE as usize));
    thread::scope(|scope| {
        for (_, peer) in &greedy {
            scope.spawn(move || flood(peer, &frame(&numbered(2, greedy_len)), is_over));
        }
        scope.spawn(|| (0..MESSAGES).all(|_| write(&honest_peer, &large, is_over)));
        let pace = tick(Duration::from_millis(5));
        let (mut received, deadline) = (0, Instant::now() + 6 * DEADLINE);
        let is_open = || honest.state() == ConnectionState::Connected;
        while received < MESSAGES && Instant::now() < deadline && is_open() {
            let event = messages.recv_timeout(DEADLINE).unwrap();
            received += u32::from(event.peer_id == honest.peer_id());
            pace.recv().unwrap();
        }
        is_over.store(true, SeqCst);
        assert_eq!(received, MESSAGES, "of {} greedy peers", greedy.len());
    });
    owner.assert_no_end();
}

/// Sends a frame again and again.
fn flood(peer: &RawPeer, frame: &[u8], is_over: &AtomicBool) {
    while write(peer, frame, is_over) {}
}

/// Sends a frame. Returns whether it was sent completely before the end of the test.
fn write(peer: &RawPeer, frame: &[u8], is_over: &AtomicBool) -> bool {
    let tcp = peer.tcp();
    tcp.set_write_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let (mut tcp, mut left) = (tcp, frame);
    while !left.is_empty() && !is_over.load(SeqCst) {
        match tcp.write(left) {
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    left.is_empty()
}

#[test]
fn floods_of_small_messages_do_not_delay_large_one() {
    thread::scope(|scope| {
        for greedy in [1, 2, 4, 8] {
            scope.spawn(move || assert_honest_peer_is_served(greedy, 30_000));
        }
    });
}

#[test]
fn floods_of_large_messages_do_not_starve_another() {
    thread::scope(|scope| {
        for greedy in [1, 2, 4, 8] {
            scope.spawn(move || assert_honest_peer_is_served(greedy, 900_000));
        }
    });
}
