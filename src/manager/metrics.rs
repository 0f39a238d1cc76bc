//! The gauges and counters of a manager.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::connection::{CommandTraffic, ConnectionStatistics, TrafficStats};
use crate::wire::Command;

/// The gauges and counters of a manager, for a metrics system.
///
/// Returned by [`Manager::metrics`](super::Manager::metrics). Counters start at zero when the
/// manager is created. The values are read one after another, so they can be slightly inconsistent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Metrics {
    /// The current number of peers with a complete handshake.
    pub connected: usize,
    /// The current number of connections in any state, including pending restarts.
    ///
    /// Excludes inbound connections without a slot, such as those that are being rejected, and
    /// sockets whose first message is awaited.
    pub connections: usize,
    /// The current number of connection slots in use. Second streams use no slot.
    pub slots_taken: usize,
    /// The current size of all large payloads in memory, in bytes. Payloads below 32 KiB do not
    /// count.
    pub payload_memory: u64,
    /// The current number of bans that have not expired: those that
    /// [`Manager::bans`](super::Manager::bans) returns.
    pub bans: usize,
    /// The number of attempts to dial a peer, including restarts.
    pub outbound_attempts: u64,
    /// The number of inbound connections that were accepted, including second streams of peers.
    ///
    /// A connection is counted when its first message has arrived, the socket was closed, or the
    /// handshake timed out.
    pub inbound_accepted: u64,
    /// The number of inbound connections that became the second stream of a connected peer.
    ///
    /// They are also counted by `inbound_accepted`, but neither by `connections_lost` nor by
    /// `connections_failed`.
    pub streams_attached: u64,
    /// The number of inbound connections that were rejected by a `reject` because no slot was free.
    pub inbound_rejected_capacity: u64,
    /// The number of inbound connections that were closed without a handshake, because of a ban, a
    /// limit, a lack of threads or an invalid request for a second stream.
    pub inbound_rejected: u64,
    /// The number of completed handshakes, inbound and outbound.
    pub handshakes: u64,
    /// The number of connections that ended after their handshake, including restarted ones.
    pub connections_lost: u64,
    /// The number of connections that could not be opened or ended before their handshake was
    /// complete.
    ///
    /// Includes connections counted by `inbound_rejected_capacity`.
    pub connections_failed: u64,
    /// The number of bans that were created, manual and automatic ones.
    pub banned: u64,
    /// The traffic of all connections, including closed ones.
    ///
    /// The traffic of a connection that is rejected because no slot is free is added when it ends.
    /// A socket that becomes neither a connection nor a stream is not counted.
    pub traffic: TrafficStats,
    /// The traffic for each message command, including closed connections.
    pub commands: Vec<CommandTraffic>,
}

/// The counters of a manager. They never decrease.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) outbound_attempts: AtomicU64,
    pub(super) inbound_accepted: AtomicU64,
    pub(super) streams_attached: AtomicU64,
    pub(super) inbound_rejected_capacity: AtomicU64,
    pub(super) inbound_rejected: AtomicU64,
    pub(super) handshakes: AtomicU64,
    pub(super) connections_lost: AtomicU64,
    pub(super) connections_failed: AtomicU64,
    pub(super) banned: AtomicU64,
    /// The traffic of closed connections.
    past: Mutex<Sum>,
}

/// Increments a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    /// Adds the traffic of a closed connection.
    pub(super) fn add_past(&self, statistics: &ConnectionStatistics) {
        self.past.lock().add(statistics);
    }

    /// Returns the metrics, including the traffic of live connections.
    pub(super) fn metrics(&self, live: &[ConnectionStatistics]) -> Metrics {
        let mut sum = self.past.lock().clone();
        live.iter().for_each(|one| sum.add(one));
        let number = |counter: &AtomicU64| counter.load(Relaxed);
        let commands = sum.commands.into_iter();
        Metrics {
            connections: live.len(),
            outbound_attempts: number(&self.outbound_attempts),
            inbound_accepted: number(&self.inbound_accepted),
            streams_attached: number(&self.streams_attached),
            inbound_rejected_capacity: number(&self.inbound_rejected_capacity),
            inbound_rejected: number(&self.inbound_rejected),
            handshakes: number(&self.handshakes),
            connections_lost: number(&self.connections_lost),
            connections_failed: number(&self.connections_failed),
            banned: number(&self.banned),
            traffic: sum.traffic,
            commands: commands
                .map(|(command, traffic)| CommandTraffic { command, traffic })
                .collect(),
            ..Metrics::default()
        }
    }
}

#[derive(Clone, Default)]
struct Sum {
    traffic: TrafficStats,
    commands: BTreeMap<Command, TrafficStats>,
}

impl Sum {
    fn add(&mut self, one: &ConnectionStatistics) {
        add(&mut self.traffic, one.traffic);
        for each in &one.commands {
            add(self.commands.entry(each.command).or_default(), each.traffic);
        }
    }
}

fn add(sum: &mut TrafficStats, more: TrafficStats) {
    sum.messages_received += more.messages_received;
    sum.messages_sent += more.messages_sent;
    sum.bytes_received += more.bytes_received;
    sum.bytes_sent += more.bytes_sent;
}
