//! What a manager has counted since it was started.

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
    /// Excludes inbound connections without a slot, such as those that are being rejected.
    pub connections: usize,
    /// The current number of connection slots in use. Second streams use no slot.
    pub slots_taken: usize,
    /// The current size of all payloads in memory, in bytes.
    pub payload_memory: u64,
    /// The current number of entries in the ban list.
    ///
    /// Expired bans count until they are removed to make space for others.
    /// [`Manager::bans`](super::Manager::bans) returns the others only.
    pub bans: usize,
    /// The number of attempts to dial a peer, including restarts.
    pub dialled: u64,
    /// The number of inbound connections that were accepted, including second streams of peers.
    pub let_in: u64,
    /// The number of inbound connections that became the second stream of a connected peer.
    ///
    /// They are also counted by `let_in`, but neither by `lost` nor by `failed`.
    pub streams_attached: u64,
    /// The number of inbound connections that were rejected by a `reject` because no slot was free.
    pub turned_away: u64,
    /// The number of inbound connections that were closed without a handshake, because of a ban, a
    /// limit or a lack of threads.
    pub refused: u64,
    /// The number of completed handshakes, inbound and outbound.
    pub handshakes: u64,
    /// The number of connections that ended after their handshake, including restarted ones.
    pub lost: u64,
    /// The number of connections that could not be opened or ended before their handshake was
    /// complete.
    ///
    /// Includes connections counted by `turned_away`.
    pub failed: u64,
    /// The number of bans that were created, manual and automatic ones.
    pub banned: u64,
    /// The traffic of all connections, including closed ones.
    ///
    /// Excludes connections that were rejected because no slot was free.
    pub traffic: TrafficStats,
    /// The traffic for each message command, including closed connections.
    pub commands: Vec<CommandTraffic>,
}

/// The numbers that only grow.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) dialled: AtomicU64,
    pub(super) let_in: AtomicU64,
    pub(super) streams_attached: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) handshakes: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) banned: AtomicU64,
    /// Of connections that are over.
    past: Mutex<Sum>,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    /// A connection is over.
    pub(super) fn add_past(&self, statistics: &ConnectionStatistics) {
        self.past.lock().add(statistics);
    }

    /// The numbers, with those of the connections that there are.
    pub(super) fn metrics(&self, live: &[ConnectionStatistics]) -> Metrics {
        let mut sum = self.past.lock().clone();
        live.iter().for_each(|one| sum.add(one));
        let number = |counter: &AtomicU64| counter.load(Relaxed);
        let commands = sum.commands.into_iter();
        Metrics {
            connections: live.len(),
            dialled: number(&self.dialled),
            let_in: number(&self.let_in),
            streams_attached: number(&self.streams_attached),
            turned_away: number(&self.turned_away),
            refused: number(&self.refused),
            handshakes: number(&self.handshakes),
            lost: number(&self.lost),
            failed: number(&self.failed),
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
    sum.messages_in += more.messages_in;
    sum.messages_out += more.messages_out;
    sum.bytes_in += more.bytes_in;
    sum.bytes_out += more.bytes_out;
}
