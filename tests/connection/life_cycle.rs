//! The events of a connection from spawn to end, the time its end takes, and its slot.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::{
    ConnectionSlots, PeerConnectionActor, PeerConnectionCommand, PeerConnectionOptions,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{AwaitedMessage, ConnectionState, Direction, DisconnectReason};
use test_support::raw_peer::{
    ClosedPort, DEADLINE, RawListener, RawPeer, SilentHost, USER_AGENT, small_buffer_pair,
    socket_pair, wait_until,
};

use crate::harness::{Actor, PROMPT, config, message, numbered, reason_of};

/// Returns all events of an actor that ended on its own.
fn whole_life(actor: Actor) -> Vec<ControlEvent> {
    actor.handle.join();
    all_events(actor)
}

/// Returns all events of an actor; dropping its handle ends it.
#[track_caller]
fn all_events(actor: Actor) -> Vec<ControlEvent> {
    let (peer_id, address) = (actor.handle.peer_id(), actor.handle.peer_addr());
    drop(actor.handle);
    // The bus is dropped with the connection, so the receiver ends.
    let events: Vec<_> = actor.events.iter().map(Result::unwrap).collect();
    for event in &events {
        assert_eq!(event.peer(), Some((peer_id, address)), "{event}");
    }
    events
}

fn names(events: &[ControlEvent]) -> Vec<&'static str> {
    events.iter().map(ControlEvent::name).collect()
}

/// An action on a connection, and the expected reason.
type Ending = (fn(&Actor, &mut RawPeer), DisconnectReason);

#[test]
fn events_come_once_in_order_for_every_end() {
    const PING_TIMEOUT: Duration = Duration::from_millis(100);
    let config = config();
    let endings: [Ending; 6] = [
        (|_, peer| peer.close(), DisconnectReason::ConnectionClosed),
        (|_, peer| peer.reset(), DisconnectReason::ConnectionReset),
        (
            |actor, _| actor.handle.disconnect(),
            DisconnectReason::Requested,
        ),
        (
            |actor, _| {
                let command = PeerConnectionCommand::Disconnect;
                actor.handle.command(command).unwrap();
            },
            DisconnectReason::Requested,
        ),
        (
            // Earlier, it could end the connection before the other actions do.
            |actor, _| {
                let mut config = self::config();
                config.session.ping_interval = PING_TIMEOUT;
                config.session.ping_timeout = PING_TIMEOUT;
                actor.handle.update_config(config).unwrap();
            },
            DisconnectReason::PingTimeout {
                after: PING_TIMEOUT,
            },
        ),
        (
            |_, peer| peer.send_bytes(b"HTTP"),
            DisconnectReason::WrongMagic(bsv_p2p::wire::MagicMismatch {
                expected: config.magic(),
                got: bsv_p2p::network::Magic(*b"HTTP"),
            }),
        ),
    ];
    for (end, expected) in &endings {
        for direction in [Direction::Outbound, Direction::Inbound] {
            let (actor, mut peer) = spawned(direction, &config);
            peer.shake_hands();
            wait_until("the handshake is complete", || {
                actor.handle.state() == ConnectionState::Connected
            });
            assert_eq!(actor.handle.direction(), direction);
            let info = actor.handle.peer_info().unwrap();
            assert_eq!(info.user_agent, USER_AGENT);
            end(&actor, &mut peer);
            actor.handle.join();
            let orderly = *expected == DisconnectReason::Requested;
            let state = if orderly {
                ConnectionState::Disconnected
            } else {
                ConnectionState::Failed
            };
            assert_eq!(actor.handle.state(), state, "{expected}");
            let refused = actor.handle.try_send(message("x"));
            assert_eq!(&reason_of(refused), expected);

            let events = all_events(actor);
            let order = [
                "ConnectionEstablished",
                "HandshakeComplete",
                "ConnectionLost",
            ];
            assert_eq!(names(&events), order, "{direction} {expected}");
            assert!(matches!(
                &events[0],
                ControlEvent::ConnectionEstablished { direction: told, .. } if *told == direction
            ));
            assert!(matches!(
                &events[1],
                ControlEvent::HandshakeComplete { info: told, .. } if **told == info
            ));
            assert!(matches!(
                &events[2],
                ControlEvent::ConnectionLost { reason, .. } if reason == expected
            ));
        }
    }
}

fn spawned(direction: Direction, config: &ConnectionConfig) -> (Actor, RawPeer) {
    match direction {
        Direction::Outbound => {
            let listener = RawListener::new();
            let actor = Actor::dial(listener.address(), config);
            (actor, listener.accept())
        }
        Direction::Inbound => {
            let (theirs, ours) = socket_pair();
            (Actor::take(ours, config), RawPeer::new(theirs))
        }
    }
}

