//! A visit: connects to one node and requests addresses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::session::{DisconnectReason, PeerInfo, UserAgentPolicy};
use bsv_p2p::wire::Message;
use bsv_p2p::{Connection, ConnectionConfig, Error};

use crate::shared::with_sources;

/// Maximum time to establish the TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum duration of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time to wait for a `pong`, if no addresses are requested.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between two checks for the end of the visit.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The result of a visit.
pub(crate) struct Visit {
    pub(crate) address: SocketAddr,
    /// The node, or the reason why there was no handshake.
    pub(crate) outcome: Result<Node, String>,
}

/// A node that completed the handshake.
pub(crate) struct Node {
    pub(crate) info: PeerInfo,
    /// The round-trip time. `None` if the node did not answer the ping.
    pub(crate) round_trip: Option<Duration>,
    /// The advertised addresses. `None` if they were not requested or not received.
    pub(crate) addresses: Option<Vec<SocketAddr>>,
}

/// Options of all visits.
pub(crate) struct VisitOptions {
    /// The configuration of every connection.
    pub(crate) config: ConnectionConfig,
    /// Maximum time to wait for the answer to `getaddr`.
    pub(crate) patience: Duration,
    /// The deadline of the whole run.
    pub(crate) end: Instant,
}

/// Connects to a node and requests addresses if `needs_addresses` returns `true` after the
/// handshake.
///
/// Blocks until `options.end` at the latest. After the handshake, the visit also ends if `stopped`
/// returns `true`.
pub(crate) fn visit(
    address: SocketAddr,
    options: &VisitOptions,
    needs_addresses: impl FnOnce() -> bool,
    stopped: impl Fn() -> bool,
) -> Visit {
    let left = options.end.saturating_duration_since(Instant::now());
    // The two timeouts add up, and must fit into the time left.
    let half = (left / 2).max(Duration::from_millis(1));
    let mut config = options.config.clone();
    config.connect_timeout = CONNECT_TIMEOUT.min(half);
    config.session.handshake_timeout = HANDSHAKE_TIMEOUT.min(half);
    // Nodes with any user agent are counted.
    config.session.user_agents = UserAgentPolicy::Any;
    // An `addr` contains at most 1,000 addresses of 30 bytes. Longer messages are irrelevant.
    config.session.limits.buffered = 64 * 1024;
    config.session.limits.unrequested = 64 * 1024;
    config.max_receive_queue_bytes = 64 * 1024;
    let connection = Connection::connect(address.to_string(), &config);
    let outcome = connection
        .map(|connection| converse(connection, options, needs_addresses(), stopped))
        .map_err(|error| failure(&error));
    Visit { address, outcome }
}

/// Requests addresses if `ask` is true, and waits for them and for the first `pong`.
///
/// The connection sends a ping after each handshake. All other messages are ignored.
fn converse(
    mut connection: Connection,
    options: &VisitOptions,
    ask: bool,
    stopped: impl Fn() -> bool,
) -> Node {
    let now = Instant::now();
    let timeout = if ask { options.patience } else { PING_TIMEOUT };
    let end = options.end.min(now + timeout);
    let mut addresses = None;
    let mut is_open = !ask || connection.send(&Message::GetAddr).is_ok();
    while is_open && Instant::now() < end && !stopped() {
        let answered = !ask || addresses.as_ref().is_some_and(|all: &Vec<_>| all.len() > 1);
        if answered && connection.round_trip().last.is_some() {
            break;
        }
        let left = end.saturating_duration_since(Instant::now());
        match connection.receive_timeout(left.min(POLL_INTERVAL)) {
            // A single address may be the node advertising itself, and not the answer.
            Ok(Some(Message::Addr(addr))) if ask && !answered => {
                let sent = addr.addresses.iter();
                let sent = sent.map(|entry| entry.address.socket_address());
                addresses.get_or_insert_default().extend(sent);
            }
            Ok(_) => {}
            // The connection failed. The messages received before still count.
            Err(_) => is_open = false,
        }
    }
    Node {
        info: connection.peer_info().clone(),
        round_trip: connection.round_trip().last,
        addresses,
    }
}

/// Returns the reason why there was no handshake.
///
/// Equal causes must have equal texts, because the texts are counted.
fn failure(error: &Error) -> String {
    let Error::Disconnected { reason, .. } = error else {
        return with_sources(error);
    };
    match reason {
        DisconnectReason::ConnectRefused => "connection refused".to_owned(),
        DisconnectReason::ConnectTimeout { .. } => "connect timed out".to_owned(),
        DisconnectReason::HandshakeTimeout { .. } => "handshake timed out".to_owned(),
        DisconnectReason::PeerAtCapacity(_) => "node is at capacity".to_owned(),
        DisconnectReason::RejectedByPeer(_) => "version rejected by node".to_owned(),
        reason => with_sources(reason),
    }
}
