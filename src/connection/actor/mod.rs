//! Connections that run on their own threads.

mod active_connection;
mod data_stream;
mod handle;
mod headers_request;
mod lifecycle;
mod moving;
mod open_requests;
mod patience;
mod peer_connection;
mod peer_streams;
mod reading;
mod requests;
mod setup;
mod statistics;
mod streaming;
#[cfg(test)]
mod subscriber_tests;
mod telling;
mod thread;

pub(super) use active_connection::ActiveConnection;
pub use handle::{PeerConnectionCommand, PeerConnectionHandle};
pub(crate) use headers_request::{HeadersRequest, StartHeadersError};
pub(super) use peer_connection::PeerConnection;
pub use setup::PeerConnectionOptions;
pub use statistics::{ConnectionStatistics, QueueStats, StreamStatistics};
pub(super) use thread::{cancel_restart, fail};

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use self::thread::Accepted;
use super::{ConnectionObserver, SlotGuard};
use crate::error::Error;
use crate::event::ControlEvent;
use crate::session::Direction;
#[cfg(doc)]
use crate::session::DisconnectReason;

/// Spawns connections that run on their own threads.
///
/// One thread per connection dials, completes the handshake, reads and replies. A second thread
/// writes only while the peer reads more slowly than this side sends.
///
/// # Second stream
///
/// A peer that agrees gets a second TCP connection for blocks, headers, pings and the messages that
/// announce and request them. A block of gigabytes then does not delay transactions.
/// [`SessionConfig::multistreams`](crate::session::SessionConfig::multistreams) enables it. A
/// thread of its own reads the second connection.
///
/// Both streams belong to one peer with one identity, one handle and one final event.
/// [`ControlEvent::StreamOpened`] is emitted when the second stream is open,
/// [`ControlEvent::StreamRefused`] if it could not be opened. Messages keep their order within a
/// stream, but not between the streams.
///
/// A peer may open [`StreamType::Data1`](crate::wire::StreamType::Data1) only. `DATA2` to `DATA4`
/// are refused with reject code 0x60. A node would acknowledge them, but no policy routes messages
/// to them and no node opens them.
///
/// ```
/// use bsv_p2p::{ConnectionConfig, Network};
/// use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};
/// use bsv_p2p::event::ControlEvent;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut setup = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
/// let events = setup.events.subscribe_control();
/// let peer = PeerConnectionActor::spawn_outbound("127.0.0.1:1".parse().unwrap(), setup)?;
/// for event in events {
///     let event = event?;
///     println!("{event}");
///     if let ControlEvent::ConnectionFailed { .. } | ControlEvent::ConnectionLost { .. } = event {
///         break;
///     }
/// }
/// peer.join();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PeerConnectionActor;

impl PeerConnectionActor {
    /// Dials `address` on a new thread.
    ///
    /// Events report the progress. The address is dialed once; a [`Supervisor`](super::Supervisor)
    /// dials again. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of the configuration is invalid.
    /// - [`Error::PortMismatch`] if the port is the default port of another network.
    /// - [`Error::Io`] if a thread cannot be spawned.
    pub fn spawn_outbound(
        address: SocketAddr,
        setup: PeerConnectionOptions,
    ) -> Result<PeerConnectionHandle, Error> {
        setup.config.check_port(address)?;
        spawn(Origin::Dialed(address), setup, None)
    }

    /// Completes the handshake with a peer on an accepted socket, on a new thread.
    ///
    /// The socket may turn out to be the second stream of a peer that was spawned with the same
    /// [`AssociationRegistry`](super::AssociationRegistry). The new connection then ends with
    /// [`DisconnectReason::AttachedAsStream`] and releases its slot. No event is emitted for it if
    /// a peer at the same IP address expected a second stream. Otherwise `ConnectionEstablished` is
    /// emitted immediately, and `ConnectionFailed` when the connection becomes a stream. Does not
    /// block.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of the configuration is invalid.
    /// - [`Error::Io`] if a thread cannot be spawned or the socket is already closed.
    pub fn spawn_inbound(
        stream: TcpStream,
        setup: PeerConnectionOptions,
    ) -> Result<PeerConnectionHandle, Error> {
        spawn(
            Origin::Accepted {
                stream,
                told_first: None,
            },
            setup,
            None,
        )
    }

