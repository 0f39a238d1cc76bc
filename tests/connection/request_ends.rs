//! Questions on the handle of an actor that get no answer: each ends, in time, and says why.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::PeerConnectionHandle;
use bsv_p2p::session::{DisconnectReason, SendError};
use bsv_p2p::wire::{BlockHash, Message, Pong, Txid, Version};
use bsv_p2p::{Error, ErrorKind, Timeout};

use crate::answers::mined;
use crate::harness::{Actor, PROMPT, config, message, reason_of};
use crate::raw_peer::{DEADLINE, RawListener, RawPeer, SilentHost, narrow_pair, version};

/// How long a request waits that gets no answer.
const SHORT: Duration = Duration::from_millis(200);

/// A request of each kind; what it would find does not matter.
type Request = fn(&PeerConnectionHandle, Duration) -> Result<(), Error>;

/// A way in which a connection ends.
type End = fn(&Actor, &mut RawPeer);

const REQUESTS: [Request; 5] = [
    |handle, timeout| handle.ping(timeout).map(drop),
    |handle, timeout| handle.headers(&[], BlockHash::ZERO, timeout).map(drop),
    |handle, timeout| handle.block(BlockHash([7; 32]), timeout).map(drop),
    |handle, timeout| handle.transactions(&[Txid([7; 32])], timeout).map(drop),
    |handle, timeout| handle.addresses(timeout).map(drop),
];

/// Waits until the peer has read a question of each kind.
#[track_caller]
fn read_questions(peer: &mut RawPeer) {
    // A `getdata` each for the end of the headers, the block and the transaction.
    let mut missing = vec!["ping", "getheaders", "getaddr"];
    missing.extend(["getdata"; 3]);
    while !missing.is_empty() {
        let message = peer.next_message();
        missing.retain({
            let mut found = false;
            move |name| {
                let this = !found && *name == message.command().name();
                found |= this;
                !this
            }
        });
    }
}

#[test]
fn the_end_of_the_connection_ends_all_requests_at_once_with_the_reason_of_its_event() {
    let ends: [(End, DisconnectReason); 3] = [
        (|_, peer| peer.close(), DisconnectReason::ConnectionClosed),
        (|_, peer| peer.reset(), DisconnectReason::ConnectionReset),
        (
            |actor, _| actor.handle.disconnect(),
            DisconnectReason::Requested,
        ),
    ];
    for (end, expected) in ends {
        let (actor, mut peer) = Actor::connected(&config());
        let handle = &actor.handle;
        let began = thread::scope(|scope| {
            let requests = REQUESTS.map(|request| scope.spawn(move || request(handle, DEADLINE)));
            // One more waits for its turn.
            let turn = scope.spawn(|| REQUESTS[1](&actor.handle, DEADLINE));
            read_questions(&mut peer);
            let began = Instant::now();
            end(&actor, &mut peer);
            for request in requests.into_iter().chain([turn]) {
                assert_eq!(reason_of(request.join().unwrap()), expected);
            }
            began
        });
        assert!(began.elapsed() < PROMPT, "took {:?}", began.elapsed());
        assert_eq!(actor.expect_end().1, expected);
        for request in REQUESTS {
            assert_eq!(reason_of(request(&actor.handle, DEADLINE)), expected);
        }
    }
}

#[test]
fn an_answer_that_has_come_before_the_end_is_one() {
    let (actor, mut peer) = Actor::connected(&config());
    let block = mined(1);
    let answer = thread::scope(|scope| {
        let request = scope.spawn(|| actor.handle.block(block.hash(), DEADLINE));
        peer.expect("getdata");
        peer.send(block.clone());
        peer.close();
        request.join().unwrap()
    });
    assert_eq!(answer.unwrap(), block);
    assert_eq!(actor.expect_end().1, DisconnectReason::ConnectionClosed);
}

#[test]
fn without_time_every_request_times_out_and_the_connection_goes_on() {
    let (actor, mut peer) = Actor::connected(&config());
    for request in REQUESTS {
        let began = Instant::now();
        let answer = request(&actor.handle, Duration::ZERO);
        assert!(began.elapsed() < PROMPT);
        let expected = |error: &Error| {
            matches!(
                error,
                Error::Timeout {
                    which: Timeout::Response,
                    after: Duration::ZERO,
                    ..
                }
            )
        };
        assert!(answer.as_ref().is_err_and(expected), "{answer:?}");
    }
    // They have been sent all the same.
    read_questions(&mut peer);
    let answer = thread::scope(|scope| {
        let request = scope.spawn(|| actor.handle.ping(Duration::MAX));
        let nonce = peer.expect_ping();
        peer.send(Pong::new(nonce));
        request.join().unwrap()
    });
    answer.unwrap();
}

