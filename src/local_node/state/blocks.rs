//! Headers and blocks that peers send.

use std::time::Instant;

use log::Level;

use super::block_requests::HeaderBranch;
use super::rejects::ObjectRejection;
use super::{NodeState, unix_time};
use crate::local_node::{AcceptOutcome, BlockRejectReason};
use crate::peers::PeerId;
use crate::session::{Misbehavior, PROTOCOL_VERSION};
use crate::wire::{
    Ancestors, Block, BlockHash, BlockHeader, ChainRuleError, GetBlocks, GetHeaders,
    HeaderChainError, Inventory, MAX_HEADERS, Message,
};

/// The number of headers from which on an unknown parent is scored. A shorter list may be an
/// announcement.
const MIN_SCORED_HEADERS: usize = 8;

/// Every list of this number of short lists in a row with an unknown parent is scored.
const MAX_UNCONNECTED_LISTS: u32 = 10;

impl NodeState {
    /// Returns the message that requests the continuation of our chain: `getheaders`, or `getblocks`
    /// as by Teranode on regtest.
    pub(super) fn chain_request(&self) -> Message {
        let locator = self.chain.locator();
        if self.is_teranode() {
            GetBlocks {
                version: PROTOCOL_VERSION,
                locator,
                stop: BlockHash::ZERO,
            }
            .into()
        } else {
            headers_request(locator)
        }
    }