    /// Rejects a peer on an accepted socket because no slot is free, on a new thread.
    ///
    /// The peer receives a full handshake and a `reject` of its `version` with code 0x44, and the
    /// connection is closed. The final event is `ConnectionRejectedCapacity`, the final state
    /// `Rejected`.
    ///
    /// The connection occupies no slot: a slot in `setup` is released immediately. It ends within
    /// `handshake_timeout` and one second. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of the configuration is invalid.
    /// - [`Error::Io`] if a thread cannot be spawned or the socket is already closed.
    pub fn spawn_over_capacity(
        stream: TcpStream,
        setup: PeerConnectionOptions,
    ) -> Result<PeerConnectionHandle, Error> {
        spawn(Origin::TurnedAway(stream), setup, None)
    }

    /// Spawns a connection with an observer that decides whether it is reopened.
    pub(crate) fn spawn_observed(
        origin: Origin,
        setup: PeerConnectionOptions,
        observer: Box<dyn ConnectionObserver>,
    ) -> Result<PeerConnectionHandle, Error> {
        spawn(origin, setup, Some(observer))
    }
}

/// The way in which a connection is opened.
pub(crate) enum Origin {
    /// Outbound: this side dials the address.
    Dialed(SocketAddr),
    /// Inbound: the peer opened this socket.
    Accepted {
        stream: TcpStream,
        /// The event to emit first, once the socket is known not to be a second stream.
        told_first: Option<ControlEvent>,
    },
    /// Inbound, and rejected because no slot is free.
    TurnedAway(TcpStream),
}

fn spawn(
    origin: Origin,
    mut setup: PeerConnectionOptions,
    observer: Option<Box<dyn ConnectionObserver>>,
) -> Result<PeerConnectionHandle, Error> {
    let turned_away = matches!(origin, Origin::TurnedAway(_));
    if turned_away {
        // A rejected connection occupies no slot.
        setup.slot = None;
    }
    let (direction, address, accepted) = match origin {
        Origin::Dialed(address) => (Direction::Outbound, address, None),
        Origin::Accepted { stream, told_first } => {
            let address = peer_address(&stream)?;
            let tcp = stream;
            (
                Direction::Inbound,
                address,
                Some(Accepted { tcp, told_first }),
            )
        }
        Origin::TurnedAway(tcp) => {
            let (address, told_first) = (peer_address(&tcp)?, None);
            (
                Direction::Inbound,
                address,
                Some(Accepted { tcp, told_first }),
            )
        }
    };
    let (peer, slot) = PeerConnection::new((direction, address), setup, observer)?;
    if turned_away {
        peer.current().session().reject_over_capacity();
    }
    let peer = Arc::new(peer);
    let connection = peer.current();
    spawn_thread(&peer, &connection, accepted, slot).map_err(|error| Error::Io {
        operation: "spawning the connection thread".into(),
        error: error.into(),
    })?;
    Ok(PeerConnectionHandle::new(peer))
}

fn peer_address(stream: &TcpStream) -> Result<SocketAddr, Error> {
    stream.peer_addr().map_err(|error| Error::Io {
        operation: "reading the address of an accepted socket".into(),
        error: error.into(),
    })
}

/// Starts a run of a connection on a new thread.
pub(super) fn spawn_thread(
    peer: &Arc<PeerConnection>,
    connection: &Arc<ActiveConnection>,
    accepted: Option<Accepted>,
    slot: Option<SlotGuard>,
) -> io::Result<()> {
    peer.lifecycle.start(|| {
        let (peer, connection) = (peer.clone(), connection.clone());
        std::thread::Builder::new()
            .name(format!("bsv-p2p {}", peer.address))
            .stack_size(256 * 1024)
            .spawn(move || thread::run(&peer, &connection, accepted, slot))
    })
}
