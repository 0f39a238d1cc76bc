//! What follows from each end of a connection.

use super::DisconnectReason;

/// What follows from the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Consequence {
    /// Try again after a pause that grows.
    BackOff,
    /// Try again after a short pause that grows up to 30 s. Nothing is recorded about the peer.
    RetrySoon,
    /// Leave the peer alone until the cool-down is over. No ban.
    CoolDown,
    /// Connect again at once, if we dialled; when that has happened too often, back off.
    Restart,
    /// Refuse the peer's address for a day.
    Ban,
    /// Do not dial before the cool-down unless the program names the peer.
    UntilNamed,
    /// Nothing.
    Nothing,
}

impl DisconnectReason {
    /// What follows: the table that decides about restarts, pauses and bans.
    pub const fn consequence(&self) -> Consequence {
        use DisconnectReason::*;
        match self {
            NameNotResolved { .. }
            | ResolveTimedOut { .. }
            | ConnectRefused
            | ConnectTimedOut { .. }
            | Unreachable(_)
            | ClosedInHandshake { .. }
            | PeerFull(_) => Consequence::BackOff,
            LocalFault(_) => Consequence::RetrySoon,
            HandshakeTimedOut { .. }
            | RefusedByPeer(_)
            | VersionTooOld { .. }
            | ServicesMissing { .. }
            | UserAgentRejected { .. }
            | SelfConnection
            | MalformedVersion(_)
            | MalformedProtoconf(_)
            | SecondProtoconf
            | StreamRefused
            | UnexpectedStreamAck
            | AssociationMismatch
            | BadInventoryType { .. }
            | FilterRefused { .. } => Consequence::CoolDown,
            ConnectionReset | EndOfStream | Io(_) => Consequence::Restart,
            PingTimedOut { .. }
            | IdleTimedOut { .. }
            | ReadStalled { .. }
            | ReplyStalled { .. }
            | SlowReader { .. }
            | MemoryBudget
            | StreamAbandoned => Consequence::BackOff,
            Misbehaved { .. }
            | FrameTooLong { .. }
            | WrongMagic(_)
            | ForeignStream
            | WrongChain => Consequence::Ban,
            InvalidName { .. }
            | BecameStream
            | Duplicate
            | AddressBanned
            | OwnCapacity
            | Shutdown => Consequence::Nothing,
            Command => Consequence::UntilNamed,
            Bug => Consequence::BackOff,
        }
    }

    /// Whether the network, and neither side, is to blame: the connection was lost or could not be opened.
    pub const fn is_network_failure(&self) -> bool {
        use DisconnectReason::*;
        matches!(
            self,
            NameNotResolved { .. }
                | ResolveTimedOut { .. }
                | ConnectRefused
                | ConnectTimedOut { .. }
                | Unreachable(_)
                | ClosedInHandshake { .. }
                | ConnectionReset
                | EndOfStream
                | Io(_)
        )
    }

    /// Whether another try at the same peer may go better, now or after a pause.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.consequence(),
            Consequence::BackOff | Consequence::RetrySoon | Consequence::Restart
        )
    }

    /// Whether the peer's address deserves a ban.
    pub const fn is_ban(&self) -> bool {
        matches!(self.consequence(), Consequence::Ban)
    }
}
