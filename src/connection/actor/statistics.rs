//! Statistics of a connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStreams;
use crate::connection::traffic::TrafficCounters;
use crate::connection::{CommandTraffic, TrafficStats};
use crate::peers::PeerId;
use crate::session::{ConnectionState, Direction, DisconnectReason, PeerInfo, RoundTrip};
use crate::wire::{StreamPolicy, StreamType};

/// A snapshot of the statistics of a connection.
///
/// The values are read one after the other and may be moments apart.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConnectionStatistics {
    /// The id of the peer in events.
    pub peer_id: PeerId,
    /// The socket address of the peer.
    pub address: SocketAddr,
    /// The side that opened the connection.
    pub direction: Direction,
    /// The state of the connection.
    pub state: ConnectionState,
    /// What the peer announced about itself, or `None` before its `version` has been accepted.
    pub peer: Option<PeerInfo>,
    /// The time at which the handshake completed, or `None` if the connection is not established.
    pub connected_since: Option<SystemTime>,
    /// The time since the handshake completed, or `None` if the connection is not established.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::optional_seconds"))]
    pub connected_for: Option<Duration>,
    /// The round-trip times of the pings on the current connection.
    pub round_trip: RoundTrip,
    /// The misbehavior score of the peer on the current connection.
    pub score: u32,
    /// The number of messages in the send queues of all streams.
    pub queued_messages: usize,
    /// The number of bytes in the send queues of all streams.
    pub queued_bytes: usize,
    /// The memory of the large payloads of the peer that are being received, queued or held by
    /// callers, in bytes. Payloads below 32 KiB do not count.
    pub payload_memory: u64,
    /// The messages and bytes received and sent, over all restarts and streams.
    pub traffic: TrafficStats,
    /// The traffic of each command that was received or sent, over all restarts and streams.
    pub commands: Vec<CommandTraffic>,
    /// The policy that assigns messages to streams, or `None` without a second stream.
    pub stream_policy: Option<StreamPolicy>,
    /// The streams of this connection and of earlier ones, starting with [`StreamType::General`].
    ///
    /// A second stream is listed once its TCP connection was established, even if the peer refused
    /// it.
    pub streams: Vec<StreamStatistics>,
    /// The number of times the connection was reopened.
    pub restarts: u64,
    /// The reason of the last close or failed attempt, or `None` if there was none.
    pub last_error: Option<DisconnectReason>,
}

/// The statistics of one stream of a peer.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StreamStatistics {
    /// The type of the stream.
    pub stream: StreamType,
    /// Whether the stream is open.
    pub is_open: bool,
    /// The number of messages in the send queue of the stream.
    pub queued_messages: usize,
    /// The number of bytes in the send queue of the stream.
    pub queued_bytes: usize,
    /// The messages and bytes received and sent over the stream, over all restarts.
    pub traffic: TrafficStats,
    /// The traffic of each command that was received or sent over the stream, over all restarts.
    pub commands: Vec<CommandTraffic>,
}

/// The content of a send queue, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// The number of messages.
    pub messages: usize,
    /// The number of bytes, including frame headers.
    pub bytes: usize,
}

impl StreamStatistics {
    fn of(stream: StreamType, counters: &TrafficCounters, links: &PeerStreams) -> Self {
        let link = links.all().find(|link| link.kind == stream);
        let (queued_messages, queued_bytes) = link.map_or((0, 0), |link| link.outbox.queued());
        Self {
            stream,
            is_open: link.is_some(),
            queued_messages,
            queued_bytes,
            traffic: counters.snapshot(),
            commands: counters.by_command(),
        }
    }
}

impl ConnectionStatistics {
    pub(super) fn of(peer: &PeerConnection) -> Self {
        let connection = peer.current();
        let links = connection.streams();
        let (queued_messages, queued_bytes) = links.queued();
        let streams = peer.all_counters();
        let streams = streams.map(|(stream, one)| StreamStatistics::of(stream, one, &links));
        let streams = streams.collect();
        let stream_policy = links.policy();
        drop(links);
        let history = peer.history.lock().clone();
        let state = connection.state();
        let session = connection.session();
        Self {
            peer_id: peer.peer_id,
            address: peer.address,
            direction: peer.direction,
            state,
            peer: session.peer_info().cloned(),
            connected_since: history.connected.map(|(_, since)| since),
            connected_for: history
                .connected
                .map(|(at, _)| Instant::now().saturating_duration_since(at)),
            round_trip: session.round_trip(),
            score: session.score(),
            queued_messages,
            queued_bytes,
            payload_memory: peer.memory.used(),
            traffic: peer.traffic(),
            commands: CommandTraffic::sum(peer.all_counters().map(|(_, one)| one.by_command())),
            stream_policy,
            streams,
            restarts: history.restarts,
            last_error: history.last_error,
        }
    }
}
