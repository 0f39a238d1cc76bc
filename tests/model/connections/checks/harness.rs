//! The connection under check, and assertions about it.

use std::net::{self, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bsv_p2p::connection::{
    EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions, RestartConfig,
    Supervisor,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{Command, Message};
use bsv_p2p::{ConnectionConfig, Network};
pub(crate) use model_checker::{choose, elapsed, pass_time_anytime};
use socket2::{Domain, Socket, Type};

use crate::raw_peer::RawPeer;

/// Runs `check` in many schedules. At its end, all sockets must be closed and all threads must have
/// ended.
pub(crate) fn explore(schedules: usize, check: impl Fn() + Send + Sync + 'static) {
    model_checker::explore(schedules, move || {
        check();
        assert_eq!(net::open_sockets(), 0, "sockets are left");
    });
}

/// Asserts that no more time has passed than `most`. Time passes only while all threads wait, so a
/// missed wake-up costs as much time as the wait.
#[track_caller]
pub(crate) fn assert_elapsed_at_most(most: Duration) {
    assert!(elapsed() <= most, "{:?} have passed", elapsed());
}

/// Regtest, without second streams.
pub(crate) fn config() -> ConnectionConfig {
    let mut config = ConnectionConfig::new(Network::Regtest);
    config.session.multistreams = false;
    config
}

/// Returns a message with a number, to which no rules apply.
pub(crate) fn numbered(number: u32, len: usize) -> Message {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(len.max(4), 0);
    Message::Unknown {
        command: const { Command::new("test") },
        payload: payload.into(),
    }
}

/// Returns the number of a [`numbered`] message.
pub(crate) fn number_of(message: &Message) -> Option<u32> {
    match message {
        Message::Unknown { payload, .. } => Some(u32::from_le_bytes(*payload.first_chunk()?)),
        _ => None,
    }
}

/// The listener of a scripted peer, which another thread can close.
#[derive(Clone)]
pub(crate) struct Listener {
    socket: Arc<Socket>,
}

impl Listener {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any_port.into()).unwrap();
        socket.listen(128).unwrap();
        let socket = Arc::new(socket);
        Self { socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap().as_socket().unwrap()
    }

    /// Returns the next connection as a bare socket, or `None` after [`Listener::close`].
    pub(crate) fn accept_stream(&self) -> Option<TcpStream> {
        let (socket, _) = self.socket.accept().ok()?;
        Some(socket.into())
    }

    /// Returns the next connection, or `None` after [`Listener::close`].
    pub(crate) fn accept(&self) -> Option<RawPeer> {
        self.accept_stream().map(RawPeer::new)
    }

    pub(crate) fn close(&self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }
}

/// A connection with its control events.
pub(crate) struct Actor {
    pub(crate) handle: PeerConnectionHandle,
    pub(crate) control: EventReceiver<ControlEvent>,
}

impl Actor {
    pub(crate) fn dial(address: SocketAddr, config: ConnectionConfig) -> Self {
        Self::spawn(config, |options| {
            PeerConnectionActor::spawn_outbound(address, options).unwrap()
        })
    }

    /// Dials until the connection is stopped. Pauses between attempts last one second.
    pub(crate) fn supervised(
        supervisor: &Supervisor,
        address: SocketAddr,
        config: ConnectionConfig,
    ) -> Self {
        let restarts = RestartConfig {
            max_immediate_restarts: 1,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(1),
            max_delayed_restarts: None,
            ..RestartConfig::default()
        };
        Self::spawn(config, |options| {
            supervisor
                .spawn_outbound(address, options, restarts)
                .unwrap()
        })
    }

    pub(crate) fn spawn(
        config: ConnectionConfig,
        spawn: impl FnOnce(PeerConnectionOptions) -> PeerConnectionHandle,
    ) -> Self {
        let options = PeerConnectionOptions::new(config);
        let control = options.events.subscribe_control();
        Self {
            handle: spawn(options),
            control,
        }
    }

    /// Closes the connection and returns its control events.
    pub(crate) fn close(self) -> Vec<ControlEvent> {
        drop(self.handle);
        self.control.try_iter().map(Result::unwrap).collect()
    }
}

/// Asserts the documented order of the events of one connection that has ended, over all its
/// restarts. Returns the number of final events of runs, of which the last one closes the
/// connection.
#[track_caller]
pub(crate) fn assert_order(events: &[ControlEvent]) -> usize {
    let names: Vec<&str> = events.iter().map(ControlEvent::name).collect();
    for event in events {
        if let ControlEvent::ConnectionRestarting { reason, .. }
        | ControlEvent::ConnectionLost { reason, .. }
        | ControlEvent::ConnectionFailed { reason, .. } = event
        {
            let panicked = *reason == DisconnectReason::InternalError;
            assert!(!panicked, "a thread panicked: {names:?}");
        }
    }
    let mut stage = "ended";
    let mut ends = 0;
    for (at, name) in names.iter().enumerate() {
        stage = match (*name, stage) {
            ("ConnectionEstablished", "ended") => "established",
            ("HandshakeComplete", "established") => "connected",
            ("StreamOpened" | "StreamRefused", "connected") => "with stream",
            ("ConnectionRestarting", _) => {
                ends += 1;
                "ended"
            }
            ("ConnectionLost", "connected" | "with stream")
            | ("ConnectionFailed", "ended" | "established") => {
                ends += 1;
                assert_eq!(at + 1, names.len(), "events after the last: {names:?}");
                "closed"
            }
            _ => panic!("{name} after {stage}: {names:?}"),
        };
    }
    assert_eq!(stage, "closed", "no final event: {names:?}");
    ends
}
