//! The monitored peers and their statistics.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use bsv_p2p::Manager;
use bsv_p2p::connection::{PeerConnectionHandle, TrafficStats, resolve};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::peers::PeerId;
use bsv_p2p::wire::{BlockHash, GetData, Inventory, Message};
use serde_json::{Value, json};

use crate::lasting::RESOLVE_TIMEOUT;
use crate::milliseconds::milliseconds;
use crate::report::Report;
use crate::shared::{Failure, with_sources};

/// Number of remembered block requests above which they are forgotten. Bounds memory, because peers
/// can announce any number of blocks.
const MAX_REMEMBERED: usize = 100_000;
/// Maximum number of disconnected peers in the summary. Bounds memory, because any number of peers
/// can connect and disconnect.
const MAX_GONE: usize = 1_000;

/// The monitored peers. Requests the blocks that they announce.
pub(crate) struct Peers<'a> {
    manager: &'a Manager,
    watched: Vec<Watched>,
    /// The blocks already requested, each from the peer that announced it first.
    asked: HashSet<BlockHash>,
}

/// Adds the traffic in both directions to an object.
fn with_traffic(mut object: Value, traffic: TrafficStats) -> Value {
    for (field, number) in [
        ("messages_received", traffic.messages_received),
        ("messages_sent", traffic.messages_sent),
        ("bytes_received", traffic.bytes_received),
        ("bytes_sent", traffic.bytes_sent),
    ] {
        object[field] = number.into();
    }
    object
}

/// A monitored peer.
struct Watched {
    /// The address, or the name if it has no address.
    name: String,
    /// `None` if the peer cannot be dialed.
    peer_id: Option<PeerId>,
    /// The other addresses of the name, which must be dialed if this one fails.
    further: std::vec::IntoIter<SocketAddr>,
    /// Kept after the connection has ended, because the summary needs its statistics.
    connection: Option<Arc<PeerConnectionHandle>>,
    /// Whether the connection has ended or could not be opened.
    gone: bool,
}

impl<'a> Peers<'a> {
    pub(crate) fn new(manager: &'a Manager) -> Self {
        Self {
            manager,
            watched: Vec::new(),
            asked: HashSet::new(),
        }
    }

    /// Starts the manager with these peers. Lost peers are dialed again.
    ///
    /// Blocks for at most [`RESOLVE_TIMEOUT`] for each name.
    ///
    /// # Errors
    ///
    /// - If the port of a peer is the default port of another network.
    /// - If the manager cannot be started, or the output cannot be written.
    pub(crate) fn keep(&mut self, names: &[String], report: &Report) -> Result<(), Failure> {
        let mut addresses = Vec::new();
        for name in names {
            addresses.extend(self.resolve(name, report)?);
        }
        self.manager.start_fixed(&addresses)?;
        let known = self.manager.peers()?;
        for address in addresses {
            let peer = known.iter().find(|peer| peer.socket_address() == address);
            self.add(address, peer.map(|peer| peer.id));
        }
        Ok(())
    }

    /// Starts the manager without peers and dials the first address of each name. If that fails,
    /// the other addresses are dialed in turn.
    ///
    /// Blocks for at most [`RESOLVE_TIMEOUT`] for each name.
    ///
    /// # Errors
    ///
    /// - If the port of a peer is the default port of another network.
    /// - If the manager cannot be started, or the output cannot be written.
    pub(crate) fn dial_once(&mut self, names: &[String], report: &Report) -> Result<(), Failure> {
        self.manager.start_fixed([""; 0])?;
        for name in names {
            let mut further = self.resolve(name, report)?.into_iter();
            let Some(address) = further.next() else {
                continue;
            };
            match self.manager.connect(address) {
                Ok(peer_id) => self.add(address, Some(peer_id)).further = further,
                Err(error) => {
                    report.not_dialed(name, &error)?;
                    self.add(address, None);
                }
            }
        }
        Ok(())
    }

    /// Returns the addresses of a name. A name without addresses is reported, and listed in the
    /// summary.
    fn resolve(&mut self, name: &str, report: &Report) -> Result<Vec<SocketAddr>, Failure> {
        let config = self.manager.config().connection;
        let addresses = match resolve(name, config.network.port(), RESOLVE_TIMEOUT) {
            Ok(addresses) => addresses,
            Err(reason) => {
                // Control characters in the name must not reach the terminal.
                let name = name.escape_debug().to_string();
                report.not_dialed(&name, &reason)?;
                self.add(name, None);
                Vec::new()
            }
        };
        for address in &addresses {
            config.check_port(*address)?;
        }
        Ok(addresses)
    }

    /// Returns the peer with this id and adds it if it is new. A peer without an id is gone from
    /// the start.
    fn add(&mut self, name: impl Display, peer_id: Option<PeerId>) -> &mut Watched {
        let known = self.watched.iter().position(|peer| peer.peer_id == peer_id);
        let at = known.filter(|_| peer_id.is_some()).unwrap_or_else(|| {
            self.watched.push(Watched {
                name: name.to_string(),
                peer_id,
                further: Vec::new().into_iter(),
                connection: None,
                gone: peer_id.is_none(),
            });
            self.watched.len() - 1
        });
        &mut self.watched[at]
    }