#[test]
fn end_before_handshake_is_connection_failed() {
    const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(100);
    let config = config();
    for direction in [Direction::Outbound, Direction::Inbound] {
        let failed = |end: fn(&Actor, &mut RawPeer)| {
            let (actor, mut peer) = spawned(direction, &config);
            end(&actor, &mut peer);
            let events = whole_life(actor);
            assert_eq!(
                names(&events),
                ["ConnectionEstablished", "ConnectionFailed"]
            );
            match &events[1] {
                ControlEvent::ConnectionFailed { reason, .. } => reason.clone(),
                other => panic!("{other}"),
            }
        };
        let missing = AwaitedMessage::Version;
        let closed = DisconnectReason::ClosedDuringHandshake { missing };
        assert_eq!(failed(|_, peer| peer.close()), closed);
        assert_eq!(failed(|_, peer| peer.reset()), closed);
        assert_eq!(
            // Earlier, it could end the connection before the other actions do.
            failed(|actor, _| {
                let mut config = self::config();
                config.session.handshake_timeout = HANDSHAKE_TIMEOUT;
                actor.handle.update_config(config).unwrap();
            }),
            DisconnectReason::HandshakeTimeout {
                after: HANDSHAKE_TIMEOUT,
                missing,
            }
        );
        assert_eq!(
            failed(|actor, _| {
                wait_until("TCP stands", || {
                    actor.handle.state() == ConnectionState::AwaitingHandshake
                });
                actor.handle.disconnect();
            }),
            DisconnectReason::Requested
        );
    }
    let nobody = ClosedPort::new();
    let events = whole_life(Actor::dial(nobody.address(), &config));
    assert_eq!(names(&events), ["ConnectionFailed"]);
}

#[test]
fn dropping_handle_emits_final_event() {
    let (actor, mut peer) = Actor::connected(&config());
    let events = all_events(actor);
    assert_eq!(names(&events), ["ConnectionLost"]);
    assert!(matches!(
        &events[0],
        ControlEvent::ConnectionLost {
            reason: DisconnectReason::Requested,
            ..
        }
    ));
    assert_eq!(peer.rest(), [], "the peer sees the end");
}

/// Ends a connection in both ways, and checks the time it takes.
#[track_caller]
fn ends_promptly(state: &str, spawn: impl Fn() -> (Actor, Vec<RawPeer>)) {
    let (actor, peers) = spawn();
    let began = Instant::now();
    actor.handle.disconnect();
    assert!(began.elapsed() < PROMPT, "{state}: disconnect waits");
    let (_, reason) = actor.expect_end();
    assert_eq!(reason, DisconnectReason::Requested, "{state}");
    actor.handle.join();
    assert!(began.elapsed() < PROMPT, "{state}: disconnect");
    drop(peers);

    let (Actor { handle, events, .. }, _peers) = spawn();
    let began = Instant::now();
    drop(handle);
    assert!(began.elapsed() < PROMPT, "{state}: drop");
    let last = events.iter().map(Result::unwrap).last().expect("an end");
    assert!(
        matches!(
            last,
            ControlEvent::ConnectionLost {
                reason: DisconnectReason::Requested,
                ..
            } | ControlEvent::ConnectionFailed {
                reason: DisconnectReason::Requested,
                ..
            }
        ),
        "{state}: {last}"
    );
}

#[test]
fn connection_ends_promptly_while_dialing() {
    let host = SilentHost::new();
    ends_promptly("just spawned", || {
        (Actor::dial(host.address(), &config()), Vec::new())
    });
    ends_promptly("connecting", || {
        let actor = Actor::dial(host.address(), &config());
        wait_until("it is connecting", || {
            actor.handle.state() == ConnectionState::Connecting
        });
        (actor, Vec::new())
    });
}

#[test]
fn connection_ends_promptly_in_handshake_and_reads() {
    ends_promptly("in the handshake", || {
        let (actor, peer) = spawned(Direction::Outbound, &config());
        wait_until("the handshake has begun", || {
            actor.handle.state() == ConnectionState::AwaitingHandshake
        });
        (actor, vec![peer])
    });
    ends_promptly("reading", || {
        let (actor, peer) = Actor::connected(&config());
        (actor, vec![peer])
    });
    ends_promptly("in the middle of a message", || {
        let (actor, peer) = Actor::connected(&config());
        let bytes = test_support::raw_peer::frame(&numbered(1, 100_000));
        peer.send_bytes(&bytes[..50_000]);
        wait_until("half of it is there", || {
            actor.handle.traffic().bytes_received > 50_000
        });
        (actor, vec![peer])
    });
}

#[test]
fn connection_ends_promptly_with_blocked_subscriber() {
    ends_promptly("waiting for a subscriber", || {
        let (actor, peer) = Actor::connected(&config());
        fill_the_subscribers(&actor, &peer);
        (actor, vec![peer])
    });
}

