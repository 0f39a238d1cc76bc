//! Connecting, accepting and the handshake of a blocking connection.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use log::Level;
use uuid::Uuid;

use super::receive_queue::ReceiveQueue;
use super::{Connection, WRITE_WAIT};
use crate::connection::close_cell::CloseCell;
use crate::connection::logging::Logged;
use crate::connection::message_reader::MessageReader;
use crate::connection::requests::Requests;
use crate::connection::send_queue::SendQueue;
use crate::connection::stream::Stream;
use crate::connection::traffic::TrafficCounters;
use crate::connection::{ConnectionConfig, PeerAddr, dial, random, resolve};
use crate::error::Error;
use crate::session::{
    ConnectionState, Direction, DisconnectReason, NonceRegistry, PeerInfo, Session,
};
use crate::wire::BlockHeader;

impl Connection {
    /// Connects to a node and completes the handshake.
    ///
    /// `peer` is a [`SocketAddr`], or an IP address or a host name, with or without a port, as
    /// [`PeerAddr`] documents. The port defaults to the default port of the network. The addresses
    /// of a host name are tried in order until one succeeds.
    ///
    /// Blocks for at most `resolve_timeout`, plus `connect_timeout` and `handshake_timeout` for
    /// each address. If a lookup times out, its helper thread continues until the system gives up.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of `config` is invalid.
    /// - [`Error::PortMismatch`] if the port is the default port of another network.
    /// - [`Error::Disconnected`] if the name cannot be resolved or no address can be connected to,
    ///   with the reason of the last address.
    pub fn connect(peer: impl Into<PeerAddr>, config: &ConnectionConfig) -> Result<Self, Error> {
        Self::connect_with(peer, config, &NonceRegistry::default())
    }

    /// Like [`Connection::connect`], but detects connections to the calling process itself.
    ///
    /// All connections of the process must share `nonces`, including those of
    /// [`Connection::accept`]. A connection to the process itself then fails with
    /// [`DisconnectReason::SelfConnection`]. Blocks as long as [`Connection::connect`].
    ///
    /// # Errors
    ///
    /// The errors of [`Connection::connect`].
    pub fn connect_with(
        peer: impl Into<PeerAddr>,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Self, Error> {
        Self::connect_to(&peer.into(), config, nonces)
    }

    fn connect_to(
        peer: &PeerAddr,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Self, Error> {
        config.validate()?;
        // Escaped, so that the error is one line whatever the name contains.
        let name = peer.to_string().escape_debug().to_string();
        let disconnected = |reason| Error::Disconnected {
            peer: name.clone(),
            reason,
        };
        let addresses =
            resolve(peer, config.network.port(), config.resolve_timeout).map_err(disconnected)?;
        addresses
            .iter()
            .try_for_each(|address| config.check_port(*address))?;
        // Never reported, because `resolve` returns at least one address.
        let mut reason = DisconnectReason::Requested;
        for address in addresses {
            let attempt =
                dial::dial(address, config.connect_timeout, &CloseCell::new()).and_then(|tcp| {
                    let tcp = (tcp, address);
                    Self::shake_hands(&name, tcp, Direction::Outbound, config, nonces)
                });
            match attempt {
                Ok(connection) => return Ok(connection),
                Err(error) => reason = error,
            }
        }
        Err(disconnected(reason))
    }

    /// Completes the handshake with a peer on an accepted socket.
    ///
    /// `nonces` should be the registry of the outbound connections of this process. Blocks for at
    /// most `handshake_timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of `config` is invalid.
    /// - [`Error::Io`] if the address of the peer cannot be determined, because the socket was
    ///   closed for example.
    /// - [`Error::Disconnected`] if the handshake fails, with the reason.
    pub fn accept(
        stream: TcpStream,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Self, Error> {
        config.validate()?;
        let address = stream.peer_addr().map_err(|error| Error::Io {
            operation: "reading the address of an accepted socket".into(),
            error: error.into(),
        })?;
        let peer = address.to_string();
        let tcp = (stream, address);
        Self::shake_hands(&peer, tcp, Direction::Inbound, config, nonces)
            .map_err(|reason| Error::Disconnected { peer, reason })
    }

    fn shake_hands(
        name: &str,
        (tcp, address): (TcpStream, SocketAddr),
        direction: Direction,
        config: &ConnectionConfig,
        nonces: &NonceRegistry,
    ) -> Result<Self, DisconnectReason> {
        let failed = |error: io::Error| DisconnectReason::Io(error.kind());
        let stream = Stream::new(tcp, address, config.tcp_keepalive, WRITE_WAIT).map_err(failed)?;
        let counters = Arc::<TrafficCounters>::default();
        let now = Instant::now();
        // The calls below cannot fail: the configuration is valid and the state changes are legal.
        let bug = DisconnectReason::InternalError;
        let session = config.session.clone();
        let mut session = Session::new(direction, session, nonces.clone(), random::nonces(), now)
            .map_err(|_| bug.clone())?;
        session.set_genesis(config.network.genesis_header().hash());
        if direction == Direction::Outbound {
            session.on_connect_started().map_err(|_| bug.clone())?;
        }
        session
            .on_connected(stream.peer(), random::unix_time(), now)
            .map_err(|_| bug)?;
        let mut connection = Self {
            name: name.to_owned(),
            reader: MessageReader::new(config, counters.clone()),
            unsent: SendQueue::new(config.write_timeout),
            received: ReceiveQueue::new(config.max_receive_queue_bytes),
            peer: PeerInfo::default(),
            requests: Requests::new(
                BlockHeader::genesis(&config.network).hash(),
                Uuid::new_v4().into_bytes(),
            ),
            block: None,
            last_call_at: now,
            config: config.clone(),
            stream,
            session,
            counters,
        };
        let text = format_args!("{direction} connection established");
        connection.log(Level::Info).write(text);
        while connection.session.state() != ConnectionState::Connected {
            connection.poll_io(None)?;
        }
        connection.peer = connection.session.peer_info().cloned().unwrap_or_default();
        connection.last_call_at = Instant::now();
        Ok(connection)
    }
}
