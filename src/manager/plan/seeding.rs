//! DNS seed lookups: schedule, results and failures.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{Action, Plan};
use crate::event::{ControlEvent, SeedFailure};
use crate::manager::clock::Now;
use crate::peers::{Peer, PeerSource};

/// Initial delay before the seeds are queried again after all of them failed.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// Lookup interval while there are neither connections nor candidates.
const STARVING_PAUSE: Duration = Duration::from_secs(60);

/// Maximum number of addresses accepted from one seed.
const MAX_ADDRESSES: usize = 256;

/// The state of the seed lookups.
#[derive(Debug)]
pub(super) struct Seeding {
    /// The time of the next lookup, or `None` while one is in progress.
    due: Option<Instant>,
    /// The time of the early lookup, which is scheduled while there are no candidates.
    hurried: Option<Instant>,
    /// The time of the last lookup, if there was one.
    asked: Option<Instant>,
    /// The number of consecutive lookups in which every seed failed.
    failures: u32,
}

impl Seeding {
    pub(super) fn new(now: Now) -> Self {
        Self {
            due: Some(now.instant),
            hurried: None,
            asked: None,
            failures: 0,
        }
    }
}

impl Plan {
    /// Returns whether discovery is enabled.
    fn seeks_peers(&self) -> bool {
        self.fixed.is_none() && !self.stopping && self.config.target_connections > 0
    }

    /// Returns the time of the next seed lookup, if one is scheduled.
    pub(super) fn seeding_due(&self) -> Option<Instant> {
        let due = self.seeding.due.filter(|_| self.seeks_peers())?;
        Some(self.seeding.hurried.map_or(due, |hurried| due.min(hurried)))
    }

    /// Starts a seed lookup if one is due.
    pub(super) fn seed(&mut self, now: Now) {
        if self.seeding_due().is_none_or(|due| due > now.instant) {
            return;
        }
        for address in self.config.discovery.addresses.clone() {
            self.on_seed_address(address, now);
        }
        let seeds = self.config.discovery.seeds(self.config.network());
        self.seeding.asked = Some(now.instant);
        self.seeding.hurried = None;
        if seeds.is_empty() {
            self.seeding.due = Some(now.after(self.config.discovery.interval));
        } else {
            self.seeding.due = None;
            self.actions.push_back(Action::AskSeeds { seeds });
        }
    }

    /// Adds the addresses that a seed returned.
    pub(in crate::manager) fn on_seed_answer(&mut self, addresses: &[IpAddr], now: Now) {
        let port = self.config.discovery.default_port;
        let port = port.unwrap_or(self.config.network().port());
        for address in addresses.iter().take(MAX_ADDRESSES) {
            self.on_seed_address(SocketAddr::new(*address, port), now);
        }
    }

    fn on_seed_address(&mut self, address: SocketAddr, now: Now) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if !self.may_be_dialed(address) {
            return;
        }
        match self.table.find(address).map(|known| known.id) {
            Some(peer_id) => self.change(peer_id, |peer| {
                peer.record_advertised(0, now.wall, now.wall)
            }),
            None => {
                if let Ok(peer) = Peer::new(address, PeerSource::Seed, now.wall) {
                    self.remember(peer, now);
                }
            }
        }
    }

    /// Handles the end of a seed lookup. `asked` is the number of seeds, and `failures` lists the
    /// failed ones.
    pub(in crate::manager) fn on_seeds_asked(
        &mut self,
        asked: usize,
        failures: Vec<SeedFailure>,
        now: Now,
    ) {
        let interval = self.config.discovery.interval;
        if failures.len() < asked {
            self.seeding.failures = 0;
            self.seeding.due = Some(now.after(interval));
            return self.look_again(now);
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.seeding.failures.min(16));
        let longest = doubled.min(interval);
        // Up to 20 % of jitter, so that clients that failed together do not retry together.
        let retry_after = longest - longest / 5 * ((self.random)() % 1024) as u32 / 1024;
        self.seeding.failures = self.seeding.failures.saturating_add(1);
        self.seeding.due = Some(now.after(retry_after));
        self.tell(ControlEvent::DiscoveryFailed {
            failures,
            retry_after,
        });
    }

    /// Schedules an early lookup if there are neither connections nor candidates. Does nothing
    /// after a failed lookup, which has its own schedule.
    pub(super) fn starve(&mut self, now: Now) {
        if self.links.counts().connected == 0 && self.seeding.failures == 0 {
            let asked = self.seeding.asked.unwrap_or(now.instant);
            let due = Now {
                instant: asked,
                ..now
            }
            .after(STARVING_PAUSE);
            self.seeding.hurried = Some(due);
        }
    }

    /// Cancels the early lookup, because a peer is connected.
    pub(super) fn feed(&mut self) {
        self.seeding.hurried = None;
    }

    /// Schedules a lookup immediately, because its configuration changed.
    pub(super) fn seed_again(&mut self, now: Now) {
        // A lookup in progress finishes first. The change applies to the next one.
        self.seeding.due = self.seeding.due.map(|_| now.instant);
        self.seeding.failures = 0;
    }
}
