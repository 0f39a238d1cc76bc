//! Errors of calls, and their classification.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::header_store::HeaderStoreError;
use crate::network::Network;
use crate::peers::{Ban, BanError, PeerId, ScopedAddressError, StoreError};
use crate::session::{ConfigError, DisconnectReason, PeerProfile, SendError};
use crate::system_error::SystemError;
pub(crate) use crate::wire::WithCauses as WithSources;
use crate::wire::{BlockError, BlockHash, DecodeError, FrameDropReason, Txid};

/// The error of a call.
///
/// Its text names the peer, the expected value and the actual one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration has an invalid value. Nothing was started or changed.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The port of a dialed address is the default port of another network.
    ///
    /// Set [`ConnectionConfig::allow_any_port`](crate::ConnectionConfig::allow_any_port) to connect
    /// anyway.
    #[error(
        "{address}: port {} is the default port of {}, not of {expected} \
         (set allow_any_port to connect anyway)",
        address.port(), DefaultPortOf(address.port())
    )]
    PortMismatch {
        /// The dialed address.
        address: SocketAddr,
        /// The network of the configuration.
        expected: Network,
    },
    /// The message must not be sent to this peer. Nothing was sent.
    #[error("{peer}: {refused}")]
    Send {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The violated rule.
        refused: SendError,
    },
    /// The connection could not be opened, or was closed.
    #[error("{peer}: {reason}")]
    Disconnected {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The reason.
        reason: DisconnectReason,
    },
    /// A wait timed out. The connection stays open.
    #[error("{peer}: {which} took longer than {after:?}")]
    Timeout {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The event that the call waited for.
        which: Timeout,
        /// The duration of the wait.
        after: Duration,
    },
    /// The peer does not have the requested block.
    #[error("{peer}: block {hash} is not found")]
    NotFound {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The requested block.
        hash: BlockHash,
    },
    /// The response exceeds the maximum length of its kind. It was discarded.
    #[error("{peer}: the answer has {bytes} bytes, at most {limit} are kept")]
    PayloadTooLarge {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The payload's length in bytes.
        bytes: u64,
        /// The maximum length of a response of this kind, in bytes. It is the minimum of the limit
        /// of its command, `limits.ceiling` and `limits.buffered` of the configuration.
        limit: u64,
    },
    /// The content of the received block does not match its header.
    #[error("{peer}: block {hash} has wrong content: {error}")]
    InvalidBlock {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The requested block.
        hash: BlockHash,
        /// The violated rule. Boxed, because each result that holds an [`Error`] would be large
        /// otherwise.
        error: Box<InvalidBlock>,
    },
    /// The block cannot be visited, because its first bytes were already read.
    #[error("{peer}: the block has been read from, and cannot be visited from its start")]
    BlockAlreadyRead {
        /// The peer: its address, or the name that was dialed.
        peer: String,
    },
    /// The request was already made on this connection, and peers respond to it once per
    /// connection.
    #[error("{peer}: that has been asked already, and is answered once")]
    AlreadyRequested {
        /// The peer: its address, or the name that was dialed.
        peer: String,
    },
    /// The peer is a node of a kind that does not respond to such a request. Nothing was sent.
    #[error("{peer}: {profile} does not answer requests for {request}")]
    NotSupportedByPeer {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The kind of the request.
        request: &'static str,
        /// The kind of node that the peer identifies itself as.
        profile: PeerProfile,
    },
    /// The maximum number of requests to the peer is pending. Nothing was sent.
    #[error("{peer}: {limit} requests are open, which is the limit")]
    TooManyRequests {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The maximum number of pending requests.
        limit: usize,
    },
    /// The manager has no peer with this id, or no connection to it.
    #[error("there is no connection to a peer {peer_id}")]
    UnknownPeer {
        /// The id that was passed to the call.
        peer_id: PeerId,
    },
    /// No connected peer can serve the request.
    #[error("no peer is connected")]
    NoPeers,
    /// Fewer peers than requested were connected at the end of the wait.
    #[error("{got} peers are connected after {after:?}, {wanted} were wanted")]
    TooFewPeers {
        /// The requested number of peers.
        wanted: usize,
        /// The number of connected peers.
        got: usize,
        /// The duration of the wait.
        after: Duration,
    },
    /// The maximum number of connections is reached.
    #[error("{address}: all {max} places for connections are taken")]
    ConnectionLimit {
        /// The address that the caller requested.
        address: SocketAddr,
        /// The maximum number of connections: `max_connections` of the configuration.
        max: usize,
    },
    /// The table of known peers is full, and each peer in it was added by the caller, so none can
    /// be evicted.
    #[error(
        "{address}: {max} peers are remembered, which is the limit, and the program has named all of them"
    )]
    TooManyManualPeers {
        /// The address that the caller requested.
        address: SocketAddr,
        /// The size of the table: `max_known_peers` of the configuration.
        max: usize,
    },
    /// The limits of the transactions that are offered to peers leave no capacity for another one.
    #[error(
        "transaction {txid} of {bytes} bytes: {transactions} transactions of {held} bytes are offered already, and {max_transactions} of {max_bytes} bytes may be"
    )]
    TooManyTransactions {
        /// The rejected transaction.
        txid: Txid,
        /// The length of the rejected transaction in bytes.
        bytes: u64,
        /// The total length of the offered transactions in bytes.
        held: u64,
        /// The maximum total length of the offered transactions in bytes.
        max_bytes: u64,
        /// The number of offered transactions.
        transactions: usize,
        /// The maximum number of offered transactions.
        max_transactions: usize,
    },
    /// The address is banned.
    #[error("{address}: {ban}")]
    Banned {
        /// The address that the caller requested.
        address: SocketAddr,
        /// The ban. Boxed, because each result that holds an [`Error`] would be large otherwise.
        ban: Box<Ban>,
    },
    /// The address has an IPv6 scope, which a manager does not support.
    #[error(transparent)]
    ScopedAddress(#[from] ScopedAddressError),
    /// The ban is invalid.
    #[error(transparent)]
    Ban(#[from] BanError),
    /// The peer store failed.
    #[error("the store of peers: {0}")]
    Store(#[from] Box<StoreError>),
    /// A header file could not be opened or written.
    #[error("header store: {0}")]
    HeaderStore(#[from] Box<HeaderStoreError>),
    /// The manager was already started.
    #[error("the manager has been started before")]
    AlreadyStarted,
    /// No peer delivered the block.
    #[error("block {hash} was not to be had within {after:?}: {}", Reasons(.tried))]
    FetchFailed {
        /// The requested block.
        hash: BlockHash,
        /// The duration of all attempts together.
        after: Duration,
        /// The error of each attempt, in order. At most 32 errors.
        tried: Vec<Error>,
    },
    /// The manager is not running: it was not started, or was shut down.
    #[error("the manager does not run")]
    NotRunning,
    /// The shutdown did not complete within its timeout.
    #[error("the shutdown took longer than {after:?}; what had not ended: {left}")]
    ShutdownTimedOut {
        /// The duration of the wait.
        after: Duration,
        /// The parts that were still running.
        left: String,
    },
    /// An operation of the system failed for a reason unrelated to peers: spawning a thread,
    /// creating a socket, or listening at an address.
    #[error("{what}: {error}")]
    Io {
        /// The operation.
        what: String,
        /// The error of the system.
        error: SystemError,
    },
}

/// Formats the errors of several attempts.
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

/// The reason why a received payload is not the requested block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlock {
    /// The payload does not match the checksum of its frame.
    #[error(transparent)]
    Checksum(#[from] FrameDropReason),
    /// The payload cannot be decoded as a block.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The transactions do not match the Merkle root of the header.
    #[error(transparent)]
    Content(#[from] BlockError),
}

/// The event that a call waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Capacity to send a message.
    Send,
    /// The response to a request.
    Response,
    /// The end of another caller's request, which must complete before this one is sent.
    RequestQueue,
    /// Bytes of the response, or of a large message before it.
    Stall,
    /// The headers up to the tip of the peers' chain.
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

/// The party that caused an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The peer: it violated a rule of the protocol.
    Peer,
    /// The peer is not suitable: it is too old, full, of another kind, or follows another network
    /// or chain.
    Incompatible,
    /// The network: the connection was lost or could not be opened.
    Network,
    /// A timeout expired.
    Timeout,
    /// The caller: an invalid value, a message that must not be sent, or an action of its own.
    Usage,
    /// This machine, or a bug in this library.
    System,
}

impl Error {
    /// Returns whether another attempt may succeed, immediately or after a pause.
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

    /// Returns whether the network caused the error, rather than the caller or the peer.
    pub const fn is_network_failure(&self) -> bool {
        matches!(self, Error::Disconnected { reason, .. } if reason.is_network_failure())
    }

    /// Returns the reason if the error leads to a ban of the peer's address.
    pub const fn ban_reason(&self) -> Option<&DisconnectReason> {
        match self {
            Error::Disconnected { reason, .. } if reason.is_ban() => Some(reason),
            _ => None,
        }
    }

    /// Returns the party that caused the error.
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
        | InvalidInventoryType { .. }
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

/// Formats the networks whose default port this is.
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
    fn error_is_below_large_size_of_lints() {
        assert!(size_of::<Error>() < 128, "{}", size_of::<Error>());
    }

    #[test]
    fn disconnected_error_is_formatted_and_classified() {
        let error = Error::Disconnected {
            peer: "127.0.0.1:8333".into(),
            reason: DisconnectReason::VersionTooOld {
                got: 209,
                minimum: 31800,
            },
        };
        assert_eq!(
            error.to_string(),
            "127.0.0.1:8333: expected protocol version 31800 or later, got 209"
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
