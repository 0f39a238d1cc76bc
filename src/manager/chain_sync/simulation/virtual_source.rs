//! Simulated sources of headers, honest or hostile.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::source::PeerClass;
use super::chains::{Chains, LONGEST, MAX_HEIGHT, MIN_HEIGHT, ServedChain, mine, mine_one};
use crate::peers::PeerId;
use crate::session::Direction;
use crate::test_random::SeededRandom;
use crate::wire::{BlockHash, BlockHeader, CompactTarget};

/// A target that needs more work than the network requires.
const WRONG_BITS: CompactTarget = CompactTarget(0x207f_fffe);
/// Maximum number of headers that one answer adds to side chains.
const FLOOD_BATCH: usize = 12;

/// How a source behaves. The height that it claims in `version` does not reach the simulated part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    /// Serves a chain in answers of at most `batch` headers. All but the honest one have less work.
    Chain { chain: ServedChain, batch: usize },
    /// Never answers.
    Silent,
    /// Answers each request without headers.
    Empty,
    /// Serves a chain by one header per answer.
    Trickle { chain: ServedChain },
    /// Sends headers with bits that the rules do not allow.
    WrongBits,
    /// Sends headers without proof of work.
    NoWork,
    /// Sends another valid branch with each answer.
    SideFlood,
    /// Announces unknown blocks all the time, and answers without headers.
    Announcer,
    /// Announces unknown blocks all the time, and answers with headers more than two hours ahead.
    FutureAnnouncer,
    /// Closes the connection instead of the answer with this number.
    Leaver { chain: ServedChain, answers: usize },
    /// Sends the same headers with each answer.
    Repeater,
    /// Answers the first request slowly, and no other one.
    SlowThenSilent,
    /// Sends headers more than two hours ahead.
    Future,
    /// Sends valid, invalid and unconnected headers without requests, and answers without headers.
    Pusher,
}

/// A source and its current connection.
#[derive(Debug)]
pub(super) struct VirtualSource {
    pub(super) behavior: Behavior,
    pub(super) class: PeerClass,
    pub(super) address: SocketAddr,
    pub(super) latency: Duration,
    pub(super) round_trip: Duration,
    /// The time after which each connection is closed.
    pub(super) lifetime: Option<Duration>,
    pub(super) peer_id: Option<PeerId>,
    pub(super) open_request: Option<u64>,
    /// Number of requests received on the current connection.
    requests: usize,
    pub(super) score: u32,
    /// When the latest request was sent whose answer had nothing new.
    pub(super) done_since: Option<Duration>,
}

/// The delayed reaction of a source to a request.
pub(super) enum Reply {
    Headers(Duration, Vec<BlockHeader>),
    Disconnect(Duration),
    Never,
}

impl VirtualSource {
    pub(super) fn new(behavior: Behavior, class: PeerClass, number: usize) -> Self {
        Self {
            behavior,
            class,
            address: ([203, 0, 113, number as u8], 8333).into(),
            latency: Duration::ZERO,
            round_trip: Duration::MAX,
            lifetime: None,
            peer_id: None,
            open_request: None,
            requests: 0,
            score: 0,
            done_since: None,
        }
    }

    /// Creates a hostile source that connects with a random behavior.
    pub(super) fn hostile(rng: &mut SeededRandom, class: PeerClass, number: usize) -> Self {
        let mut source = Self::new(Behavior::random(rng), class, number);
        source.latency = match source.behavior {
            Behavior::Trickle { .. } => random_time(rng, 300, 1_950),
            Behavior::SlowThenSilent => random_time(rng, 1_000, 50_000),
            Behavior::SideFlood => random_time(rng, 90, 500),
            _ => random_time(rng, 5, 1_000),
        };
        if rng.below(3) > 0 {
            source.round_trip = random_time(rng, 1, 500);
        }
        let one_in = if source.behavior == Behavior::Silent {
            2
        } else {
            5
        };
        if rng.below(one_in) == 0 {
            source.lifetime = Some(match rng.below(3) {
                0 => random_time(rng, 1_500, 9_000),
                _ => Duration::from_secs(1),
            });
        }
        source
    }

    pub(super) fn direction(&self) -> Direction {
        match self.class {
            PeerClass::Inbound => Direction::Inbound,
            _ => Direction::Outbound,
        }
    }

    pub(super) fn connect(&mut self, peer_id: PeerId) {
        self.peer_id = Some(peer_id);
        self.requests = 0;
    }

    /// Closes the connection. Returns the request that was open.
    pub(super) fn disconnect(&mut self) -> Option<u64> {
        self.peer_id = None;
        self.done_since = None;
        self.open_request.take()
    }

