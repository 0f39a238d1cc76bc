//! A simulation of header synchronization among hostile sources.
//!
//! Each run has one honest source, 20 hostile ones and a virtual clock. All choices follow from a
//! seed.

mod chains;
mod virtual_port;
mod virtual_source;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use self::chains::{Chains, LONGEST, MAX_HEIGHT, MIN_HEIGHT, ServedChain};
use self::virtual_port::{Event, VirtualPort};
use self::virtual_source::{Behavior, VirtualSource, random_time};
use super::chain_state::ChainState;
use super::source::PeerClass;
use super::sync_core::SyncCore;
use super::sync_waiters::SyncResult;
use crate::Network;
use crate::log_level::LogLevel;
use crate::manager::clock::Now;
use crate::peers::PeerId;
use crate::test_random::SeededRandom;
use crate::wire::{BlockHash, BlockHeader, HeaderChain};

/// Environment variable with the seed of a run to repeat.
const SEED_VARIABLE: &str = "SYNC_SIMULATION_SEED";
const HOSTILE_SOURCES: usize = 20;
/// The number of the honest source.
const HONEST: usize = 0;
/// Maximum time from the connection of the honest source to its chain.
const CHAIN_LIMIT: Duration = Duration::from_secs(60);
/// Time in which all sources connect for the first time.
const CONNECT_WINDOW: Duration = Duration::from_secs(6);
/// Maximum time from the honest source's last header to the end of a wait. A source that trickles
/// headers delays it for 2 s, and its answers take up to 2 s each.
const WAIT_LIMIT: Duration = Duration::from_secs(6);
/// Maximum time by which headers can be ahead, in seconds.
const MAX_AHEAD: u32 = 2 * 3_600;
/// Each source may store the longest chain on the side.
const SIDE_CAPACITY: usize = (HOSTILE_SOURCES + 2) * MAX_HEIGHT;
/// Maximum number of steps of one run.
const MAX_STEPS: usize = 50_000;

/// One run.
///
/// # Guarantees
///
/// - **Chain**: the chain is that of the honest source at most [`CHAIN_LIMIT`] after it connected.
/// - **Waiters are not deceived**: the honest source has some headers when it sends headers or
///   announces a block. No waiter is synchronized after that before the chain has these headers.
///   The majority rule cannot guarantee more: before that, a majority of hostile sources that have
///   nothing new decides. Such a decision needs requests that were sent after the waiter started,
///   and the answers of more than half of the usable sources. Sources that are silent, late,
///   invalid, or below 100 headers per second do not count.
/// - **Waiters are not delayed**: applies to each waiter that starts after the honest source
///   connected. It is synchronized at most [`WAIT_LIMIT`] after the last of three events. These are
///   the last header of the honest source, the first connection of the last hostile source, and the
///   start of the last waiter, for which all sources are queried again.
/// - **Honest source**: it is never scored or disconnected.
/// - **Memory**: side headers, and the peers and sources that are remembered, are bounded.
struct Simulation {
    chains: &'static Chains,
    rng: SeededRandom,
    start: Now,
    core: SyncCore,
    state: Arc<ChainState>,
    port: VirtualPort,
    waiters: Vec<Waiter>,
    honest_connected: Option<Duration>,
    /// When the honest source's chain was complete.
    complete_at: Option<Duration>,
    /// The maximum height that the honest source has sent or announced.
    shown: usize,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    since: Duration,
    synced_at: Option<Duration>,
}

/// Prints the seed of a run that panics.
struct PrintSeed(u64);

