//! The peers that are watched.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use bsv_p2p::connection::PeerConnectionHandle;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::{BlockHash, GetData, Inventory, Message};
use serde_json::{Value, json};
use uuid::Uuid;

/// How many blocks are remembered as asked for: peers may announce what they like.
const MAX_REMEMBERED: usize = 100_000;

#[derive(Default)]
pub(crate) struct Peers {
    connections: Vec<PeerConnectionHandle>,
    by_id: HashMap<Uuid, usize>,
    gone: HashSet<Uuid>,
    unresolved: Vec<String>,
    /// Blocks that have been asked for, each of whoever announced it first.
    asked: HashSet<BlockHash>,
}

impl Peers {
    pub(crate) fn add(&mut self, connection: PeerConnectionHandle) {
        self.by_id
            .insert(connection.peer_id(), self.connections.len());
        self.connections.push(connection);
    }

    pub(crate) fn add_unresolved(&mut self, name: &str) {
        self.unresolved.push(name.to_owned());
    }

    pub(crate) fn address(&self, peer: Uuid) -> Option<SocketAddr> {
        self.connection(peer).map(PeerConnectionHandle::address)
    }

    pub(crate) fn all_gone(&self) -> bool {
        self.gone.len() == self.connections.len()
    }

    pub(crate) fn on_control(&mut self, event: &ControlEvent) {
        if let ControlEvent::ConnectionLost { peer_id, .. }
        | ControlEvent::ConnectionFailed { peer_id, .. } = event
        {
            self.gone.insert(*peer_id);
        }
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
        let connections = self.connections.iter().map(|connection| {
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
        self.by_id.get(&peer).map(|at| &self.connections[*at])
    }
}
