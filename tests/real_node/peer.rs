//! Shared helpers: peers of the node, and the node's view of them.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent, Event};
use bsv_p2p::session::{DisconnectReason, NonceRegistry, PeerInfo};
use bsv_p2p::wire::{BlockHash, BlockHeader, GetData, Inventory, Message, StreamPolicy};
use bsv_p2p::{Connection, ConnectionConfig, Error, Network};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

/// The timeout for events that usually take milliseconds, and at most a second.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Returns the defaults on the node's network.
pub(crate) fn config() -> ConnectionConfig {
    ConnectionConfig::new(Network::Regtest)
}

/// Returns the defaults with pings so frequent that a stalled peer is noticed within a second.
pub(crate) fn config_with_fast_pings() -> ConnectionConfig {
    let mut config = config();
    config.session.ping_interval = Duration::from_millis(300);
    config.session.ping_timeout = Duration::from_millis(700);
    config
}

/// Dials the node, and completes the handshake on both sides.
#[track_caller]
pub(crate) fn dial(node: &RealNode, config: &ConnectionConfig) -> Connection {
    let address = node.address().to_string();
    settled(Connection::connect(&address, config))
}

/// Makes the node dial, and completes the handshake on both sides.
#[track_caller]
pub(crate) fn be_dialed(node: &RealNode, config: &ConnectionConfig) -> Connection {
    let stream = accept_from(node);
    settled(Connection::accept(
        stream,
        config,
        &NonceRegistry::default(),
    ))
}

/// Waits for a pong. The node sends nothing before it has read the verack, and its protoconf
/// follows the handshake. The pong shows that both have arrived.
#[track_caller]
fn settled(connection: Result<Connection, Error>) -> Connection {
    let mut connection = connection.unwrap_or_else(|error| panic!("{error}"));
    connection.ping(SOON).expect("a pong");
    connection
}

/// Makes the node dial this process.
#[track_caller]
pub(crate) fn accept_from(node: &RealNode) -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port to listen on");
    listener
        .set_nonblocking(true)
        .expect("a listener that does not wait");
    node.add_node_onetry(listener.local_addr().expect("a bound address"));
    node.wait_until("the node dials us", SOON, || listener.accept().ok())
        .0
}

/// Receives until `found` returns a value. Earlier messages are dropped.
#[track_caller]
pub(crate) fn receive<T>(
    connection: &mut Connection,
    what: &str,
    mut found: impl FnMut(Message) -> Option<T>,
) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match connection.receive_timeout(left) {
            Ok(Some(message)) => {
                if let Some(value) = found(message) {
                    return value;
                }
            }
            Ok(None) => panic!("not within {SOON:?}: {what}"),
            Err(error) => panic!("{error}, before {what}"),
        }
    }
}

/// Waits until the node's state of its only peer meets `condition`. The connection answers in this
/// time.
#[track_caller]
pub(crate) fn serve_until(
    node: &RealNode,
    connection: &mut Connection,
    what: &str,
    mut condition: impl FnMut(&Value) -> bool,
) -> Value {
    node.wait_until(what, SOON, || {
        let turn = connection.receive_timeout(Duration::from_millis(20));
        turn.unwrap_or_else(|error| panic!("{error}, before {what}"));
        only_peer(node).filter(&mut condition)
    })
}

/// Returns the node's state of its only peer, or `None` if it has none or several.
pub(crate) fn only_peer(node: &RealNode) -> Option<Value> {
    let mut peers = node.peer_info();
    (peers.len() == 1).then(|| peers.remove(0))
}

/// Makes the node close its connection to the given peer.
pub(crate) fn disconnect(node: &RealNode, peer: &Value) {
    node.rpc("disconnectnode", json!([peer["addr"]]));
}

/// Asserts that the node has recorded nothing against this side: no ban, no score, no log line.
#[track_caller]
pub(crate) fn assert_good_standing(node: &RealNode) {
    assert_eq!(node.rpc("listbanned", json!([])), json!([]));
    for peer in node.peer_info() {
        assert_eq!(peer["banscore"], 0, "{peer:#}");
    }
    let log = node.log();
    let complaints: Vec<_> = log
        .lines()
        .filter(|line| line.contains("Misbehaving") || line.contains("BAN THRESHOLD"))
        .collect();
    assert_eq!(complaints, Vec::<&str>::new());
}

/// Returns the node's best block.
pub(crate) fn tip(node: &RealNode) -> BlockHash {
    hash(&node.rpc("getbestblockhash", json!([])))
}

/// Returns a hash as the node prints it.
#[track_caller]
pub(crate) fn hash(text: &Value) -> BlockHash {
    let text = text.as_str().expect("a hash");
    text.parse().expect("a hash of 64 digits")
}

/// Returns the hash of the genesis block.
pub(crate) fn genesis() -> BlockHash {
    BlockHeader::genesis(&Network::Regtest).hash()
}

/// A block that does not exist.
pub(crate) const UNKNOWN: BlockHash = BlockHash([0x77; 32]);

/// Returns a request for one object.
pub(crate) fn ask_for(entry: Inventory) -> Message {
    GetData::from(vec![entry]).into()
}

