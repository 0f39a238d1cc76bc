//! Actions and events that a session returns to its driver.

use std::io;
use std::time::Duration;

use uuid::Uuid;

use super::{DisconnectReason, Misbehavior, PeerProfile, StreamSetupError};
use crate::wire::{AssociationId, CreateStrm, Message, Services, StreamType, Version, WireString};

/// An action that the driver must perform. Actions must be performed in order.
///
/// A driver must handle every action. The enum is therefore exhaustive, so that the compiler reports
/// an action that a driver omits.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send the message before any queued message of the application.
    Send(Message),
    /// Register this association id for the peer. The peer opens further streams with it, on
    /// connections of its own.
    ///
    /// Returned only by a session that [offers streams](super::Session::enable_multistream).
    RegisterAssociation(Uuid),
    /// Open another connection to the peer, from the same local address, and send this message on
    /// it. If the peer answers with the matching `streamack`, the connection is a stream of this
    /// session.
    ///
    /// Returned only by a session that [offers streams](super::Session::enable_multistream).
    OpenStream(CreateStrm),
    /// Emit the event to the application.
    Event(SessionEvent),
    /// Write the messages of previous actions, then close the connection for this reason. This is
    /// the last action.
    Close(DisconnectReason),
}

/// An event of a session for the application.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// Both sides have sent and accepted `version` and `verack`: messages can be sent.
    HandshakeComplete(Box<PeerInfo>),
    /// The peer violated the protocol.
    Misbehavior {
        /// The violation.
        misbehavior: Misbehavior,
        /// The score of the peer, including this violation.
        score: u32,
    },
    /// A second stream was requested and is unavailable.
    StreamSetupFailed(StreamSetupError),
    /// The peer answered a ping.
    Pong {
        /// The nonce of the ping.
        nonce: u64,
        /// The time between the ping and the pong.
        round_trip: Duration,
        /// The stream on which the pong arrived.
        stream: StreamType,
    },
}

/// Whether a message must be delivered to the application. There are no other outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    /// Deliver the message to the application.
    Deliver,
    /// The session has handled or dropped the message.
    Handled,
}

/// The end of a transport, as observed by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportClose {
    /// The peer closed its side of the connection.
    ConnectionClosed,
    /// An operation on the socket failed.
    Failed(io::ErrorKind),
}

/// The content of a peer's `version` message.
///
/// Struct expressions that end with `..PeerInfo::default()` keep compiling when a field is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerInfo {
    /// The protocol version of the peer.
    pub version: i32,
    /// The services of the peer.
    pub services: Services,
    /// The clock of the peer, in seconds since 1970.
    pub timestamp: i64,
    /// The user agent of the peer. Empty if it sent none.
    pub user_agent: WireString,
    /// The height of the peer's best block. -1 if it sent none.
    pub start_height: i32,
    /// Whether the peer accepts announcements of transactions.
    pub relay: bool,
    /// The association id of the peer, for further streams. `None` if it did not send the field.
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
