//! The states of a connection and the ways between them.

use std::fmt;

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Direction {
    /// We dialled the peer.
    Outbound,
    /// The peer dialled us.
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

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ConnectionState {
    /// There is no connection: the first state, and that after an orderly end.
    Disconnected,
    /// The TCP connection is being opened.
    Connecting,
    /// TCP stands; `version` and `verack` have not both gone both ways. The handshake's deadline runs.
    AwaitingHandshake,
    /// The handshake is complete.
    Connected,
    /// One side had no room for the other.
    Rejected,
    /// The connection ended by a failure.
    Failed,
}

impl ConnectionState {
    /// Whether a connection in this state may go over to `next`.
    pub const fn can_transition_to(self, next: ConnectionState) -> bool {
        use ConnectionState::*;
        matches!(
            (self, next),
            // An outbound connection begins by dialling, an inbound one is there already. A failed or refused peer may be
            // dialled again.
            (Disconnected | Failed | Rejected, Connecting)
                | (Disconnected | Connecting, AwaitingHandshake)
                | (AwaitingHandshake, Connected | Rejected)
                | (
                    Connecting | AwaitingHandshake | Connected,
                    Failed | Disconnected
                )
        )
    }

    /// Goes over to `next`.
    ///
    /// # Errors
    ///
    /// [`InvalidTransition`] if there is no such way; the state stays as it was.
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

/// A way between two states that does not exist: a mistake of the program that drives the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a connection that is {from} cannot become {to}")]
pub struct InvalidTransition {
    /// The state that it is in.
    pub from: ConnectionState,
    /// The state that was wanted.
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
    fn only_the_ways_of_the_life_cycle_exist() {
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
