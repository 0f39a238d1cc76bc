//! Why an address is banned.

use std::fmt;

/// Why an address is banned. The list is closed: nothing else leads to a ban.
///
/// All but [`BannedUserAgent`](Self::BannedUserAgent) and [`Manual`](Self::Manual) correspond to a
/// [`DisconnectReason`](crate::session::DisconnectReason) that leads to a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BanReason {
    /// The peer's misbehaviour reached the threshold.
    Misbehaved {
        /// The score that it had.
        score: u32,
    },
    /// A frame's header claimed more than its command may have.
    FrameTooLarge,
    /// The peer speaks another protocol, or that of another network.
    WrongMagic,
    /// The peer's user agent was not accepted. Stores may contain such bans; new ones are not made.
    BannedUserAgent,
    /// The peer follows another chain.
    WrongChain,
    /// The peer asked for a stream of somebody else's connection.
    StreamAddressMismatch,
    /// Somebody wanted it: the program, or a person through it.
    Manual,
}

impl fmt::Display for BanReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BanReason::Misbehaved { score } => {
                return write!(f, "its misbehaviour reached a score of {score}");
            }
            BanReason::FrameTooLarge => "a frame claimed more than its command may have",
            BanReason::WrongMagic => "it speaks another protocol, or that of another network",
            BanReason::BannedUserAgent => "its user agent is not welcome",
            BanReason::WrongChain => "it follows another chain",
            BanReason::StreamAddressMismatch => {
                "it asked for a stream of somebody else's connection"
            }
            BanReason::Manual => "somebody wanted it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_told_in_words_of_its_own() {
        let all = [
            BanReason::Misbehaved { score: 120 },
            BanReason::FrameTooLarge,
            BanReason::WrongMagic,
            BanReason::BannedUserAgent,
            BanReason::WrongChain,
            BanReason::StreamAddressMismatch,
            BanReason::Manual,
        ]
        .map(|reason| reason.to_string());
        assert_eq!(all[0], "its misbehaviour reached a score of 120");
        let mut different = all.to_vec();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), all.len());
    }
}
