//! A connection with a peer that the test drives.

use std::net::TcpListener;
use std::time::Duration;

use super::handle::PeerConnectionHandle;
use crate::connection::{
    Connection, ConnectionConfig, EventReceiver, PeerConnectionActor, PeerConnectionOptions,
};
use crate::event::{BitcoinMessageEvent, ControlEvent};
use crate::network::Network;
use crate::session::NonceRegistry;

/// The maximum time of a wait.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A connection, the messages that its subscribers receive, and its peer, driven by the test.
pub(super) struct Pair {
    pub(super) handle: PeerConnectionHandle,
    pub(super) peer: Connection,
    pub(super) messages: EventReceiver<BitcoinMessageEvent>,
}

impl Pair {
    pub(super) fn new(config: ConnectionConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = PeerConnectionOptions::new(config);
        let messages = options.events.subscribe_messages();
        let control = options.events.subscribe_control();
        let address = listener.local_addr().unwrap();
        let handle = PeerConnectionActor::spawn_outbound(address, options).unwrap();
        let (tcp, _) = listener.accept().unwrap();
        let config = ConnectionConfig::new(Network::Regtest);
        let peer = Connection::accept(tcp, &config, &NonceRegistry::default()).unwrap();
        while !matches!(
            control.recv_timeout(LIMIT).unwrap(),
            ControlEvent::HandshakeComplete { .. }
        ) {}
        Self {
            handle,
            peer,
            messages,
        }
    }
}
