//! Tests of the plan with simulated time.

mod addresses;
mod admission;
mod bans;
mod dialing;
mod local_faults;
mod naming;
mod seeding;
mod simulation;
mod sockets;
mod updates;
mod world;

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

/// A [`ConnectionView`] in which no peer has sent `version`.
struct Blind;

impl ConnectionView for Blind {
    fn has_version(&self, _: PeerId) -> bool {
        false
    }
}

/// A [`ConnectionView`] in which a predicate selects the peers that have sent `version`.
struct HasVersion<F>(F);

impl<F: Fn(PeerId) -> bool> ConnectionView for HasVersion<F> {
    fn has_version(&self, peer_id: PeerId) -> bool {
        (self.0)(peer_id)
    }
}

/// Runs the work that is due, and returns all actions.
fn actions(plan: &mut Plan, now: Now) -> Vec<Action> {
    plan.on_timeout(now);
    std::iter::from_fn(|| plan.poll_action()).collect()
}

/// Accepts a socket that turns out to be no second stream, and returns the decision.
fn ask(
    plan: &mut Plan,
    from: SocketAddr,
    view: &impl ConnectionView,
    now: Now,
) -> (PeerId, Admission) {
    let peer_id = PeerId::random();
    let admission = match plan.on_accepted(peer_id, from, view, now) {
        SocketAdmission::Accept => plan.on_classified(peer_id, false, view, now),
        SocketAdmission::Drop(reason) => Admission::Drop(reason),
        SocketAdmission::Defer(look_at) => Admission::Defer(look_at),
    };
    (peer_id, admission)
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
