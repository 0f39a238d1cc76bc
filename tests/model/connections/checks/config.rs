//! Updates of the configuration of a running connection.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions, Supervisor};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::Pong;

use crate::harness::{Actor, Listener, choose, config, elapsed, explore, numbered};
use crate::raw_peer::{DEADLINE, RawPeer, socket_pair};

/// The interval between pings is shortened while a connection runs, ends, or is restarted. The next
/// ping must follow after the new interval.
#[test]
fn update_reaches_restarted_connection() {
    explore(2000, || {
        let supervisor = Supervisor::start().unwrap();
        let listener = Listener::new();
        let mut config = config();
        config.session.ping_interval = Duration::from_secs(3600);
        let actor = Actor::supervised(&supervisor, listener.address(), config.clone());
        let (handle, control) = (Arc::new(actor.handle), actor.control);
        let mut peer = listener.accept().unwrap();
        peer.shake_hands();
        let is_restarted = choose(3) > 0;
        let updating = thread::spawn({
            let handle = handle.clone();
            move || {
                if is_restarted {
                    while control.recv().unwrap().name() != "ConnectionRestarting" {}
                }
                config.session.ping_interval = Duration::from_secs(2);
                handle.update_config(config).unwrap();
            }
        });
        if is_restarted {
            peer.reset();
            peer = listener.accept().unwrap();
            peer.shake_hands();
        }
        let handshake_at = elapsed();
        let nonce = peer.expect_ping();
        let after = elapsed() - handshake_at;
        assert!(after <= Duration::from_secs(3), "a ping after {after:?}");
        peer.send(Pong::new(nonce));
        updating.join().unwrap();
        handle.disconnect();
        drop(handle);
        drop(supervisor);
    });
}

/// The timeout for subscribers is shortened while the connection waits for one that takes nothing.
/// The subscription must end after the new timeout.
#[test]
fn update_reaches_wait_for_subscriber() {
    explore(500, || {
        let mut config = config();
        config.max_subscriber_backlog_bytes = 1;
        config.subscriber_timeout = Duration::from_secs(600);
        let (dialed, accepted) = socket_pair();
        let options = PeerConnectionOptions::new(config.clone());
        let control = options.events.subscribe_control();
        let stuck =
            options
                .events
                .subscribe_messages_with(bsv_p2p::connection::SubscriptionOptions {
                    capacity: 1,
                    ..Default::default()
                });
        let handle = PeerConnectionActor::spawn_inbound(accepted, options).unwrap();
        let mut peer = RawPeer::new(dialed);
        peer.shake_hands();
        for number in 0..4 {
            peer.send(numbered(number, 4));
        }
        thread::sleep(Duration::from_millis(choose(2) as u64 * 1500));
        let updated_at = elapsed();
        config.subscriber_timeout = Duration::from_secs(2);
        handle.update_config(config).unwrap();
        let has_ended = |event: &ControlEvent| event.name() == "SubscriptionEnded";
        while !has_ended(&control.recv_timeout(DEADLINE).unwrap()) {}
        let after = elapsed() - updated_at;
        assert!(after <= Duration::from_secs(3), "an end after {after:?}");
        drop(stuck);
        drop(handle);
    });
}
