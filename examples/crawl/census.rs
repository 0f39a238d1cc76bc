//! Statistics about the visited nodes.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::visit::Visit;

/// Statistics about all visits so far.
#[derive(Default)]
pub(crate) struct Census {
    /// Number of nodes with a completed handshake.
    pub(crate) reached: usize,
    /// Number of visits without a completed handshake.
    pub(crate) not_reached: usize,
    /// Number of nodes that sent addresses.
    pub(crate) sent_addresses: usize,
    pub(crate) user_agents: Shares,
    pub(crate) versions: Shares,
    pub(crate) services: Shares,
    pub(crate) heights: Shares,
    pub(crate) failures: Shares,
    pub(crate) round_trips: RoundTrips,
}

impl Census {
    /// Adds a visit.
    pub(crate) fn record(&mut self, visit: &Visit) {
        let node = match &visit.outcome {
            Ok(node) => node,
            Err(reason) => {
                self.not_reached += 1;
                self.failures.record(reason.clone());
                return;
            }
        };
        self.reached += 1;
        let addresses = node.addresses.as_ref();
        self.sent_addresses += usize::from(addresses.is_some_and(|all| !all.is_empty()));
        let info = &node.info;
        self.user_agents.record(info.user_agent.to_string());
        self.versions.record(info.version.to_string());
        self.services.record(info.services.to_string());
        self.heights.record(info.start_height.to_string());
        self.round_trips
            .milliseconds
            .extend(node.round_trip.map(milliseconds));
    }

    /// Returns the statistics as a JSON object. `known` is the number of known addresses.
    pub(crate) fn object(&self, known: usize) -> Value {
        json!({
            "event": "Summary",
            "known": known,
            "reached": self.reached,
            "not_reached": self.not_reached,
            "sent_addresses": self.sent_addresses,
            "user_agents": self.user_agents.object(),
            "versions": self.versions.object(),
            "services": self.services.object(),
            "heights": self.heights.object(),
            "round_trips_ms": self.round_trips.object(),
            "failures": self.failures.object(),
        })
    }
}

/// Converts a duration to milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Number of nodes for each value of a property.
#[derive(Default)]
pub(crate) struct Shares {
    counts: HashMap<String, usize>,
}

/// A value and the nodes that have it.
pub(crate) struct Share<'a> {
    pub(crate) value: &'a str,
    /// Number of nodes.
    pub(crate) count: usize,
    /// Fraction of all counted nodes, from 0 to 1.
    pub(crate) share: f64,
}

impl Shares {
    fn record(&mut self, value: String) {
        *self.counts.entry(value).or_default() += 1;
    }

    /// Returns all values, the most frequent first.
    pub(crate) fn sorted(&self) -> Vec<Share<'_>> {
        let all: usize = self.counts.values().sum();
        let mut shares: Vec<_> = self
            .counts
            .iter()
            .map(|(value, count)| Share {
                value,
                count: *count,
                share: *count as f64 / all as f64,
            })
            .collect();
        shares.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.value.cmp(a.value)));
        shares
    }

    fn object(&self) -> Vec<Value> {
        let shares = self.sorted().into_iter();
        let objects = shares.map(
            |share| json!({ "value": share.value, "count": share.count, "share": share.share }),
        );
        objects.collect()
    }
}

/// Round-trip times of the nodes that answered a ping.
#[derive(Default)]
pub(crate) struct RoundTrips {
    milliseconds: Vec<f64>,
}

impl RoundTrips {
    /// Returns the round-trip times in milliseconds, in ascending order.
    pub(crate) fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// Returns minimum, median, 90th percentile and maximum in milliseconds, with their names.
    ///
    /// Returns `None` if no node answered a ping.
    pub(crate) fn marks(&self) -> Option<[(&'static str, f64); 4]> {
        let sorted = self.sorted();
        let last = sorted.len().checked_sub(1)?;
        // The nearest-rank percentile.
        let percent = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        Some([
            ("min", sorted[0]),
            ("median", percent(50)),
            ("p90", percent(90)),
            ("max", sorted[last]),
        ])
    }

    fn object(&self) -> Value {
        let mut object = json!({ "count": self.milliseconds.len() });
        for (name, value) in self.marks().into_iter().flatten() {
            object[name] = value.into();
        }
        object
    }
}
