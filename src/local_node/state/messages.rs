//! What a local node does about each message of a peer.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{State, unix_time};
use crate::local_node::Refused;
use crate::session::{Direction, DisconnectReason, PROTOCOL_VERSION};
use crate::wire::{
    Addr, BlockHash, BlockHeader, ChainRuleError, GetData, GetHeaders, Headers, Inventory,
    MAX_ADDRESSES, MAX_HEADERS, Message, NetworkAddress, NotFound, Services, TimestampedAddress,
};

/// How long a peer has to answer a request for a block before another may be asked.
const BLOCK_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How many blocks may be asked for at once: headers cost whoever sends them nothing.
const MAX_REQUESTED: usize = 100_000;

impl State {
    pub(super) fn on_message(&mut self, from: Uuid, message: &Message) {
        match message {
            Message::Inv(inv) => self.on_inv(from, &inv.inventory),
            Message::GetData(getdata) => self.on_getdata(from, &getdata.inventory),
            Message::GetHeaders(question) => {
                if let Some(headers) = self.chain.headers_after(&question.locator, question.stop) {
                    self.send(from, &Headers { headers }.into());
                }
            }
            Message::Headers(headers) => self.on_headers(from, &headers.headers),
            Message::Block(block) => {
                self.requested.remove(&block.hash());
                match self.take_block(block, Some(from)) {
                    Ok(_) => {}
                    Err(Refused::UnknownParent(_)) => {
                        self.send(from, &self.question_for_headers());
                    }
                    // The block may be accepted later, so the peer did nothing wrong.
                    Err(
                        refused @ (Refused::NoRoom { .. }
                        | Refused::Header(ChainRuleError::TimeTooNew { .. })),
                    ) => {
                        log::debug!("local node: block {} skipped: {refused}", block.hash());
                    }
                    Err(refused) => {
                        log::warn!("local node: block {} refused: {refused}", block.hash());
                        if let Some(peer) = self.peers.get(&from) {
                            peer.handle.stop(DisconnectReason::WrongChain);
                        }
                    }
                }
            }
            Message::Tx(tx) => {
                if let Err(invalid) = self.add_transaction(tx, Some(from)) {
                    log::debug!("local node: transaction {} refused: {invalid}", tx.txid());
                }
            }
            Message::GetAddr => self.on_getaddr(from),
            Message::Addr(addr) => {
                let room = MAX_ADDRESSES.saturating_sub(self.known_addresses.len());
                let new = addr
                    .addresses
                    .iter()
                    .map(|entry| entry.address.socket_address());
                self.known_addresses.extend(new.take(room));
            }
            _ => {}
        }
    }

    fn on_inv(&mut self, from: Uuid, inventory: &[Inventory]) {
        let wanted: Vec<_> = inventory
            .iter()
            .filter(|entry| matches!(entry, Inventory::Tx(txid) if !self.knows_transaction(txid)))
            .copied()
            .collect();
        let new_block = inventory
            .iter()
            .any(|entry| matches!(entry, Inventory::Block(hash) if !self.chain.contains(hash)));
        if !wanted.is_empty() {
            self.send(from, &GetData::from(wanted).into());
        }
        if new_block {
            self.send(from, &self.question_for_headers());
        }
    }

    fn on_headers(&mut self, from: Uuid, headers: &[BlockHeader]) {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return;
        };
        let known =
            self.chain.contains(&first.previous) || self.requested.contains_key(&first.previous);
        if !known {
            self.send(from, &self.question_for_headers());
            return;
        }
        let now = Instant::now();
        let mut wanted = Vec::new();
        for header in headers {
            let hash = header.hash();
            let asked = self.requested.get(&hash);
            let is_asked =
                asked.is_some_and(|(_, when)| now.duration_since(*when) < BLOCK_REQUEST_TIMEOUT);
            let room = self.requested.len() < MAX_REQUESTED;
            if !self.chain.contains(&hash) && !is_asked && room {
                self.requested.insert(hash, (from, now));
                wanted.push(Inventory::Block(hash));
            }
        }
        if !wanted.is_empty() {
            self.send(from, &GetData::from(wanted).into());
        }
        if headers.len() == MAX_HEADERS {
            let locator = vec![last.hash()];
            let stop = BlockHash::ZERO;
            let further = GetHeaders {
                version: PROTOCOL_VERSION,
                locator,
                stop,
            };
            self.send(from, &further.into());
        }
    }

    /// Blocks that we do not have are passed over in silence, as by the node; transactions are listed.
    fn on_getdata(&mut self, from: Uuid, inventory: &[Inventory]) {
        let mut missing = Vec::new();
        for entry in inventory {
            match entry {
                Inventory::Block(hash) | Inventory::CompactBlock(hash) => {
                    if let Some(block) = self.chain.block(hash) {
                        self.send(from, &block.clone().into());
                    }
                }
                Inventory::Tx(txid) => match self.pool.get(txid) {
                    Some(tx) => self.send(from, &tx.clone().into()),
                    None => missing.push(*entry),
                },
                Inventory::DatarefTx(_) => missing.push(*entry),
                Inventory::FilteredBlock(_) | Inventory::Unknown { .. } => {}
            }
        }
        if !missing.is_empty() {
            self.send(from, &NotFound::from(missing).into());
        }
    }

    /// Answers inbound peers, each once, as the node does.
    fn on_getaddr(&mut self, from: Uuid) {
        let time = unix_time();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if peer.handle.direction() != Direction::Inbound || peer.told_addresses {
            return;
        }
        peer.told_addresses = true;
        let addresses = self
            .known_addresses
            .iter()
            .take(MAX_ADDRESSES)
            .map(|address| {
                let address = NetworkAddress::new(Services::NETWORK, *address);
                TimestampedAddress { time, address }
            });
        let addr = Addr {
            addresses: addresses.collect(),
        };
        self.send(from, &addr.into());
    }
}