impl Drop for PrintSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with {SEED_VARIABLE}={}", self.0);
        }
    }
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = SeededRandom::new(seed);
        let start = Now {
            instant: Instant::now(),
            wall: wall_clock(),
        };
        let chain = HeaderChain::new(Network::Regtest).with_side_capacity(SIDE_CAPACITY);
        let (state, _) = ChainState::new(chain.into(), LogLevel::default());
        let state = Arc::new(state);
        let sources = sources(&mut rng);
        let mut port = VirtualPort::new(
            sources,
            unix_seconds(start.wall),
            SeededRandom::new(rng.next_u64()),
        );
        for number in 0..=HOSTILE_SOURCES {
            port.schedule(
                random_time(&mut rng, 0, CONNECT_WINDOW.as_millis() as usize),
                Event::Connect(number),
            );
        }
        for _ in 0..3 {
            port.schedule(random_time(&mut rng, 0, 8_000), Event::Wait);
        }
        for _ in 0..rng.below(4) {
            port.schedule(random_time(&mut rng, 0, 15_000), Event::MineBlock);
        }
        Self {
            chains: Chains::get(),
            rng,
            start,
            core: SyncCore::new(state.clone(), start),
            state,
            port,
            waiters: Vec::new(),
            honest_connected: None,
            complete_at: None,
            shown: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..MAX_STEPS {
            let deadline = self.core.next_deadline(self.now());
            assert!(deadline > self.now().instant, "the deadline has passed");
            let deadline = deadline.duration_since(self.start.instant);
            if let Some(event) = self.port.advance(deadline) {
                self.handle(event);
            }
            self.core.poll(self.now(), &mut self.port);
            self.check();
            if self.is_complete() {
                return self.check_memory();
            }
        }
        panic!("the run does not end");
    }

    fn now(&self) -> Now {
        Now {
            instant: self.start.instant + self.port.now,
            wall: self.start.wall + self.port.now,
        }
    }

    fn is_complete(&self) -> bool {
        let is_synced = |waiter: &Waiter| waiter.synced_at.is_some();
        !self.port.is_pending(Event::is_part_of_plan)
            && self.complete_at.is_some()
            && self.waiters.iter().all(is_synced)
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        let port = &mut self.port;
        match event {
            Event::Connect(number) => self.connect(number),
            Event::Disconnect(peer_id) => self.disconnect(peer_id, now),
            Event::Answer {
                peer_id,
                id,
                headers,
                sent_at,
                shown,
            } => {
                let Some(source) = port.source(peer_id) else {
                    return;
                };
                // A header too far in the future counts as nothing new.
                let latest = unix_seconds(now.wall) + MAX_AHEAD;
                let is_new = |header: &BlockHeader| {
                    header.time <= latest && !self.state.contains(&header.hash())
                };
                if source.open_request != Some(id) {
                    // The request was canceled.
                    self.core.on_headers(peer_id, &headers, now, port);
                } else {
                    source.open_request = None;
                    if !headers.iter().any(is_new) {
                        source.done_since = Some(sent_at);
                    }
                    self.core.on_answer(peer_id, id, &headers, now, port);
                }
                if !headers.is_empty() {
                    self.shown = self.shown.max(shown);
                }
            }
            Event::Progress(peer_id) => self.core.on_progress(peer_id, now.instant),
            Event::Announce {
                peer_id,
                hash,
                shown,
            } => {
                if port.source(peer_id).is_some() {
                    self.core.on_inv(peer_id, [hash].into_iter());
                    self.shown = self.shown.max(shown);
                }
            }
            Event::Push {
                peer_id,
                headers,
                shown,
            } => {
                if port.source(peer_id).is_some() {
                    self.core.on_headers(peer_id, &headers, now, port);
                    self.shown = self.shown.max(shown);
                }
            }
            Event::Timer(peer_id) => port.on_timer(peer_id),
            Event::Wait => self.waiters.push(Waiter {
                number: self.state.waiters.register(),
                since: port.now,
                synced_at: None,
            }),
            Event::MineBlock => {
                port.mine_block();
                self.complete_at = None;
            }
        }
    }

    fn connect(&mut self, number: usize) {
        let Some(peer_id) = self.port.connect(number) else {
            return;
        };
        let source = &self.port.sources[number];
        let (class, direction) = (source.class, source.direction());
        self.core
            .on_connected(peer_id, class, direction, source.address);
        if number == HONEST {
            self.honest_connected = Some(self.port.now);
        }
    }

    fn disconnect(&mut self, peer_id: PeerId, now: Now) {
        let Some(open) = self.port.disconnect(peer_id) else {
            return;
        };
        // The failed request and the disconnection are reported in any order.
        if let Some(id) = open
            && self.rng.below(2) == 0
        {
            self.core.on_no_reply(peer_id, id, now);
        }
        self.core.on_disconnected(peer_id, now);
    }

    fn check(&mut self) {
        let (now, tip) = (self.port.now, self.honest_tip());
        let honest = &self.port.sources[HONEST];
        assert_eq!(honest.score, 0, "the honest source was scored");
        let Some(connected) = self.honest_connected else {
            return self.check_waiters();
        };
        assert!(
            honest.peer_id.is_some(),
            "the honest source is not connected"
        );
        let is_followed = self.state.with_chain(HeaderChain::tip) == tip;
        match (is_followed, self.complete_at) {
            (true, None) => self.complete_at = Some(now),
            (false, Some(_)) => panic!("the chain left the honest branch"),
            (true, Some(_)) => {}
            (false, None) => {
                let since = connected.max(self.port.mined_at);
                assert!(now <= since + CHAIN_LIMIT, "no honest chain at {now:?}");
            }
        }
        self.check_waiters();
    }

    fn check_waiters(&mut self) {
        let now = self.port.now;
        let last_header = self.complete_at.zip(self.honest_connected);
        let last_wait = self.waiters.last().map_or(now, |waiter| waiter.since);
        for position in 0..self.waiters.len() {
            let Waiter {
                number,
                since,
                synced_at,
            } = self.waiters[position];
            if synced_at.is_some() {
                continue;
            }
            let expired = self.start.instant;
            if self.state.waiters.wait(number, expired) == SyncResult::Synced {
                self.waiters[position].synced_at = Some(now);
                self.check_decision(since);
            } else if let Some((complete, connected)) = last_header
                && since >= connected
            {
                let late = complete.max(CONNECT_WINDOW).max(last_wait) + WAIT_LIMIT;
                assert!(now <= late, "waiter {number} of {since:?} at {now:?}");
            }
        }
    }

    /// Checks that a waiter was not deceived.
    fn check_decision(&self, since: Duration) {
        let shown = self.chains.honest_hash(self.shown);
        let has_shown = self.state.with_chain(|chain| chain.is_active(&shown));
        assert!(has_shown, "synchronized below height {}", self.shown);
        let sources: Vec<_> = self.port.eligible().collect();
        let is_done = |source: &&&VirtualSource| source.done_since >= Some(since);
        let is_reliable =
            |source: &&&VirtualSource| source.is_reliable() || source.address == self.honest();
        let done = sources.iter().filter(is_done).count();
        let usable = sources.iter().filter(is_reliable).count();
        assert!(2 * done > usable, "{done} of at least {usable} sources");
    }

    fn honest(&self) -> std::net::SocketAddr {
        self.port.sources[HONEST].address
    }

    fn honest_tip(&self) -> (u32, BlockHash) {
        let height = self.port.honest_height();
        (height as u32, self.chains.honest_hash(height))
    }

    fn check_memory(&self) {
        let connected: BTreeSet<_> = self.port.connected().collect();
        let known: BTreeSet<_> = self.core.peers().into_iter().collect();
        assert_eq!(known, connected);
        assert!(self.core.remembered_sources() <= self.port.sources.len());
        assert!(self.side_headers() <= SIDE_CAPACITY);
    }

    fn side_headers(&self) -> usize {
        self.state.with_chain(|chain| {
            let mut found = HashSet::new();
            for tip in chain.tips() {
                let mut hash = tip.hash;
                while !chain.is_active(&hash) && found.insert(hash) {
                    hash = chain.header(&hash).expect("a known parent").previous;
                }
            }
            found.len()
        })
    }
}

