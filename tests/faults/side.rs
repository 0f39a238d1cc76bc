//! A peer under fault, and the events it reports.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    ConnectionSlots, EventReceiver, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::session::{DisconnectReason, StreamSetupError};
use bsv_p2p::wire::{Message, StreamPolicy, StreamType};
use bsv_p2p::{ConnectionConfig, Error, Network};

use crate::fault_proxy::FaultKind;
use crate::messages::is_marker;

/// The timeout of a run that usually takes a second.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// An observation of a side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum News<'a> {
    /// Sending is possible.
    Ready,
    /// It is known whether there is a second stream.
    Second,
    /// A message was received.
    Message(&'a Message),
    /// All messages of the other side were received.
    HasAll,
}

/// All observations of a side.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) established: bool,
    pub(crate) handshaken: bool,
    pub(crate) messages: Vec<Message>,
    pub(crate) has_all: bool,
    pub(crate) second: Option<Second>,
    pub(crate) end: Option<DisconnectReason>,
}

/// The result of opening the second stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Second {
    Opened(StreamPolicy),
    Refused(StreamSetupError),
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Handshake,
    Message,
    Second,
    Else,
}

/// Regtest. Timeouts are short if the fault can cause them, and otherwise too long to expire.
pub(crate) fn config(harm: Option<&FaultKind>) -> ConnectionConfig {
    let mut config = ConnectionConfig::new(Network::Regtest);
    // One TCP connection, except in tests of second streams.
    config.session.multistreams = false;
    // These peers send each other unrequested blocks.
    config.session.limits.unrequested = config.session.limits.buffered;
    let waits = harm.is_some_and(|kind| *kind == FaultKind::Stall || kind.corrupts());
    let patience = if waits {
        Duration::from_millis(1500)
    } else {
        DEADLINE
    };
    config.read_stall_timeout = patience;
    config.write_timeout = patience;
    config.session.handshake_timeout = patience;
    config.session.ping_timeout = patience;
    config.session.idle_timeout = 2 * patience;
    config.session.ping_interval = Duration::from_millis(50);
    config
}

/// Accepts the connection of the proxy or of another client.
#[track_caller]
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let socket = socket2::SockRef::from(listener);
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    listener.accept().expect("a connection").0
}

/// Returns the setup of a peer with a slot, and the receiver of its events.
pub(crate) fn setup(
    config: &ConnectionConfig,
    slots: &ConnectionSlots,
) -> (PeerConnectionOptions, EventReceiver<Event>) {
    let mut setup = PeerConnectionOptions::new(config.clone());
    setup.slot = slots.reserve();
    assert!(setup.slot.is_some(), "no slot is free");
    let events = setup.events.subscribe();
    (setup, events)
}

/// Receives the events of one peer until its last one, and checks their order.
pub(crate) fn listen(events: &EventReceiver<Event>, mut tell: impl FnMut(News<'_>)) -> Story {
    let deadline = Instant::now() + DEADLINE;
    let mut story = Story::default();
    while story.end.is_none() {
        let event = events.recv_deadline(deadline);
        let event = event.unwrap_or_else(|_| panic!("no end came: {}", story.summary()));
        let is_new = story.on_event(event);
        match story.messages.last() {
            Some(message) if is_new == Heard::Message => {
                tell(News::Message(message));
                if is_marker(message) && !story.has_all {
                    story.has_all = true;
                    tell(News::HasAll);
                }
            }
            _ if is_new == Heard::Handshake => tell(News::Ready),
            _ if is_new == Heard::Second => tell(News::Second),
            _ => {}
        }
    }
    story
}

/// Sends all of `script`. Stops when the connection ends.
pub(crate) fn send(handle: &PeerConnectionHandle, script: &[Message]) -> Option<DisconnectReason> {
    let sent = script
        .iter()
        .try_for_each(|message| handle.send(message, DEADLINE));
    match sent {
        Ok(()) => None,
        Err(Error::Disconnected { reason, .. }) => Some(reason),
        Err(other) => panic!("{other}"),
    }
}

/// Asserts that no event follows the end, that the slot is free, and that sends fail with the same
/// reason.
pub(crate) fn check_end(
    story: &Story,
    handle: PeerConnectionHandle,
    events: &EventReceiver<Event>,
    refused: Option<DisconnectReason>,
) {
    check_handle(story, &handle, refused);
    drop(handle);
    assert_eq!(events.try_iter().collect::<Vec<_>>(), [], "behind the end");
}

/// Asserts that sends after the end fail with the reason of the event.
pub(crate) fn check_handle(
    story: &Story,
    handle: &PeerConnectionHandle,
    refused: Option<DisconnectReason>,
) {
    handle.join();
    let reason = story.end.clone().expect("an end");
    let after = handle.try_send(&Message::GetAddr);
    assert!(
        matches!(&after, Err(Error::Disconnected { reason: told, .. }) if *told == reason),
        "the end was {reason:?}, a sender is told {after:?}"
    );
    if let Some(refused) = refused {
        assert_eq!(refused, reason, "what a sender was told");
    }
}

impl Story {
    /// Processes the next event of the peer, and checks that it is allowed now.
    pub(crate) fn on_event(&mut self, event: Event) -> Heard {
        assert_eq!(self.end, None, "{event:?} comes behind the end");
        match event {
            Event::Message(event) => {
                assert!(self.handshaken, "a message before the handshake: {event:?}");
                self.messages.push((*event.message).clone());
                return Heard::Message;
            }
            Event::Control(ControlEvent::ConnectionEstablished { .. }) => {
                assert!(!self.established, "established twice");
                self.established = true;
            }
            Event::Control(ControlEvent::HandshakeComplete { .. }) => {
                assert!(self.established && !self.handshaken, "{}", self.summary());
                self.handshaken = true;
                return Heard::Handshake;
            }
            Event::Control(ControlEvent::StreamOpened { stream, policy, .. }) => {
                assert_eq!(stream, StreamType::Data1);
                return self.on_second(Second::Opened(policy));
            }
            Event::Control(ControlEvent::StreamRefused { error, .. }) => {
                return self.on_second(Second::Refused(error));
            }
            Event::Control(ControlEvent::ConnectionLost { reason, .. }) => {
                assert!(self.handshaken, "lost before the handshake: {reason}");
                self.end = Some(reason);
            }
            Event::Control(ControlEvent::ConnectionFailed { reason, .. }) => {
                assert!(!self.handshaken, "failed after the handshake: {reason}");
                self.end = Some(reason);
            }
            Event::Control(
                ControlEvent::PeerMisbehavior { .. } | ControlEvent::PayloadDiscarded { .. },
            ) => {
                assert!(self.established, "{}", self.summary());
            }
            other => panic!("{other:?}"),
        }
        Heard::Else
    }

    fn on_second(&mut self, second: Second) -> Heard {
        assert!(self.handshaken, "before the handshake: {second:?}");
        assert_eq!(self.second, None, "told before {second:?}");
        self.second = Some(second);
        Heard::Second
    }

    pub(crate) fn summary(&self) -> String {
        let Self {
            established,
            handshaken,
            messages,
            has_all,
            second,
            end,
        } = self;
        let count = messages.len();
        format!(
            "established {established}, handshaken {handshaken}, second {second:?}, {count} messages, all {has_all}, end {end:?}"
        )
    }
}

/// Returns the name of the variant.
pub(crate) fn name(reason: &DisconnectReason) -> String {
    let text = format!("{reason:?}");
    text.split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}
