//! Tests of the plan with simulated time.

mod addresses;
mod admission;
mod bans;
mod dialing;
mod local_faults;
mod naming;
mod seeding;
mod simulation;
mod streams;
mod updates;
mod world;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::network::Network;
use crate::peers::{PeerId, PeerStatus};
use crate::session::{AwaitedMessage, Direction};
use crate::test_random::SeededRandom;
use crate::wire::{Services, WireString};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A disconnect reason after which the connection is reopened.
const CUT: DisconnectReason = DisconnectReason::ConnectionClosed;

/// Returns a start time that is far from the origin of both clocks.
fn begin() -> Now {
    Now {
        instant: Instant::now() + 40 * 365 * DAY,
        wall: std::time::SystemTime::UNIX_EPOCH + 56 * 365 * DAY,
    }
}

fn later(now: Now, by: Duration) -> Now {
    Now {
        instant: now.instant + by,
        wall: now.wall + by,
    }
}

/// Returns a deterministic random source.
fn random(seed: u64) -> Random {
    let mut random = SeededRandom::new(seed);
    Box::new(move || random.next_u64())
}

/// Returns a configuration without seeds and without `getaddr` requests.
fn config() -> ManagerConfig {
    let mut config = ManagerConfig::new(Network::Mainnet);
    config.discovery.seeds = Some(Vec::new());
    config.discovery.request_addresses = false;
    config
}

fn plan_of(config: ManagerConfig, known: Vec<Peer>, now: Now) -> Plan {
    let mut bans = BanList::new(config.bans.clone());
    bans.set_whitelist(config.whitelist.iter().copied());
    let bans = Arc::new(RwLock::new(bans));
    Plan::new(Arc::new(config), bans, known, random(1), now)
}

/// Returns an address in a group of its own.
fn address(number: u32) -> SocketAddr {
    let [high, low] = u16::try_from(number + 256 * 8).unwrap().to_be_bytes();
    SocketAddr::from(([high, low, 7, 7], 8333))
}

fn known(numbers: std::ops::Range<u32>, now: Now) -> Vec<Peer> {
    let peer = |number| Peer::new(address(number), PeerSource::Seed, now.wall).unwrap();
    numbers.map(peer).collect()
}

fn info() -> PeerInfo {
    PeerInfo {
        version: 70016,
        services: Services::NETWORK,
        timestamp: 0,
        user_agent: WireString::from("/Bitcoin SV:1.2.2/"),
        start_height: 1,
        relay: true,
        association_id: None,
    }
}

/// An [`Insight`] without a `version` and without awaited streams.
struct Blind;

impl Insight for Blind {
    fn has_version(&self, _: PeerId) -> bool {
        false
    }

    fn candidate_has_ended(&self, _: PeerId) -> bool {
        false
    }

    fn streams_awaited_from(&self, _: IpAddr) -> usize {
        0
    }
}

/// An [`Insight`] in which `streams` peers at `address` may open a second stream.
struct Awaiting {
    address: IpAddr,
    streams: Cell<usize>,
    ended: RefCell<HashSet<PeerId>>,
}

impl Awaiting {
    fn from(address: SocketAddr, streams: usize) -> Self {
        Self {
            address: address.ip(),
            streams: Cell::new(streams),
            ended: RefCell::default(),
        }
    }
}

impl Insight for Awaiting {
    fn has_version(&self, _: PeerId) -> bool {
        false
    }

    fn candidate_has_ended(&self, peer_id: PeerId) -> bool {
        self.ended.borrow().contains(&peer_id)
    }

    fn streams_awaited_from(&self, address: IpAddr) -> usize {
        if address == self.address {
            self.streams.get()
        } else {
            0
        }
    }
}

/// Runs the work that is due, and returns all actions.
fn actions(plan: &mut Plan, now: Now) -> Vec<Action> {
    plan.on_timeout(now);
    std::iter::from_fn(|| plan.poll_action()).collect()
}

/// Returns the addresses that the actions dial.
fn dialed(actions: &[Action]) -> Vec<SocketAddr> {
    let dialed = actions.iter().filter_map(|action| match action {
        Action::Dial { address, .. } => Some(*address),
        _ => None,
    });
    dialed.collect()
}

fn peer_at(plan: &Plan, address: SocketAddr) -> Peer {
    plan.table().find(address).unwrap().clone()
}

fn close_of(actions: &[Action]) -> Vec<(PeerId, DisconnectReason)> {
    let closed = actions.iter().filter_map(|action| match action {
        Action::Close { peer_id, reason } => Some((*peer_id, reason.clone())),
        _ => None,
    });
    closed.collect()
}
