//! What follows from each end of a connection.

use super::DisconnectReason;

/// What follows from the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum DisconnectAction {
    /// Try again after a pause that grows.
    Backoff,
    /// Try again after a short pause that grows up to 30 s. Nothing is recorded about the peer.
    RetrySoon,
    /// Leave the peer alone until the cool-down is over. No ban.
    Cooldown,
    /// Connect again at once, if we dialled; when that has happened too often, back off.
    Reconnect,
    /// Refuse the peer's address for a day.
    Ban,
    /// Do not dial before the cool-down unless the program names the peer.
    ManualOnly,
    /// Nothing.
    None,
}

impl DisconnectReason {
    /// What follows: the table that decides about restarts, pauses and bans.
    pub const fn action(&self) -> DisconnectAction {
        use DisconnectReason::*;
        match self {
            NameNotResolved { .. }
            | ResolveTimeout { .. }
            | ConnectRefused
            | ConnectTimeout { .. }
            | Unreachable(_)
            | ClosedDuringHandshake { .. }
            | PeerAtCapacity(_) => DisconnectAction::Backoff,
            LocalFault(_) => DisconnectAction::RetrySoon,
            HandshakeTimeout { .. }
            | RejectedByPeer(_)
            | VersionTooOld { .. }
            | ServicesMissing { .. }
            | UserAgentRejected { .. }
            | SelfConnection
            | MalformedVersion(_)
            | MalformedProtoconf(_)
            | DuplicateProtoconf
            | StreamRefused
            | UnexpectedStreamAck
            | AssociationMismatch
            | BadInventoryType { .. }
            | BloomFilterNotSupported { .. } => DisconnectAction::Cooldown,
            ConnectionReset | ConnectionClosed | Io(_) => DisconnectAction::Reconnect,
            PingTimeout { .. }
            | IdleTimeout { .. }
            | ReadStall { .. }
            | ResponseTimeout { .. }
            | SlowReader { .. }
            | PayloadMemoryExhausted
            | BlockReaderAbandoned => DisconnectAction::Backoff,
            Misbehaved { .. }
            | FrameTooLarge { .. }
            | WrongMagic(_)
            | StreamAddressMismatch
            | WrongChain => DisconnectAction::Ban,
            InvalidName { .. }
            | AttachedAsStream
            | Duplicate
            | AddressBanned
            | AtCapacity
            | Shutdown => DisconnectAction::None,
            Requested => DisconnectAction::ManualOnly,
            InternalError => DisconnectAction::Backoff,
        }
    }

    /// Whether the network, and neither side, is to blame: the connection was lost or could not be opened.
    pub const fn is_network_failure(&self) -> bool {
        use DisconnectReason::*;
        matches!(
            self,
            NameNotResolved { .. }
                | ResolveTimeout { .. }
                | ConnectRefused
                | ConnectTimeout { .. }
                | Unreachable(_)
                | ClosedDuringHandshake { .. }
                | ConnectionReset
                | ConnectionClosed
                | Io(_)
        )
    }

    /// Whether another try at the same peer may go better, now or after a pause.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.action(),
            DisconnectAction::Backoff | DisconnectAction::RetrySoon | DisconnectAction::Reconnect
        )
    }

    /// Whether the peer's address deserves a ban.
    pub const fn is_ban(&self) -> bool {
        matches!(self.action(), DisconnectAction::Ban)
    }
}
