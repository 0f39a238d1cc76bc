//! What can go wrong with a call, and who is to blame.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use uuid::Uuid;

use crate::header_store::HeaderStoreError;
use crate::network::Network;
use crate::peers::{Ban, BanError, ScopedAddressError, StoreError};
use crate::session::{ConfigError, DisconnectReason, PeerProfile, SendError};
use crate::system_error::SystemError;
use crate::wire::{BlockError, BlockHash, DecodeError, FrameDropReason, Txid};

/// Why a call failed. Every message names the peer, what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration has a wrong value.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The port of an address that the caller named is the default port of another network.
    ///
    /// Set [`ConnectionConfig::allow_any_port`](crate::ConnectionConfig::allow_any_port) to connect
    /// anyway.
    #[error(
        "{address}: port {} is the default port of {}, not of {expected} \
         (set allow_any_port to connect anyway)",
        address.port(), DefaultPortOf(address.port())
    )]
    PortMismatch {
        /// The address.
        address: SocketAddr,
        /// The network of the configuration.
        expected: Network,
    },
    /// The message may not be sent.
    #[error("{peer}: {refused}")]
    Send {
        /// The peer.
        peer: String,
        /// The rule.
        refused: SendError,
    },
    /// The connection could not be opened, or has ended.
    #[error("{peer}: {reason}")]
    Disconnected {
        /// The peer.
        peer: String,
        /// Why.
        reason: DisconnectReason,
    },
    /// A wait came to its end. The connection goes on.
    #[error("{peer}: {which} took longer than {after:?}")]
    Timeout {
        /// The peer.
        peer: String,
        /// What was waited for.
        which: Timeout,
        /// How long.
        after: Duration,
    },
    /// The peer does not have what was asked for.
    #[error("{peer}: block {hash} is not found")]
    NotFound {
        /// The peer.
        peer: String,
        /// What was asked for.
        hash: BlockHash,
    },
    /// The answer arrived, and is too long: it was discarded.
    #[error("{peer}: the answer has {bytes} bytes, at most {limit} are kept")]
    PayloadTooLarge {
        /// The peer.
        peer: String,
        /// The payload's length in bytes.
        bytes: u64,
        /// The maximum length of an answer of its kind that is kept, in bytes: the least of its limit, `limits.ceiling` and
        /// `limits.buffered` of the configuration.
        limit: u64,
    },
    /// The block that came is not the one that its header names.
    #[error("{peer}: block {hash} has wrong content: {error}")]
    InvalidBlock {
        /// The peer.
        peer: String,
        /// The block that was asked for.
        hash: BlockHash,
        /// What is wrong with it. Boxed, or every result that holds an [`Error`] would be large.
        error: Box<InvalidBlock>,
    },
    /// A block that has been read from cannot be visited: what was read would be missing.
    #[error("{peer}: the block has been read from, and cannot be visited from its start")]
    BlockAlreadyRead {
        /// The peer.
        peer: String,
    },
    /// A question that a peer answers once in the life of a connection has been asked before.
    #[error("{peer}: that has been asked already, and is answered once")]
    AlreadyRequested {
        /// The peer.
        peer: String,
    },
    /// The peer is a node of a kind that does not answer such a request. Nothing was sent.
    #[error("{peer}: {profile} does not answer requests for {request}")]
    NotSupportedByPeer {
        /// The peer.
        peer: String,
        /// What was requested.
        request: &'static str,
        /// The kind of node that the peer identifies itself as.
        profile: PeerProfile,
    },
    /// So many requests wait for answers of the peer that no further one is taken.
    #[error("{peer}: {limit} requests are open, which is the limit")]
    TooManyRequests {
        /// The peer.
        peer: String,
        /// How many may be open.
        limit: usize,
    },
    /// The manager has no peer with this identity, or no connection to it.
    #[error("there is no connection to a peer {peer_id}")]
    UnknownPeer {
        /// The identity that was given.
        peer_id: Uuid,
    },
    /// No peer is connected that could be asked.
    #[error("no peer is connected")]
    NoPeers,
    /// Fewer peers are connected than were waited for.
    #[error("{got} peers are connected after {after:?}, {wanted} were wanted")]
    TooFewPeers {
        /// How many were wanted.
        wanted: usize,
        /// How many there are.
        got: usize,
        /// How long was waited.
        after: Duration,
    },
    /// All places for connections are taken.
    #[error("{address}: all {max} places for connections are taken")]
    ConnectionLimit {
        /// Whom the program wanted to connect to.
        address: SocketAddr,
        /// How many places there are: `max_connections` of the configuration.
        max: usize,
    },
    /// So many peers were named that none of those that are remembered can be forgotten for another.
    #[error(
        "{address}: {max} peers are remembered, which is the limit, and the program has named all of them"
    )]
    TooManyManualPeers {
        /// Whom the program has named now.
        address: SocketAddr,
        /// How many peers are remembered: `max_known_peers` of the configuration.
        max: usize,
    },
    /// There is no room for another transaction among those that are offered to peers.
    #[error(
        "transaction {txid} of {bytes} bytes: {transactions} transactions of {held} bytes are offered already, and {max_transactions} of {max_bytes} bytes may be"
    )]
    TooManyTransactions {
        /// The transaction.
        txid: Txid,
        /// Its length in bytes.
        bytes: u64,
        /// How many bytes those have that are offered.
        held: u64,
        /// How many bytes they may have together.
        max_bytes: u64,
        /// How many are offered.
        transactions: usize,
        /// How many may be.
        max_transactions: usize,
    },
    /// The address is banned.
    #[error("{address}: {ban}")]
    Banned {
        /// Whom the program wanted to connect to.
        address: SocketAddr,
        /// The ban. Boxed, or every result that holds an [`Error`] would be large.
        ban: Box<Ban>,
    },
    /// The address has an IPv6 scope, and a manager keeps none.
    #[error(transparent)]
    ScopedAddress(#[from] ScopedAddressError),
    /// A ban cannot be made.
    #[error(transparent)]
    Ban(#[from] BanError),
    /// The store of peers failed.
    #[error("the store of peers: {0}")]
    Store(#[from] Box<StoreError>),
    /// A header file could not be opened or written.
    #[error("header store: {0}")]
    HeaderStore(#[from] Box<HeaderStoreError>),
    /// The manager has been started before.
    #[error("the manager has been started before")]
    AlreadyStarted,
    /// No peer gave a block.
    #[error("block {hash} was not to be had within {after:?}: {}", Reasons(.tried))]
    FetchFailed {
        /// The block.
        hash: BlockHash,
        /// How long it was tried.
        after: Duration,
        /// What each peer did that was asked, in that order; the first 32 of them.
        tried: Vec<Error>,
    },
    /// The manager does not run: it has not been started, or was shut down.
    #[error("the manager does not run")]
    NotRunning,
    /// Not everything had ended when the time for it was over.
    #[error("the shutdown took longer than {after:?}; what had not ended: {left}")]
    ShutdownTimedOut {
        /// How long was waited.
        after: Duration,
        /// What had not ended.
        left: String,
    },
    /// The system refused something that no peer has to do with: a thread, a socket, an address to listen on.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: SystemError,
    },
}

/// What went wrong with one after the other.
struct Reasons<'a>(&'a [Error]);

impl std::fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no peer was asked");
        }
        for (number, reason) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{reason}")?;
        }
        Ok(())
    }
}

