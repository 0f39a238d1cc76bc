//! Restart policy of one connection.

use std::time::{Duration, Instant};

use super::{RestartConfig, RestartTracking};
use crate::session::{Direction, DisconnectAction, DisconnectReason};

/// The minimum duration of a connection that resets the number of retries.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// The pause after the first of several local faults in a row.
const LOCAL_FAULT_PAUSE: Duration = Duration::from_millis(250);
/// The maximum pause after a local fault.
const MAX_LOCAL_FAULT_PAUSE: Duration = Duration::from_secs(30);

/// The action after a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestartDecision {
    /// Dial the peer again immediately.
    RestartNow,
    /// Dial the peer again after a pause.
    RestartAfter(Duration),
    /// Do not dial the peer before its cool-down ends: it is unreachable or refuses the connection.
    Inaccessible,
    /// Ban the address of the peer for 24 hours.
    Ban,
    /// Do not dial the peer before its cool-down ends, unless the caller requests it.
    ManualOnly,
    /// Take no action.
    Nothing,
}

impl RestartDecision {
    /// Returns the pause before the next connection, or `None` if there is no restart.
    pub const fn pause(self) -> Option<Duration> {
        match self {
            RestartDecision::RestartNow => Some(Duration::ZERO),
            RestartDecision::RestartAfter(pause) => Some(pause),
            _ => None,
        }
    }
}

/// Decides whether and when the connection to one peer is restarted.
///
/// The policy is a state machine without threads, clock and randomness: the caller provides the
/// time and random numbers. The decisions are based on the table of [`DisconnectReason::action`].
///
/// ```
/// use std::time::{Duration, Instant};
/// use bsv_p2p::connection::{RestartConfig, RestartPolicy, RestartDecision};
/// use bsv_p2p::session::{Direction, DisconnectReason};
///
/// let mut plan = RestartPolicy::new(Direction::Outbound, RestartConfig::default());
/// let now = Instant::now();
/// let closed = DisconnectReason::ConnectionClosed;
/// assert_eq!(plan.on_end(&closed, None, now, 0), RestartDecision::RestartNow);
/// let refused = DisconnectReason::ConnectRefused;
/// assert_eq!(
///     plan.on_end(&refused, None, now, 0),
///     RestartDecision::RestartAfter(Duration::from_secs(5))
/// );
/// ```
#[derive(Clone, Debug)]
pub struct RestartPolicy {
    direction: Direction,
    config: RestartConfig,
    tracking: RestartTracking,
    /// The number of pauses since the last connection of at least [`STABLE_AFTER`].
    retries: u32,
    /// The number of local faults in a row.
    local_faults: u32,
}

impl RestartPolicy {
    /// Creates a policy for a peer without earlier connections. Inbound peers are never dialed.
    pub fn new(direction: Direction, config: RestartConfig) -> Self {
        let tracking = RestartTracking::new(config.max_immediate_restarts, config.restart_window);
        Self {
            direction,
            config,
            tracking,
            retries: 0,
            local_faults: 0,
        }
    }

    /// Returns the decision after a connection has ended for `reason`.
    ///
    /// `connected_at` is the time at which its handshake completed, or `None` if it did not.
    /// `random` is a random number.
    ///
    /// A pause is shortened at random by up to a quarter, so that peers that were lost together are
    /// not dialed at once.
    ///
    /// After a [local fault](DisconnectReason::LocalFault) the pause is 250 ms and doubles up to 30
    /// s, or up to `max_backoff` if that is less. Local faults do not count as delayed restarts. If
    /// `max_delayed_restarts` is 0, the result is [`RestartDecision::Nothing`].
    pub fn on_end(
        &mut self,
        reason: &DisconnectReason,
        connected_at: Option<Instant>,
        now: Instant,
        random: u64,
    ) -> RestartDecision {
        if connected_at.is_some_and(|since| now.saturating_duration_since(since) >= STABLE_AFTER) {
            self.retries = 0;
        }
        let dials = self.direction == Direction::Outbound;
        let consequence = reason.action();
        if consequence != DisconnectAction::RetrySoon {
            self.local_faults = 0;
        }
        match consequence {
            DisconnectAction::Ban => RestartDecision::Ban,
            _ if !dials => RestartDecision::Nothing,
            DisconnectAction::Reconnect if self.tracking.try_restart(now) => {
                RestartDecision::RestartNow
            }
            DisconnectAction::Reconnect | DisconnectAction::Backoff => self.back_off(random),
            DisconnectAction::RetrySoon if self.config.max_delayed_restarts == Some(0) => {
                RestartDecision::Nothing
            }
            DisconnectAction::RetrySoon => {
                let pause = self.config.local_fault_pause(self.local_faults, random);
                self.local_faults = self.local_faults.saturating_add(1);
                RestartDecision::RestartAfter(pause)
            }
            DisconnectAction::Cooldown if self.config.max_delayed_restarts.is_none() => {
                RestartDecision::RestartAfter(with_jitter(self.config.max_backoff, random))
            }
            DisconnectAction::Cooldown => RestartDecision::Inaccessible,
            DisconnectAction::ManualOnly => RestartDecision::ManualOnly,
            DisconnectAction::None => RestartDecision::Nothing,
        }
    }

