//! The simulated connections and the queue of events.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::HONEST;
use super::chains::Chains;
use super::virtual_source::{Behavior, Reply, VirtualSource, random_time};
use crate::event::ControlEvent;
use crate::manager::chain_sync::source::PeerClass;
use crate::manager::chain_sync::sync_core::{SendResult, SyncPort};
use crate::peers::PeerId;
use crate::session::{DisconnectReason, Misbehavior};
use crate::test_random::SeededRandom;
use crate::wire::{BlockHash, BlockHeader};

/// Score from which on a peer is disconnected and banned.
const BAN_SCORE: u32 = 100;
/// Interval in which bytes of a slow answer arrive.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(4);

/// Something that happens at a point in time.
#[derive(Debug)]
pub(super) enum Event {
    Connect(usize),
    Disconnect(PeerId),
    Answer {
        peer_id: PeerId,
        id: u64,
        headers: Vec<BlockHeader>,
        sent_at: Duration,
        /// Height of the honest chain that the answer shows to exist.
        shown: usize,
    },
    /// A part of an answer arrived.
    Progress(PeerId),
    Announce {
        peer_id: PeerId,
        hash: BlockHash,
        shown: usize,
    },
    Push {
        peer_id: PeerId,
        headers: Vec<BlockHeader>,
        shown: usize,
    },
    /// A source sends something without a request.
    Timer(PeerId),
    /// A caller begins to wait for a synchronized chain.
    Wait,
    /// The honest source receives a block.
    MineBlock,
}

impl Event {
    /// Returns whether a run must not end before the event.
    pub(super) fn is_part_of_plan(&self) -> bool {
        matches!(
            self,
            Event::Wait | Event::MineBlock | Event::Connect(HONEST)
        )
    }
}

/// Connects the logic with the simulated sources.
pub(super) struct VirtualPort {
    pub(super) sources: Vec<VirtualSource>,
    /// The time since the start of the run.
    pub(super) now: Duration,
    /// When the honest source received its last block.
    pub(super) mined_at: Duration,
    start_seconds: u32,
    connected: HashMap<PeerId, usize>,
    events: BTreeMap<(Duration, u64), Event>,
    scheduled: u64,
    rng: SeededRandom,
}

impl VirtualPort {
    pub(super) fn new(sources: Vec<VirtualSource>, start_seconds: u32, rng: SeededRandom) -> Self {
        Self {
            sources,
            now: Duration::ZERO,
            mined_at: Duration::ZERO,
            start_seconds,
            connected: HashMap::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            rng,
        }
    }

    /// Schedules an event after a delay.
    pub(super) fn schedule(&mut self, delay: Duration, event: Event) {
        self.scheduled += 1;
        self.events
            .insert((self.now + delay, self.scheduled), event);
    }

    /// Advances the clock to the next event, but at most to a deadline.
    pub(super) fn advance(&mut self, deadline: Duration) -> Option<Event> {
        let next = self.events.first_entry();
        let Some(entry) = next.filter(|entry| entry.key().0 <= deadline) else {
            self.now = deadline;
            return None;
        };
        self.now = entry.key().0;
        Some(entry.remove())
    }

    pub(super) fn is_pending(&self, is_meant: impl Fn(&Event) -> bool) -> bool {
        self.events.values().any(is_meant)
    }

    pub(super) fn connected(&self) -> impl Iterator<Item = PeerId> {
        self.connected.keys().copied()
    }

    /// Returns the connected source with this peer id.
    pub(super) fn source(&mut self, peer_id: PeerId) -> Option<&mut VirtualSource> {
        let number = *self.connected.get(&peer_id)?;
        self.sources.get_mut(number)
    }

    /// Returns the connected sources whose headers can change the chain.
    pub(super) fn eligible(&self) -> impl Iterator<Item = &VirtualSource> {
        let connected = || {
            let sources = self.sources.iter();
            sources.filter(|source| source.peer_id.is_some())
        };
        let has_trusted = connected().any(|source| source.class > PeerClass::Inbound);
        connected().filter(move |source| !has_trusted || source.class > PeerClass::Inbound)
    }

    /// Connects a source unless it is banned.
    pub(super) fn connect(&mut self, number: usize) -> Option<PeerId> {
        let source = &mut self.sources[number];
        if source.score >= BAN_SCORE || source.peer_id.is_some() {
            return None;
        }
        let peer_id = PeerId::from_u128(u128::from(self.rng.next_u64()));
        source.connect(peer_id);
        self.connected.insert(peer_id, number);
        if let Some(lifetime) = source.lifetime {
            self.schedule(lifetime, Event::Disconnect(peer_id));
        }
        self.schedule(Duration::from_millis(20), Event::Timer(peer_id));
        Some(peer_id)
    }

