//! Statistics about the visited nodes.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use bsv_p2p::wire::Services;
use serde_json::{Value, json};

use crate::milliseconds::milliseconds;
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
    pub(crate) user_agents: Counts<String>,
    pub(crate) versions: Counts<i32>,
    pub(crate) services: Counts<Services>,
    /// The heights in the `version` messages. They are not verified.
    pub(crate) heights: Counts<i32>,
    /// The reasons of the visits without a completed handshake.
    pub(crate) failures: Counts<String>,
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
        self.versions.record(info.version);
        self.services.record(info.services);
        self.heights.record(info.start_height);
        self.round_trips
            .milliseconds
            .extend(node.round_trip.map(milliseconds));
    }

    /// Returns the statistics as a JSON object. `known` is the number of known addresses, and
    /// `duration` that of the crawl.
    pub(crate) fn object(&self, known: usize, duration: Duration) -> Value {
        json!({
            "duration_ms": milliseconds(duration),
            "known": known,
            "reached": self.reached,
            "not_reached": self.not_reached,
            "sent_addresses": self.sent_addresses,
            "user_agents": objects(self.user_agents.by_count(), |agent| json!(agent)),
            "versions": objects(self.versions.by_count(), |version| json!(version)),
            "services": objects(self.services.by_count(), |services| json!(services.0)),
            "heights": objects(self.heights.by_value(), |height| json!(height)),
            "round_trips_ms": self.round_trips.object(),
            "failures": objects(self.failures.by_count(), |reason| json!(reason)),
        })
    }
}

/// Number of nodes for each value of a property.
#[derive(Default)]
pub(crate) struct Counts<T> {
    counts: HashMap<T, usize>,
}

impl<T: Eq + Hash + Ord> Counts<T> {
    fn record(&mut self, value: T) {
        *self.counts.entry(value).or_default() += 1;
    }

    /// Returns all values and their counts, the most frequent first. Of equally frequent values,
    /// the largest comes first.
    pub(crate) fn by_count(&self) -> Vec<(&T, usize)> {
        let mut sorted = self.by_value();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        sorted
    }

    /// Returns all values and their counts, the largest value first.
    pub(crate) fn by_value(&self) -> Vec<(&T, usize)> {
        let counts = self.counts.iter();
        let mut sorted: Vec<_> = counts.map(|(value, count)| (value, *count)).collect();
        sorted.sort_by(|(a, _), (b, _)| b.cmp(a));
        sorted
    }
}

/// Returns one object for each value: its JSON form, its count, and its share from 0 to 1.
fn objects<T>(counts: Vec<(&T, usize)>, form: impl Fn(&T) -> Value) -> Vec<Value> {
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let objects = counts.into_iter().map(|(value, count)| {
        let share = count as f64 / all as f64;
        json!({ "value": form(value), "count": count, "share": share })
    });
    objects.collect()
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
