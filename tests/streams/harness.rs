//! The listening owner of connections, and scripted peers that have or request two streams.

use std::net::{Ipv4Addr, SocketAddr};

use bsv_p2p::connection::{
    AssociationRegistry, ConnectionSlots, EventBus, EventReceiver, InboundOutcome, InboundSocket,
    PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions, SubscriptionOptions,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::peers::PeerId;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    AssociationId, Command, CreateStrm, Message, Ping, Pong, Protoconf, Reject, StreamType, Version,
};
use bsv_p2p::{ConnectionConfig, Network, PayloadMemory};
use crossbeam_channel::{Receiver, bounded};
use socket2::{Domain, Socket, Type};
use test_support::raw_peer::{DEADLINE, RawListener, RawPeer, protoconf, version};
use uuid::Uuid;

pub(crate) fn config() -> ConnectionConfig {
    ConnectionConfig::new(Network::Regtest)
}

/// Returns a message to which no rules apply.
pub(crate) fn message(number: u8) -> Message {
    Message::Unknown {
        command: const { Command::new("test") },
        payload: vec![number].into(),
    }
}

/// The owner of accepted connections, which share its resources.
pub(crate) struct Owner {
    listener: RawListener,
    config: ConnectionConfig,
    pub(crate) slots: ConnectionSlots,
    pub(crate) associations: AssociationRegistry,
    pub(crate) memory: PayloadMemory,
    bus: EventBus,
    pub(crate) control: EventReceiver<ControlEvent>,
    pub(crate) messages: EventReceiver<BitcoinMessageEvent>,
}

impl Owner {
    pub(crate) fn new(config: ConnectionConfig) -> Self {
        let bus = EventBus::new();
        Self {
            listener: RawListener::new(),
            config,
            slots: ConnectionSlots::new(1000),
            associations: AssociationRegistry::default(),
            memory: PayloadMemory::default(),
            control: bus.subscribe_control(),
            messages: bus.subscribe_messages(),
            bus,
        }
    }

