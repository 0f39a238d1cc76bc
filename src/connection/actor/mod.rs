//! Connections that run on their own threads.

mod accepted_socket;
mod active_connection;
mod block_transfer;
mod data_stream;
mod event_emitter;
mod handle;
mod headers_request;
mod lifecycle;
mod options;
mod peer_connection;
mod peer_streams;
mod pending_request;
mod read_loop;
mod request_table;
mod requests;
mod sending;
mod statistics;
#[cfg(test)]
mod subscriber_tests;
#[cfg(test)]
mod test_pair;
mod thread;

pub(super) use accepted_socket::{AcceptedSocket, ConnectionRun};
pub(super) use active_connection::ActiveConnection;
pub(super) use data_stream::{AttachError, StreamClaim, StreamSocket, claim_stream};
pub use handle::{PeerConnectionCommand, PeerConnectionHandle};
pub(crate) use headers_request::{HeadersRequest, StartHeadersError};
pub use options::PeerConnectionOptions;
pub(super) use peer_connection::PeerConnection;
pub use statistics::{ConnectionStatistics, QueueStats, StreamStatistics};
pub(super) use thread::{cancel_restart, fail};

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::inbound_socket::{self, InboundOutcome, InboundSocket};
use super::{ConnectionObserver, SlotGuard};
use crate::error::Error;
#[cfg(doc)]
use crate::event::ControlEvent;
use crate::session::Direction;

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
/// A peer that dialed opens its second stream by another TCP connection.
/// [`accept`](PeerConnectionActor::accept) attaches it.
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
/// let mut options = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
/// let events = options.events.subscribe_control();
/// let peer = PeerConnectionActor::spawn_outbound("127.0.0.1:1".parse().unwrap(), options)?;
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
        options: PeerConnectionOptions,
    ) -> Result<PeerConnectionHandle, Error> {
        options.config.check_port(address)?;
        spawn_dialed(address, options, None)
    }

    /// Reads the first message of an accepted socket on a new thread, and reports the outcome.
    ///
    /// A `createstrm` attaches the socket to its peer in `options.associations`, and the thread
    /// continues as the reader of that stream. All other messages, invalid data, the end of the
    /// socket and the expiry of `handshake_timeout` are reported as
    /// [`InboundOutcome::Connection`]. The callback then starts a connection, which runs on the
    /// same thread.
    ///
    /// `on_outcome` is called exactly once, on the thread of the socket. It must not wait for the
    /// end of the peer. No event is emitted before the call. A slot in `options` is released if the
    /// socket starts no connection. Does not block.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// use bsv_p2p::connection::{InboundOutcome, PeerConnectionActor, PeerConnectionOptions};
    /// use bsv_p2p::{ConnectionConfig, Network};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// let (stream, _) = listener.accept()?;
    ///
    /// let options = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
    /// let (peers, started) = std::sync::mpsc::channel();
    /// let socket = PeerConnectionActor::accept(stream, options, move |outcome| {
    ///     if let InboundOutcome::Connection(connection) = outcome {
    ///         let _ = peers.send(connection.start());
    ///     }
    /// })?;
    /// // Closes the connection before its first message.
    /// drop(client);
    /// let peer = started.recv()??;
    /// socket.join();
    /// peer.join();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of the configuration is invalid.
    /// - [`Error::Io`] if a thread cannot be spawned or the socket is already closed.
    pub fn accept(
        stream: TcpStream,
        options: PeerConnectionOptions,
        on_outcome: impl FnOnce(InboundOutcome<'_>) + Send + 'static,
    ) -> Result<InboundSocket, Error> {
        inbound_socket::accept(stream, options, on_outcome)
    }

    /// Completes the handshake with a peer on an accepted socket, on a new thread.
    ///
    /// The socket cannot become a second stream: a `createstrm` is rejected. Use
    /// [`accept`](Self::accept) if peers may open streams. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of the configuration is invalid.
    /// - [`Error::Io`] if a thread cannot be spawned or the socket is already closed.
    pub fn spawn_inbound(
        stream: TcpStream,
        options: PeerConnectionOptions,
    ) -> Result<PeerConnectionHandle, Error> {
        spawn_accepted(stream, options, false)
    }

    /// Rejects a peer on an accepted socket because no slot is free, on a new thread.
    ///
    /// The peer receives a full handshake and a `reject` of its `version` with code 0x44, and the
    /// connection is closed. The final event is `ConnectionRejectedCapacity`, the final state
    /// `Rejected`.
    ///
    /// The connection occupies no slot: a slot in `options` is released immediately. It ends within
    /// `handshake_timeout` and one second. The socket cannot become a second stream; use
    /// [`accept`](Self::accept) and
    /// [`InboundConnection::reject_over_capacity`](super::InboundConnection::reject_over_capacity)
    /// if peers may open streams. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of the configuration is invalid.
    /// - [`Error::Io`] if a thread cannot be spawned or the socket is already closed.
    pub fn spawn_over_capacity(
        stream: TcpStream,
        options: PeerConnectionOptions,
    ) -> Result<PeerConnectionHandle, Error> {
        spawn_accepted(stream, options, true)
    }

    /// Dials `address` with an observer that decides whether the connection is reopened.
    pub(crate) fn spawn_observed(
        address: SocketAddr,
        options: PeerConnectionOptions,
        observer: Box<dyn ConnectionObserver>,
    ) -> Result<PeerConnectionHandle, Error> {
        spawn_dialed(address, options, Some(observer))
    }
}

fn spawn_dialed(
    address: SocketAddr,
    options: PeerConnectionOptions,
    observer: Option<Box<dyn ConnectionObserver>>,
) -> Result<PeerConnectionHandle, Error> {
    let (peer, slot) =
        PeerConnection::new((Direction::Outbound, address), Box::new(options), observer)?;
    spawn_thread(&peer, &peer.current(), slot).map_err(not_spawned)?;
    Ok(PeerConnectionHandle::new(peer))
}

fn spawn_accepted(
    stream: TcpStream,
    options: PeerConnectionOptions,
    over_capacity: bool,
) -> Result<PeerConnectionHandle, Error> {
    options.config.validate()?;
    let socket = AcceptedSocket::prepare(stream, &options.config)?;
    let run = ConnectionRun::new(
        Box::new(options),
        over_capacity,
        None,
        AcceptedSocket::new(socket),
    )?;
    run.spawn().map_err(not_spawned)
}

fn not_spawned(error: io::Error) -> Error {
    Error::Io {
        operation: "spawning the connection thread".into(),
        error: error.into(),
    }
}

/// Starts a run of a dialed connection on a new thread.
pub(super) fn spawn_thread(
    peer: &Arc<PeerConnection>,
    connection: &Arc<ActiveConnection>,
    slot: Option<SlotGuard>,
) -> io::Result<()> {
    peer.lifecycle.start(|| {
        let (peer, connection) = (peer.clone(), connection.clone());
        connection_thread(peer.address).spawn(move || thread::run(&peer, &connection, None, slot))
    })
}

/// Returns the builder of the thread that reads the first stream of a peer.
pub(super) fn connection_thread(address: SocketAddr) -> std::thread::Builder {
    std::thread::Builder::new()
        .name(format!("bsv-p2p {address}"))
        .stack_size(256 * 1024)
}
