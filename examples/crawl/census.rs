//! What the nodes of a network have in common, counted.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::Visit;

/// What has been found so far.
#[derive(Default)]
pub(crate) struct Census {
    pub(crate) reached: usize,
    pub(crate) not_reached: usize,
    /// How many nodes have told of others.
    pub(crate) told: usize,
    pub(crate) user_agents: Shares,
    pub(crate) versions: Shares,
    pub(crate) services: Shares,
    pub(crate) heights: Shares,
    pub(crate) failures: Shares,
    pub(crate) round_trips: RoundTrips,
}

impl Census {
    pub(crate) fn count(&mut self, visit: &Visit) {
        let node = match &visit.outcome {
            Ok(node) => node,
            Err(reason) => {
                self.not_reached += 1;
                self.failures.count(reason.clone());
                return;
            }
        };
        self.reached += 1;
        let told = node.addresses.as_ref();
        self.told += usize::from(told.is_some_and(|all| !all.is_empty()));
        let info = &node.info;
        self.user_agents.count(info.user_agent.to_string());
        self.versions.count(info.version.to_string());
        self.services.count(info.services.to_string());
        self.heights.count(info.start_height.to_string());
        self.round_trips
            .milliseconds
            .extend(node.round_trip.map(milliseconds));
    }

    /// All of it as an object.
    pub(crate) fn object(&self, known: usize) -> Value {
        json!({
            "event": "Summary",
            "known": known,
            "reached": self.reached,
            "not_reached": self.not_reached,
            "told_addresses": self.told,
            "user_agents": self.user_agents.object(),
            "versions": self.versions.object(),
            "services": self.services.object(),
            "heights": self.heights.object(),
            "round_trips_ms": self.round_trips.object(),
            "failures": self.failures.object(),
        })
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// How many nodes have each of some values.
#[derive(Default)]
pub(crate) struct Shares {
    counts: HashMap<String, usize>,
}

/// A value, how many nodes have it, and which part of all they are.
pub(crate) struct Share<'a> {
    pub(crate) value: &'a str,
    pub(crate) count: usize,
    pub(crate) share: f64,
}

impl Shares {
    fn count(&mut self, value: String) {
        *self.counts.entry(value).or_default() += 1;
    }

    /// The most frequent value first.
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

/// How long nodes take to answer.
#[derive(Default)]
pub(crate) struct RoundTrips {
    milliseconds: Vec<f64>,
}

impl RoundTrips {
    /// The shortest first.
    pub(crate) fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// Least, median, ninth tenth, and most, by their names; nothing where nobody has answered.
    pub(crate) fn marks(&self) -> Option<[(&'static str, f64); 4]> {
        let sorted = self.sorted();
        let last = sorted.len().checked_sub(1)?;
        // The least value that so many percent of all do not exceed.
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
