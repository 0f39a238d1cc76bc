//! The send queue of a connection, with its writer thread.

use std::net::set_buffer;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bsv_p2p::Error;
use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionHandle};
use bsv_p2p::wire::{Message, Ping};

use crate::harness::{
    Actor, assert_elapsed_at_most, choose, config, explore, number_of, numbered, pass_time_anytime,
};
use crate::raw_peer::{DEADLINE, RawPeer, socket_pair};

/// The time without messages after which the writer thread of the library ends.
const WRITER_IDLE: Duration = Duration::from_secs(5);

/// A connection whose peer has completed the handshake. The buffers of the sockets have room for
/// less than one message of a check.
fn connected(max_messages: usize) -> (Actor, RawPeer) {
    let mut config = config();
    config.max_send_queue_messages = max_messages;
    let (dialed, accepted) = socket_pair();
    let actor = Actor::spawn(config, |options| {
        PeerConnectionActor::spawn_inbound(accepted, options).unwrap()
    });
    let mut peer = RawPeer::new(dialed);
    peer.shake_hands();
    actor.handle.wait_connected(DEADLINE).unwrap();
    set_buffer(60);
    (actor, peer)
}

/// Sends the messages `first` to `last`, of different lengths. Returns how many were accepted.
fn send_all(handle: &PeerConnectionHandle, first: u32, last: u32) -> u32 {
    for number in first..=last {
        let len = [4, 40, 100][choose(3)];
        if handle.send(numbered(number, len), DEADLINE).is_err() {
            return number - first;
        }
    }
    last + 1 - first
}

/// Two threads send more than the queue and the socket have room for, while the peer reads and
/// pings. All messages must arrive whole, those of a thread in their order, and every ping is
/// answered. No wake-up is lost: nothing waits for a timeout.
#[test]
fn messages_and_replies_arrive_whole_and_in_order() {
    explore(2000, || {
        let (actor, mut peer) = connected(1 + choose(3));
        let handle = Arc::new(actor.handle);
        let senders = [0, 100].map(|first| {
            let handle = handle.clone();
            thread::spawn(move || assert_eq!(send_all(&handle, first, first + 3), 4))
        });
        let mut numbers = Vec::new();
        let mut pongs = 0;
        peer.send(Ping::new(1));
        while numbers.len() < 8 || pongs < 1 {
            match peer.next_message() {
                Message::Pong(_) => pongs += 1,
                message => numbers.extend(number_of(&message)),
            }
        }
        for first in [0, 100] {
            let of_sender = numbers
                .iter()
                .filter(|number| **number / 100 == first / 100);
            assert!(of_sender.copied().eq(first..=first + 3), "{numbers:?}");
        }
        senders.into_iter().for_each(|one| one.join().unwrap());
        handle.flush(DEADLINE).unwrap();
        assert_elapsed_at_most(Duration::ZERO);
        drop(handle);
    });
}

/// The connection is closed while a thread waits for room in the queue, and another for an empty
/// queue. Both waits must end at once.
#[test]
fn close_ends_waits_for_queue() {
    explore(2000, || {
        let (actor, mut peer) = connected(1);
        let handle = Arc::new(actor.handle);
        let sending = thread::spawn({
            let handle = handle.clone();
            move || send_all(&handle, 0, 9)
        });
        let flushing = thread::spawn({
            let handle = handle.clone();
            move || match handle.flush(DEADLINE) {
                Ok(()) | Err(Error::Disconnected { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        });
        // The peer reads some of it, or closes the connection itself.
        match choose(3) {
            0 => peer.close(),
            1 => peer.reset(),
            _ => {
                peer.read_bytes(choose(100));
                handle.disconnect();
            }
        }
        assert!(sending.join().unwrap() < 10);
        flushing.join().unwrap();
        handle.disconnect();
        drop(handle);
        assert_elapsed_at_most(Duration::ZERO);
    });
}

/// The limit of the queue is raised while a thread waits for room in it. The wait must end.
#[test]
fn raised_limit_ends_wait_for_queue() {
    explore(1000, || {
        let (actor, mut peer) = connected(1);
        let handle = Arc::new(actor.handle);
        let sending = thread::spawn({
            let handle = handle.clone();
            move || assert_eq!(send_all(&handle, 0, 4), 5)
        });
        let mut config = config();
        config.max_send_queue_messages = 100;
        handle.update_config(config).unwrap();
        sending.join().unwrap();
        // A thread in a read applies a configuration within a second.
        assert_elapsed_at_most(Duration::from_secs(1));
        let numbers = peer.by_ref().filter_map(|message| number_of(&message));
        assert!(numbers.take(5).eq(0..5));
        drop(handle);
    });
}

/// Messages are queued at the time at which the idle writer thread ends. All of them must arrive.
#[test]
fn messages_arrive_while_writer_becomes_idle() {
    explore(2000, || {
        let (actor, mut peer) = connected(3);
        let reading = thread::spawn(move || {
            let numbers = peer.by_ref().filter_map(|message| number_of(&message));
            assert!(numbers.take(4).eq(0..4));
            peer
        });
        for number in 0..4 {
            thread::sleep(WRITER_IDLE * choose(2) as u32);
            actor.handle.send(numbered(number, 40), DEADLINE).unwrap();
        }
        drop(reading.join().unwrap());
        drop(actor);
    });
}

/// The peer reads nothing, so that any deadline may pass. The accepted messages are
/// written in their order, and a partially written frame is the last one.
#[test]
fn stalled_writes_keep_frames_whole() {
    explore(1000, || {
        let (actor, peer) = connected(1);
        pass_time_anytime();
        let second = Duration::from_secs(1);
        let is_full = |number: &u32| actor.handle.send(numbered(*number, 40), second).is_err();
        let accepted = (0..).find(is_full).unwrap();
        let _ = actor.handle.flush(second);
        drop(actor);
        let written: Vec<u32> = peer.filter_map(|message| number_of(&message)).collect();
        assert!(written.len() <= accepted as usize);
        assert!((0..).zip(&written).all(|(number, one)| number == *one));
    });
}