    /// Replaces the configuration for later decisions. Counters are kept.
    pub fn set_config(&mut self, config: RestartConfig) {
        self.tracking.max_restarts = config.max_immediate_restarts;
        self.tracking.restart_window = config.restart_window;
        self.config = config;
    }

    /// Returns the counter of immediate restarts.
    pub fn tracking(&self) -> &RestartTracking {
        &self.tracking
    }

    fn back_off(&mut self, random: u64) -> RestartDecision {
        if self
            .config
            .max_delayed_restarts
            .is_some_and(|max| self.retries >= max)
        {
            return RestartDecision::Inaccessible;
        }
        let pause = self.config.pause(self.retries, random);
        self.retries = self.retries.saturating_add(1);
        RestartDecision::RestartAfter(pause)
    }
}

impl RestartConfig {
    /// Returns the pause after `retries` earlier pauses in a row.
    pub(crate) fn pause(&self, retries: u32, random: u64) -> Duration {
        with_jitter(doubled(self.backoff, retries).min(self.max_backoff), random)
    }

    /// Returns the pause after `faults` earlier local faults in a row.
    pub(crate) fn local_fault_pause(&self, faults: u32, random: u64) -> Duration {
        let max = MAX_LOCAL_FAULT_PAUSE.min(self.max_backoff);
        with_jitter(doubled(LOCAL_FAULT_PAUSE, faults).min(max), random)
    }
}

fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