    /// Returns the reaction to a request. `wall` is the time in Unix seconds.
    pub(super) fn reply(
        &mut self,
        chains: &Chains,
        locator: &[BlockHash],
        wall: u32,
        rng: &mut SeededRandom,
    ) -> Reply {
        self.requests += 1;
        let delay = self.latency + random_time(rng, 0, 50);
        let headers = match self.behavior {
            Behavior::Chain { chain, batch } => chains.answer(chain, locator, batch),
            Behavior::Silent => return Reply::Never,
            Behavior::Empty | Behavior::Announcer | Behavior::Pusher => Vec::new(),
            Behavior::Trickle { chain } => chains.answer(chain, locator, 1),
            Behavior::Leaver { answers, .. } if self.requests > answers => {
                return Reply::Disconnect(delay);
            }
            Behavior::Leaver { chain, .. } => chains.answer(chain, locator, 20),
            Behavior::Repeater => (1..=20).map(|height| *chains.honest(height)).collect(),
            Behavior::SlowThenSilent if self.requests > 1 => return Reply::Never,
            Behavior::SlowThenSilent => {
                let chain = ServedChain {
                    branch: LONGEST,
                    tip: MIN_HEIGHT / 2,
                };
                chains.answer(chain, locator, 20)
            }
            Behavior::SideFlood => side_branch(chains, locator, rng),
            Behavior::WrongBits
            | Behavior::NoWork
            | Behavior::Future
            | Behavior::FutureAnnouncer => {
                let parent = *best_known(chains, locator);
                vec![invalid(self.behavior, &parent, wall, rng.next_u64())]
            }
        };
        Reply::Headers(delay, headers)
    }

    /// Returns headers to send without a request.
    pub(super) fn push(&self, chains: &Chains, rng: &mut SeededRandom) -> Vec<BlockHeader> {
        let parent = *chains.honest(rng.below(MIN_HEIGHT / 2));
        match rng.below(4) {
            0 => mine(&parent, 3, rng.next_u64()),
            1 => vec![invalid(Behavior::WrongBits, &parent, 0, rng.next_u64())],
            // The parent of the last one is unknown.
            _ => mine(&parent, 2, rng.next_u64()).split_off(1),
        }
    }

    /// Returns whether the source is certainly usable while it is connected.
    pub(super) fn is_reliable(&self) -> bool {
        self.lifetime.is_none() && matches!(self.behavior, Behavior::Empty)
    }
}

impl Behavior {
    fn random(rng: &mut SeededRandom) -> Self {
        let chain = ServedChain::random(rng);
        match rng.below(14) {
            0 => Behavior::Silent,
            1 => Behavior::Empty,
            2 => Behavior::Trickle { chain },
            3 => Behavior::Chain {
                chain,
                batch: [5, 20, MAX_HEIGHT][rng.below(3)],
            },
            4 => Behavior::WrongBits,
            5 => Behavior::NoWork,
            6 => Behavior::SideFlood,
            7 => Behavior::Announcer,
            8 => Behavior::Leaver {
                chain,
                answers: rng.below(4),
            },
            9 => Behavior::Repeater,
            10 => Behavior::SlowThenSilent,
            11 => Behavior::Future,
            12 => Behavior::FutureAnnouncer,
            _ => Behavior::Pusher,
        }
    }
}

impl ServedChain {
    /// Returns a chain with less work than that of the honest source.
    fn random(rng: &mut SeededRandom) -> Self {
        Self {
            branch: rng.below(Chains::get().count()),
            tip: 1 + rng.below(MIN_HEIGHT - 1),
        }
    }
}

pub(super) fn random_time(
    rng: &mut SeededRandom,
    min_millis: usize,
    max_millis: usize,
) -> Duration {
    let range = (max_millis - min_millis) * 1_000;
    Duration::from_micros((min_millis * 1_000 + rng.below(range + 1)) as u64)
}

fn best_known<'a>(chains: &'a Chains, locator: &[BlockHash]) -> &'a BlockHeader {
    let known = locator.iter().find_map(|hash| chains.find(hash));
    known.map_or(chains.honest(0), |(_, header)| header)
}

/// Returns a new valid branch with less work than the honest chain.
fn side_branch(chains: &Chains, locator: &[BlockHash], rng: &mut SeededRandom) -> Vec<BlockHeader> {
    let known = chains.find(&locator[rng.below(locator.len())]);
    let low = known.filter(|(height, _)| height + FLOOD_BATCH < MIN_HEIGHT);
    let parent = low.map_or(chains.honest(0), |(_, header)| header);
    mine(parent, FLOOD_BATCH, rng.next_u64())
}

fn invalid(behavior: Behavior, parent: &BlockHeader, wall: u32, salt: u64) -> BlockHeader {
    let time = parent.time + 600;
    match behavior {
        Behavior::WrongBits => mine_one(parent, salt, WRONG_BITS, time),
        Behavior::Future | Behavior::FutureAnnouncer => {
            mine_one(parent, salt, parent.bits, wall + 2 * 3_600 + 600)
        }
        _ => {
            let mut header = mine_one(parent, salt, parent.bits, time);
            while header.check_proof_of_work(&crate::Network::Regtest).is_ok() {
                header.nonce += 1;
            }
            header
        }
    }
}
