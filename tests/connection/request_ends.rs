//! Requests on the handle of an actor that get no response: each fails in time, with its reason.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::PeerConnectionHandle;
use bsv_p2p::session::{DisconnectReason, SendError};
use bsv_p2p::wire::{BlockHash, Message, Pong, Txid, Version};
use bsv_p2p::{Error, ErrorKind, Timeout};
use test_support::raw_peer::{
    DEADLINE, RawListener, RawPeer, SilentHost, small_buffer_pair, version,
};

use crate::answers::mined;
use crate::harness::{Actor, PROMPT, config, message, reason_of};

/// The timeout of requests without a response.
const SHORT: Duration = Duration::from_millis(200);

/// A request of each kind. The requested objects do not matter.
type Request = fn(&PeerConnectionHandle, Duration) -> Result<(), Error>;

/// A way to end a connection.
type End = fn(&Actor, &mut RawPeer);

const REQUESTS: [Request; 5] = [
    |handle, timeout| handle.ping(timeout).map(drop),
    |handle, timeout| handle.headers(&[], BlockHash::ZERO, timeout).map(drop),
    |handle, timeout| handle.block(BlockHash([7; 32]), timeout).map(drop),
    |handle, timeout| handle.transactions(&[Txid([7; 32])], timeout).map(drop),
    |handle, timeout| handle.addresses(timeout).map(drop),
];

/// Waits until the peer has read a request of each kind.
#[track_caller]
fn read_questions(peer: &mut RawPeer) {
    // A `getdata` for each end marker of the headers, the block and the transaction.
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
fn disconnect_fails_all_requests_with_its_reason() {
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
            // One more request is queued.
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
fn response_received_before_disconnect_is_returned() {
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
fn requests_with_zero_timeout_fail_but_keep_connection() {
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
    // The requests were sent nevertheless.
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
fn requests_before_handshake_are_rejected() {
    let listener = RawListener::new();
    let actor = Actor::dial(listener.address(), &config());
    let mut peer = listener.accept();
    peer.expect("version");
    let silent = SilentHost::new();
    let dialing = Actor::dial(silent.address(), &config());
    for actor in [&actor, &dialing] {
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
    // Rejected requests were not sent.
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
fn dropped_handle_releases_waiting_requests() {
    let (actor, mut peer) = Actor::connected(&config());
    let Actor { handle, events, .. } = actor;
    let handle = Arc::new(handle);
    let waiting = REQUESTS.map(|request| {
        let handle = handle.clone();
        // The last thread drops the handle, and waits for the connection thread.
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
    // The thread has ended, and with it the sender of events.
    assert!(events.iter().count() >= 1);
}

#[test]
fn request_to_blocked_peer_times_out() {
    let mut config = config();
    config.max_send_queue_messages = 1;
    let (mut peer, tcp) = small_buffer_pair();
    let actor = Actor::take(tcp, &config);
    // A peer that may answer `getaddr` although it dialed.
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
    // Requests that timed out in the queue were not sent.
    peer.expect("test");
    thread::scope(|scope| {
        let request = scope.spawn(|| actor.handle.addresses(DEADLINE));
        assert_eq!(peer.next_message(), Message::GetAddr);
        peer.send(crate::answers::addr(&[1, 2]));
        assert_eq!(request.join().unwrap().unwrap().len(), 2);
    });
}

#[test]
fn request_above_limit_of_1024_fails() {
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
            let address = actor.handle.peer_addr();
            let text = format!("{address}: limit of 1024 pending requests reached");
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
