//! Errors of calls, and their classification.

mod kind;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use self::kind::ErrorKind;
use crate::header_store::HeaderStoreError;
use crate::network::Network;
use crate::peers::{Ban, BanError, PeerId, ScopedAddressError, StoreError};
use crate::session::{ConfigError, DisconnectReason, PeerProfile, SendError};
use crate::system_error::SystemError;
pub(crate) use crate::wire::WithSources;
use crate::wire::{BlockError, BlockHash, DecodeError, FrameDropReason, InvalidTransaction, Txid};

/// The error of a call.
///
/// Its text contains the peer, the expected value and the actual one. It does not repeat the text of
/// its [`source`](std::error::Error::source), which is the cause. Programs should print both:
///
/// ```
/// use std::error::Error;
///
/// use bsv_p2p::{Connection, ConnectionConfig, Network};
///
/// let config = ConnectionConfig::new(Network::Regtest);
/// let error = Connection::connect("127.0.0.1:1", &config).unwrap_err();
/// assert_eq!(error.to_string(), "127.0.0.1:1: not connected");
/// let cause = error.source().unwrap();
/// eprintln!("error: {error}: {cause}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration has an invalid value. Nothing was started or changed.
    #[error("invalid configuration")]
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
    #[error("{peer}: message not sent")]
    Send {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The violated rule.
        #[source]
        refused: SendError,
    },
    /// The connection could not be opened, or was closed.
    #[error("{peer}: not connected")]
    Disconnected {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The reason.
        #[source]
        reason: DisconnectReason,
    },
    /// A wait timed out. The connection stays open.
    #[error("{peer}: {which} timed out after {after:?}")]
    Timeout {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The event that the call waited for.
        which: Timeout,
        /// The duration of the wait.
        after: Duration,
    },
    /// The peer does not have the requested block.
    #[error("{peer}: block {hash} not found")]
    NotFound {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The requested block.
        hash: BlockHash,
    },
    /// The response exceeds the maximum length of its kind. It was discarded.
    #[error("{peer}: expected a response of at most {limit} bytes, got {bytes} bytes")]
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
    #[error("{peer}: block {hash} is invalid")]
    InvalidBlock {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The requested block.
        hash: BlockHash,
        /// The violated rule. Boxed, because each result that holds an [`Error`] would be large
        /// otherwise.
        #[source]
        error: Box<InvalidBlock>,
    },
    /// The block cannot be visited, because its first bytes were already read.
    #[error("{peer}: block was already read")]
    BlockAlreadyRead {
        /// The peer: its address, or the name that was dialed.
        peer: String,
    },
    /// Addresses were already requested on this connection. A peer responds to the first request
    /// only.
    #[error("{peer}: addresses were already requested on this connection")]
    AlreadyRequested {
        /// The peer: its address, or the name that was dialed.
        peer: String,
    },
    /// The peer is a node of a kind that does not respond to such a request. Nothing was sent.
    #[error("{peer}: {profile} does not support requests for {request}")]
    NotSupportedByPeer {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The kind of the request.
        request: &'static str,
        /// The kind of node that the peer identifies itself as.
        profile: PeerProfile,
    },
    /// The maximum number of requests to the peer is pending. Nothing was sent.
    #[error("{peer}: limit of {limit} pending requests reached")]
    TooManyRequests {
        /// The peer: its address, or the name that was dialed.
        peer: String,
        /// The maximum number of pending requests.
        limit: usize,
    },
    /// The manager has no peer with this id, or no connection to it.
    #[error("peer {peer_id} is not connected")]
    UnknownPeer {
        /// The id that was passed to the call.
        peer_id: PeerId,
    },
    /// No connected peer can serve the request.
    #[error("no peer is connected")]
    NoPeers,
    /// Fewer peers than requested were connected at the end of the wait.
    #[error("expected {wanted} connected peers, got {got} after {after:?}")]
    TooFewPeers {
        /// The requested number of peers.
        wanted: usize,
        /// The number of connected peers.
        got: usize,
        /// The duration of the wait.
        after: Duration,
    },
    /// The maximum number of connections is reached.
    #[error("{address}: connection limit of {max} reached")]
    ConnectionLimit {
        /// The address that the caller requested.
        address: SocketAddr,
        /// The maximum number of connections: `max_connections` of the configuration.
        max: usize,
    },
    /// The table of known peers is full, and each peer in it was added by the caller, so none can
    /// be evicted.
    #[error("{address}: limit of {max} manual peers reached")]
    TooManyManualPeers {
        /// The address that the caller requested.
        address: SocketAddr,
        /// The size of the table: `max_known_peers` of the configuration.
        max: usize,
    },
    /// The limits of the transactions that are offered to peers leave no capacity for another one.
    #[error(
        "transaction {txid} of {bytes} bytes: limit reached, \
         {transactions} of {max_transactions} transactions and {held} of {max_bytes} bytes are offered"
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
    /// Every node rejects the transaction. It was not announced.
    #[error("transaction {txid} is invalid")]
    InvalidTransaction {
        /// The rejected transaction.
        txid: Txid,
        /// The violated rule.
        #[source]
        error: InvalidTransaction,
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
    #[error("peer store failed")]
    Store(#[from] Box<StoreError>),
    /// A header file could not be opened or written.
    #[error("header store failed")]
    HeaderStore(#[from] Box<HeaderStoreError>),
    /// The manager was already started.
    #[error("manager was already started")]
    AlreadyStarted,
    /// No peer delivered the block. The text contains the errors of all attempts.
    #[error("block {hash} could not be fetched within {after:?}: {}", Reasons(.attempts))]
    FetchFailed {
        /// The requested block.
        hash: BlockHash,
        /// The duration of all attempts together.
        after: Duration,
        /// The error of each attempt, in order. At most 32 errors.
        attempts: Vec<Error>,
    },
    /// The manager is not running: it was not started, or was shut down.
    #[error("manager is not running")]
    NotRunning,
    /// The shutdown did not complete within its timeout.
    #[error("shutdown timed out after {after:?}, still running: {left}")]
    ShutdownTimedOut {
        /// The duration of the wait.
        after: Duration,
        /// The parts that were still running.
        left: String,
    },
    /// An operation of the system failed for a reason unrelated to peers: spawning a thread,
    /// creating a socket, or listening on an address.
    #[error("{operation} failed")]
    Io {
        /// The operation, such as `listening on 127.0.0.1:8333`.
        operation: String,
        /// The error of the system.
        #[source]
        error: SystemError,
    },
}

/// Formats the errors of several attempts with their sources.
struct Reasons<'a>(&'a [Error]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no peer was available");
        }
        for (number, reason) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{}", WithSources(reason))?;
        }
        Ok(())
    }
}

