//! What a peer did wrong, and how much that counts.

use crate::wire::{
    BlockError, Command, CompactBlockError, DecodeError, DsDetectedError, FrameDropReason,
    HeaderChainError, IndexOutOfRange, Reject,
};

/// Something that a peer did wrong without ending the connection by it.
///
/// The scores are the node's (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`): most are 0, because what the node ignores
/// ends nothing here either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehavior {
    /// A message came before the peer's `version`; it was dropped.
    #[error("{command} came before the peer's version")]
    BeforeVersion {
        /// The message's name.
        command: Command,
    },
    /// A message came before the peer's `verack`; it was dropped.
    #[error("{command} came before the peer's verack")]
    BeforeVerack {
        /// The message's name.
        command: Command,
    },
    /// A second `version` came; it was dropped.
    #[error("a second version came")]
    DuplicateVersion,
    /// `sendheaders` or `sendhdrsen` came again.
    #[error("{command} came again")]
    DuplicateMessage {
        /// The message's name.
        command: Command,
    },
    /// `filterload` or `filteradd` came, and we have not announced that we serve bloom filters; it was dropped.
    #[error("{command} came, and bloom filters are not served")]
    BloomFilterNotSupported {
        /// The message's name.
        command: Command,
    },
    /// A message could not be read; it was dropped.
    #[error("{command} is malformed: {error}")]
    Malformed {
        /// The message's name.
        command: Command,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A bloom filter, or an element for one, came that is larger than any may be; it was dropped.
    #[error("{command} is too large: {error}")]
    OversizedFilter {
        /// The message's name.
        command: Command,
        /// How large it is, and how large it may be.
        error: DecodeError,
    },
    /// A `cmpctblock` came that can be no block; it was dropped.
    #[error("a compact block came that can be no block: {0}")]
    InvalidCompactBlock(CompactBlockError),
    /// A `dsdetected` came that contradicts itself; it was dropped.
    #[error("a dsdetected came that does not hold: {0}")]
    InvalidDsDetected(DsDetectedError),
    /// The peer sent headers that violate the rules of the chain; they were dropped.
    #[error("invalid headers: {0}")]
    InvalidHeaders(HeaderChainError),
    /// The peer sent headers that do not connect to the chain; they were dropped.
    #[error("{headers} headers with an unknown parent")]
    UnconnectedHeaders {
        /// The number of headers.
        headers: usize,
    },
    /// The peer sent short lists of headers that do not connect to the chain, again and again.
    ///
    /// A node takes such a list for the announcement of a block and scores every tenth in a row.
    #[error("{lists} lists of headers with an unknown parent in a row")]
    RepeatedUnconnectedHeaders {
        /// The number of lists in a row.
        lists: u32,
    },
    /// A block came whose transactions are not those which its header commits to; it was dropped.
    #[error("a block came with wrong content: {0}")]
    InvalidBlock(BlockError),
    /// A transaction or a block broke a rule; it was dropped.
    #[error("{reject}")]
    RejectedObject {
        /// The `reject` that was sent to the peer.
        reject: Box<Reject>,
        /// The score of the rule.
        score: u32,
    },
    /// A `getblocktxn` requested a transaction that the block does not have; it was dropped.
    #[error("getblocktxn: {0}")]
    RequestBeyondBlock(IndexOutOfRange),
    /// A frame was dropped.
    #[error("a frame was dropped: {0}")]
    InvalidFrame(FrameDropReason),
    /// A frame with a wrong checksum was dropped, the latest of very many in a short time.
    #[error("a frame was dropped, one of many in a short time: {0}")]
    ChecksumBurst(FrameDropReason),
}

impl Misbehavior {
    /// How much it counts; a connection ends at
    /// [`ban_threshold`](super::SessionConfig::ban_threshold).
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

/// The one message that scores whatever is wrong with it (`ProcessDoubleSpendMessage`).
fn is_dsdetected(command: Command) -> bool {
    command.name() == "dsdetected"
}

/// What a node does not act on, so that it does not notice what is wrong with it: what it never asked for, a `reject`, and
/// revocations where it keeps no miner IDs.
pub(super) fn is_ignored(command: Command) -> bool {
    matches!(
        command.name(),
        "alert" | "datareftx" | "hdrsen" | "merkleblock" | "notfound" | "reject" | "revokemid"
    )
}