/// Why what came is not the block that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlock {
    /// The bytes do not have the checksum that their frame says.
    #[error(transparent)]
    Checksum(#[from] FrameDropReason),
    /// The bytes are no block.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The transactions are not those which the header commits to.
    #[error(transparent)]
    Content(#[from] BlockError),
}

/// What a call waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Room to send.
    Send,
    /// The answer to a request.
    Response,
    /// The end of another caller's request, before which this one cannot be sent.
    RequestQueue,
    /// Bytes of the answer, or of another large message before it: none came.
    Stall,
    /// The end of what the peers have of the chain.
    HeaderSync,
}

impl std::fmt::Display for Timeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Timeout::Send => "sending",
            Timeout::Response => "the answer",
            Timeout::RequestQueue => "waiting for another caller's request",
            Timeout::Stall => "waiting for further bytes of the answer",
            Timeout::HeaderSync => "catching up with the chain",
        })
    }
}

/// Who is to blame for an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The peer broke a rule.
    Peer,
    /// The peer is not one for us: too old, another network, another chain, no room, another kind of node.
    Incompatible,
    /// The network: the connection was lost or could not be opened.
    Network,
    /// Somebody was too slow.
    Timeout,
    /// The program: a wrong value, a message that may not be sent, or its own wish.
    Usage,
    /// This machine, or a mistake of this library.
    System,
}