/// Sends until the connection waits for its subscriber, whose queue is full.
fn fill_the_subscribers(actor: &Actor, peer: &RawPeer) {
    let burst: Vec<u8> = (0..1100)
        .flat_map(|number| test_support::raw_peer::frame(&numbered(number, 4)))
        .collect();
    peer.send_bytes(&burst);
    wait_until("the queue is full", || actor.messages.len() >= 1024);
}

#[test]
fn connection_ends_promptly_with_blocked_write() {
    ends_promptly("writing", || {
        let (actor, peer) = Actor::connected_with_small_buffers(&config());
        for number in 0..10 {
            actor.handle.try_send(numbered(number, 500_000)).unwrap();
        }
        assert!(actor.handle.send_queue().messages > 0);
        (actor, vec![peer])
    });
}

#[test]
fn blocked_senders_are_woken_by_disconnect() {
    let config = ConnectionConfig {
        max_send_queue_bytes: 100_000,
        ..config()
    };
    let (actor, _peer) = Actor::connected_with_small_buffers(&config);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        if let Err(error) = actor.handle.send(numbered(0, 90_000), DEADLINE) {
                            break reason_of::<()>(Err(error));
                        }
                    }
                })
            })
            .collect();
        wait_until("something waits", || actor.handle.send_queue().messages > 0);
        let flushing = scope.spawn(|| reason_of(actor.handle.flush(DEADLINE)));
        let began = Instant::now();
        actor.handle.disconnect();
        for sender in senders {
            assert_eq!(sender.join().unwrap(), DisconnectReason::Requested);
        }
        assert_eq!(flushing.join().unwrap(), DisconnectReason::Requested);
        assert!(began.elapsed() < PROMPT);
    });
}

#[test]
fn disconnect_after_end_changes_nothing() {
    let (actor, mut peer) = Actor::connected(&config());
    peer.close();
    actor.handle.join();
    actor.handle.disconnect();
    actor.handle.disconnect();
    actor.handle.join();
    let refused = actor.handle.try_send(message("x"));
    assert_eq!(reason_of(refused), DisconnectReason::ConnectionClosed);
    assert_eq!(names(&all_events(actor)), ["ConnectionLost"]);
}

#[test]
fn slot_is_free_before_final_event() {
    let slots = ConnectionSlots::new(1);
    let setup = || PeerConnectionOptions {
        slot: Some(slots.reserve().expect("the place is free again")),
        ..PeerConnectionOptions::new(config())
    };
    let nobody = ClosedPort::new();
    let listener = RawListener::new();
    let free_at_the_end = |actor: &Actor| {
        actor.expect_end();
        assert_eq!(slots.count(), 0);
    };
    for _ in 0..30 {
        let actor = Actor::dial_with(nobody.address(), setup());
        free_at_the_end(&actor);

        let actor = Actor::dial_with(listener.address(), setup());
        assert_eq!(slots.count(), 1);
        listener.accept().close();
        free_at_the_end(&actor);

        let (mut peer, tcp) = small_buffer_pair();
        let actor = Actor::take_with(tcp, setup());
        peer.shake_hands();
        actor.expect_handshake();
        assert_eq!(slots.count(), 1);
        actor.handle.disconnect();
        free_at_the_end(&actor);
    }
}

#[test]
fn blocked_subscriber_does_not_hold_slot() {
    let slots = ConnectionSlots::new(1);
    let setup = PeerConnectionOptions {
        slot: slots.reserve(),
        ..PeerConnectionOptions::new(config())
    };
    let both = setup.events.subscribe();
    let listener = RawListener::new();
    let actor = Actor::dial_with(listener.address(), setup);
    let mut peer = listener.accept();
    peer.shake_hands();
    // The queue is full.
    let room = 1024 - 2;
    for number in 0..room {
        peer.send(numbered(number as u32, 4));
    }
    wait_until("the queue is full", || both.len() == 1024);
    assert_eq!(slots.count(), 1);
    peer.close();
    assert_eq!(actor.expect_end().1, DisconnectReason::ConnectionClosed);
    assert_eq!(slots.count(), 0);
    assert_eq!(both.len(), 1025, "the final event is in the queue");
}

#[test]
fn failed_spawn_frees_slot() {
    let slots = ConnectionSlots::new(1);
    let wrong = ConnectionConfig {
        max_send_queue_messages: 0,
        ..config()
    };
    let setup = PeerConnectionOptions {
        slot: slots.reserve(),
        ..PeerConnectionOptions::new(wrong)
    };
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    assert!(PeerConnectionActor::spawn_outbound(address, setup).is_err());
    assert_eq!(slots.count(), 0);
}
