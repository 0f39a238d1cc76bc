//! What a manager decides, as a pure machine: no thread, no socket, no clock, no randomness of its own.
//!
//! Whatever happens is told to the [`Plan`], with the time; what is to be done about it is taken from [`Plan::poll_action`]. The
//! supervisor's thread does nothing but carry that out.

mod addresses;
mod admission;
mod attachment;
mod banning;
mod commands;
mod dialling;
mod ending;
mod links;
mod local_faults;
mod seeding;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::addresses::Gossip;
pub(super) use self::admission::Admission;
pub(super) use self::attachment::Attachment;
pub(super) use self::commands::NotDialled;
pub(super) use self::dialling::is_near;
use self::dialling::{DialPace, NO_ROOM_PAUSE};
use self::links::{Link, LinkState, Links};
use self::local_faults::LocalFaults;
use self::seeding::Seeding;
pub(super) use self::streams::Insight;
use super::ManagerConfig;
use super::changes::Changes;
use super::clock::Now;
use crate::event::ControlEvent;
use crate::peers::{
    BanList, Peer, PeerId, PeerSource, PeerTable, PeerVersion, UserAgent, canonical,
    is_service_port,
};
use crate::session::{Direction, DisconnectAction, DisconnectReason, PeerInfo};
use crate::wire::TimestampedAddress;
use parking_lot::RwLock;

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Dial this peer, and open the connection again as often as it is wanted.
    Dial {
        peer_id: PeerId,
        address: SocketAddr,
        attachment: Attachment,
    },
    /// Begin the next life of a connection that waits for it.
    Restart { peer_id: PeerId },
    /// End a connection, whatever its state.
    Close {
        peer_id: PeerId,
        reason: DisconnectReason,
    },
    /// Ask these seeds for addresses, all of them, and tell what comes of it.
    AskSeeds { seeds: Vec<String> },
    /// Ask a peer for addresses.
    AskForAddresses { peer_id: PeerId },
    /// Tell a peer of others.
    SendAddresses {
        peer_id: PeerId,
        addresses: Vec<TimestampedAddress>,
    },
    /// Tell the subscribers.
    Tell(Box<ControlEvent>),
}

/// A source of random numbers.
pub(super) type Random = Box<dyn FnMut() -> u64 + Send>;

/// A connection that has lasted so long has shown that the peer is well: earlier failures are forgotten.
const LASTING: Duration = Duration::from_secs(60);

/// All that a manager knows, and what follows from it.
pub(super) struct Plan {
    config: Arc<ManagerConfig>,
    /// In fixed-peer mode, whom to keep connected, and nobody else.
    fixed: Option<HashSet<PeerId>>,
    table: PeerTable,
    /// Read by the listener as well, which drops sockets of banned addresses. Changed here alone.
    bans: Arc<RwLock<BanList>>,
    links: Links,
    /// Those that are being turned away, and where they come from.
    turned_away: HashMap<PeerId, SocketAddr>,
    /// Those that were let in without a place because they may be second streams of peers, and where they come from.
    stream_candidates: HashMap<PeerId, SocketAddr>,
    retries: HashMap<PeerId, Retry>,
    local_faults: LocalFaults,
    pace: DialPace,
    /// When it is worth to look for candidates again.
    look_at: Option<Instant>,
    /// When the store is saved next.
    save_at: Instant,
    seeding: Seeding,
    gossip: Gossip,
    random: Random,
    actions: VecDeque<Action>,
    changes: Changes,
    /// Whether bans were made or lifted since the changes were last taken.
    bans_differ: bool,
    stopping: bool,
}

/// Why a peer is not dialled now, and when it may be.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub(super) at: Instant,
    pub(super) reason: DisconnectReason,
    /// How many pauses there were since a connection lasted.
    pub(super) pauses: u32,
    /// The number of local faults in a row.
    pub(super) local_faults: u32,
}

