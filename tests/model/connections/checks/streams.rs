//! The data stream of a peer: opening, attaching, and the end of both streams.

use std::collections::BTreeSet;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bsv_p2p::connection::{
    AssociationRegistry, ConnectionSlots, EventBus, EventReceiver, InboundOutcome, InboundSocket,
    PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::uuid::Uuid;
use bsv_p2p::wire::{AssociationId, CreateStrm, Message, Pong, Protoconf, StreamType, Version};
use bsv_p2p::{ConnectionConfig, Network};
use model_checker::{Receiver, unbounded};

use crate::harness::{
    Actor, Listener, assert_elapsed_at_most, assert_order, choose, explore, number_of, numbered,
    pass_time_anytime,
};
use crate::raw_peer::{DEADLINE, RawPeer, protoconf, version};

fn config() -> ConnectionConfig {
    ConnectionConfig::new(Network::Regtest)
}

/// Accepts sockets, whose connections share their resources.
struct Owner {
    listener: Listener,
    slots: ConnectionSlots,
    associations: AssociationRegistry,
    control: EventReceiver<ControlEvent>,
    messages: EventReceiver<BitcoinMessageEvent>,
    accepting: JoinHandle<Vec<InboundSocket>>,
    connections: Receiver<PeerConnectionHandle>,
}

impl Owner {
    fn start() -> Self {
        let (listener, bus) = (Listener::new(), EventBus::new());
        let slots = ConnectionSlots::new(10);
        let associations = AssociationRegistry::default();
        let (started, connections) = unbounded();
        let accepting = {
            let (listener, bus) = (listener.clone(), bus.clone());
            let (slots, associations) = (slots.clone(), associations.clone());
            move || {
                let mut sockets = Vec::new();
                while let Some(stream) = listener.accept_stream() {
                    let mut options = PeerConnectionOptions::new(config());
                    options.associations = associations.clone();
                    options.events = bus.clone();
                    let (slots, started) = (slots.clone(), started.clone());
                    // Fails if the socket is closed already.
                    sockets.extend(PeerConnectionActor::accept(
                        stream,
                        options,
                        move |outcome| {
                            if let InboundOutcome::Connection(mut connection) = outcome {
                                connection.options_mut().slot = slots.reserve();
                                // Fails if the socket was canceled.
                                if let Ok(handle) = connection.start() {
                                    started.send(handle).unwrap();
                                }
                            }
                        },
                    ));
                }
                sockets
            }
        };
        Self {
            listener,
            slots,
            associations,
            control: bus.subscribe_control(),
            messages: bus.subscribe_messages(),
            accepting: thread::spawn(accepting),
            connections,
        }
    }

    /// Closes all sockets and connections, and returns the other control events. Asserts that
    /// nothing is left.
    fn close(self) -> Vec<ControlEvent> {
        self.listener.close();
        drop(self.accepting.join().unwrap());
        self.connections.iter().for_each(drop);
        assert_eq!((self.slots.count(), self.associations.len()), (0, 0));
        self.control.try_iter().map(Result::unwrap).collect()
    }
}

/// Asserts the order of the control events of each connection.
#[track_caller]
fn assert_each_order(events: &[ControlEvent]) {
    let peers: BTreeSet<_> = events.iter().filter_map(ControlEvent::peer).collect();
    for peer in peers {
        let of_one = events.iter().filter(|event| event.peer() == Some(peer));
        assert_order(&of_one.cloned().collect::<Vec<_>>());
    }
}

fn count(events: &[ControlEvent], name: &str) -> usize {
    events.iter().filter(|event| event.name() == name).count()
}

/// Both sides are connections of this library, and one is closed at any moment. Each side emits its
/// events in order, and one connection of a peer remains on each side until then.
#[test]
fn stream_opens_at_most_once_and_ends_with_its_peer() {
    explore(1000, || {
        let owner = Owner::start();
        let dialer = Actor::dial(owner.listener.address(), config());
        let opened = match choose(3) {
            0 => false,
            1 => {
                pass_time_anytime();
                thread::sleep(Duration::from_millis(choose(20) as u64));
                false
            }
            _ => loop {
                let event = dialer.control.recv_timeout(DEADLINE).unwrap();
                if event.name() == "StreamOpened" {
                    break true;
                }
            },
        };
        let (dialed, accepted) = if choose(2) == 0 {
            (close_or_drain(dialer, opened), owner.close())
        } else {
            let accepted = owner.close();
            (close_or_drain(dialer, opened), accepted)
        };
        assert_each_order(&accepted);
        for events in [dialed, accepted] {
            assert!(count(&events, "StreamOpened") <= 1);
            assert!(
                count(&events, "HandshakeComplete") <= 1,
                "one peer: {events:?}"
            );
        }
    });
}

/// Closes a connection. Returns its events, and asserts their order if none was taken before.
fn close_or_drain(dialer: Actor, were_taken: bool) -> Vec<ControlEvent> {
    let events = dialer.close();
    if !were_taken {
        assert_order(&events);
    }
    events
}

/// A peer that dials, with a handshake for two streams.
fn two_stream_peer(owner: &Owner) -> (RawPeer, Uuid) {
    let mut peer = RawPeer::dial(owner.listener.address());
    let id = Uuid::from_u128(7);
    peer.send(Version {
        association_id: Some(AssociationId::Uuid(id)),
        ..version()
    });
    peer.send(Message::Verack);
    peer.send(Protoconf {
        stream_policies: Some("BlockPriority,Default".into()),
        ..protoconf()
    });
    let nonce = peer.expect_ping();
    peer.send(Pong::new(nonce));
    (peer, id)
}

fn request(id: Uuid) -> CreateStrm {
    CreateStrm {
        association_id: AssociationId::Uuid(id),
        stream_type: StreamType::Data1,
        stream_policy: "BlockPriority".into(),
    }
}

/// A peer sends on both streams, and then closes them in any order. All messages of both streams
/// must be delivered before the final event, those of each stream in their order.
#[test]
fn messages_before_close_are_delivered_from_both_streams() {
    explore(1000, || {
        let owner = Owner::start();
        let (general, id) = two_stream_peer(&owner);
        let mut data = RawPeer::dial(owner.listener.address());
        data.send(request(id));
        // The messages may arrive together with the request.
        let is_early = choose(2) == 0;
        let send_all = |peer: &RawPeer, first| {
            (first..first + 3).for_each(|number| peer.send(numbered(number, 4)));
        };
        if is_early {
            send_all(&data, 100);
        }
        assert!(matches!(data.next_message(), Message::StreamAck(_)));
        send_all(&general, 0);
        if !is_early {
            send_all(&data, 100);
        }
        let closing = [general, data].map(|mut peer| {
            thread::spawn(move || {
                peer.close_writing();
                // The close would be a reset if anything was unread.
                peer.rest();
            })
        });
        let mut received = Vec::new();
        let reason = loop {
            let event = owner.control.recv_timeout(DEADLINE).unwrap();
            if let ControlEvent::ConnectionLost { reason, .. } = event {
                break reason;
            }
        };
        received.extend(owner.messages.try_iter().map(Result::unwrap));
        closing.into_iter().for_each(|one| one.join().unwrap());
        let numbers: Vec<u32> = (received.iter())
            .filter_map(|event| number_of(&event.message))
            .collect();
        for first in [0, 100] {
            let of_stream = numbers
                .iter()
                .filter(|number| **number / 100 == first / 100);
            assert!(
                of_stream.copied().eq(first..first + 3),
                "{reason}: {numbers:?}"
            );
        }
        owner.close();
    });
}

/// Two sockets request to become the data stream of one peer at once, while the peer may be closed.
/// At most one of them must be acknowledged.
#[test]
fn one_of_two_requests_becomes_the_stream() {
    explore(1000, || {
        let owner = Owner::start();
        let (general, id) = two_stream_peer(&owner);
        let address = owner.listener.address();
        let requests = [(); 2].map(|()| {
            thread::spawn(move || {
                let mut data = RawPeer::dial(address);
                data.try_send(request(id));
                let answer = data.next();
                if !matches!(answer, Some(Message::StreamAck(_))) {
                    data.close();
                    return None;
                }
                Some(data)
            })
        });
        if choose(2) == 0 {
            drop(general);
            let acknowledged = requests.map(|one| one.join().unwrap());
            assert!(acknowledged.iter().flatten().count() <= 1);
        } else {
            let acknowledged = requests.map(|one| one.join().unwrap());
            assert_eq!(acknowledged.iter().flatten().count(), 1);
            assert_elapsed_at_most(Duration::ZERO);
            drop(general);
        }
        let events = owner.close();
        assert_each_order(&events);
        assert!(count(&events, "StreamOpened") <= 1);
    });
}
