//! The peers that are watched.

use std::collections::HashSet;
use std::net::SocketAddr;

use bsv_p2p::connection::{
    EventBus, PeerConnectionActor, PeerConnectionHandle, PeerConnectionSetup, resolve,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{DisconnectReason, NonceRegistry};
use bsv_p2p::wire::{BlockHash, GetData, Inventory, Message};
use bsv_p2p::{ConnectionConfig, Error, Network};
use serde_json::{Value, json};
use uuid::Uuid;

/// How many blocks are remembered as asked for: peers may announce what they like.
const MAX_REMEMBERED: usize = 100_000;

pub(crate) struct Peers {
    config: ConnectionConfig,
    nonces: NonceRegistry,
    bus: EventBus,
    watched: Vec<Watched>,
    unresolved: Vec<String>,
    /// Blocks that have been asked for, each of whoever announced it first.
    asked: HashSet<BlockHash>,
}

/// A peer, and the other addresses of its name.
struct Watched {
    connection: PeerConnectionHandle,
    further: std::vec::IntoIter<SocketAddr>,
    gone: bool,
}

impl Peers {
    pub(crate) fn new(network: Network, bus: EventBus) -> Self {
        Self {
            config: ConnectionConfig::new(network),
            nonces: NonceRegistry::default(),
            bus,
            watched: Vec::new(),
            unresolved: Vec::new(),
            asked: HashSet::new(),
        }
    }

    /// Opens a connection, unless the name has no address.
    pub(crate) fn watch(&mut self, name: &str) -> Result<Result<(), DisconnectReason>, Error> {
        let port = self.config.network.port();
        let addresses = match resolve(name, port, self.config.resolve_timeout) {
            Ok(addresses) => addresses,
            Err(reason) => {
                self.unresolved.push(name.to_owned());
                return Ok(Err(reason));
            }
        };
        let mut further = addresses.into_iter();
        if let Some(address) = further.next() {
            let connection = self.dial(address)?;
            self.watched.push(Watched {
                connection,
                further,
                gone: false,
            });
        }
        Ok(Ok(()))
    }

    fn dial(&self, address: SocketAddr) -> Result<PeerConnectionHandle, Error> {
        let setup = PeerConnectionSetup {
            nonces: self.nonces.clone(),
            events: self.bus.clone(),
            ..PeerConnectionSetup::new(self.config.clone())
        };
        PeerConnectionActor::spawn_outbound(address, setup)
    }

    pub(crate) fn address(&self, peer: Uuid) -> Option<SocketAddr> {
        self.connection(peer).map(PeerConnectionHandle::address)
    }

    pub(crate) fn all_gone(&self) -> bool {
        self.watched.iter().all(|peer| peer.gone)
    }

    /// Tries the next address of a name when one fails.
    pub(crate) fn on_control(&mut self, event: &ControlEvent) -> Result<(), Error> {
        let (ControlEvent::ConnectionLost { peer_id, .. }
        | ControlEvent::ConnectionFailed { peer_id, .. }) = event
        else {
            return Ok(());
        };
        let of_peer = |peer: &Watched| peer.connection.peer_id() == *peer_id;
        let Some(at) = self.watched.iter().position(of_peer) else {
            return Ok(());
        };
        let failed = matches!(event, ControlEvent::ConnectionFailed { .. });
        match self.watched[at].further.next().filter(|_| failed) {
            Some(address) => self.watched[at].connection = self.dial(address)?,
            None => self.watched[at].gone = true,
        }
        Ok(())
    }

    /// Asks for each announced block once.
    pub(crate) fn on_message(&mut self, peer: Uuid, message: &Message) {
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
        if !wanted.is_empty()
            && let Some(connection) = self.connection(peer)
            && let Err(error) = connection.try_send(&GetData::from(wanted).into())
        {
            log::warn!("{error}");
        }
    }

    /// An object for each peer.
    pub(crate) fn summary(&self) -> Vec<Value> {
        let connections = self.watched.iter().map(|Watched { connection, .. }| {
            let (peer, traffic) = (connection.peer(), connection.traffic());
            let round_trip = connection.round_trip().last;
            json!({
                "peer": connection.address().to_string(),
                "user_agent": peer.as_ref().map(|peer| peer.user_agent.to_string()),
                "version": peer.as_ref().map(|peer| peer.version),
                "height": peer.as_ref().map(|peer| peer.start_height),
                "rtt_ms": round_trip.map(|time| time.as_secs_f64() * 1000.0),
                "messages_in": traffic.messages_in,
                "messages_out": traffic.messages_out,
                "bytes_in": traffic.bytes_in,
                "bytes_out": traffic.bytes_out,
            })
        });
        let unresolved = self.unresolved.iter().map(|name| {
            json!({
                "peer": name, "user_agent": null, "version": null, "height": null, "rtt_ms": null,
                "messages_in": 0, "messages_out": 0, "bytes_in": 0, "bytes_out": 0,
            })
        });
        connections.chain(unresolved).collect()
    }

    fn connection(&self, peer: Uuid) -> Option<&PeerConnectionHandle> {
        let mut connections = self.watched.iter().map(|peer| &peer.connection);
        connections.find(|connection| connection.peer_id() == peer)
    }
}
