//! What is thought of a peer, and how that may change.

use std::fmt;

use super::BanReason;

/// What is thought of a peer.
///
/// | from | to | when |
/// | --- | --- | --- |
/// | `Unknown` | `Valid` | a handshake with it is complete |
/// | `Unknown` | `Inaccessible` | the tries are spent, or it is not one for us |
/// | `Valid` | `Inaccessible` | the same |
/// | `Inaccessible` | `Valid` | a handshake with it is complete after all |
/// | `Inaccessible` | `Unknown` | it gets another chance: the cool-down is over, or the program names it |
/// | any but `Banned` | `Banned` | its address is banned |
/// | `Banned` | `Unknown` | the ban is over or lifted: what was known of it counts no more |
/// | any | the same | found again, which renews the time; a further ban may have another reason |
///
/// There is no other way: a peer that was once connected to is never `Unknown` again without having failed, and a banned one comes back
/// only through `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerStatus {
    /// Heard of, and never connected to since.
    Unknown,
    /// The last handshake with it was complete.
    Valid,
    /// It could not be reached, or is not one for us; left alone until a cool-down is over.
    Inaccessible,
    /// Its address is banned, for this reason.
    Banned(BanReason),
}

impl PeerStatus {
    /// The status without the reason.
    pub const fn kind(self) -> PeerStatusKind {
        match self {
            PeerStatus::Unknown => PeerStatusKind::Unknown,
            PeerStatus::Valid => PeerStatusKind::Valid,
            PeerStatus::Inaccessible => PeerStatusKind::Inaccessible,
            PeerStatus::Banned(_) => PeerStatusKind::Banned,
        }
    }

    /// Whether a peer of this status may get the status `next`.
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

/// A [`PeerStatus`] without its reason: what a store is asked for.
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

/// A change of a peer's status that there is no way for: a mistake of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a peer that is {from} cannot become {to}")]
pub struct InvalidStatusChange {
    /// The status that it has.
    pub from: PeerStatusKind,
    /// The status that was wanted.
    pub to: PeerStatusKind,
}

#[cfg(test)]
mod tests {
    use super::PeerStatus::{self, *};
    use super::*;

    #[test]
    fn only_the_ways_of_the_table_exist() {
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
    fn a_banned_peer_is_shown_with_the_reason() {
        assert_eq!(Valid.to_string(), "valid");
        assert_eq!(
            Banned(BanReason::WrongChain).to_string(),
            "banned: it follows another chain"
        );
    }
}