    /// Closes a connection. The source connects again soon. Returns the request that was open, or
    /// `None` if the connection was closed before.
    pub(super) fn disconnect(&mut self, peer_id: PeerId) -> Option<Option<u64>> {
        let number = self.connected.remove(&peer_id)?;
        let open = self.sources[number].disconnect();
        let pause = random_time(&mut self.rng, 1, 300);
        self.schedule(pause, Event::Connect(number));
        Some(open)
    }

    /// Sends what a source sends without a request.
    pub(super) fn on_timer(&mut self, peer_id: PeerId) {
        let Some(number) = self.connected.get(&peer_id) else {
            return;
        };
        let source = &self.sources[*number];
        let event = match source.behavior {
            Behavior::Announcer | Behavior::FutureAnnouncer => {
                let mut hash = [0; 32];
                hash[..8].copy_from_slice(&self.rng.next_u64().to_le_bytes());
                Event::Announce {
                    peer_id,
                    hash: BlockHash(hash),
                    shown: 0,
                }
            }
            Behavior::Pusher => Event::Push {
                peer_id,
                headers: source.push(Chains::get(), &mut self.rng),
                shown: 0,
            },
            _ => return,
        };
        self.schedule(Duration::ZERO, event);
        let pause = random_time(&mut self.rng, 50, 600);
        self.schedule(pause, Event::Timer(peer_id));
    }

    pub(super) fn honest_height(&self) -> usize {
        match self.sources[HONEST].behavior {
            Behavior::Chain { chain, .. } => chain.tip,
            _ => unreachable!("the honest source serves a chain"),
        }
    }

    /// Extends the chain of the honest source, which announces the block.
    pub(super) fn mine_block(&mut self) {
        if let Behavior::Chain { chain, .. } = &mut self.sources[HONEST].behavior {
            chain.tip += 1;
        }
        self.mined_at = self.now;
        let shown = self.honest_height();
        let Some(peer_id) = self.sources[HONEST].peer_id else {
            return;
        };
        let header = *Chains::get().honest(shown);
        let event = match self.rng.below(2) {
            0 => Event::Announce {
                peer_id,
                hash: header.hash(),
                shown,
            },
            _ => Event::Push {
                peer_id,
                headers: vec![header],
                shown,
            },
        };
        self.schedule(self.sources[HONEST].latency, event);
    }
}

impl SyncPort for VirtualPort {
    fn request(&mut self, id: u64, peer_id: PeerId, locator: Vec<BlockHash>) -> SendResult {
        let Some(&number) = self.connected.get(&peer_id) else {
            return SendResult::Disconnected;
        };
        let source = &mut self.sources[number];
        if self.rng.below(16) == 0 {
            return SendResult::Busy;
        }
        assert_eq!(source.open_request, None, "two requests at once");
        source.open_request = Some(id);
        let wall = self.start_seconds + self.now.as_secs() as u32;
        match source.reply(Chains::get(), &locator, wall, &mut self.rng) {
            Reply::Headers(delay, headers) => {
                let shown = match number {
                    HONEST => self.honest_height(),
                    _ => 0,
                };
                let mut arrived = PROGRESS_INTERVAL;
                while arrived < delay {
                    self.schedule(arrived, Event::Progress(peer_id));
                    arrived += PROGRESS_INTERVAL;
                }
                let answer = Event::Answer {
                    peer_id,
                    id,
                    headers,
                    sent_at: self.now,
                    shown,
                };
                self.schedule(delay, answer);
            }
            Reply::Disconnect(delay) => self.schedule(delay, Event::Disconnect(peer_id)),
            Reply::Never => {}
        }
        SendResult::Sent
    }

    fn cancel(&mut self, id: u64) {
        let mut sources = self.sources.iter_mut();
        if let Some(source) = sources.find(|source| source.open_request == Some(id)) {
            source.open_request = None;
        }
    }

    fn round_trip(&self, peer_id: PeerId) -> Duration {
        let number = self.connected.get(&peer_id);
        number.map_or(Duration::MAX, |number| self.sources[*number].round_trip)
    }

    fn report(&mut self, peer_id: PeerId, misbehavior: Misbehavior) {
        if let Some(source) = self.source(peer_id) {
            source.score += misbehavior.score();
            if source.score >= BAN_SCORE {
                self.schedule(Duration::ZERO, Event::Disconnect(peer_id));
            }
        }
    }

    fn disconnect(&mut self, peer_id: PeerId, _reason: DisconnectReason) {
        self.schedule(Duration::ZERO, Event::Disconnect(peer_id));
    }

    fn emit(&mut self, _event: ControlEvent) {}
}
