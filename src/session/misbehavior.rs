//! Misbehavior of peers and its scores.

use crate::wire::{
    BlockError, Command, CompactBlockError, DecodeError, DsDetectedError, FrameDropReason,
    HeaderChainError, IndexOutOfRange, Reject,
};

/// A violation of the protocol that does not by itself close the connection.
///
/// The scores are those of the node (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`). Most are
/// 0, because violations that the node ignores are tolerated here as well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehavior {
    /// A message arrived before the peer's `version`. It was dropped.
    #[error("{command} received before version")]
    BeforeVersion {
        /// The command of the message.
        command: Command,
    },
    /// A message arrived before the peer's `verack`. It was dropped.
    #[error("{command} received before verack")]
    BeforeVerack {
        /// The command of the message.
        command: Command,
    },
    /// The peer sent a second `version`. It was dropped.
    #[error("version was already received")]
    DuplicateVersion,
    /// The peer sent `sendheaders` or `sendhdrsen` a second time.
    #[error("{command} was already received")]
    DuplicateMessage {
        /// The command of the message.
        command: Command,
    },
    /// The peer sent `filterload` or `filteradd`, although this side does not offer the service of
    /// Bloom filters. It was dropped.
    #[error("{command} received, bloom filters are not supported")]
    BloomFilterNotSupported {
        /// The command of the message.
        command: Command,
    },
    /// A message could not be decoded. It was dropped.
    #[error("{command} is malformed")]
    Malformed {
        /// The command of the message.
        command: Command,
        /// The error of the decoder.
        #[source]
        error: DecodeError,
    },
    /// A Bloom filter, or an element for one, exceeds the maximum size. It was dropped.
    #[error("{command} is too large")]
    OversizedFilter {
        /// The command of the message.
        command: Command,
        /// The actual and the maximum size.
        #[source]
        error: DecodeError,
    },
    /// A `cmpctblock` cannot be a block. It was dropped.
    #[error("compact block is invalid")]
    InvalidCompactBlock(#[source] CompactBlockError),
    /// A `dsdetected` is inconsistent. It was dropped.
    #[error("dsdetected is invalid")]
    InvalidDsDetected(#[source] DsDetectedError),
    /// The peer sent headers that violate the rules of the chain; they were dropped.
    #[error("headers are invalid")]
    InvalidHeaders(#[source] HeaderChainError),
    /// The peer sent headers that do not connect to the chain; they were dropped.
    #[error("{headers} headers with an unknown parent")]
    UnconnectedHeaders {
        /// The number of headers.
        headers: usize,
    },
    /// The peer repeatedly sent short lists of headers that do not connect to the chain.
    ///
    /// A node treats such a list as the announcement of a block, and scores every tenth in a row.
    #[error("{lists} consecutive lists of headers with an unknown parent")]
    RepeatedUnconnectedHeaders {
        /// The number of lists in a row.
        lists: u32,
    },
    /// The transactions of a block do not match the Merkle root of its header. It was dropped.
    #[error("block is invalid")]
    InvalidBlock(#[source] BlockError),
    /// A transaction or a block violates a rule. It was dropped.
    #[error("{reject}")]
    RejectedObject {
        /// The `reject` that was sent to the peer.
        reject: Box<Reject>,
        /// The score of the rule.
        score: u32,
    },
    /// A `getblocktxn` requested a transaction beyond the end of the block. It was dropped.
    #[error("getblocktxn is invalid")]
    RequestBeyondBlock(#[source] IndexOutOfRange),
    /// A frame was dropped because it is invalid.
    #[error("frame dropped")]
    InvalidFrame(#[source] FrameDropReason),
    /// A frame with an invalid checksum was dropped, after more than 100 others in quick
    /// succession.
    #[error("frame dropped in a burst of invalid checksums")]
    ChecksumBurst(#[source] FrameDropReason),
}

impl Misbehavior {
    /// Returns the score of the violation.
    ///
    /// If the sum of the scores of a peer reaches
    /// [`ban_threshold`](super::SessionConfig::ban_threshold), the connection is closed.
    pub fn score(&self) -> u32 {
        match self {
            Misbehavior::BeforeVersion { .. }
            | Misbehavior::BeforeVerack { .. }
            | Misbehavior::DuplicateVersion
            | Misbehavior::DuplicateMessage { .. }
            | Misbehavior::ChecksumBurst(_) => 1,
            Misbehavior::Malformed { command, .. } if is_dsdetected(*command) => 10,
            Misbehavior::Malformed { command, .. } if is_ignored(*command) => 0,
            Misbehavior::Malformed { error, .. } => match error {
                DecodeError::SizeTooLarge { .. } => 1,
                DecodeError::TooManyEntries { .. } => 20,
                _ => 0,
            },
            Misbehavior::InvalidDsDetected(_) | Misbehavior::UnconnectedHeaders { .. } => 10,
            Misbehavior::RepeatedUnconnectedHeaders { .. } => 20,
            Misbehavior::InvalidHeaders(error) => error.score(),
            Misbehavior::OversizedFilter { .. }
            | Misbehavior::BloomFilterNotSupported { .. }
            | Misbehavior::InvalidCompactBlock(_)
            | Misbehavior::InvalidBlock(_)
            | Misbehavior::RequestBeyondBlock(_) => 100,
            Misbehavior::RejectedObject { score, .. } => *score,
            Misbehavior::InvalidFrame(_) => 0,
        }
    }
}

/// Returns whether this is the message that scores for any decoding error
/// (`ProcessDoubleSpendMessage`).
fn is_dsdetected(command: Command) -> bool {
    command.name() == "dsdetected"
}

/// Returns whether a node ignores the content of the message, so that an invalid one is not
/// noticed.
///
/// These are messages that the node never requests, `reject`, and revocations, for nodes that keep
/// no miner ids.
pub(super) fn is_ignored(command: Command) -> bool {
    matches!(
        command.name(),
        "alert" | "datareftx" | "hdrsen" | "merkleblock" | "notfound" | "reject" | "revokemid"
    )
}