    /// Subscribes to messages with a queue of one.
    pub(crate) fn subscribe_to_one(&self) -> EventReceiver<BitcoinMessageEvent> {
        self.bus.subscribe_messages_with(SubscriptionOptions {
            capacity: 1,
            ..SubscriptionOptions::default()
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns the setup of a connection of this owner.
    pub(crate) fn setup(&self) -> PeerConnectionOptions {
        let mut setup = PeerConnectionOptions::new(self.config.clone());
        setup.associations = self.associations.clone();
        setup.events = self.bus.clone();
        setup.memory = self.memory.clone();
        setup.slot = self.slots.reserve();
        setup
    }

    /// Accepts the next socket.
    #[track_caller]
    pub(crate) fn accept(&self) -> SocketUnderTest {
        let tcp = self.listener.accept_tcp();
        let (sender, outcomes) = bounded(1);
        let socket = PeerConnectionActor::accept(tcp, self.setup(), move |outcome| {
            let _ = sender.send(match outcome {
                InboundOutcome::Connection(connection) => {
                    SocketOutcome::Connection(connection.start().unwrap())
                }
                InboundOutcome::Stream(peer) => SocketOutcome::Stream(peer.peer_id),
                InboundOutcome::StreamRejected(reason) => SocketOutcome::Rejected(reason),
                InboundOutcome::Canceled => SocketOutcome::Canceled,
                other => panic!("{other:?}"),
            });
        });
        let socket = socket.unwrap();
        SocketUnderTest { socket, outcomes }
    }

    /// Dials the owner. Returns the scripted peer and the accepted socket.
    #[track_caller]
    pub(crate) fn dialed(&self) -> (RawPeer, SocketUnderTest) {
        let raw = RawPeer::dial(self.address());
        (raw, self.accept())
    }

    /// Like [`Self::dialed`], from another address of loopback.
    #[track_caller]
    pub(crate) fn dialed_from(&self, from: [u8; 4]) -> (RawPeer, SocketUnderTest) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let from = SocketAddr::from((Ipv4Addr::from(from), 0));
        socket.bind(&from.into()).unwrap();
        socket
            .connect_timeout(&self.address().into(), DEADLINE)
            .unwrap();
        (RawPeer::new(socket.into()), self.accept())
    }

    /// Returns a peer that may have a second stream, and its association.
    #[track_caller]
    pub(crate) fn peer(&self) -> Peer {
        self.peer_as(version())
    }

    /// Like [`Self::peer`], with this `version`.
    #[track_caller]
    fn peer_as(&self, version: Version) -> Peer {
        let (general, accepted) = self.dialed();
        let id = Uuid::new_v4();
        let version = Version {
            association_id: Some(AssociationId::Uuid(id)),
            ..version
        };
        let protoconf = both_policies();
        general.send(version);
        let handle = accepted.connection();
        general.send(Message::Verack);
        general.send(protoconf);
        let mut peer = Peer {
            general,
            data1: None,
            handle,
            id,
        };
        let Message::Version(answer) = peer.general.expect("version") else {
            unreachable!()
        };
        assert_eq!(answer.association_id, Some(AssociationId::Uuid(id)));
        let nonce = peer.general.expect_ping();
        peer.general.send(Pong::new(nonce));
        peer.is_well();
        self.wait_for("the handshake", |event| {
            matches!(event, ControlEvent::HandshakeComplete { .. })
        });
        peer
    }

    /// Like [`Self::peer`], with a second stream.
    #[track_caller]
    pub(crate) fn peer_with_two(&self) -> Peer {
        self.peer_with_two_as(version())
    }

    /// Like [`Self::peer_with_two`], with this `version`.
    #[track_caller]
    pub(crate) fn peer_with_two_as(&self, version: Version) -> Peer {
        let mut peer = self.peer_as(version);
        let (mut data1, accepted) = self.dialed();
        data1.send(request(peer.id));
        assert!(matches!(data1.next_message(), Message::StreamAck(_)));
        assert_eq!(
            accepted.outcome(),
            SocketOutcome::Stream(peer.handle.peer_id())
        );
        peer.data1 = Some(data1);
        self.wait_for("the second stream", |event| {
            matches!(event, ControlEvent::StreamOpened { .. })
        });
        peer.is_well();
        peer
    }

    /// Waits for an event; those before it are dropped.
    #[track_caller]
    pub(crate) fn wait_for(
        &self,
        what: &str,
        wanted: impl Fn(&ControlEvent) -> bool,
    ) -> ControlEvent {
        wait_for(&self.control, what, wanted)
    }

    /// Waits for the end of a peer, and asserts that no resources are left.
    #[track_caller]
    pub(crate) fn expect_end(&self, peer: &Peer) -> DisconnectReason {
        let id = peer.handle.peer_id();
        let end = self.wait_for("the end", |event| match event {
            ControlEvent::ConnectionLost { peer_id, .. } => *peer_id == id,
            _ => false,
        });
        peer.handle.join();
        assert_eq!((self.slots.count(), self.associations.len()), (0, 0));
        assert_eq!(
            self.control.try_iter().count(),
            0,
            "something came behind the end"
        );
        match end {
            ControlEvent::ConnectionLost { reason, .. } => reason,
            _ => unreachable!(),
        }
    }
}

#[track_caller]
pub(crate) fn wait_for(
    control: &EventReceiver<ControlEvent>,
    what: &str,
    wanted: impl Fn(&ControlEvent) -> bool,
) -> ControlEvent {
    loop {
        match control.recv_timeout(DEADLINE) {
            Ok(event) if wanted(&event) => return event,
            Ok(_) => {}
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

/// An accepted socket.
pub(crate) struct SocketUnderTest {
    pub(crate) socket: InboundSocket,
    outcomes: Receiver<SocketOutcome>,
}

/// The outcome of an accepted socket.
#[derive(Debug)]
pub(crate) enum SocketOutcome {
    Connection(PeerConnectionHandle),
    Stream(PeerId),
    Rejected(DisconnectReason),
    Canceled,
}

impl PartialEq for SocketOutcome {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (SocketOutcome::Connection(one), SocketOutcome::Connection(other)) => {
                one.peer_id() == other.peer_id()
            }
            (SocketOutcome::Stream(one), SocketOutcome::Stream(other)) => one == other,
            (SocketOutcome::Rejected(one), SocketOutcome::Rejected(other)) => one == other,
            (SocketOutcome::Canceled, SocketOutcome::Canceled) => true,
            _ => false,
        }
    }
}

impl SocketUnderTest {
    /// Waits for the outcome of the socket.
    #[track_caller]
    pub(crate) fn outcome(&self) -> SocketOutcome {
        let outcome = self.outcomes.recv_timeout(DEADLINE);
        self.socket.join();
        outcome.expect("an outcome")
    }

    /// Waits for the connection that was started on the socket.
    #[track_caller]
    pub(crate) fn connection(&self) -> PeerConnectionHandle {
        match self.outcome() {
            SocketOutcome::Connection(handle) => handle,
            other => panic!("{other:?}"),
        }
    }
}

/// A scripted peer, and the connection to it.
pub(crate) struct Peer {
    pub(crate) general: RawPeer,
    pub(crate) data1: Option<RawPeer>,
    pub(crate) handle: PeerConnectionHandle,
    pub(crate) id: Uuid,
}

impl Peer {
    /// Asserts that a ping is answered, on the stream for responses.
    #[track_caller]
    pub(crate) fn is_well(&mut self) {
        let nonce = Uuid::new_v4().as_u64_pair().0 | 1;
        self.general.send(Ping::new(nonce));
        let pongs = self.data1.as_mut().unwrap_or(&mut self.general);
        while pongs.expect("pong") != Pong::new(nonce).into() {}
    }

    pub(crate) fn data1(&mut self) -> &mut RawPeer {
        self.data1.as_mut().expect("a second stream")
    }
}

/// Returns the `version` and the `protoconf` of a peer that dials and would have two streams.
pub(crate) fn greeting(id: Uuid) -> (Version, Protoconf) {
    let version = Version {
        association_id: Some(AssociationId::Uuid(id)),
        ..version()
    };
    (version, both_policies())
}

pub(crate) fn both_policies() -> Protoconf {
    Protoconf {
        stream_policies: Some("BlockPriority,Default".into()),
        ..protoconf()
    }
}

pub(crate) fn request(id: Uuid) -> CreateStrm {
    CreateStrm {
        association_id: AssociationId::Uuid(id),
        stream_type: StreamType::Data1,
        stream_policy: "BlockPriority".into(),
    }
}

/// Returns the next `reject`, and asserts that only the close follows.
#[track_caller]
pub(crate) fn expect_reject(peer: &mut RawPeer) -> Reject {
    let Message::Reject(reject) = peer.expect("reject") else {
        unreachable!()
    };
    assert_eq!(peer.rest(), []);
    peer.close();
    reject
}
