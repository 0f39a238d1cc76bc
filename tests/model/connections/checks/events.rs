//! Events of a connection and its subscribers.

use std::net::set_buffer;
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{
    EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
    SubscriptionOptions,
};
use bsv_p2p::event::{BitcoinMessageEvent, SubscriptionEndReason};

use crate::harness::{assert_elapsed_at_most, choose, config, explore, number_of, numbered};
use crate::raw_peer::{RawPeer, socket_pair};

/// The number of messages that a peer sends.
const MESSAGES: u32 = 6;

/// A connection with `N` subscriptions whose queues have room for one event.
fn subscribed<const N: usize>() -> (
    PeerConnectionHandle,
    RawPeer,
    [EventReceiver<BitcoinMessageEvent>; N],
) {
    let mut config = config();
    config.subscriber_timeout = Duration::from_secs(5);
    config.max_subscriber_backlog_bytes = 1 + 600 * choose(2) as u64;
    let (dialed, accepted) = socket_pair();
    let options = PeerConnectionOptions::new(config);
    let subscriptions = [(); N].map(|()| {
        options.events.subscribe_messages_with(SubscriptionOptions {
            capacity: 1,
            ..SubscriptionOptions::default()
        })
    });
    let handle = PeerConnectionActor::spawn_inbound(accepted, options).unwrap();
    let mut peer = RawPeer::new(dialed);
    peer.shake_hands();
    set_buffer(60);
    (handle, peer, subscriptions)
}

fn send_all(peer: &RawPeer) {
    for number in 0..MESSAGES {
        peer.send(numbered(number, 4));
    }
}

/// Takes all messages of a subscription and asserts their order.
fn take_all(subscription: &EventReceiver<BitcoinMessageEvent>) {
    let numbers = subscription
        .iter()
        .map(|event| number_of(&event.unwrap().message));
    assert!(numbers.flatten().take(MESSAGES as usize).eq(0..MESSAGES));
}

/// Two subscribers are slower than the peer. Both must receive every message in order. No wake-up
/// is lost: nothing waits for a timeout.
#[test]
fn slow_subscribers_receive_every_message() {
    explore(1000, || {
        let (handle, peer, [first, second]) = subscribed();
        let sending = thread::spawn(move || {
            send_all(&peer);
            peer
        });
        let taking = thread::spawn(move || take_all(&second));
        take_all(&first);
        taking.join().unwrap();
        let peer = sending.join().unwrap();
        assert_elapsed_at_most(Duration::ZERO);
        drop(handle);
        drop(peer);
    });
}

/// One subscriber takes nothing, and another one is slow or drops its receiver. Only the stuck
/// subscription ends.
#[test]
fn stuck_subscriber_ends_alone() {
    explore(1000, || {
        let (handle, peer, [stuck, other]) = subscribed();
        let sending = thread::spawn(move || {
            send_all(&peer);
            peer
        });
        if choose(3) == 0 {
            drop(other);
            // The stuck one ends once it holds up the peer.
            while stuck.end_reason().is_none() {
                thread::sleep(Duration::from_secs(1));
            }
        } else {
            take_all(&other);
            assert_eq!(other.end_reason(), None);
        }
        let peer = sending.join().unwrap();
        let reason = stuck.end_reason();
        assert!(
            matches!(reason, Some(SubscriptionEndReason::TooSlow)),
            "{reason:?}"
        );
        drop(handle);
        drop(peer);
    });
}
