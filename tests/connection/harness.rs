//! The connection under test, and assertions about it.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::session::{DisconnectReason, NonceRegistry};
use bsv_p2p::wire::{Command, Message};
use bsv_p2p::{Connection, ConnectionConfig, Error, Network};
use bytes::Bytes;

pub(crate) use test_support::SeededRandom;
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, small_buffer_pair};

/// The maximum time for the end of a connection after a disconnect.
pub(crate) const PROMPT: Duration = Duration::from_secs(1);

/// Regtest with the defaults of the library, but without second streams: these tests concern one
/// TCP connection, and scripted peers have no second one.
pub(crate) fn config() -> ConnectionConfig {
    let mut config = ConnectionConfig::new(Network::Regtest);
    config.session.multistreams = false;
    config
}

/// Returns a message to which no rules apply.
pub(crate) fn message(payload: impl Into<Bytes>) -> Message {
    Message::Unknown {
        command: const { Command::new("test") },
        payload: payload.into(),
    }
}

/// Returns a message with a number and a length of its own.
pub(crate) fn numbered(number: u32, len: usize) -> Message {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(len.max(4), number as u8);
    message(payload)
}

/// Returns a configuration with which a [`discarded_frame`] is discarded.
pub(crate) fn discarding_config() -> ConnectionConfig {
    let mut config = config();
    config.session.limits.unrequested = 10;
    config
}

/// Returns a frame that emits `PayloadDiscarded`: an unrequested transaction of 11 bytes.
pub(crate) fn discarded_frame() -> Vec<u8> {
    test_support::raw_peer::frame(&Message::Unknown {
        command: const { Command::new("tx") },
        payload: vec![0; 11].into(),
    })
}

/// Returns the number of a [`numbered`] message; `None` for any other.
pub(crate) fn number_of(message: &Message) -> Option<u32> {
    match message {
        Message::Unknown { payload, .. } => Some(u32::from_le_bytes(*payload.first_chunk()?)),
        _ => None,
    }
}

/// An actor, and its events.
pub(crate) struct Actor {
    pub(crate) handle: PeerConnectionHandle,
    pub(crate) events: EventReceiver<ControlEvent>,
    pub(crate) messages: EventReceiver<BitcoinMessageEvent>,
}

impl Actor {
    pub(crate) fn dial(address: SocketAddr, config: &ConnectionConfig) -> Self {
        Self::dial_with(address, PeerConnectionOptions::new(config.clone()))
    }

    pub(crate) fn dial_with(address: SocketAddr, setup: PeerConnectionOptions) -> Self {
        let events = setup.events.subscribe_control();
        let messages = setup.events.subscribe_messages();
        let handle = PeerConnectionActor::spawn_outbound(address, setup).unwrap();
        Self {
            handle,
            events,
            messages,
        }
    }

    pub(crate) fn take(tcp: TcpStream, config: &ConnectionConfig) -> Self {
        Self::take_with(tcp, PeerConnectionOptions::new(config.clone()))
    }

    pub(crate) fn take_with(tcp: TcpStream, setup: PeerConnectionOptions) -> Self {
        let events = setup.events.subscribe_control();
        let messages = setup.events.subscribe_messages();
        let handle = PeerConnectionActor::spawn_inbound(tcp, setup).unwrap();
        Self {
            handle,
            events,
            messages,
        }
    }

    /// Connects an actor to a scripted peer and completes the handshake.
    #[track_caller]
    pub(crate) fn connected(config: &ConnectionConfig) -> (Self, RawPeer) {
        let listener = RawListener::new();
        let actor = Self::dial(listener.address(), config);
        let mut peer = listener.accept();
        peer.shake_hands();
        actor.expect_handshake();
        (actor, peer)
    }

    /// Connects an actor whose writes stall soon if the peer does not read after the handshake.
    #[track_caller]
    pub(crate) fn connected_with_small_buffers(config: &ConnectionConfig) -> (Self, RawPeer) {
        let (mut peer, tcp) = small_buffer_pair();
        let actor = Self::take(tcp, config);
        peer.shake_hands();
        actor.expect_handshake();
        (actor, peer)
    }

    #[track_caller]
    pub(crate) fn next_event(&self) -> ControlEvent {
        self.events.recv_timeout(DEADLINE).expect("an event")
    }

    #[track_caller]
    pub(crate) fn next_message(&self) -> Message {
        let event = self.messages.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(event.peer_id, self.handle.peer_id());
        (*event.message).clone()
    }

    #[track_caller]
    pub(crate) fn expect_handshake(&self) {
        while !matches!(self.next_event(), ControlEvent::HandshakeComplete { .. }) {}
    }

    /// Returns the final event of either kind. Others are skipped.
    #[track_caller]
    pub(crate) fn expect_end(&self) -> (ControlEvent, DisconnectReason) {
        loop {
            let event = self.next_event();
            if let ControlEvent::ConnectionLost { reason, .. }
            | ControlEvent::ConnectionFailed { reason, .. } = &event
            {
                let reason = reason.clone();
                return (event, reason);
            }
        }
    }

    /// Waits for the end of the threads.
    #[track_caller]
    pub(crate) fn expect_threads_to_end(&self) {
        let began = Instant::now();
        self.handle.join();
        assert!(began.elapsed() < PROMPT, "took {:?}", began.elapsed());
    }
}

/// Connects a `Connection` to a scripted peer and completes the handshake.
#[track_caller]
pub(crate) fn connected(config: &ConnectionConfig) -> (Connection, RawPeer) {
    let listener = RawListener::new();
    thread::scope(|scope| {
        let peer = scope.spawn(|| {
            let mut peer = listener.accept();
            peer.shake_hands();
            peer
        });
        let connection = Connection::connect(listener.address().to_string(), config);
        (connection.unwrap(), peer.join().unwrap())
    })
}

/// Creates a `Connection` that accepted a scripted peer, and completes the handshake.
#[track_caller]
pub(crate) fn accepted(
    (mut peer, tcp): (RawPeer, TcpStream),
    config: &ConnectionConfig,
) -> (Connection, RawPeer) {
    thread::scope(|scope| {
        let peer = scope.spawn(|| {
            peer.shake_hands();
            peer
        });
        let connection = Connection::accept(tcp, config, &NonceRegistry::default());
        (connection.unwrap(), peer.join().unwrap())
    })
}

/// Creates two connected `Connection`s.
#[track_caller]
pub(crate) fn two_connections(config: &ConnectionConfig) -> (Connection, Connection) {
    let listener = RawListener::new();
    thread::scope(|scope| {
        let accepted = scope.spawn(|| {
            Connection::accept(listener.accept_tcp(), config, &NonceRegistry::default()).unwrap()
        });
        let dialed = Connection::connect(listener.address().to_string(), config);
        (dialed.unwrap(), accepted.join().unwrap())
    })
}

/// Creates two connected actors.
#[track_caller]
pub(crate) fn two_actors(config: &ConnectionConfig) -> (Actor, Actor) {
    let listener = RawListener::new();
    let one = Actor::dial(listener.address(), config);
    let other = Actor::take(listener.accept_tcp(), config);
    one.expect_handshake();
    other.expect_handshake();
    (one, other)
}

/// Returns the reason of a disconnect error.
#[track_caller]
pub(crate) fn reason_of<T: std::fmt::Debug>(result: Result<T, Error>) -> DisconnectReason {
    match result {
        Err(Error::Disconnected { reason, .. }) => reason,
        other => panic!("the connection should have ended: {other:?}"),
    }
}