#[test]
fn before_the_handshake_nothing_is_asked() {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    let mut peer = listener.accept();
    peer.expect("version");
    let silent = SilentHost::new();
    let dialling = Actor::dial(silent.address(), &config());
    for actor in [&actor, &dialling] {
        for request in REQUESTS {
            let refused = request(&actor.handle, DEADLINE);
            let expected = |error: &Error| {
                matches!(
                    error,
                    Error::Send {
                        refused: SendError::HandshakeIncomplete { .. },
                        ..
                    }
                )
            };
            assert!(refused.as_ref().is_err_and(expected), "{refused:?}");
        }
    }
    // What was refused has not been asked.
    peer.shake_hands();
    actor.expect_handshake();
    let answer = thread::scope(|scope| {
        let request = scope.spawn(|| actor.handle.addresses(DEADLINE));
        peer.expect("getaddr");
        peer.send(crate::answers::addr(&[1, 2]));
        request.join().unwrap()
    });
    assert_eq!(answer.unwrap().len(), 2);
}

#[test]
fn dropping_the_handle_after_ending_the_connection_lets_all_who_wait_go() {
    let (actor, mut peer) = Actor::connected(&config());
    let Actor { handle, events, .. } = actor;
    let handle = Arc::new(handle);
    let waiting = REQUESTS.map(|request| {
        let handle = handle.clone();
        // The last of them drops the handle, and waits for its thread.
        thread::spawn(move || request(&handle, DEADLINE))
    });
    read_questions(&mut peer);
    let began = Instant::now();
    handle.disconnect();
    drop(handle);
    for waiting in waiting {
        let ended = waiting.join().unwrap();
        assert_eq!(reason_of(ended), DisconnectReason::Requested);
    }
    assert!(began.elapsed() < PROMPT, "took {:?}", began.elapsed());
    // The thread is gone, and with it the sender of events.
    assert!(events.iter().count() >= 1);
}

#[test]
fn a_peer_that_does_not_read_costs_a_request_its_time_and_no_more() {
    let mut config = config();
    config.max_send_queue_messages = 1;
    let (mut peer, tcp) = narrow_pair();
    let actor = Actor::take(tcp, &config);
    // One that may answer getaddr although it has dialed.
    peer.shake_hands_as(Version {
        user_agent: Some("/other:1.0/".into()),
        ..version()
    });
    actor.expect_handshake();
    let large = message(vec![0; 1_000_000]);
    actor.handle.send(&large, DEADLINE).unwrap();
    let (handle, began) = (&actor.handle, Instant::now());
    thread::scope(|scope| {
        let requests = REQUESTS.map(|request| scope.spawn(move || request(handle, SHORT)));
        for request in requests {
            let answer = request.join().unwrap();
            let expected = |error: &Error| {
                matches!(
                    error,
                    Error::Timeout {
                        which: Timeout::Send,
                        ..
                    }
                )
            };
            assert!(answer.as_ref().is_err_and(expected), "{answer:?}");
        }
    });
    assert!(began.elapsed() >= SHORT && began.elapsed() < SHORT + PROMPT);
    // What could not be sent has not been asked.
    peer.expect("test");
    thread::scope(|scope| {
        let request = scope.spawn(|| actor.handle.addresses(DEADLINE));
        assert_eq!(peer.next_message(), Message::GetAddr);
        peer.send(crate::answers::addr(&[1, 2]));
        assert_eq!(request.join().unwrap().unwrap().len(), 2);
    });
}

#[test]
fn a_thousand_and_twenty_four_requests_are_open_at_once_and_no_more() {
    const LIMIT: usize = 1024;
    let (actor, mut peer) = Actor::connected(&config());
    thread::scope(|scope| {
        let pings: Vec<_> = (0..LIMIT)
            .map(|_| {
                let thread = thread::Builder::new().stack_size(128 * 1024);
                thread
                    .spawn_scoped(scope, || actor.handle.ping(6 * DEADLINE))
                    .unwrap()
            })
            .collect();
        let nonces: Vec<_> = (0..LIMIT).map(|_| peer.expect_ping()).collect();
        for request in REQUESTS {
            let error = request(&actor.handle, DEADLINE).unwrap_err();
            let address = actor.handle.address();
            let text = format!("{address}: 1024 requests are open, which is the limit");
            assert_eq!(error.to_string(), text);
            assert!(error.is_retryable() && error.kind() == ErrorKind::Usage);
        }
        nonces
            .into_iter()
            .for_each(|nonce| peer.send(Pong::new(nonce)));
        for ping in pings {
            ping.join().unwrap().unwrap();
        }
    });
}
