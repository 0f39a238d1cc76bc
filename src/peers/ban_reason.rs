//! The reason of a ban.

use std::fmt;

use super::parse_peer_error::MISBEHAVIOR;

/// The reason of a ban.
///
/// All but [`Manual`](Self::Manual) correspond to a
/// [`DisconnectReason`](crate::session::DisconnectReason) that leads to a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BanReason {
    /// The misbehavior score of the peer reached the threshold.
    Misbehaved {
        /// The score of the peer.
        score: u32,
    },
    /// The header of a frame had a length above the limit of its command.
    FrameTooLarge,
    /// The peer uses another protocol or another network.
    WrongMagic,
    /// The peer follows another chain.
    WrongChain,
    /// The peer requested a stream of another peer's connection.
    StreamAddressMismatch,
    /// The application banned the address.
    Manual,
}

impl fmt::Display for BanReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BanReason::Misbehaved { score } => {
                return write!(f, "{MISBEHAVIOR}{score}");
            }
            BanReason::FrameTooLarge => "frame too large",
            BanReason::WrongMagic => "magic mismatch",
            BanReason::WrongChain => "another chain",
            BanReason::StreamAddressMismatch => "stream address mismatch",
            BanReason::Manual => "manual ban",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_distinct_text() {
        let all = [
            BanReason::Misbehaved { score: 120 },
            BanReason::FrameTooLarge,
            BanReason::WrongMagic,
            BanReason::WrongChain,
            BanReason::StreamAddressMismatch,
            BanReason::Manual,
        ]
        .map(|reason| reason.to_string());
        assert_eq!(all[0], "misbehavior score 120");
        let mut different = all.to_vec();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), all.len());
    }
}
