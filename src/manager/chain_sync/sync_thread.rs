//! The thread that follows the chain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};
use uuid::Uuid;

use super::chain_state::ChainState;
use super::header_requests::{Answered, HeaderRequests};
use super::header_scheduler::{Answer, HeaderRequest, HeaderScheduler, PeerState};
use crate::connection::{Overflow, PeerConnectionHandle, SubscriptionOptions};
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};
use crate::log_level::record;
use crate::manager::shared::Shared;
use crate::session::{ConnectionState, Misbehavior};
use crate::wire::{
    BlockHash, BlockHeader, Command, ExtendOutcome, HeaderChainError, Inventory, MAX_HEADERS,
    Message,
};

/// The subscription's name.
const NAME: &str = "chain";
/// How many announcements may wait for the thread; what it misses it asks for.
const WAITING: usize = 1024;
/// How many of the blocks that one `inv` names are looked at, the last ones. A node names the last one of several.
const LOOKED_AT: usize = 16;

/// What the thread owns. It waits for nobody but in its `select!`, and holds no lock then.
pub(super) struct SyncThread {
    shared: Arc<Shared>,
    state: Arc<ChainState>,
    scheduler: HeaderScheduler,
    requests: HeaderRequests,
    events: Receiver<Event>,
    woken: Receiver<()>,
}

impl SyncThread {
    /// One that hears of everything from now on.
    pub(super) fn new(shared: Arc<Shared>, state: Arc<ChainState>, woken: Receiver<()>) -> Self {
        let commands = ["inv", "headers", "cmpctblock"].map(Command::new);
        let options = SubscriptionOptions {
            capacity: WAITING,
            overflow: Overflow::DropNewest,
            ..SubscriptionOptions::named(NAME).only(commands)
        };
        Self {
            events: shared.bus.subscribe_with(options),
            shared,
            state,
            scheduler: HeaderScheduler::new(Instant::now()),
            requests: HeaderRequests::new(),
            woken,
        }
    }

    /// Follows until `stop` ends, or the subscription does with the manager.
    pub(super) fn run<T>(mut self, stop: &Receiver<T>) {
        self.compare_peers();
        loop {
            let now = Instant::now();
            self.scheduler.on_wanted(self.state.wanted(), now);
            self.ask(now);
            if let Some(look) = self.scheduler.settled(self.state.height(), now) {
                self.state.on_synced(look);
            }
            let wait = self.scheduler.next_deadline(now);
            let wait = wait.saturating_duration_since(Instant::now());
            select! {
                recv(stop) -> _ => return,
                recv(self.woken) -> woken => if woken.is_err() {
                    return;
                },
                recv(self.requests.answers) -> answered => {
                    if let Ok(answered) = answered {
                        self.on_answered(answered);
                    }
                }
                recv(self.events) -> event => match event {
                    Ok(Event::Message(event)) => self.on_message(&event),
                    Ok(Event::Control(event)) => self.on_control(&event),
                    Err(_) => return,
                },
                default(wait) => {}
            }
        }
    }

    fn ask(&mut self, now: Instant) {
        loop {
            let connections = &self.shared.connections;
            let round_trip = |peer_id| {
                let handle = connections.get(peer_id);
                let measured = handle.and_then(|handle| handle.round_trip().smoothed);
                measured.unwrap_or(Duration::MAX)
            };
            let height = self.state.height();
            let Some(question) = self.scheduler.next(height, round_trip, now) else {
                return;
            };
            let HeaderRequest {
                peer_id,
                side_chain_tip,
            } = question;
            let Some(peer) = connected(&self.shared, peer_id) else {
                self.on_disconnected(peer_id);
                continue;
            };
            let mut locator = self.state.with_chain(|chain| chain.locator());
            if let Some(side_chain_tip) = side_chain_tip {
                locator.insert(0, side_chain_tip);
            }
            if !self.requests.ask(peer, locator) {
                self.answered(peer_id, Answer::NoReply);
            }
        }
    }

    fn on_answered(&mut self, answered: Answered) {
        self.requests.end(&answered);
        let peer_id = answered.peer.peer_id();
        let answer = match &answered.headers {
            Err(_) => Answer::NoReply,
            Ok(headers) => match self.state.extend(peer_id, headers) {
                Ok(extended) => self.meaning_of(&extended, headers, answered.from),
                Err(error) => {
                    self.report_misbehavior(&answered.peer, error);
                    Answer::Invalid
                }
            },
        };
        self.answered(peer_id, answer);
    }