/// Returns `pause`, shortened by up to a quarter.
fn with_jitter(pause: Duration, random: u64) -> Duration {
    let thousandths = (random % 251) as u32;
    pause - pause / 1000 * thousandths
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(max_delayed_restarts: Option<u32>) -> RestartPolicy {
        let config = RestartConfig {
            max_delayed_restarts,
            ..RestartConfig::default()
        };
        RestartPolicy::new(Direction::Outbound, config)
    }

    #[test]
    fn spent_restart_window_leads_to_backoff() {
        let mut plan = plan(Some(10));
        let now = Instant::now();
        for _ in 0..3 {
            let verdict = plan.on_end(&DisconnectReason::ConnectionReset, Some(now), now, 0);
            assert_eq!(verdict, RestartDecision::RestartNow);
        }
        let verdict = plan.on_end(&DisconnectReason::ConnectionClosed, Some(now), now, 0);
        assert_eq!(verdict, RestartDecision::RestartAfter(5 * SECOND));
        let later = now + 3600 * SECOND;
        let verdict = plan.on_end(&DisconnectReason::Io(ErrorKind::Other), None, later, 0);
        assert_eq!(verdict, RestartDecision::RestartNow);
    }

    #[test]
    fn backoff_doubles_until_peer_is_inaccessible() {
        let mut plan = plan(Some(9));
        let now = Instant::now();
        let refused = DisconnectReason::ConnectRefused;
        let pauses: Vec<_> = (0..9)
            .map(|_| plan.on_end(&refused, None, now, 0).pause().unwrap())
            .collect();
        let seconds = [5, 10, 20, 40, 80, 160, 320, 600, 600];
        assert_eq!(pauses, seconds.map(|seconds| seconds * SECOND));
        let verdict = plan.on_end(&refused, None, now, 0);
        assert_eq!(verdict, RestartDecision::Inaccessible);
    }

    #[test]
    fn without_a_limit_the_pauses_never_end() {
        let mut plan = plan(None);
        let now = Instant::now();
        for _ in 0..200 {
            let verdict = plan.on_end(&DisconnectReason::ConnectRefused, None, now, 0);
            assert!(verdict.pause().is_some_and(|pause| pause <= 600 * SECOND));
        }
        let verdict = plan.on_end(&DisconnectReason::SelfConnection, None, now, 0);
        assert_eq!(verdict, RestartDecision::RestartAfter(600 * SECOND));
    }

    #[test]
    fn local_faults_pause_without_using_retries() {
        let mut plan = plan(Some(1));
        let now = Instant::now();
        let fault = DisconnectReason::LocalFault(ErrorKind::NetworkUnreachable.into());
        let mut pauses = Vec::new();
        for _ in 0..100 {
            let verdict = plan.on_end(&fault, None, now, 0);
            pauses.push(verdict.pause().unwrap().as_millis());
        }
        let expected = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        assert_eq!(pauses[..9], expected);
        assert_eq!(pauses[99], 30_000);
        // The only retry is unused, and another reason resets the pauses of local faults.
        let refused = DisconnectReason::ConnectRefused;
        let verdict = plan.on_end(&refused, None, now, 0);
        assert_eq!(verdict, RestartDecision::RestartAfter(5 * SECOND));
        let verdict = plan.on_end(&fault, None, now, 0);
        assert_eq!(verdict, RestartDecision::RestartAfter(SECOND / 4));
    }

    #[test]
    fn plan_without_retries_gives_up_after_local_fault() {
        let fault = DisconnectReason::LocalFault(ErrorKind::NetworkUnreachable.into());
        let verdict = plan(Some(0)).on_end(&fault, None, Instant::now(), 0);
        assert_eq!(verdict, RestartDecision::Nothing);
    }

    #[test]
    fn jitter_shortens_pause_by_at_most_quarter() {
        let pauses: Vec<_> = (0..1000)
            .map(|random| with_jitter(100 * SECOND, random))
            .collect();
        assert_eq!(pauses.iter().max(), Some(&(100 * SECOND)));
        assert_eq!(pauses.iter().min(), Some(&(75 * SECOND)));
    }

    #[test]
    fn lasting_connection_resets_failures() {
        let mut plan = plan(Some(10));
        let now = Instant::now();
        let stalled = DisconnectReason::PayloadMemoryExhausted;
        let pause = |plan: &mut RestartPolicy, connected: Option<Instant>, now| {
            plan.on_end(&stalled, connected, now, 0).pause().unwrap()
        };
        assert_eq!(pause(&mut plan, None, now), 5 * SECOND);
        assert_eq!(pause(&mut plan, Some(now), now + 59 * SECOND), 10 * SECOND);
        assert_eq!(pause(&mut plan, Some(now), now + 60 * SECOND), 5 * SECOND);
    }

    #[test]
    fn rejected_or_requested_close_does_not_restart() {
        let now = Instant::now();
        let verdict = |reason| plan(Some(10)).on_end(&reason, None, now, 0);
        assert_eq!(
            verdict(DisconnectReason::SelfConnection),
            RestartDecision::Inaccessible
        );
        assert_eq!(
            verdict(DisconnectReason::Misbehaved { score: 100 }),
            RestartDecision::Ban
        );
        assert_eq!(
            verdict(DisconnectReason::Requested),
            RestartDecision::ManualOnly
        );
        assert_eq!(
            verdict(DisconnectReason::Shutdown),
            RestartDecision::Nothing
        );
        assert_eq!(
            verdict(DisconnectReason::Duplicate),
            RestartDecision::Nothing
        );
        assert_eq!(
            verdict(DisconnectReason::InternalError),
            RestartDecision::RestartAfter(5 * SECOND)
        );
    }

    #[test]
    fn inbound_peer_is_bannable_but_never_dialed() {
        let now = Instant::now();
        let verdict = |reason| {
            let mut plan = RestartPolicy::new(Direction::Inbound, RestartConfig::default());
            plan.on_end(&reason, Some(now), now, 0)
        };
        assert_eq!(
            verdict(DisconnectReason::ConnectionClosed),
            RestartDecision::Nothing
        );
        assert_eq!(
            verdict(DisconnectReason::PayloadMemoryExhausted),
            RestartDecision::Nothing
        );
        assert_eq!(
            verdict(DisconnectReason::DuplicateProtoconf),
            RestartDecision::Nothing
        );
        assert_eq!(verdict(DisconnectReason::WrongChain), RestartDecision::Ban);
    }
}
