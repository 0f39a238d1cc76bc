//! The parameters and the course of a run.

use std::fmt::Display;
use std::time::{Duration, Instant, SystemTime};

use bsv_p2p::Network;

use crate::Arguments;
use crate::date::utc;

/// The program that creates the reports.
pub(crate) const GENERATOR: &str = concat!("bsv-p2p ", env!("CARGO_PKG_VERSION"), ", crawl");

/// The reason why a crawl ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    AllVisited,
    MaxNodes,
    Timeout,
    Interrupted,
}

impl Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AllVisited => "all known addresses visited",
            Self::MaxNodes => "maximum number of nodes reached",
            Self::Timeout => "time limit reached",
            Self::Interrupted => "interrupted",
        })
    }
}

/// A run that is in progress or has ended.
pub(crate) struct RunInfo {
    network: Network,
    /// Names and values of the parameters.
    parameters: Vec<(&'static str, String)>,
    started_at: SystemTime,
    started: Instant,
    end: Option<(Duration, EndReason)>,
}

impl RunInfo {
    /// Creates the record of a run that starts now. `seeds` are the seeds that are queried.
    pub(crate) fn start(arguments: &Arguments, seeds: &[String]) -> Self {
        let reach = &arguments.reach;
        let mut parameters = vec![("network", reach.network().to_string())];
        for (name, values) in [("peers", &reach.peer[..]), ("DNS seeds", seeds)] {
            if !values.is_empty() {
                parameters.push((name, values.join(", ")));
            }
        }
        let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
        parameters.extend([
            ("maximum number of nodes", arguments.max_nodes.to_string()),
            ("parallel visits", arguments.parallel.to_string()),
            ("maximum wait for addresses", seconds(arguments.patience)),
            ("pause between visits", seconds(arguments.pause)),
            ("time limit", seconds(reach.timeout)),
            (
                "own user agent",
                reach.connection_config().session.user_agent,
            ),
        ]);
        Self {
            network: reach.network(),
            parameters,
            started_at: SystemTime::now(),
            started: Instant::now(),
            end: None,
        }
    }

    /// Records the end of the run.
    pub(crate) fn finish(&mut self, reason: EndReason) {
        self.end = Some((self.started.elapsed(), reason));
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Returns the date and time of the start.
    pub(crate) fn started_at(&self) -> String {
        utc(self.started_at)
    }

    /// Returns the duration of the run, up to now if it has not ended.
    pub(crate) fn duration(&self) -> Duration {
        self.end
            .map_or_else(|| self.started.elapsed(), |(duration, _)| duration)
    }

    /// Returns the names and values of all parameters, of the time, and of the end.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = self.parameters.clone();
        let duration = format!("{:.1} s", self.duration().as_secs_f64());
        parameters.extend([("start", self.started_at()), ("duration", duration)]);
        parameters.extend(self.end.map(|(_, reason)| ("end", reason.to_string())));
        parameters
    }
}
