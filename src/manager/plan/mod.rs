//! Decision logic of the manager: a pure state machine without threads, sockets or clock. The
//! caller supplies the random numbers.
//!
//! The supervisor thread passes each event and its time to the [`Plan`], and carries out the
//! actions that [`Plan::poll_action`] returns.

mod addresses;
mod admission;
mod attachment;
mod banning;
mod commands;
mod dialing;
mod ending;
mod links;
mod local_faults;
mod seeding;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::addresses::Gossip;
use self::admission::PendingSocket;
pub(super) use self::admission::{Admission, ConnectionView, SocketAdmission, SocketEnd};
pub(super) use self::attachment::Attachment;
pub(super) use self::commands::NotDialed;
pub(super) use self::dialing::is_near;
use self::dialing::{DialPace, NO_ROOM_PAUSE};
use self::links::{Link, LinkState, Links};
use self::local_faults::LocalFaults;
use self::seeding::Seeding;
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

/// An action for the supervisor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Dial a peer, and reopen the connection as its attachment requires.
    Dial {
        peer_id: PeerId,
        address: SocketAddr,
        attachment: Attachment,
    },
    /// Start the pending restart of a connection.
    Restart { peer_id: PeerId },
    /// Close a connection, whatever its state.
    Close {
        peer_id: PeerId,
        reason: DisconnectReason,
    },
    /// Close an inbound socket that is not a connection yet.
    CloseSocket { socket: PeerId },
    /// Look up all of these DNS seeds, and report the result.
    AskSeeds { seeds: Vec<String> },
    /// Send `getaddr` to a peer.
    AskForAddresses { peer_id: PeerId },
    /// Send an `addr` message to a peer.
    SendAddresses {
        peer_id: PeerId,
        addresses: Vec<TimestampedAddress>,
    },
    /// Emit an event to the subscribers.
    Tell(Box<ControlEvent>),
}

/// A source of random numbers.
pub(super) type Random = Box<dyn FnMut() -> u64 + Send>;

/// Minimum duration of a connection that resets the backoff of its peer.
const LASTING: Duration = Duration::from_secs(60);

/// The state of the manager, and the decisions that follow from it.
pub(super) struct Plan {
    config: Arc<ManagerConfig>,
    /// The peers to keep connected in fixed-peer mode, in which no other peer is dialed
    /// automatically.
    fixed: Option<HashSet<PeerId>>,
    table: PeerTable,
    /// The bans. The listener reads them to close sockets of banned addresses. Only the plan
    /// changes them.
    bans: Arc<RwLock<BanList>>,
    links: Links,
    /// The addresses of inbound connections that are being rejected because no slot is free.
    turned_away: HashMap<PeerId, SocketAddr>,
    /// The inbound sockets without a decision, by the ids of the connections that they may become.
    sockets: HashMap<PeerId, PendingSocket>,
    retries: HashMap<PeerId, Retry>,
    local_faults: LocalFaults,
    pace: DialPace,
    /// The time of the next search for candidates, if one is scheduled.
    look_at: Option<Instant>,
    /// The time of the next save of the store.
    save_at: Instant,
    seeding: Seeding,
    gossip: Gossip,
    random: Random,
    actions: VecDeque<Action>,
    changes: Changes,
    /// Whether bans were made or lifted since [`Plan::take_changes`] was last called.
    bans_differ: bool,
    stopping: bool,
}

/// The reason for which a peer is not dialed, and the time until which it applies.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub(super) at: Instant,
    pub(super) reason: DisconnectReason,
    /// The number of pauses since the last connection that lasted.
    pub(super) pauses: u32,
    /// The number of consecutive local faults.
    pub(super) local_faults: u32,
}

/// Returns whether a stored peer is known only by advertisement and has the port of a service other
/// than a node.
fn is_advertised_service(peer: &Peer, config: &ManagerConfig) -> bool {
    matches!(peer.source, PeerSource::Peer(_))
        && !peer.manual
        && peer.last_connected.is_none()
        && is_service_port(peer.port)
        && peer.port != config.network().port()
}

