//! The states of a connection and the transitions between them.

use std::fmt;

/// The side that opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Direction {
    /// This side dialed the peer.
    Outbound,
    /// The peer dialed this side.
    Inbound,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
        })
    }
}

/// The state of a connection. There are no other states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ConnectionState {
    /// There is no connection. The initial state, and the state after an orderly close.
    Disconnected,
    /// The TCP connection is being opened.
    Connecting,
    /// The TCP connection is established; the handshake is in progress. The handshake timeout
    /// applies.
    AwaitingHandshake,
    /// The handshake is complete.
    Connected,
    /// One side rejected the other because its connection limit is reached.
    Rejected,
    /// The connection failed, or was closed for a violation.
    Failed,
}

impl ConnectionState {
    /// Returns whether the transition from this state to `next` is valid.
    pub const fn can_transition_to(self, next: ConnectionState) -> bool {
        use ConnectionState::*;
        matches!(
            (self, next),
            // Outbound connections start with dialing, inbound ones are already established. A
            // failed or rejected peer may be dialed again.
            (Disconnected | Failed | Rejected, Connecting)
                | (Disconnected | Connecting, AwaitingHandshake)
                | (AwaitingHandshake, Connected | Rejected)
                | (
                    Connecting | AwaitingHandshake | Connected,
                    Failed | Disconnected
                )
        )
    }

    /// Changes the state to `next`.
    ///
    /// # Errors
    ///
    /// [`InvalidTransition`] if the transition is invalid. The state is unchanged.
    pub fn transition_to(&mut self, next: ConnectionState) -> Result<(), InvalidTransition> {
        if !self.can_transition_to(next) {
            return Err(InvalidTransition {
                from: *self,
                to: next,
            });
        }
        *self = next;
        Ok(())
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionState::Disconnected => "disconnected",
            ConnectionState::Connecting => "connecting",
            ConnectionState::AwaitingHandshake => "awaiting handshake",
            ConnectionState::Connected => "connected",
            ConnectionState::Rejected => "rejected",
            ConnectionState::Failed => "failed",
        })
    }
}

/// An invalid state transition, caused by misuse of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid transition from {from} to {to}")]
#[non_exhaustive]
pub struct InvalidTransition {
    /// The current state.
    pub from: ConnectionState,
    /// The requested state.
    pub to: ConnectionState,
}

#[cfg(test)]
mod tests {
    use super::ConnectionState::{self, *};

    const ALL: [ConnectionState; 6] = [
        Disconnected,
        Connecting,
        AwaitingHandshake,
        Connected,
        Rejected,
        Failed,
    ];

    #[test]
    fn only_listed_transitions_are_valid() {
        let ways = [
            (Disconnected, Connecting),
            (Disconnected, AwaitingHandshake),
            (Connecting, AwaitingHandshake),
            (Connecting, Failed),
            (Connecting, Disconnected),
            (AwaitingHandshake, Connected),
            (AwaitingHandshake, Rejected),
            (AwaitingHandshake, Failed),
            (AwaitingHandshake, Disconnected),
            (Connected, Failed),
            (Connected, Disconnected),
            (Failed, Connecting),
            (Rejected, Connecting),
        ];
        for from in ALL {
            for to in ALL {
                let mut state = from;
                assert_eq!(state.transition_to(to).is_ok(), ways.contains(&(from, to)));
                assert_eq!(state, if ways.contains(&(from, to)) { to } else { from });
            }
        }
    }
}
