//! Start, end and restart of a connection.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::Supervisor;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::Message;

use crate::harness::{
    Actor, Listener, assert_elapsed_at_most, assert_order, choose, config, elapsed, explore,
    number_of, numbered,
};
use crate::raw_peer::{DEADLINE, RawPeer, version};

/// Runs one connection of a peer that may close or reset it after each of its messages.
fn serve_for_a_while(mut peer: RawPeer) {
    let messages: [Message; 2] = [version().into(), Message::Verack];
    for message in messages {
        match choose(4) {
            0 => return,
            1 => return peer.reset(),
            _ => {}
        }
        if !peer.try_send(message) {
            return;
        }
    }
    if choose(2) == 0 {
        peer.rest();
    }
}

/// A peer that accepts connections, and closes each of them at some point.
struct ClosingPeer {
    listener: Listener,
    thread: thread::JoinHandle<()>,
}

impl ClosingPeer {
    fn end(self) {
        self.listener.close();
        self.thread.join().unwrap();
    }
}

/// Returns a supervised connection to a [`ClosingPeer`].
fn restarting() -> (Supervisor, Actor, ClosingPeer) {
    let supervisor = Supervisor::start().unwrap();
    let listener = Listener::new();
    let actor = Actor::supervised(&supervisor, listener.address(), config());
    let thread = thread::spawn({
        let listener = listener.clone();
        move || std::iter::from_fn(|| listener.accept()).for_each(serve_for_a_while)
    });
    (supervisor, actor, ClosingPeer { listener, thread })
}

/// A stop by the caller and the end by the peer happen at once. There must be exactly one final
/// event, and both end the connection without waiting for a timeout.
#[test]
fn stop_and_peer_close_emit_one_final_event() {
    explore(2000, || {
        let listener = Listener::new();
        let actor = Actor::dial(listener.address(), config());
        let peer = thread::spawn({
            let listener = listener.clone();
            move || listener.accept().into_iter().for_each(serve_for_a_while)
        });
        let handle = Arc::new(actor.handle);
        let stopping = thread::spawn({
            let handle = handle.clone();
            move || handle.disconnect()
        });
        handle.join();
        stopping.join().unwrap();
        let control = actor.control;
        drop(handle);
        listener.close();
        peer.join().unwrap();
        let events: Vec<_> = control.try_iter().map(Result::unwrap).collect();
        assert_eq!(assert_order(&events), 1);
        // A pending connect is polled.
        assert_elapsed_at_most(Duration::from_millis(100));
    });
}

/// A supervised connection is closed by its peer again and again, until it is stopped at any
/// moment. The events must keep their order, and the connection does not run after its final event.
#[test]
fn restart_and_stop_emit_one_final_event() {
    explore(2000, || {
        let (supervisor, actor, peer) = restarting();
        let supervisor_first = choose(2) == 0;
        let mut supervisor = Some(supervisor);
        for _ in 0..choose(4) {
            thread::sleep(Duration::from_millis(choose(3) as u64 * 600));
        }
        if supervisor_first {
            supervisor.take();
        }
        let events = actor.close();
        assert_order(&events);
        drop(supervisor);
        peer.end();
    });
}

/// A supervised connection is closed by its peer again and again, until it is stopped at any
/// moment, often just when a restart is due. The events must keep their order, and the connection
/// does not run after its final event. The stop waits for nothing, even if the supervisor has ended
/// before.
#[test]
fn stop_at_due_restart_emits_one_final_event() {
    explore(3000, || {
        let (supervisor, actor, peer) = restarting();
        let mut events = Vec::new();
        for _ in 0..choose(6) {
            // A peer that stays connected causes no further event.
            let Ok(event) = actor.control.recv_timeout(Duration::from_secs(1)) else {
                break;
            };
            if let ControlEvent::ConnectionRestarting { after, .. } = event
                && choose(2) == 0
            {
                thread::sleep(after);
            }
            events.push(event);
        }
        let stopping = match choose(3) {
            0 => Some(thread::spawn(move || drop(supervisor))),
            1 => {
                drop(supervisor);
                None
            }
            _ => Some(thread::spawn(move || {
                thread::sleep(Duration::from_secs(1));
                drop(supervisor);
            })),
        };
        let stopped_at = elapsed();
        events.extend(actor.close());
        assert_order(&events);
        // A pending connect is polled.
        let after = elapsed() - stopped_at;
        assert!(
            after <= Duration::from_millis(100),
            "stopped after {after:?}"
        );
        stopping.into_iter().for_each(|one| one.join().unwrap());
        peer.end();
    });
}

/// A caller sends all the time while its connection is restarted. A peer must never receive a
/// message before both sides have completed the handshake.
#[test]
fn message_follows_handshake_of_its_own_connection() {
    explore(2000, || {
        let supervisor = Supervisor::start().unwrap();
        let listener = Listener::new();
        let actor = Actor::supervised(&supervisor, listener.address(), config());
        let peer = thread::spawn(move || {
            for _ in 0..2 {
                let mut peer = listener.accept().unwrap();
                // The handshake of the peer may arrive at once.
                peer.send(version());
                let is_fast = choose(2) == 0;
                if is_fast {
                    peer.send(Message::Verack);
                }
                let mut awaited = vec!["version", "verack", "protoconf"];
                while !awaited.is_empty() {
                    let message = peer.next_message();
                    let name = message.command().name().to_owned();
                    assert_eq!(number_of(&message), None, "before {awaited:?}");
                    if name == "version" && !is_fast {
                        peer.send(Message::Verack);
                    }
                    awaited.retain(|one| *one != name);
                }
                peer.next();
                peer.reset();
            }
        });
        let handle = Arc::new(actor.handle);
        let sending = thread::spawn({
            let handle = handle.clone();
            move || {
                if choose(2) == 0 {
                    let _ = handle.wait_connected(DEADLINE);
                }
                for number in 0..20 {
                    let _ = handle.try_send(numbered(number, 4));
                }
            }
        });
        peer.join().unwrap();
        handle.disconnect();
        sending.join().unwrap();
        drop(handle);
        drop(supervisor);
    });
}
