//! One peer connection of the library, as a `Connection` or as an actor, for tests of both.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    EventBus, EventReceiver, InboundSocket, PeerConnectionActor, PeerConnectionHandle,
    PeerConnectionOptions, RecvTimeoutError,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::session::NonceRegistry;
use bsv_p2p::wire::{Block, BlockHash, BlockHeader, Message, TimestampedAddress, Tx, Txid};
use bsv_p2p::{Connection, ConnectionConfig, Error};

use crate::raw_peer::{DEADLINE, RawListener};

/// The two ways to own a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// A `Connection`, on the thread of the test.
    Blocking,
    /// An actor with its own threads, and its handle.
    Actor,
}

impl ClientKind {
    pub const ALL: [ClientKind; 2] = [ClientKind::Blocking, ClientKind::Actor];
}

/// A connection to one peer.
pub enum Client {
    Blocking(Box<Connection>),
    Actor(ActorClient),
}

pub struct ActorClient {
    pub handle: PeerConnectionHandle,
    pub events: EventReceiver<ControlEvent>,
    pub messages: EventReceiver<BitcoinMessageEvent>,
    /// The socket of the second stream of an inbound peer.
    second: Option<InboundSocket>,
}

impl Client {
    /// Dials a peer.
    #[track_caller]
    pub fn dial(kind: ClientKind, address: SocketAddr, config: &ConnectionConfig) -> Self {
        match kind {
            ClientKind::Blocking => {
                let connection = Connection::connect(address.to_string(), config);
                Client::Blocking(Box::new(connection.unwrap()))
            }
            ClientKind::Actor => {
                let setup = PeerConnectionOptions::new(config.clone());
                let bus = setup.events.clone();
                Client::Actor(ActorClient::new(&bus, || {
                    PeerConnectionActor::spawn_outbound(address, setup).unwrap()
                }))
            }
        }
    }

    /// Accepts the peer that dials `listener` next. With `has_streams` an actor accepts a second
    /// connection as well, for its second stream.
    #[track_caller]
    pub fn accept(
        kind: ClientKind,
        listener: &RawListener,
        config: &ConnectionConfig,
        has_streams: bool,
    ) -> Self {
        let tcp = listener.accept_tcp();
        match kind {
            ClientKind::Blocking => {
                let connection = Connection::accept(tcp, config, &NonceRegistry::default());
                Client::Blocking(Box::new(connection.unwrap()))
            }
            ClientKind::Actor => {
                let setup = PeerConnectionOptions::new(config.clone());
                let bus = setup.events.clone();
                let mut second = PeerConnectionOptions::new(config.clone());
                second.associations = setup.associations.clone();
                let mut client = ActorClient::new(&bus, || {
                    PeerConnectionActor::spawn_inbound(tcp, setup).unwrap()
                });
                client.second = has_streams.then(|| {
                    PeerConnectionActor::accept(listener.accept_tcp(), second, |_| {}).unwrap()
                });
                Client::Actor(client)
            }
        }
    }

    pub fn ping(&mut self, timeout: Duration) -> Result<Duration, Error> {
        match self {
            Client::Blocking(connection) => connection.ping(timeout),
            Client::Actor(actor) => actor.handle.ping(timeout),
        }
    }

    pub fn headers(
        &mut self,
        locator: &[BlockHash],
        timeout: Duration,
    ) -> Result<Vec<BlockHeader>, Error> {
        match self {
            Client::Blocking(connection) => connection.headers(locator, BlockHash::ZERO, timeout),
            Client::Actor(actor) => actor.handle.headers(locator, BlockHash::ZERO, timeout),
        }
    }

    pub fn block(&mut self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        match self {
            Client::Blocking(connection) => connection.block(hash, timeout),
            Client::Actor(actor) => actor.handle.block(hash, timeout),
        }
    }

    pub fn transactions(
        &mut self,
        txids: &[Txid],
        timeout: Duration,
    ) -> Result<Vec<Option<Tx>>, Error> {
        match self {
            Client::Blocking(connection) => connection.transactions(txids, timeout),
            Client::Actor(actor) => actor.handle.transactions(txids, timeout),
        }
    }

    pub fn addresses(&mut self, timeout: Duration) -> Result<Vec<TimestampedAddress>, Error> {
        match self {
            Client::Blocking(connection) => connection.addresses(timeout),
            Client::Actor(actor) => actor.handle.addresses(timeout),
        }
    }

    pub fn send(&mut self, message: &Message) -> Result<(), Error> {
        match self {
            Client::Blocking(connection) => connection.send(message),
            Client::Actor(actor) => actor.handle.send(message, DEADLINE),
        }
    }
}

impl Client {
    /// Waits until a message arrives that answers no request. Returns whether it did.
    ///
    /// # Errors
    ///
    /// The text of the error that ended the connection.
    pub fn receives(
        &mut self,
        timeout: Duration,
        is_wanted: impl Fn(&Message) -> bool,
    ) -> Result<bool, String> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = match self {
                Client::Blocking(connection) => {
                    let message = connection.receive_timeout(left);
                    message.map_err(|error| error.to_string())?
                }
                Client::Actor(actor) => match actor.messages.recv_timeout(left) {
                    Ok(event) => Some((*event.message).clone()),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(error) => return Err(error.to_string()),
                },
            };
            match message {
                None => return Ok(false),
                Some(message) if is_wanted(&message) => return Ok(true),
                Some(_) => {}
            }
        }
    }
}

impl ActorClient {
    /// Starts an actor and waits for its handshake.
    #[track_caller]
    fn new(bus: &EventBus, spawn: impl FnOnce() -> PeerConnectionHandle) -> Self {
        let (events, messages) = (bus.subscribe_control(), bus.subscribe_messages());
        let client = Self {
            handle: spawn(),
            events,
            messages,
            second: None,
        };
        client.wait_for("the handshake", |event| {
            matches!(event, ControlEvent::HandshakeComplete { .. })
        });
        client
    }

    /// Waits until the second stream is open.
    #[track_caller]
    pub fn wait_for_stream(&self) {
        self.wait_for("the second stream", |event| {
            matches!(event, ControlEvent::StreamOpened { .. })
        });
    }

    #[track_caller]
    fn wait_for(&self, what: &str, wanted: impl Fn(&ControlEvent) -> bool) {
        let mut seen = Vec::new();
        while let Ok(event) = self.events.recv_timeout(DEADLINE) {
            if wanted(&event) {
                return;
            }
            seen.push(event.to_string());
        }
        panic!("{what} did not come: {seen:#?}");
    }
}
