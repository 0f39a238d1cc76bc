//! The table of actions that follow the end of a connection.

use super::DisconnectReason;

/// The action that follows the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DisconnectAction {
    /// Reconnect with exponential backoff.
    Backoff,
    /// Reconnect after a short pause, which grows up to 30 s. The failure is not recorded in the
    /// status of the peer.
    RetrySoon,
    /// Do not dial the peer until its cool-down has expired. The peer is not banned.
    Cooldown,
    /// Reconnect immediately if this side dialed. If that happens too often, back off.
    Reconnect,
    /// Ban the address of the peer, for 24 hours by default.
    Ban,
    /// Do not dial the peer until its cool-down has expired, unless the application requests it.
    ManualOnly,
    /// Take no action.
    None,
}

impl DisconnectReason {
    /// Returns the action that follows. It determines restarts, pauses and bans.
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
            | InvalidInventoryType { .. }
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
            InvalidName { .. } | Duplicate | AddressBanned | AtCapacity | Shutdown => {
                DisconnectAction::None
            }
            Requested => DisconnectAction::ManualOnly,
            InternalError => DisconnectAction::Backoff,
        }
    }

    /// Returns whether the network caused the end: the connection was lost or could not be opened.
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

    /// Returns whether another attempt at the same peer may succeed, immediately or after a pause.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.action(),
            DisconnectAction::Backoff | DisconnectAction::RetrySoon | DisconnectAction::Reconnect
        )
    }

    /// Returns whether the address of the peer should be banned.
    pub const fn is_ban(&self) -> bool {
        matches!(self.action(), DisconnectAction::Ban)
    }
}
