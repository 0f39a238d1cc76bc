//! A connection's numbers, for people and plans.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

use super::links::Links;
use super::shared::Shared;
use crate::connection::traffic::TrafficCounters;
use crate::connection::{CommandTraffic, TrafficStats};
use crate::session::{ConnectionState, Direction, DisconnectReason, PeerInfo, RoundTrip};
use crate::wire::{StreamPolicy, StreamType};

/// All that there is to know of a connection at one moment. The numbers may be a moment apart.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ConnectionStatistics {
    /// The peer's identity in events.
    pub peer_id: Uuid,
    /// Where the peer is.
    pub address: SocketAddr,
    /// Who opened the connection.
    pub direction: Direction,
    /// Where the connection stands.
    pub state: ConnectionState,
    /// What the peer said of itself, once its `version` has been accepted.
    pub peer: Option<PeerInfo>,
    /// Since when the handshake is complete.
    pub connected_since: Option<SystemTime>,
    /// How long the handshake has been complete.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::optional_seconds"))]
    pub connected_for: Option<Duration>,
    /// How long the peer takes to answer pings, on this connection.
    pub round_trip: RoundTrip,
    /// The peer's misbehaviour score, on this connection.
    pub score: u32,
    /// How many messages wait to be sent.
    pub queued_messages: usize,
    /// How many bytes wait to be sent.
    pub queued_bytes: usize,
    /// How many bytes of its payloads are held: on their way, queued, or kept by the program.
    pub payload_memory: u64,
    /// How much has gone each way, over all restarts.
    pub traffic: TrafficStats,
    /// The same for each kind of message that has gone either way.
    pub commands: Vec<CommandTraffic>,
    /// What goes over which stream, while there is a second one.
    pub stream_policy: Option<StreamPolicy>,
    /// The streams that there are, or were on an earlier connection, [`StreamType::General`] first. A second one stands here from when it is
    /// opened, whatever comes of it.
    pub streams: Vec<StreamStatistics>,
    /// How many times the connection was opened again.
    pub restarts: u64,
    /// Why it ended last.
    pub last_error: Option<DisconnectReason>,
}

/// The numbers of one of a peer's streams.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StreamStatistics {
    /// Which stream.
    pub stream: StreamType,
    /// Whether it is in use now.
    pub stands: bool,
    /// How many messages wait to be sent over it.
    pub queued_messages: usize,
    /// How many bytes wait to be sent over it.
    pub queued_bytes: usize,
    /// How much has gone over it each way, over all restarts.
    pub traffic: TrafficStats,
    /// The same for each kind of message that has gone either way.
    pub commands: Vec<CommandTraffic>,
}

impl StreamStatistics {
    fn of(stream: StreamType, counters: &TrafficCounters, links: &Links) -> Self {
        let link = links.all().find(|link| link.kind == stream);
        let (queued_messages, queued_bytes) = link.map_or((0, 0), |link| link.outbox.load());
        Self {
            stream,
            stands: link.is_some(),
            queued_messages,
            queued_bytes,
            traffic: counters.snapshot(),
            commands: counters.by_command(),
        }
    }
}

impl ConnectionStatistics {
    pub(super) fn of(shared: &Shared) -> Self {
        let links = shared.links();
        let (queued_messages, queued_bytes) = links.load();
        let streams = shared.all_counters();
        let streams = streams.map(|(stream, one)| StreamStatistics::of(stream, one, &links));
        let streams = streams.collect();
        let stream_policy = links.policy();
        drop(links);
        let history = shared.history.lock().clone();
        let session = shared.session.lock();
        Self {
            peer_id: shared.peer_id,
            address: shared.address,
            direction: shared.direction,
            state: session.state(),
            peer: session.peer_info().cloned(),
            connected_since: history.connected.map(|(_, since)| since),
            connected_for: history
                .connected
                .map(|(at, _)| Instant::now().saturating_duration_since(at)),
            round_trip: session.round_trip(),
            score: session.score(),
            queued_messages,
            queued_bytes,
            payload_memory: shared.memory.used(),
            traffic: shared.traffic(),
            commands: CommandTraffic::sum(shared.all_counters().map(|(_, one)| one.by_command())),
            stream_policy,
            streams,
            restarts: history.restarts,
            last_error: history.last_error,
        }
    }
}
