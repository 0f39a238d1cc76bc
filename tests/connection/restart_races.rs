//! Calls of other threads while a connection is being reopened.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::{
    EventReceiver, PeerConnectionHandle, PeerConnectionOptions, RestartConfig, Supervisor,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::{Inv, Inventory, Message, Pong, Txid};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, version};

use crate::harness::{SeededRandom, config};

/// The duration of each test.
const DURATION: Duration = Duration::from_secs(4);

/// A connection that is reopened immediately, any number of times.
fn supervised(
    supervisor: &Supervisor,
    listener: &RawListener,
    config: &ConnectionConfig,
) -> (PeerConnectionHandle, EventReceiver<ControlEvent>) {
    let setup = PeerConnectionOptions::new(config.clone());
    let events = setup.events.subscribe_control();
    let restarts = RestartConfig {
        max_immediate_restarts: u32::MAX,
        ..RestartConfig::default()
    };
    let spawned = supervisor.spawn_outbound(listener.address(), setup, restarts);
    (spawned.unwrap(), events)
}

/// Asserts that nothing but the handshake arrives before our `verack`. Then sends it and resets the
/// connection.
fn shake_hands_and_reset(peer: &mut RawPeer) {
    let first = peer.next_message();
    let is_version = matches!(first, Message::Version(_));
    assert!(is_version, "{} arrived first", first.command());
    peer.send(version());
    for _ in 0..2 {
        let message = peer.next_message();
        let is_handshake = matches!(message, Message::Verack | Message::Protoconf(_));
        let command = message.command();
        assert!(is_handshake, "{command} arrived before the handshake");
    }
    peer.send(Message::Verack);
    // The connection may be reset before it is read.
    let _ = peer.next();
    peer.reset();
}

/// Sets the flag when it is dropped, also by a panic.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn messages_never_precede_handshake_of_next_connection() {
    let supervisor = Supervisor::start().unwrap();
    let listener = RawListener::new();
    let (handle, _events) = supervised(&supervisor, &listener, &config());
    // Checking a long list takes so long that the next connection may begin meanwhile.
    let inventory = vec![Inventory::Tx(Txid([1; 32])); 2_000];
    let message = Message::from(Inv::from(inventory));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    let _ = handle.try_send(&message);
                }
            });
        }
        let _ends_senders = SetOnDrop(&is_over);
        let end = Instant::now() + DURATION;
        while Instant::now() < end {
            shake_hands_and_reset(&mut listener.accept());
        }
    });
}

#[test]
fn configuration_set_during_restart_applies_to_next_connection() {
    let supervisor = Supervisor::start().unwrap();
    let listener = RawListener::new();
    let slow_pings = config();
    let mut fast_pings = config();
    fast_pings.session.ping_interval = Duration::from_millis(20);
    let (handle, events) = supervised(&supervisor, &listener, &slow_pings);
    let mut peer = listener.accept();
    peer.shake_hands();
    let mut random = SeededRandom::new(15);
    let end = Instant::now() + DURATION;
    while Instant::now() < end {
        handle.update_config(slow_pings.clone()).unwrap();
        while events.try_recv().is_ok() {}
        peer.reset();
        while !matches!(
            events.recv_timeout(DEADLINE).unwrap(),
            ControlEvent::ConnectionRestarting { .. }
        ) {}
        // The next connection begins at this time.
        let update_at = Instant::now() + Duration::from_micros(random.below(400) as u64);
        while Instant::now() < update_at {}
        handle.update_config(fast_pings.clone()).unwrap();
        peer = listener.accept();
        peer.shake_hands();
        // With the first configuration, this ping would come after minutes.
        let nonce = peer.expect_ping();
        peer.send(Pong::new(nonce));
    }
}
