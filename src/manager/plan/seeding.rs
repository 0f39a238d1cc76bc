//! When the seeds are asked, and what becomes of what they answer.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{Action, Plan};
use crate::event::{ControlEvent, SeedFailure};
use crate::manager::clock::Now;
use crate::peers::{Peer, PeerSource};

/// After which pause seeds are asked again that have all failed, at first.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// How often they are asked while nobody is known whom to dial.
const STARVING_PAUSE: Duration = Duration::from_secs(60);

/// How many addresses of one seed are taken.
const MAX_ADDRESSES: usize = 256;

/// Where the asking of seeds stands.
#[derive(Debug)]
pub(super) struct Seeding {
    /// When they are to be asked next; `None` while they are being asked.
    due: Option<Instant>,
    /// When they are to be asked before that, because nobody is known whom to dial.
    hurried: Option<Instant>,
    /// When they were last asked, if they ever were.
    asked: Option<Instant>,
    /// How often in a row all of them have failed.
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
    /// Whether anybody shall be found at all.
    fn seeks_peers(&self) -> bool {
        self.fixed.is_none() && !self.stopping && self.config.target_connections > 0
    }

    /// When the seeds are to be asked, if there is anything to be asked for.
    pub(super) fn seeding_due(&self) -> Option<Instant> {
        let due = self.seeding.due.filter(|_| self.seeks_peers())?;
        Some(self.seeding.hurried.map_or(due, |hurried| due.min(hurried)))
    }

    /// Asks the seeds if that is due.
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

    /// A seed has answered with these addresses.
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

    /// All seeds have been asked; these have failed, of `asked` ones.
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
        // Up to a fifth shorter, so that those who failed together do not come again together.
        let retry_after = longest - longest / 5 * ((self.random)() % 1024) as u32 / 1024;
        self.seeding.failures = self.seeding.failures.saturating_add(1);
        self.seeding.due = Some(now.after(retry_after));
        self.tell(ControlEvent::DiscoveryFailed {
            failures,
            retry_after,
        });
    }

    /// Nobody is left to be dialled, though somebody is wanted: seeds that gave nobody lately may do so now.
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

    /// Somebody is connected: there is no hurry.
    pub(super) fn feed(&mut self) {
        self.seeding.hurried = None;
    }

    /// What is asked for has changed.
    pub(super) fn seed_again(&mut self, now: Now) {
        // While they are being asked the change counts for the next time.
        self.seeding.due = self.seeding.due.map(|_| now.instant);
        self.seeding.failures = 0;
    }
}
