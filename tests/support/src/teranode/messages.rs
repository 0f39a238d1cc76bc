//! The handling of each message by a scripted Teranode.

use std::net::SocketAddr;
use std::time::Instant;

use bsv_p2p::wire::{
    Addr, Block, BlockHash, FeeFilter, GetBlocks, GetData, GetHeaders, Headers, Inv, Inventory,
    Message, NotFound, Pong, Reject, RejectCode, Tx,
};

use super::chain::{MAX_BLOCK_HASHES, MAX_HEADERS};
use super::config::{HeaderOrder, TxVerdict};
use super::handshake::timestamped;
use super::peer::Closed;
use super::peer_stream::PeerStream;
use super::rules::Punishment;

const PROTOCOL_VERSION: i32 = 70016;

/// The fee rate that keeps transactions away while it synchronizes.
const SYNCING_FEE: i64 = 100_000_000;

/// Peers up to this protocol version get no `pong`.
const PING_WITHOUT_NONCE: i32 = 60_000;

/// Share of the known addresses in an answer to `getaddr`, in percent.
const ADDRESS_SHARE: usize = 23;

/// Maximum number of addresses in an answer.
const MAX_ADDRESSES: usize = 1_000;

/// The service bit of peers that may serve blocks to a Teranode.
const NETWORK: u64 = 1;