/// The reason why a received payload is not the requested block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
#[non_exhaustive]
pub enum Timeout {
    /// The end of the handshake.
    Handshake,
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

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Timeout::Handshake => "handshake",
            Timeout::Send => "send",
            Timeout::Response => "response",
            Timeout::RequestQueue => "wait for an earlier request",
            Timeout::Stall => "stalled response",
            Timeout::HeaderSync => "header sync",
        })
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
        assert_eq!(error.to_string(), "127.0.0.1:8333: not connected");
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().contains("209"), "{source}");
        assert_eq!(
            WithSources(&error).to_string(),
            format!("{error}: {source}")
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

    #[test]
    fn errors_with_a_cause_return_it_as_source() {
        let system = SystemError::from(std::io::Error::from_raw_os_error(24));
        let io = Error::Io {
            operation: "listening on 127.0.0.1:1".into(),
            error: system,
        };
        let send = Error::Send {
            peer: "a".into(),
            refused: SendError::HandshakeIncomplete {
                command: crate::wire::Command::new("ping"),
            },
        };
        let block = Error::InvalidBlock {
            peer: "a".into(),
            hash: BlockHash::ZERO,
            error: Box::new(InvalidBlock::Malformed(DecodeError::InvalidValue {
                field: "version",
                expected: "1",
                got: 2,
            })),
        };
        for error in [io, send, block] {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let source = source.unwrap();
            assert!(!error.to_string().contains(&source), "{error}: {source}");
            assert_eq!(
                WithSources(&error).to_string(),
                format!("{error}: {source}")
            );
        }
    }

    #[test]
    fn texts_name_limit_and_value() {
        let peer = || "a".to_owned();
        let address = "127.0.0.1:8333".parse().unwrap();
        let after = Duration::from_secs(5);
        let which = Timeout::Response;
        for (error, text) in [
            (
                Error::Timeout {
                    peer: peer(),
                    which,
                    after,
                },
                "a: response timed out after 5s",
            ),
            (
                Error::PayloadTooLarge {
                    peer: peer(),
                    bytes: 3,
                    limit: 2,
                },
                "a: expected a response of at most 2 bytes, got 3 bytes",
            ),
            (
                Error::TooManyRequests {
                    peer: peer(),
                    limit: 1024,
                },
                "a: limit of 1024 pending requests reached",
            ),
            (
                Error::TooFewPeers {
                    wanted: 2,
                    got: 1,
                    after,
                },
                "expected 2 connected peers, got 1 after 5s",
            ),
            (
                Error::ConnectionLimit { address, max: 8 },
                "127.0.0.1:8333: connection limit of 8 reached",
            ),
            (Error::AlreadyStarted, "manager was already started"),
            (Error::NotRunning, "manager is not running"),
            (
                Error::ShutdownTimedOut {
                    after,
                    left: "seeds".into(),
                },
                "shutdown timed out after 5s, still running: seeds",
            ),
        ] {
            assert_eq!(error.to_string(), text);
            let lower = text
                .chars()
                .next()
                .is_some_and(|first| !first.is_uppercase());
            assert!(lower && !text.ends_with('.'), "{text}");
        }
    }

    #[test]
    fn failed_fetch_lists_each_attempt_with_its_cause() {
        let reason = DisconnectReason::ConnectionClosed;
        let attempt = |peer: &str| Error::Disconnected {
            peer: peer.into(),
            reason: reason.clone(),
        };
        let error = Error::FetchFailed {
            hash: BlockHash::ZERO,
            after: Duration::from_secs(5),
            attempts: vec![attempt("a"), attempt("b")],
        };
        let text = format!("a: not connected: {reason}; b: not connected: {reason}");
        assert!(error.to_string().ends_with(&text), "{error}");
    }
}
