//! Objects that peers requested by `getdata`.
//!
//! Sending a compact or filtered block takes long, because its transactions are hashed. Therefore,
//! peers take turns, and each turn sends one block. The next messages of a peer are processed after
//! all objects that it requested were sent, as in the node (Bitcoin SV node 1.2.2,
//! `src/net/net_processing.cpp`, `ProcessMessages`).

use super::NodeState;
use crate::event::BitcoinMessageEvent;
use crate::peers::PeerId;
use crate::wire::{GetData, Inventory};

/// The maximum number of messages of a peer that wait.
const MAX_WAITING: usize = 10_000;

impl NodeState {
    /// Handles a message of a peer, or keeps it while requested objects must be sent first.
    pub(super) fn on_message_event(&mut self, event: BitcoinMessageEvent) {
        let from = event.peer_id;
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| !peer.is_closing) else {
            return;
        };
        if !peer.is_busy() {
            self.on_message(from, &event.message);
        } else if peer.pending.len() < MAX_WAITING {
            peer.pending.push_back(event);
        } else {
            peer.close("too many messages while requested objects are sent");
        }
    }

    /// Starts to send requested objects.
    pub(super) fn on_getdata(&mut self, from: PeerId, request: &GetData) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        peer.requested.extend(&request.inventory);
        self.send_requested(from);
        if self.peers.get(&from).is_some_and(|peer| peer.is_busy()) {
            self.busy.insert(from);
        }
    }

    /// Returns whether [`continue_requests`](Self::continue_requests) must be called.
    pub(in crate::local_node) fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Takes one step for each peer that waits: sends objects up to a block, or else handles a
    /// message.
    pub(in crate::local_node) fn continue_requests(&mut self) {
        for id in std::mem::take(&mut self.busy) {
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            if !peer.requested.is_empty() {
                self.send_requested(id);
            } else if let Some(event) = peer.pending.pop_front() {
                self.on_message(id, &event.message);
            }
            if self.peers.get(&id).is_some_and(|peer| peer.is_busy()) {
                self.busy.insert(id);
            }
        }
    }

    /// Sends requested objects in order, up to and including a block, and reports missing
    /// transactions. Unknown blocks are skipped.
    ///
    /// Teranode reports all that is missing at the end, unknown blocks as well.
    fn send_requested(&mut self, to: PeerId) {
        let is_teranode = self.is_teranode();
        while let Some(peer) = self.peers.get_mut(&to)
            && let Some(entry) = peer.requested.pop_front()
        {
            match entry {
                Inventory::Block(hash) if is_teranode && !self.chain.contains(&hash) => {
                    peer.missing.push(entry);
                }
                Inventory::FilteredBlock(_)
                | Inventory::CompactBlock(_)
                | Inventory::DatarefTx(_)
                    if is_teranode => {}
                Inventory::Block(hash)
                | Inventory::FilteredBlock(hash)
                | Inventory::CompactBlock(hash) => {
                    self.send_block(to, hash, &entry);
                    break;
                }
                Inventory::Tx(txid) => {
                    let tx = self.pool.get(&txid).cloned();
                    // Teranode sends mined transactions as well.
                    let mined = || self.mined.get(&self.chain, &txid).filter(|_| is_teranode);
                    match tx.or_else(mined) {
                        Some(tx) => peer.send(&tx.into()),
                        None => peer.missing.push(entry),
                    }
                }
                Inventory::DatarefTx(_) => peer.missing.push(entry),
                Inventory::Unknown { .. } => {}
            }
        }
        if let Some(peer) = self.peers.get_mut(&to)
            && (!is_teranode || peer.requested.is_empty())
        {
            peer.send_notfound();
        }
    }
}
