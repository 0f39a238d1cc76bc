//! One visit to one node.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::session::{DisconnectReason, PeerInfo, UserAgentPolicy};
use bsv_p2p::wire::Message;
use bsv_p2p::{Connection, ConnectionConfig, Error};

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a visit looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);

/// What a visit has brought.
pub(crate) struct Visit {
    pub(crate) address: SocketAddr,
    pub(crate) outcome: Result<Node, String>,
}

/// A node that has shaken hands.
pub(crate) struct Node {
    pub(crate) info: PeerInfo,
    /// `None` if it did not answer a ping.
    pub(crate) round_trip: Option<Duration>,
    /// The addresses that it told of; `None` if it was not asked, or did not answer.
    pub(crate) addresses: Option<Vec<SocketAddr>>,
}

/// How a visit goes.
pub(crate) struct Manners {
    /// The configuration of every connection.
    pub(crate) config: ConnectionConfig,
    /// How long an answer to `getaddr` is waited for.
    pub(crate) patience: Duration,
    pub(crate) end: Instant,
}

/// Shakes hands with a node, and asks it for addresses if `ask` says so then. Blocks until `end` at the longest, and ends sooner when `stopped`
/// says so once there is a handshake.
pub(crate) fn visit(
    address: SocketAddr,
    manners: &Manners,
    ask: impl FnOnce() -> bool,
    stopped: impl Fn() -> bool,
) -> Visit {
    let left = manners.end.saturating_duration_since(Instant::now());
    // Both have to fit.
    let half = (left / 2).max(Duration::from_millis(1));
    let mut config = manners.config.clone();
    config.connect_timeout = CONNECT_TIMEOUT.min(half);
    config.session.handshake_timeout = HANDSHAKE_TIMEOUT.min(half);
    // Whoever is there is counted.
    config.session.user_agents = UserAgentPolicy::Any;
    // An answer has 1,000 addresses of 30 bytes at most, and nothing else is wanted.
    config.session.limits.buffered = 64 * 1024;
    config.session.limits.unrequested = 64 * 1024;
    config.max_receive_queue_bytes = 64 * 1024;
    let connection = Connection::connect(&address.to_string(), &config);
    let outcome = connection
        .map(|connection| talk(connection, manners, ask(), stopped))
        .map_err(|error| why(&error));
    Visit { address, outcome }
}

/// Asks for addresses, and waits for them and for the answer to the ping that follows each handshake. What else the node says is let go.
fn talk(
    mut connection: Connection,
    manners: &Manners,
    ask: bool,
    stopped: impl Fn() -> bool,
) -> Node {
    let now = Instant::now();
    let patience = if ask { manners.patience } else { PING_TIMEOUT };
    let end = manners.end.min(now + patience);
    let mut addresses = None;
    let mut asked = !ask || connection.send(&Message::GetAddr).is_ok();
    while asked && Instant::now() < end && !stopped() {
        let answered = !ask || addresses.as_ref().is_some_and(|all: &Vec<_>| all.len() > 1);
        if answered && connection.round_trip().last.is_some() {
            break;
        }
        let left = end.saturating_duration_since(Instant::now());
        match connection.receive_timeout(left.min(LOOK)) {
            // A single one may come before, by which a node tells of itself.
            Ok(Some(Message::Addr(told))) if ask && !answered => {
                let told = told
                    .addresses
                    .iter()
                    .map(|one| one.address.socket_address());
                addresses.get_or_insert_default().extend(told);
            }
            Ok(_) => {}
            // What it has said by then counts.
            Err(_) => asked = false,
        }
    }
    Node {
        info: connection.peer_info().clone(),
        round_trip: connection.round_trip().last,
        addresses,
    }
}

/// Why there was no handshake, in words that are the same for each node of the same kind.
fn why(error: &Error) -> String {
    let Error::Disconnected { reason, .. } = error else {
        return error.to_string();
    };
    match reason {
        DisconnectReason::ConnectRefused => "nobody listens there".to_owned(),
        DisconnectReason::ConnectTimeout { .. } => "the host does not answer".to_owned(),
        DisconnectReason::HandshakeTimeout { .. } => "the handshake takes too long".to_owned(),
        DisconnectReason::PeerAtCapacity(_) => "the node has no room".to_owned(),
        DisconnectReason::RejectedByPeer(_) => "the node refuses our version".to_owned(),
        reason => reason.to_string(),
    }
}
