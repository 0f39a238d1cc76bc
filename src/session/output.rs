//! What a session tells its driver.

use std::io;
use std::time::Duration;

use uuid::Uuid;

use super::{DisconnectReason, Misbehavior, PeerProfile, StreamSetupError};
use crate::wire::{AssociationId, CreateStrm, Message, Services, StreamType, Version, WireString};

/// What the driver has to do next, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this message, before anything of the program that has not begun to be sent.
    Send(Message),
    /// The peer may have further streams, and asks for them by this ID, on further connections. Only of a session that
    /// [offers streams](super::Session::enable_multistream), as the next two.
    RegisterAssociation(Uuid),
    /// Open a further connection to the peer, from the same local address, and send this on it. If the peer answers with its `streamack`, it
    /// is a stream of this session.
    OpenStream(CreateStrm),
    /// Find the peer that has this association: the connection becomes a stream of that one, and this session has ended.
    AttachStream(CreateStrm),
    /// Tell the program.
    Event(SessionEvent),
    /// Send what came before, then close the connection for this reason. Nothing follows.
    Close(DisconnectReason),
}

/// What the program may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// Both sides have sent and accepted `version` and `verack`: messages may be sent.
    HandshakeComplete(Box<PeerInfo>),
    /// The peer did something wrong.
    Misbehavior {
        /// What it did.
        misbehavior: Misbehavior,
        /// The peer's score, this included.
        score: u32,
    },
    /// The peer has no second stream, where one was wanted.
    StreamSetupFailed(StreamSetupError),
    /// A ping was answered.
    Pong {
        /// The ping's nonce.
        nonce: u64,
        /// How long the answer took.
        round_trip: Duration,
        /// Over which of the peer's streams it came.
        stream: StreamType,
    },
}

/// Whether a message is for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    /// Hand it to the program.
    Deliver,
    /// It was the session's own business, or has been dropped.
    Handled,
}

/// How a transport ended, as the driver saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportClose {
    /// The peer closed its side.
    ConnectionClosed,
    /// The socket failed.
    Failed(io::ErrorKind),
}

/// What a peer said of itself in its `version`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerInfo {
    /// The protocol version that it speaks.
    pub version: i32,
    /// What it serves.
    pub services: Services,
    /// Its clock, in seconds since 1970.
    pub timestamp: i64,
    /// What it calls itself; empty if it did not say.
    pub user_agent: WireString,
    /// The height of its best block; -1 if it did not say.
    pub start_height: i32,
    /// Whether it wants transactions announced.
    pub relay: bool,
    /// Its identity for further streams, if it sent the field.
    pub association_id: Option<AssociationId>,
}

impl PeerInfo {
    /// Returns the kind of node that the peer identifies itself as.
    pub fn profile(&self) -> PeerProfile {
        PeerProfile::from_user_agent(&self.user_agent)
    }
}

impl From<&Version> for PeerInfo {
    fn from(version: &Version) -> Self {
        Self {
            version: version.version,
            services: version.services,
            timestamp: version.timestamp,
            user_agent: version.user_agent.clone().unwrap_or_default(),
            start_height: version.start_height_or_default(),
            relay: version.relay_or_default(),
            association_id: version.association_id,
        }
    }
}
