//! The status of a peer, and its changes.

use std::fmt;

use super::BanReason;

/// The status of a peer.
///
/// | from | to | when |
/// | --- | --- | --- |
/// | `Unknown` | `Valid` | a handshake completed |
/// | `Unknown` | `Inaccessible` | the attempts are exhausted, or the peer is not suitable |
/// | `Valid` | `Inaccessible` | the attempts are exhausted, or the peer is not suitable |
/// | `Inaccessible` | `Valid` | a handshake completed |
/// | `Inaccessible` | `Unknown` | the cooldown has ended, or the application added the peer |
/// | any but `Banned` | `Banned` | the address was banned |
/// | `Banned` | `Unknown` | the ban has ended or was removed; earlier results no longer count |
/// | any | itself | the status was confirmed, which renews its time and the reason of a ban |
///
/// There are no other changes. A valid peer becomes `Unknown` only after a failure or a ban. A
/// banned peer always becomes `Unknown` before any other status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerStatus {
    /// Not connected yet, or not connected since the last cooldown or ban.
    Unknown,
    /// The last handshake completed.
    Valid,
    /// The peer could not be reached or is not suitable. It is not dialed until a cooldown has
    /// ended.
    Inaccessible,
    /// The address is banned for this reason.
    Banned(BanReason),
}

impl PeerStatus {
    /// Returns the status without the reason.
    pub const fn kind(self) -> PeerStatusKind {
        match self {
            PeerStatus::Unknown => PeerStatusKind::Unknown,
            PeerStatus::Valid => PeerStatusKind::Valid,
            PeerStatus::Inaccessible => PeerStatusKind::Inaccessible,
            PeerStatus::Banned(_) => PeerStatusKind::Banned,
        }
    }

    /// Returns whether a peer with this status may change to `next`.
    pub const fn can_become(self, next: PeerStatus) -> bool {
        use PeerStatusKind::*;
        matches!(
            (self.kind(), next.kind()),
            (Unknown, _)
                | (Valid, Valid | Inaccessible | Banned)
                | (Inaccessible, _)
                | (Banned, Banned | Unknown)
        )
    }
}

impl fmt::Display for PeerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerStatus::Banned(reason) => write!(f, "banned: {reason}"),
            other => other.kind().fmt(f),
        }
    }
}

/// A [`PeerStatus`] without the reason of a ban, as used in queries of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum PeerStatusKind {
    /// See [`PeerStatus::Unknown`].
    Unknown,
    /// See [`PeerStatus::Valid`].
    Valid,
    /// See [`PeerStatus::Inaccessible`].
    Inaccessible,
    /// See [`PeerStatus::Banned`].
    Banned,
}

impl fmt::Display for PeerStatusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PeerStatusKind::Unknown => "unknown",
            PeerStatusKind::Valid => "valid",
            PeerStatusKind::Inaccessible => "inaccessible",
            PeerStatusKind::Banned => "banned",
        })
    }
}

/// The error of a change that the table of [`PeerStatus`] does not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid status change from {from} to {to}")]
#[non_exhaustive]
pub struct InvalidStatusChange {
    /// The current status.
    pub from: PeerStatusKind,
    /// The requested status.
    pub to: PeerStatusKind,
}

#[cfg(test)]
mod tests {
    use super::PeerStatus::{self, *};
    use super::*;

    #[test]
    fn status_changes_match_the_table() {
        let banned = Banned(BanReason::WrongMagic);
        let all = [Unknown, Valid, Inaccessible, banned];
        let missing: [(PeerStatus, PeerStatus); 3] =
            [(Valid, Unknown), (banned, Valid), (banned, Inaccessible)];
        for from in all {
            for to in all {
                let exists = !missing.contains(&(from, to));
                assert_eq!(from.can_become(to), exists, "{from} to {to}");
            }
        }
        assert!(banned.can_become(Banned(BanReason::Manual)));
    }

    #[test]
    fn status_of_banned_peer_shows_reason() {
        assert_eq!(Valid.to_string(), "valid");
        assert_eq!(
            Banned(BanReason::WrongChain).to_string(),
            "banned: another chain"
        );
    }
}