/// Creates the honest source, and then the hostile ones.
fn sources(rng: &mut SeededRandom) -> Vec<VirtualSource> {
    const ALL: [PeerClass; 3] = [
        PeerClass::Outbound,
        PeerClass::Configured,
        PeerClass::Inbound,
    ];
    let (own, classes) = match rng.below(10) {
        0 | 1 => (PeerClass::Inbound, &ALL[2..]),
        2 => (PeerClass::Configured, &ALL[..]),
        3 => (PeerClass::Outbound, &ALL[2..]),
        4 | 5 => (PeerClass::Outbound, &ALL[..1]),
        _ => (PeerClass::Outbound, &ALL[..]),
    };
    let chain = ServedChain {
        branch: LONGEST,
        tip: MIN_HEIGHT + rng.below(MAX_HEIGHT - MIN_HEIGHT - 10),
    };
    // At least 100 headers per second: waiters do not wait for slower sources.
    let batch = [50, 100, MAX_HEIGHT][rng.below(3)];
    let mut honest = VirtualSource::new(Behavior::Chain { chain, batch }, own, HONEST);
    honest.latency = random_time(rng, 5, 450);
    if rng.below(2) == 0 {
        honest.round_trip = honest.latency;
    }
    let mut sources = vec![honest];
    for number in 1..=HOSTILE_SOURCES {
        let class = classes[rng.below(classes.len())];
        sources.push(VirtualSource::hostile(rng, class, number));
    }
    sources
}

/// Returns a time soon after the last header of all chains.
fn wall_clock() -> SystemTime {
    let last = Chains::get().honest(MAX_HEIGHT).time;
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(last) + 600)
}

fn unix_seconds(time: SystemTime) -> u32 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.expect("a time after 1970").as_secs() as u32
}

/// Runs the seeds in all threads that the machine has.
fn run_seeds(count: u64) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let seeds = Mutex::new(seeds(count));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().next() else {
                        break;
                    };
                    let _print = PrintSeed(seed);
                    Simulation::new(seed).run();
                }
            });
        }
    });
}

/// Returns the seeds to run: the one in the environment, if any.
fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var(SEED_VARIABLE) {
        Ok(seed) => {
            let seed = seed.parse().expect("a number as seed");
            seed..seed + 1
        }
        Err(_) => 0..count,
    }
}

#[test]
fn honest_chain_wins_among_hostile_sources() {
    run_seeds(300);
}

#[test]
#[ignore = "takes minutes"]
fn honest_chain_wins_in_ten_thousand_runs() {
    run_seeds(10_000);
}