impl Plan {
    /// Creates a plan from a validated configuration and the stored peers.
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
            sockets: HashMap::new(),
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

    /// Sets the fixed peers, which are kept connected, and stops automatic dialing of all others.
    ///
    /// # Errors
    ///
    /// Returns the first peer that could not be added, and the reason.
    pub(super) fn fix(
        &mut self,
        peers: &[SocketAddr],
        now: Now,
    ) -> Result<(), (SocketAddr, NotDialed)> {
        let named = peers.iter().map(|address| {
            let named = self.name(*address, now);
            named.map_err(|not_dialed| (*address, not_dialed))
        });
        self.fixed = Some(named.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// Returns the number of fixed peers.
    pub(super) fn fixed(&self) -> usize {
        self.fixed.as_ref().map_or(0, HashSet::len)
    }

    /// Returns the next action, if one is queued.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns whether [`Plan::take_changes`] would return any change.
    pub(super) fn has_changes(&self) -> bool {
        self.bans_differ || !self.changes.is_empty()
    }

    /// Requests a save of the store.
    pub(super) fn save(&mut self) {
        self.changes.save();
    }

    /// Returns and clears the changes that must be written to the store.
    pub(super) fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        if std::mem::take(&mut self.bans_differ) {
            changes.bans = Some(self.bans.read().list());
            changes.save();
        }
        changes
    }

    /// Returns the latest time for the next call of [`Plan::on_timeout`].
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

    /// Performs all work that is due or newly possible. Must be called after every other event.
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

    /// Handles a completed handshake.
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
        // A peer that was banned during the handshake keeps its status. Its connection is being
        // closed.
        self.change(peer_id, |peer| {
            let _ = peer.record_connected(info.services.0, version, now.wall);
        });
        if direction == Direction::Outbound {
            self.end_local_faults(address);
        }
        self.feed();
        self.introduce(peer_id, direction, now);
    }

    /// Handles the end of a connection that has a restart scheduled for `due`.
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

    /// Records that a peer was connected until now.
    fn note_seen(&mut self, peer_id: PeerId, now: Now) {
        self.change(peer_id, |peer| {
            peer.record_advertised(0, now.wall, now.wall)
        });
    }

    /// Postpones a restart that was due, because no slot or thread was available.
    pub(super) fn postpone(&mut self, peer_id: PeerId, now: Now) {
        if let Some(link) = self.links.get_mut(peer_id) {
            link.state = LinkState::Waiting(now.after(NO_ROOM_PAUSE));
        }
    }

    /// Stops the plan. Discards queued actions and starts nothing further.
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

    /// Schedules a search for candidates, because a change may have made a peer eligible.
    fn look_again(&mut self, now: Now) {
        self.look_at = Some(now.instant);
    }

    fn tell(&mut self, event: ControlEvent) {
        self.actions.push_back(Action::Tell(Box::new(event)));
    }

    /// Closes a connection, unless it is already being closed.
    fn close(&mut self, peer_id: PeerId, reason: DisconnectReason) {
        if let Some(link) = self.links.get_mut(peer_id)
            && !link.closing
        {
            link.closing = true;
            self.actions.push_back(Action::Close { peer_id, reason });
        }
    }

    /// Changes the record of a peer, if it is known, and marks it to be written to the store.
    fn change(&mut self, peer_id: PeerId, change: impl FnOnce(&mut Peer)) {
        let Some(mut peer) = self.table.get(peer_id).cloned() else {
            return;
        };
        change(&mut peer);
        if self.table.update(peer.clone()).is_ok() {
            self.changes.keep(peer);
        }
    }

    /// Adds a manual peer, or marks a known peer as manual. Returns its identity.
    fn name(&mut self, address: SocketAddr, now: Now) -> Result<PeerId, NotDialed> {
        let address = canonical(address)?;
        if let Some(peer) = self.table.find(address) {
            let peer_id = peer.id;
            self.change(peer_id, |peer| peer.manual = true);
            return Ok(peer_id);
        }
        let peer = Peer::new(address, PeerSource::Manual, now.wall)?;
        let peer_id = peer.id;
        let full = |_| NotDialed::TooManyManualPeers {
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