impl PeerStream<'_> {
    pub(super) fn handle(&mut self, message: Message, now: Instant) -> Result<(), Closed> {
        match message {
            Message::Ping(ping) => self.on_ping(ping.nonce),
            Message::Pong(pong) => {
                self.on_pong(pong.nonce, now);
                Ok(())
            }
            Message::GetAddr => self.on_getaddr(),
            Message::GetHeaders(request) => self.on_getheaders(&request),
            Message::GetBlocks(request) => self.on_getblocks(&request),
            Message::GetData(request) => self.on_getdata(&request.inventory, now),
            Message::Inv(inv) => self.on_inv(&inv.inventory),
            Message::Headers(headers) => self.on_headers(&headers),
            Message::Block(block) => self.on_block(&block),
            Message::Tx(tx) => self.on_tx(&tx),
            Message::NotFound(_) => {
                self.on_answer("getdata");
                Ok(())
            }
            Message::Authch(challenge) if challenge.version != 1 => {
                self.punish(
                    "authch",
                    "another version of the challenge",
                    Punishment::Rejected,
                );
                let reject = Reject::new("authch", RejectCode::INVALID, "invalid challenge");
                self.link().send(self.node, reject)
            }
            _ => Ok(()),
        }
    }

    fn on_ping(&self, nonce: Option<u64>) -> Result<(), Closed> {
        let version = self
            .peer
            .facts
            .lock()
            .version
            .as_ref()
            .map(|one| one.version);
        match nonce {
            Some(nonce) if version.is_some_and(|version| version > PING_WITHOUT_NONCE) => {
                self.link().send(self.node, Pong::new(nonce))
            }
            _ => Ok(()),
        }
    }

    fn on_pong(&self, nonce: Option<u64>, now: Instant) {
        let ping = &mut self.peer.facts.lock().ping;
        let answered = ping.take_if(|(sent, _)| Some(*sent) == nonce);
        let took = answered.map(|(_, sent)| now.duration_since(sent));
        self.node.update(|state| {
            state.slowest_pong = state.slowest_pong.max(took.unwrap_or_default());
        });
    }

    fn on_getaddr(&self) -> Result<(), Closed> {
        let is_second = {
            let facts = &mut *self.peer.facts.lock();
            std::mem::replace(&mut facts.has_addresses, true)
        };
        if !self.peer.is_inbound || is_second {
            return Ok(());
        }
        let config = &self.node.config;
        let count = (config.known_addresses.len() * ADDRESS_SHARE / 100).min(MAX_ADDRESSES);
        let known = config.known_addresses[..count].iter();
        let addresses = known.chain(&config.own_address).copied();
        let entry = |address: SocketAddr| timestamped(self.node, address);
        let addresses: Vec<_> = addresses.map(entry).take(MAX_ADDRESSES).collect();
        match addresses.is_empty() {
            true => Ok(()),
            false => self.link().send(self.node, Addr { addresses }),
        }
    }

    fn on_getheaders(&self, request: &GetHeaders) -> Result<(), Closed> {
        let config = &self.node.config;
        let headers = {
            let state = self.node.state();
            let is_silent = match config.header_order {
                HeaderOrder::Descending => !state.is_current,
                HeaderOrder::FromAncestor => {
                    state.is_headers_first && !config.answers_while_syncing
                }
            };
            if is_silent {
                return Ok(());
            }
            let order = config.header_order;
            state
                .chain
                .headers_for(&request.locator, order, config.serves_genesis)
        };
        match headers {
            Some(headers) => self.link().send(self.node, Headers { headers }),
            None => Ok(()),
        }
    }

    fn on_getblocks(&self, request: &GetBlocks) -> Result<(), Closed> {
        let hashes = self
            .node
            .state()
            .chain
            .hashes_for(&request.locator, request.stop);
        if hashes.is_empty() {
            return self.link().send(self.node, NotFound::from(Vec::new()));
        }
        if hashes.len() == MAX_BLOCK_HASHES {
            self.peer.facts.lock().continued_at = hashes.last().copied();
        }
        let inventory: Vec<_> = hashes.into_iter().map(Inventory::Block).collect();
        self.link().send(self.node, Inv::from(inventory))
    }

    fn on_getdata(&self, inventory: &[Inventory], now: Instant) -> Result<(), Closed> {
        if self.peer.facts.lock().score.add(inventory.len(), now) {
            self.punish("getdata", "a score above 100", Punishment::Banned);
            return Err(Closed);
        }
        let mut missing = Vec::new();
        for entry in inventory {
            let found: Option<Message> = match entry {
                Inventory::Block(hash) => self
                    .node
                    .state()
                    .chain
                    .block(hash)
                    .cloned()
                    .map(Message::from),
                Inventory::Tx(txid) => self
                    .node
                    .state()
                    .transactions
                    .get(txid)
                    .cloned()
                    .map(Message::from),
                _ => continue,
            };
            match found {
                Some(message) => self.link().send(self.node, message)?,
                None => missing.push(*entry),
            }
            if let Inventory::Block(hash) = entry {
                self.continue_blocks(*hash)?;
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => self.link().send(self.node, NotFound::from(missing)),
        }
    }

    /// After the last block of a full answer to `getblocks` the tip is announced.
    fn continue_blocks(&self, hash: BlockHash) -> Result<(), Closed> {
        let continued = {
            let at = &mut self.peer.facts.lock().continued_at;
            at.take_if(|at| *at == hash).is_some()
        };
        if !continued {
            return Ok(());
        }
        let (_, tip) = self.node.state().chain.tip();
        self.link()
            .send(self.node, Inv::from(vec![Inventory::Block(tip)]))
    }

    fn on_inv(&self, inventory: &[Inventory]) -> Result<(), Closed> {
        self.on_answer("getblocks");
        let is_tx = |entry: &Inventory| matches!(entry, Inventory::Tx(_));
        if self.node.config.blocks_only && inventory.iter().any(is_tx) {
            return self.close_for("inv", "a transaction in blocks-only mode");
        }
        let (wanted, knows_last) = self.node.update(|state| {
            let takes_blocks = !state.is_headers_first
                && (state.is_current || state.sync_peer == Some(self.peer.id));
            let mut wanted = Vec::new();
            for entry in inventory {
                let is_wanted = match entry {
                    Inventory::Block(hash) => {
                        takes_blocks
                            && !state.chain.contains(hash)
                            && state.requested.insert(*hash, self.peer.id).is_none()
                    }
                    Inventory::Tx(txid) => {
                        state.is_current
                            && !state.transactions.contains_key(txid)
                            && !state.rejected.contains(txid)
                    }
                    _ => false,
                };
                if is_wanted {
                    wanted.push(*entry);
                }
            }
            let knows_last = match inventory.last() {
                Some(Inventory::Block(hash)) => takes_blocks && state.chain.contains(hash),
                _ => false,
            };
            (wanted, knows_last)
        });
        if !wanted.is_empty() {
            self.request(GetData::from(wanted))?;
        }
        match knows_last {
            true => self.request_blocks(BlockHash::ZERO),
            false => Ok(()),
        }
    }

    fn on_headers(&self, headers: &Headers) -> Result<(), Closed> {
        self.on_answer("getheaders");
        let headers = &headers.headers;
        let is_full = headers.len() == MAX_HEADERS;
        let wanted = self.node.update(|state| {
            if !state.is_headers_first {
                return Err("headers outside headers-first mode");
            }
            let mut last = state.last_header.unwrap_or(state.chain.tip().1);
            let mut wanted = Vec::new();
            for header in headers {
                if header.previous != last {
                    return Err("headers that do not connect");
                }
                last = header.hash();
                state.requested.insert(last, self.peer.id);
                wanted.push(Inventory::Block(last));
            }
            state.last_header = Some(last);
            state.is_headers_first = is_full;
            Ok((last, wanted))
        });
        let (last, wanted) = match wanted {
            Ok(wanted) => wanted,
            Err(rule) => return self.close_for("headers", rule),
        };
        if !wanted.is_empty() {
            self.request(GetData::from(wanted))?;
        }
        match is_full {
            true => self.request_headers(vec![last]),
            false => Ok(()),
        }
    }

    fn on_block(&self, block: &Block) -> Result<(), Closed> {
        self.on_answer("getdata");
        let hash = block.hash();
        if self.node.update(|state| state.requested.remove(&hash)) != Some(self.peer.id) {
            return self.close_for("block", "a block that was not requested");
        }
        let network = &self.node.config.network;
        let has_work = block.header().check_proof_of_work(network).is_ok();
        if !has_work || block.check_merkle_root().is_err() {
            self.punish("block", "an invalid block", Punishment::Rejected);
            let mut reject = Reject::new("block", RejectCode::INVALID, "block rejected");
            reject.hash = Some(hash.into());
            return self.link().send(self.node, reject);
        }
        let header = block.header();
        let (new, is_orphan) = self.node.update(|state| {
            if !state.chain.contains(&header.previous) {
                state.orphans.insert(header.previous, block.clone());
                return (Vec::new(), true);
            }
            let mut new = Vec::new();
            let mut next = (header.previous == state.chain.tip().1).then(|| block.clone());
            while let Some(block) = next {
                state.chain.push(&block);
                new.push(block.header());
                next = state.orphans.remove(&block.hash());
            }
            (new, false)
        });
        for header in new {
            self.node.announce_block(header, Some(self.peer.id));
        }
        match is_orphan {
            true => self.request_blocks(hash),
            false => Ok(()),
        }
    }

    fn on_tx(&self, tx: &Tx) -> Result<(), Closed> {
        self.on_answer("getdata");
        let txid = tx.txid();
        let verdict = (self.node.config.judge_tx)(tx);
        let is_new = self.node.update(|state| match verdict {
            TxVerdict::Accepted => state.transactions.insert(txid, tx.clone()).is_none(),
            TxVerdict::Orphan => false,
            TxVerdict::Rejected => state.rejected.insert(txid),
        });
        match verdict {
            _ if !is_new => Ok(()),
            TxVerdict::Rejected => {
                self.punish("tx", "an invalid transaction", Punishment::Rejected);
                let mut reject = Reject::new("tx", RejectCode::INVALID, "rejected");
                reject.hash = Some(txid.into());
                self.link().send(self.node, reject)
            }
            TxVerdict::Accepted | TxVerdict::Orphan => {
                self.node.announce_transactions(&[txid], Some(self.peer.id));
                Ok(())
            }
        }
    }

    /// Starts a download of blocks if the peer has more of them.
    pub(super) fn start_sync(&self) -> Result<(), Closed> {
        let version = self.peer.facts.lock().version.clone();
        let Some(version) = version else {
            return Ok(());
        };
        if self.node.state().is_headers_first {
            self.link()
                .send(self.node, FeeFilter { rate: SYNCING_FEE })?;
        }
        let start = self.node.update(|state| {
            let height = state.chain.tip().0 as i32;
            let is_candidate = version.services.0 & NETWORK != 0
                && version.start_height_or_default() > height
                && state.sync_peer.is_none();
            if is_candidate {
                state.sync_peer = Some(self.peer.id);
            }
            is_candidate.then_some((state.is_headers_first, state.chain.locator()))
        });
        match start {
            Some((true, locator)) => self.request_headers(locator),
            Some((false, _)) => self.request_blocks(BlockHash::ZERO),
            None => Ok(()),
        }
    }

    fn request_headers(&self, locator: Vec<BlockHash>) -> Result<(), Closed> {
        self.request(GetHeaders {
            version: PROTOCOL_VERSION,
            locator,
            stop: BlockHash::ZERO,
        })
    }

    fn request_blocks(&self, stop: BlockHash) -> Result<(), Closed> {
        let locator = self.node.state().chain.locator();
        self.request(GetBlocks {
            version: PROTOCOL_VERSION,
            locator,
            stop,
        })
    }
}
