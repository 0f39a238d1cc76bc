//! What a manager has counted since it was started.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::connection::{CommandTraffic, ConnectionStatistics, TrafficStats};
use crate::wire::Command;

/// What a manager has counted since it was started. Plain numbers, to be handed to whatever collects them; they may be a moment apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Metrics {
    /// Peers that are connected now, handshake complete.
    pub connected: usize,
    /// Connections that exist now in any state, those that wait for their next life included.
    pub connections: usize,
    /// Places for connections that are taken now. Second streams of peers take none.
    pub slots_taken: usize,
    /// Bytes of payloads that are held now.
    pub payload_memory: u64,
    /// Bans that there are now.
    pub bans: usize,
    /// Times that a peer was dialled, first or again.
    pub dialled: u64,
    /// Times that a peer was let in that had dialled us, those included that turned out to be the second stream of one.
    pub let_in: u64,
    /// Those of them that turned out to be the second stream of a peer that was connected already. Neither lost nor failed.
    pub streams_attached: u64,
    /// Peers that dialled us and were told that there is no room.
    pub turned_away: u64,
    /// Sockets of peers that dialled us and were closed without a word.
    pub refused: u64,
    /// Handshakes that were completed.
    pub handshakes: u64,
    /// Connections that ended after their handshake, those included that came back.
    pub lost: u64,
    /// Connections that could not be opened or ended before their handshake was complete, those of peers that were turned away included.
    pub failed: u64,
    /// Bans that were made.
    pub banned: u64,
    /// How much has gone each way on all connections, those that are over included.
    pub traffic: TrafficStats,
    /// The same for each kind of message.
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