    /// Handles a list of headers in the order of the node (Bitcoin SV node 1.2.2,
    /// `src/net/net_processing.cpp`, `ProcessHeadersMessage`), and requests their blocks.
    ///
    /// A list whose first header is known, as from Teranode, connects as well.
    pub(super) fn on_headers(&mut self, from: PeerId, headers: &[BlockHeader]) {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return;
        };
        let knows = |hash| self.chain.contains(hash) || self.requests.contains(hash);
        let connects = knows(&first.previous) || knows(&first.hash());
        if !connects && headers.len() < MIN_SCORED_HEADERS {
            self.on_unconnected_headers(from, last.hash());
            return;
        }
        let checked = check_links(headers).and_then(|()| self.check_rules(headers));
        match checked {
            Ok(()) => self.request_blocks(from, headers),
            Err(HeaderChainError::UnknownParent { .. }) => {
                let headers = headers.len();
                self.misbehaved(from, Misbehavior::UnconnectedHeaders { headers });
            }
            // A requested ancestor has not arrived and will not: the list is requested again.
            Err(HeaderChainError::InvalidHeader {
                error: ChainRuleError::MissingAncestor { .. },
                ..
            }) => self.send(from, &self.chain_request()),
            Err(error) => self.misbehaved(from, Misbehavior::InvalidHeaders(error)),
        }
    }

    /// Handles a short list with an unknown parent: the announcement of a block whose ancestors are
    /// missing.
    fn on_unconnected_headers(&mut self, from: PeerId, last: BlockHash) {
        let request = self.chain_request();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        peer.record_block(&self.chain, last);
        peer.send(&request);
        peer.unconnected_lists += 1;
        let lists = peer.unconnected_lists;
        if lists.is_multiple_of(MAX_UNCONNECTED_LISTS) {
            peer.misbehaved(Misbehavior::RepeatedUnconnectedHeaders { lists });
        }
    }

    /// Checks the chain rules of linked headers. Skips the first ones if their blocks are known or
    /// requested.
    fn check_rules(&self, headers: &[BlockHeader]) -> Result<(), HeaderChainError> {
        let now = unix_time();
        let hashes: Vec<_> = headers.iter().map(BlockHeader::hash).collect();
        let known = hashes
            .iter()
            .take_while(|hash| self.chain.contains(hash) || self.requests.contains(hash))
            .count();
        let Some(first) = headers.get(known) else {
            return Ok(());
        };
        for position in known..headers.len() {
            let (header, hash) = (&headers[position], hashes[position]);
            let list = &headers[known..position];
            let branch = HeaderBranch::new(&self.chain, &self.requests, first.previous, list);
            let branch = branch.ok_or(HeaderChainError::UnknownParent {
                header: hash,
                parent: first.previous,
            })?;
            let rules = self.chain.rules();
            let height = branch.height().saturating_add(1);
            rules
                .check_proof_of_work(height, header, hash)
                .and_then(|()| rules.check_header(&branch, header, hash, now))
                .map_err(|error| HeaderChainError::InvalidHeader {
                    position,
                    hash,
                    error,
                })?;
        }
        Ok(())
    }

    /// Requests the blocks of valid headers, and more headers after a full list.
    fn request_blocks(&mut self, from: PeerId, headers: &[BlockHeader]) {
        let Some(last) = headers.last().map(BlockHeader::hash) else {
            return;
        };
        let mut height = headers.first().and_then(|first| {
            let branch = HeaderBranch::new(&self.chain, &self.requests, first.previous, &[]);
            branch.map(|branch| branch.height() + 1)
        });
        let now = Instant::now();
        let mut wanted = Vec::new();
        for header in headers {
            let hash = header.hash();
            let own = self.chain.height_of(&hash);
            height = own.or(height);
            let known = height.map(|height| (*header, height));
            if own.is_none() && self.requests.add(hash, known, from, now) {
                wanted.push(Inventory::Block(hash));
            }
            height = height.map(|height| height + 1);
        }
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        peer.unconnected_lists = 0;
        peer.record_block(&self.chain, last);
        peer.send_getdata(&wanted);
        let is_known = self.chain.contains(&last) || self.requests.contains(&last);
        if headers.len() == MAX_HEADERS && is_known {
            peer.send(&headers_request(vec![last]));
        }
    }

    /// Handles an announcement of blocks and transactions.
    pub(super) fn on_inv(&mut self, from: PeerId, inventory: &[Inventory]) {
        let mut wanted = Vec::new();
        let mut has_new_block = false;
        for entry in inventory {
            match entry {
                Inventory::Tx(txid) if !self.knows_transaction(txid) => wanted.push(*entry),
                Inventory::Block(hash) => {
                    has_new_block |= !self.chain.contains(hash) && !self.requests.contains(hash);
                    if let Some(peer) = self.peers.get_mut(&from) {
                        peer.record_block(&self.chain, *hash);
                    }
                }
                _ => {}
            }
        }
        if let Some(peer) = self.peers.get(&from) {
            peer.send_getdata(&wanted);
        }
        if self.is_teranode() {
            self.request_announced_blocks(from, inventory);
        } else if has_new_block {
            self.send(from, &self.chain_request());
        }
    }

    /// Handles a block of a peer.
    pub(super) fn on_block(&mut self, from: PeerId, block: &Block) {
        let hash = block.hash();
        let mut holders = self.requests.remove(&hash);
        holders.push(from);
        match self.accept_block(block, &holders) {
            Ok(()) => {
                if self.requests.take_incomplete() {
                    self.send(from, &self.chain_request());
                }
            }
            Err(BlockRejectReason::UnknownParent(_)) => self.send(from, &self.chain_request()),
            Err(refused) => match ObjectRejection::of_block(&refused) {
                Some(rejection) => self.reject(from, "block", hash.0, &rejection),
                // The block may be accepted later.
                None => {
                    let record = self.log_peer(from, Level::Warn).error(&refused);
                    record.write(format_args!("block {hash} skipped"));
                }
            },
        }
    }

    /// Adds a block to the chain and announces a new tip to all peers but `holders`, which have the
    /// block.
    pub(super) fn accept_block(
        &mut self,
        block: &Block,
        holders: &[PeerId],
    ) -> Result<(), BlockRejectReason> {
        let accepted = self.chain.accept(block, unix_time())?;
        let hash = block.hash();
        for id in holders {
            if let Some(peer) = self.peers.get_mut(id) {
                peer.record_block(&self.chain, hash);
            }
        }
        let AcceptOutcome::NewTip {
            disconnected,
            connected,
        } = accepted
        else {
            return Ok(());
        };
        for hash in &disconnected {
            if let Some(block) = self.chain.block(hash) {
                self.pool.restore_disconnected(block);
                self.mined.remove_block(block);
            }
        }
        let mut mined = Vec::new();
        for hash in &connected {
            if let Some(block) = self.chain.block(hash) {
                self.pool.remove_included(block);
                mined.extend(self.mined.add_block(block));
            }
        }
        self.announce_blocks(&connected);
        self.accept_orphans_of(mined);
        Ok(())
    }
}

fn headers_request(locator: Vec<BlockHash>) -> Message {
    GetHeaders {
        version: PROTOCOL_VERSION,
        locator,
        stop: BlockHash::ZERO,
    }
    .into()
}

/// Checks that each header follows the one before it.
fn check_links(headers: &[BlockHeader]) -> Result<(), HeaderChainError> {
    for (position, pair) in (1..).zip(headers.windows(2)) {
        let (expected, got) = (pair[0].hash(), pair[1].previous);
        if got != expected {
            return Err(HeaderChainError::NotLinked {
                position,
                expected,
                got,
            });
        }
    }
    Ok(())
}