impl Error {
    /// Whether another try may go better, now or after a pause.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Error::Disconnected { reason, .. } => reason.is_retryable(),
            Error::Timeout { .. }
            | Error::TooManyRequests { .. }
            | Error::NoPeers
            | Error::FetchFailed { .. }
            | Error::TooFewPeers { .. }
            | Error::ConnectionLimit { .. }
            | Error::Io { .. } => true,
            _ => false,
        }
    }

    /// Whether the network, and neither side, is to blame.
    pub const fn is_network_failure(&self) -> bool {
        matches!(self, Error::Disconnected { reason, .. } if reason.is_network_failure())
    }

    /// Why the peer's address deserves a ban, if it does.
    pub const fn ban_reason(&self) -> Option<&DisconnectReason> {
        match self {
            Error::Disconnected { reason, .. } if reason.is_ban() => Some(reason),
            _ => None,
        }
    }

    /// Who is to blame.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Error::Config(_)
            | Error::PortMismatch { .. }
            | Error::Send { .. }
            | Error::PayloadTooLarge { .. }
            | Error::AlreadyRequested { .. }
            | Error::BlockAlreadyRead { .. }
            | Error::TooManyRequests { .. }
            | Error::UnknownPeer { .. }
            | Error::ConnectionLimit { .. }
            | Error::TooManyManualPeers { .. }
            | Error::TooManyTransactions { .. }
            | Error::Banned { .. }
            | Error::ScopedAddress(_)
            | Error::Ban(_)
            | Error::AlreadyStarted
            | Error::NotRunning => ErrorKind::Usage,
            Error::NotSupportedByPeer { .. } => ErrorKind::Incompatible,
            Error::NoPeers | Error::FetchFailed { .. } => ErrorKind::Network,
            Error::Disconnected { reason, .. } => blame(reason),
            Error::Timeout { .. } | Error::TooFewPeers { .. } | Error::ShutdownTimedOut { .. } => {
                ErrorKind::Timeout
            }
            Error::NotFound { .. } | Error::InvalidBlock { .. } => ErrorKind::Peer,
            Error::Io { .. } | Error::Store(_) | Error::HeaderStore(_) => ErrorKind::System,
        }
    }
}

const fn blame(reason: &DisconnectReason) -> ErrorKind {
    use DisconnectReason::*;
    match reason {
        _ if reason.is_network_failure() => ErrorKind::Network,
        Misbehaved { .. }
        | FrameTooLarge { .. }
        | MalformedVersion(_)
        | MalformedProtoconf(_)
        | DuplicateProtoconf
        | StreamRefused
        | UnexpectedStreamAck
        | AssociationMismatch
        | StreamAddressMismatch
        | BadInventoryType { .. }
        | BloomFilterNotSupported { .. } => ErrorKind::Peer,
        PeerAtCapacity(_)
        | RejectedByPeer(_)
        | VersionTooOld { .. }
        | ServicesMissing { .. }
        | SelfConnection
        | WrongMagic(_)
        | UserAgentRejected { .. }
        | WrongChain => ErrorKind::Incompatible,
        HandshakeTimeout { .. }
        | PingTimeout { .. }
        | IdleTimeout { .. }
        | ReadStall { .. }
        | ResponseTimeout { .. }
        | SlowReader { .. } => ErrorKind::Timeout,
        InvalidName { .. }
        | AttachedAsStream
        | Duplicate
        | AddressBanned
        | AtCapacity
        | Shutdown
        | Requested
        | BlockReaderAbandoned
        | PayloadMemoryExhausted => ErrorKind::Usage,
        _ => ErrorKind::System,
    }
}

/// Formats the networks with a default port.
struct DefaultPortOf(u16);

impl fmt::Display for DefaultPortOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks = Network::ALL.into_iter();
        let named = networks.filter(|network| network.port() == self.0);
        for (at, network) in named.enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{network}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_below_the_size_that_lints_call_large() {
        assert!(size_of::<Error>() < 128, "{}", size_of::<Error>());
    }

    #[test]
    fn errors_tell_the_peer_the_reason_and_whether_to_try_again() {
        let error = Error::Disconnected {
            peer: "127.0.0.1:8333".into(),
            reason: DisconnectReason::VersionTooOld {
                got: 209,
                minimum: 31800,
            },
        };
        assert_eq!(
            error.to_string(),
            "127.0.0.1:8333: the peer speaks protocol version 209, at least 31800 is expected"
        );
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(!error.is_retryable() && !error.is_network_failure());
        assert_eq!(error.ban_reason(), None);

        let reason = DisconnectReason::ConnectionClosed;
        let error = Error::Disconnected {
            peer: "a".into(),
            reason,
        };
        assert!(error.is_retryable() && error.is_network_failure());
    }
}