/// Returns whether a store has kept an advertised address at which there is a service other than a node.
fn is_advertised_service(peer: &Peer, config: &ManagerConfig) -> bool {
    matches!(peer.source, PeerSource::Peer(_))
        && !peer.manual
        && peer.last_connected.is_none()
        && is_service_port(peer.port)
        && peer.port != config.network().port()
}

impl Plan {
    /// A plan for a configuration that has been checked, knowing the peers that a store has kept.
    pub(super) fn new(
        config: Arc<ManagerConfig>,
        bans: Arc<RwLock<BanList>>,
        known: Vec<Peer>,
        random: Random,
        now: Now,
    ) -> Self {
        let mut table = PeerTable::new(config.max_known_peers);
        let mut changes = Changes::default();
        for peer in known {
            let id = peer.id;
            if is_advertised_service(&peer, &config) {
                changes.forget(id);
                continue;
            }
            match table.create(peer, now.wall) {
                Ok(forgotten) => forgotten.iter().for_each(|peer| changes.forget(peer.id)),
                Err(_) => changes.forget(id),
            }
        }
        let save_at = now.after(config.save_interval);
        Self {
            config,
            fixed: None,
            table,
            bans,
            links: Links::default(),
            turned_away: HashMap::new(),
            stream_candidates: HashMap::new(),
            retries: HashMap::new(),
            local_faults: LocalFaults::default(),
            pace: DialPace::new(now.instant),
            look_at: Some(now.instant),
            save_at,
            seeding: Seeding::new(now),
            gossip: Gossip::new(now),
            random,
            actions: VecDeque::new(),
            changes,
            bans_differ: false,
            stopping: false,
        }
    }

    /// Keeps these peers connected, and dials nobody else; or tells which of them there is no room for, and why.
    pub(super) fn fix(
        &mut self,
        peers: &[SocketAddr],
        now: Now,
    ) -> Result<(), (SocketAddr, NotDialled)> {
        let named = peers.iter().map(|address| {
            let named = self.name(*address, now);
            named.map_err(|not_dialled| (*address, not_dialled))
        });
        self.fixed = Some(named.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// How many peers are kept connected whatever happens.
    pub(super) fn fixed(&self) -> usize {
        self.fixed.as_ref().map_or(0, HashSet::len)
    }

    /// What is to be done next.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether [`Plan::take_changes`] has something to give.
    pub(super) fn has_changes(&self) -> bool {
        self.bans_differ || !self.changes.is_empty()
    }

    /// Has the store saved.
    pub(super) fn save(&mut self) {
        self.changes.save();
    }

    /// What has become different of what a store keeps.
    pub(super) fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        if std::mem::take(&mut self.bans_differ) {
            changes.bans = Some(self.bans.read().list());
            changes.save();
        }
        changes
    }

    /// When to call [`Plan::on_timeout`] at the latest.
    pub(super) fn next_deadline(&self) -> Instant {
        let waiting = self.links.waiting().map(|(_, due)| due);
        let look = self
            .look_at
            .filter(|_| self.wanted() > 0 || self.fixed.is_some());
        let look = look.map(|at| at.max(self.pace.next()));
        let others = [look, self.seeding_due(), self.announcement_due()];
        waiting
            .chain(others.into_iter().flatten())
            .fold(self.save_at, Instant::min)
    }

    /// Does what is due, and what has become possible. To be called after everything else that the plan is told.
    pub(super) fn on_timeout(&mut self, now: Now) {
        if self.stopping {
            return;
        }
        if now.instant >= self.save_at {
            self.save_at = now.after(self.config.save_interval);
            self.save();
        }
        self.announce(now);
        self.seed(now);
        self.begin_due(now);
        self.fill(now);
    }

    /// A handshake is complete.
    pub(super) fn on_connected(&mut self, peer_id: PeerId, info: &PeerInfo, now: Now) {
        let Some(link) = self.links.get_mut(peer_id) else {
            return;
        };
        link.state = LinkState::Connected(now.instant);
        link.again = false;
        let (direction, address) = (link.direction, link.address.ip());
        let version = PeerVersion {
            protocol_version: info.version,
            user_agent: UserAgent::new(info.user_agent.as_bytes()),
            start_height: info.start_height,
        };
        // One that is banned meanwhile stays so in what is known; its connection is being closed.
        self.change(peer_id, |peer| {
            let _ = peer.record_connected(info.services.0, version, now.wall);
        });
        if direction == Direction::Outbound {
            self.end_local_faults(address);
        }
        self.feed();
        self.introduce(peer_id, direction, now);
    }

    /// A connection has ended, and waits for its next life.
    pub(super) fn on_waiting(
        &mut self,
        peer_id: PeerId,
        due: Instant,
        reason: &DisconnectReason,
        now: Now,
    ) {
        let Some(link) = self.links.get_mut(peer_id) else {
            return;
        };
        let was_connected = link.is_connected();
        let address = link.address.ip();
        let is_wanted_now = std::mem::take(&mut link.again);
        link.state = LinkState::Waiting(if is_wanted_now { now.instant } else { due });
        if was_connected {
            self.note_seen(peer_id, now);
        } else if reason.action() != DisconnectAction::RetrySoon {
            self.change(peer_id, Peer::record_failure);
        }
        self.note_local_fault(address, reason, now);
    }

    /// A peer was there until now.
    fn note_seen(&mut self, peer_id: PeerId, now: Now) {
        self.change(peer_id, |peer| {
            peer.record_advertised(0, now.wall, now.wall)
        });
    }

    /// There was no thread, or no room, for a life that was due.
    pub(super) fn postpone(&mut self, peer_id: PeerId, now: Now) {
        if let Some(link) = self.links.get_mut(peer_id) {
            link.state = LinkState::Waiting(now.after(NO_ROOM_PAUSE));
        }
    }

    /// Nothing is begun any more.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.actions.clear();
    }