/// Returns the block that a message announces, and the name of the message.
pub(crate) fn announced(message: &Message) -> Option<(BlockHash, &'static str)> {
    match message {
        Message::Headers(headers) => headers.headers.last().map(|h| (h.hash(), "headers")),
        Message::Inv(inv) => inv.inventory.iter().find_map(|entry| match entry {
            Inventory::Block(hash) => Some((*hash, "inv")),
            _ => None,
        }),
        // A peer that has requested compact blocks receives new ones without an announcement.
        Message::CompactBlock(compact) => Some((compact.hash(), "cmpctblock")),
        _ => None,
    }
}

/// Mines a block and waits until the connection has received its announcement.
#[track_caller]
pub(crate) fn mine_and_hear(node: &RealNode, connection: &mut Connection) {
    node.generate(1);
    let new = tip(node);
    receive(connection, "the announcement of a block", |message| {
        announced(&message).filter(|(hash, _)| *hash == new)
    });
}

/// Returns the reason of the disconnect.
#[track_caller]
pub(crate) fn end_of<T: std::fmt::Debug>(result: Result<T, Error>) -> DisconnectReason {
    match result {
        Err(Error::Disconnected { reason, .. }) => reason,
        other => panic!("the connection should have ended: {other:?}"),
    }
}

/// Returns whether a reason means that the peer's process is gone.
pub(crate) fn is_cut(reason: &DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::ConnectionClosed | DisconnectReason::ConnectionReset
    )
}

/// An actor and its events.
pub(crate) struct Actor {
    pub(crate) handle: PeerConnectionHandle,
    pub(crate) control: EventReceiver<ControlEvent>,
    pub(crate) events: EventReceiver<Event>,
    told: Vec<Event>,
}

impl Actor {
    /// Dials the node, without waiting for the handshake.
    pub(crate) fn dial(node: &RealNode, config: ConnectionConfig) -> Self {
        Self::spawn(config, |setup| {
            PeerConnectionActor::spawn_outbound(node.address(), setup)
        })
    }

    /// Makes the node dial, without waiting for the handshake.
    #[track_caller]
    pub(crate) fn be_dialed(node: &RealNode, config: ConnectionConfig) -> Self {
        let stream = accept_from(node);
        Self::spawn(config, |setup| {
            PeerConnectionActor::spawn_inbound(stream, setup)
        })
    }

    fn spawn(
        config: ConnectionConfig,
        spawn: impl FnOnce(PeerConnectionOptions) -> Result<PeerConnectionHandle, Error>,
    ) -> Self {
        let setup = PeerConnectionOptions::new(config);
        let (control, events) = (setup.events.subscribe_control(), setup.events.subscribe());
        Self {
            handle: spawn(setup).expect("a thread"),
            control,
            events,
            told: Vec::new(),
        }
    }

    /// Waits for an event for which `found` returns a value.
    #[track_caller]
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            let event = match self.events.recv_deadline(deadline) {
                Ok(event) => event,
                Err(error) => panic!("{what}: {error}; came so far: {:#?}", self.told),
            };
            let value = found(&event);
            self.told.push(event);
            if let Some(value) = value {
                return value;
            }
        }
    }

    /// Waits until the handshake is complete on both sides: the node sends nothing before it has
    /// read the verack, and the pong shows that it has.
    #[track_caller]
    pub(crate) fn connected(&mut self, node: &RealNode) -> PeerInfo {
        let info = self.wait_for("the handshake", |event| match event {
            Event::Control(ControlEvent::HandshakeComplete { info, .. }) => Some((**info).clone()),
            _ => None,
        });
        node.wait_until("the first ping is answered", SOON, || {
            self.handle.round_trip().last.is_some()
        });
        info
    }

    /// Like [`Self::connected`], but also waits for two streams. Later requests are then answered
    /// in order on each stream.
    #[track_caller]
    pub(crate) fn connected_twice(&mut self, node: &RealNode) {
        self.connected(node);
        node.wait_until("the second stream", SOON, || {
            self.handle.statistics().stream_policy == Some(StreamPolicy::BlockPriority)
        });
    }

    /// Waits for a message for which `found` returns a value.
    #[track_caller]
    pub(crate) fn receive<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&Message) -> Option<T>,
    ) -> T {
        self.wait_for(what, |event| match event {
            Event::Message(BitcoinMessageEvent { message, .. }) => found(message),
            _ => None,
        })
    }

    /// Waits for the end of the connection, and returns the reason.
    #[track_caller]
    pub(crate) fn lost(&mut self) -> DisconnectReason {
        self.wait_for("the end of the connection", |event| match event {
            Event::Control(
                ControlEvent::ConnectionLost { reason, .. }
                | ControlEvent::ConnectionFailed { reason, .. },
            ) => Some(reason.clone()),
            _ => None,
        })
    }

    /// Disconnects if necessary, and returns all events, including the last one.
    pub(crate) fn life(self) -> Vec<Event> {
        let Self {
            handle,
            events,
            mut told,
            ..
        } = self;
        drop(handle);
        told.extend(events.iter().map(Result::unwrap));
        told
    }
}