    /// Returns whether the connections of all peers have ended or could not be opened.
    pub(crate) fn all_gone(&self) -> bool {
        self.watched.iter().all(|peer| peer.gone)
    }

    /// Records connections and disconnections. Dials the next address of a peer after a failure.
    pub(crate) fn on_control(&mut self, event: &ControlEvent) -> Result<(), bsv_p2p::Error> {
        let Some((peer_id, address)) = event.peer() else {
            return Ok(());
        };
        match event {
            ControlEvent::ConnectionEstablished { .. } => {
                // If the connection has ended already, there are no statistics.
                let connection = self.manager.connection(peer_id).ok();
                let watched = self.add(address, Some(peer_id));
                watched.connection = connection.or(watched.connection.take());
                watched.gone = false;
            }
            ControlEvent::ConnectionFailed { .. } => {
                let manager = self.manager;
                let next = self.find(peer_id).and_then(|peer| peer.further.next());
                match next.map(|address| (address, manager.connect(address))) {
                    Some((address, Ok(next))) => {
                        if let Some(watched) = self.find(peer_id) {
                            watched.name = address.to_string();
                            (watched.peer_id, watched.connection) = (Some(next), None);
                        }
                    }
                    Some((_, Err(error))) => {
                        log::warn!("{}", with_sources(&error));
                        self.on_gone(peer_id);
                    }
                    None => self.on_gone(peer_id),
                }
            }
            ControlEvent::ConnectionLost { .. }
            | ControlEvent::ConnectionRejectedCapacity { .. } => self.on_gone(peer_id),
            _ => {}
        }
        Ok(())
    }

    /// Marks a peer as gone. Removes the oldest such peer if there are more than [`MAX_GONE`].
    fn on_gone(&mut self, peer_id: PeerId) {
        if let Some(watched) = self.find(peer_id) {
            watched.gone = true;
        }
        let mut gone = self
            .watched
            .iter()
            .enumerate()
            .filter(|(_, peer)| peer.gone);
        let oldest = gone.next().map(|(at, _)| at);
        if gone.count() >= MAX_GONE
            && let Some(oldest) = oldest
        {
            self.watched.remove(oldest);
        }
    }

    /// Requests each announced block once. Does not block.
    pub(crate) fn on_message(&mut self, peer: PeerId, message: &Message) {
        let announced: Vec<BlockHash> = match message {
            Message::Inv(inv) => inv
                .inventory
                .iter()
                .filter_map(|entry| match entry {
                    Inventory::Block(hash) => Some(*hash),
                    _ => None,
                })
                .collect(),
            Message::Headers(headers) => headers.headers.iter().map(|h| h.hash()).collect(),
            _ => return,
        };
        if self.asked.len() > MAX_REMEMBERED {
            self.asked.clear();
        }
        let new = announced
            .into_iter()
            .filter(|hash| self.asked.insert(*hash));
        let wanted: Vec<_> = new.map(Inventory::Block).collect();
        if wanted.is_empty() {
            return;
        }
        let sent = self.manager.connection(peer).and_then(|connection| {
            let mut requests = GetData::split(&wanted, connection.max_inventory());
            requests.try_for_each(|request| connection.try_send(request))
        });
        if let Err(error) = sent {
            log::warn!("{}", with_sources(&error));
        }
    }

    /// Returns one JSON object for each peer.
    pub(crate) fn summary(&self) -> Vec<Value> {
        let rows = self.watched.iter().map(|watched| {
            let numbers = watched.connection.as_ref().map(|one| one.statistics());
            let peer = numbers.as_ref().and_then(|numbers| numbers.peer.as_ref());
            let round_trip = numbers.as_ref().and_then(|numbers| numbers.round_trip.last);
            let traffic = numbers.as_ref().map(|numbers| numbers.traffic);
            let streams = numbers.iter().flat_map(|numbers| &numbers.streams);
            let streams = streams.map(|one| {
                let stream = json!({ "stream": one.stream.to_string() });
                with_traffic(stream, one.traffic)
            });
            let object = json!({
                "peer": watched.name,
                "user_agent": peer.map(|peer| peer.user_agent.to_string()),
                "version": peer.map(|peer| peer.version),
                "height": peer.map(|peer| peer.start_height),
                "rtt_ms": round_trip.map(milliseconds),
                "streams": streams.collect::<Vec<_>>(),
            });
            with_traffic(object, traffic.unwrap_or_default())
        });
        rows.collect()
    }

    fn find(&mut self, peer_id: PeerId) -> Option<&mut Watched> {
        let mut watched = self.watched.iter_mut();
        watched.find(|watched| watched.peer_id == Some(peer_id))
    }
}