    pub(super) fn table(&self) -> &PeerTable {
        &self.table
    }

    pub(super) fn retry(&self, peer_id: PeerId) -> Option<&Retry> {
        self.retries.get(&peer_id)
    }

    /// Something has changed that may make a peer worth to be dialled.
    fn look_again(&mut self, now: Now) {
        self.look_at = Some(now.instant);
    }

    fn tell(&mut self, event: ControlEvent) {
        self.actions.push_back(Action::Tell(Box::new(event)));
    }

    /// Ends a connection, once.
    fn close(&mut self, peer_id: PeerId, reason: DisconnectReason) {
        if let Some(link) = self.links.get_mut(peer_id)
            && !link.closing
        {
            link.closing = true;
            self.actions.push_back(Action::Close { peer_id, reason });
        }
    }

    /// Changes what is known of a peer, if it is known, and has it kept.
    fn change(&mut self, peer_id: PeerId, change: impl FnOnce(&mut Peer)) {
        let Some(mut peer) = self.table.get(peer_id).cloned() else {
            return;
        };
        change(&mut peer);
        if self.table.update(peer.clone()).is_ok() {
            self.changes.keep(peer);
        }
    }

    /// Makes a peer known that the program names, and returns its identity.
    fn name(&mut self, address: SocketAddr, now: Now) -> Result<PeerId, NotDialled> {
        let address = canonical(address)?;
        if let Some(peer) = self.table.find(address) {
            let peer_id = peer.id;
            self.change(peer_id, |peer| peer.manual = true);
            return Ok(peer_id);
        }
        let peer = Peer::new(address, PeerSource::Manual, now.wall)?;
        let peer_id = peer.id;
        let full = |_| NotDialled::TooManyManualPeers {
            max: self.config.max_known_peers,
        };
        if let Some(forgotten) = self.table.create(peer.clone(), now.wall).map_err(full)? {
            self.forget(forgotten.id);
        }
        self.changes.keep(peer);
        Ok(peer_id)
    }

    fn forget(&mut self, peer_id: PeerId) {
        self.retries.remove(&peer_id);
        self.changes.forget(peer_id);
    }
}
