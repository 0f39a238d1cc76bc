//! Payload memory of a connection.

use std::thread;
use std::time::Duration;

use bsv_p2p::PayloadMemory;
use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};

use crate::harness::{assert_elapsed_at_most, choose, config, explore, number_of, numbered};
use crate::raw_peer::{RawPeer, socket_pair};

/// The length of a payload whose memory is limited.
const LARGE: usize = 40 * 1024;

/// The subscriber keeps each message for a while, and the limit allows a single one. All messages
/// must arrive in order, without a lost wake-up, and their memory must be released.
#[test]
fn dropped_messages_end_wait_for_memory() {
    explore(150, || {
        let mut config = config();
        let limit = LARGE as u64 + 1024;
        config.session.limits.buffered = limit;
        config.session.limits.unrequested = limit;
        config.max_payload_memory = limit;
        let (dialed, accepted) = socket_pair();
        let mut options = PeerConnectionOptions::new(config);
        let memory = PayloadMemory::default();
        options.memory = memory.clone();
        let messages = options.events.subscribe_messages();
        let handle = PeerConnectionActor::spawn_inbound(accepted, options).unwrap();
        let mut peer = RawPeer::new(dialed);
        peer.shake_hands();
        let sending = thread::spawn(move || {
            for number in 0..4 {
                let len = [4, LARGE, LARGE][choose(3)];
                peer.send(numbered(number, len));
            }
            peer
        });
        for number in 0..4 {
            let event = messages.recv().unwrap();
            assert_eq!(number_of(&event.message), Some(number));
            assert!(memory.used() <= limit);
            // The next large message waits until this one is dropped.
            for _ in 0..choose(50) {
                thread::yield_now();
            }
        }
        let peer = sending.join().unwrap();
        assert_elapsed_at_most(Duration::ZERO);
        assert_eq!(memory.used(), 0);
        drop(handle);
        drop(peer);
    });
}