    /// What headers mean that were asked for behind `from`.
    fn meaning_of(
        &self,
        extended: &ExtendOutcome,
        headers: &[BlockHeader],
        from: BlockHash,
    ) -> Answer {
        let more = headers.len() >= MAX_HEADERS;
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return Answer::Empty;
        };
        match extended {
            ExtendOutcome::NewTip { .. } => Answer::Extended { more },
            // Another peer was faster.
            ExtendOutcome::Known if first.previous == from => Answer::Extended { more },
            ExtendOutcome::Known => {
                let last = last.hash();
                match self.state.with_chain(|chain| chain.is_active(&last)) {
                    true => Answer::Empty,
                    false => Answer::SideChain { last, more },
                }
            }
            ExtendOutcome::SideChain { .. } => {
                let last = last.hash();
                Answer::SideChain { last, more }
            }
        }
    }

    fn answered(&mut self, peer_id: Uuid, answer: Answer) {
        let (height, now) = (self.state.height(), Instant::now());
        let state = &self.state;
        let knows = |hash: &BlockHash| state.contains(hash);
        self.scheduler
            .on_answer(peer_id, answer, height, knows, now);
    }

    fn on_message(&mut self, event: &BitcoinMessageEvent) {
        match &*event.message {
            Message::Inv(inv) => {
                let blocks = inv.inventory.iter().rev().filter_map(|entry| match entry {
                    Inventory::Block(hash) => Some(*hash),
                    _ => None,
                });
                for hash in blocks.take(LOOKED_AT) {
                    self.on_announced(event.peer_id, hash);
                }
            }
            Message::Headers(headers) => self.on_headers(event.peer_id, &headers.headers),
            Message::CompactBlock(block) => self.on_headers(event.peer_id, &[block.header()]),
            _ => {}
        }
    }

    fn on_announced(&mut self, peer_id: Uuid, hash: BlockHash) {
        self.state.announcements.lock().record(peer_id, hash);
        let (height, is_known) = self
            .state
            .with_chain(|chain| (chain.tip().0, chain.contains(&hash)));
        if !is_known {
            self.scheduler.on_announced(peer_id, hash, height);
        }
    }

    /// Headers have come that nobody has asked for, or for which nobody waits any more.
    fn on_headers(&mut self, peer_id: Uuid, headers: &[BlockHeader]) {
        let Some(last) = headers.last().map(BlockHeader::hash) else {
            return;
        };
        self.state.announcements.lock().record(peer_id, last);
        match self.state.extend(peer_id, headers) {
            Ok(_) if headers.len() < MAX_HEADERS => {}
            Ok(_) | Err(HeaderChainError::UnknownParent { .. }) => {
                let height = self.state.height();
                self.scheduler.on_announced(peer_id, last, height);
            }
            Err(error) => {
                if let Some(peer) = self.shared.connections.get(peer_id) {
                    self.report_misbehavior(&peer, error);
                }
                self.scheduler.on_wrong(peer_id, Instant::now());
            }
        }
    }

    fn on_control(&mut self, event: &ControlEvent) {
        match event {
            ControlEvent::HandshakeComplete { peer_id, info, .. } => {
                let standing = PeerState::of(info);
                self.scheduler
                    .on_connected(*peer_id, standing, Instant::now());
            }
            ControlEvent::ConnectionLost { peer_id, .. }
            | ControlEvent::ConnectionRestarting { peer_id, .. }
            | ControlEvent::ConnectionFailed { peer_id, .. } => self.on_disconnected(*peer_id),
            ControlEvent::Lagged { subscription, .. } if &**subscription == NAME => {
                self.compare_peers();
                self.scheduler.on_lagged(Instant::now());
            }
            _ => {}
        }
    }

    fn on_disconnected(&mut self, peer_id: Uuid) {
        self.state.announcements.lock().remove(peer_id);
        self.scheduler.on_disconnected(peer_id, Instant::now());
    }

    /// Counts headers that break rules as the node does. What only leads nowhere breaks none.
    fn report_misbehavior(&self, peer: &PeerConnectionHandle, error: HeaderChainError) {
        record!(
            self.shared.log_level,
            Debug,
            peer_id:% = peer.peer_id(),
            peer_address:% = peer.address(),
            network:% = self.shared.config().network(),
            error:% = error;
            "{}: its headers are refused: {error}",
            peer.address()
        );
        if error.score() > 0 {
            peer.misbehaved(Misbehavior::InvalidHeaders(error));
        }
    }

    /// Finds out who is connected: before the first event, and when some were skipped.
    fn compare_peers(&mut self) {
        let known: Vec<Uuid> = self.scheduler.peers().collect();
        let announcers = self.state.announcements.lock().peers();
        for peer_id in known.into_iter().chain(announcers) {
            if connected(&self.shared, peer_id).is_none() {
                self.on_disconnected(peer_id);
            }
        }
        for handle in self.shared.connections.all() {
            if handle.state() == ConnectionState::Connected
                && let Some(info) = handle.peer()
            {
                let standing = PeerState::of(&info);
                self.scheduler
                    .on_connected(handle.peer_id(), standing, Instant::now());
            }
        }
    }
}

fn connected(shared: &Shared, peer_id: Uuid) -> Option<Arc<PeerConnectionHandle>> {
    let handle = shared.connections.get(peer_id);
    handle.filter(|handle| handle.state() == ConnectionState::Connected)
}
