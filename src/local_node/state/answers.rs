//! Answers to requests of peers.

use super::enriched_headers::enriched_headers;
use super::{NodeState, unix_time};
use crate::local_node::MAX_BLOCK_HASHES;
use crate::peers::PeerId;
use crate::session::{Direction, Misbehavior, PeerProfile};
use crate::wire::{
    Addr, BlockHash, BlockTransactions, CompactBlock, GetBlockTxn, GetBlocks, GetHdrsEn,
    GetHeaders, Headers, Inventory, MAX_ADDRESSES, MerkleBlock, Message, NetworkAddress,
    PartialMerkleTree, Services, TimestampedAddress, Tx,
};

/// The depth below the tip up to which a block is sent in compact form.
const MAX_COMPACT_DEPTH: u32 = 5;

/// The age of the tip, in seconds, up to which blocks are sent in compact form.
const MAX_COMPACT_AGE: u32 = 20 * 600;

/// The depth below the tip up to which `getblocktxn` is answered with `blocktxn`.
const MAX_BLOCKTXN_DEPTH: u32 = 10;

/// The share of the transactions of a block, in percent, up to which `getblocktxn` is answered with
/// `blocktxn`.
const MAX_BLOCKTXN_PERCENT: usize = 99;

/// The age of known addresses in seconds: a node subtracts 2 hours from the advertised time
/// (`src/net/net_processing.cpp`). Recent addresses would look as if they were relayed.
const ADDRESS_AGE: u32 = 2 * 3600;

impl NodeState {
    /// Sends headers after the fork. They count as known to the peer: it receives announcements by
    /// headers from then on.
    pub(super) fn answer_getheaders(&mut self, from: PeerId, request: &GetHeaders) {
        let headers = self
            .chain
            .headers_for_locator(&request.locator, request.stop);
        let (Some(headers), Some(peer)) = (headers, self.peers.get_mut(&from)) else {
            return;
        };
        let last = headers.last().map(|header| header.hash());
        peer.best_header_sent = Some(last.unwrap_or(self.chain.tip().1));
        peer.send(&Headers { headers }.into());
    }

    /// Sends enriched headers after the fork, as many as the peer's `protoconf` allows.
    pub(super) fn answer_gethdrsen(&mut self, from: PeerId, request: &GetHdrsEn) {
        let headers = self
            .chain
            .headers_for_locator(&request.locator, request.stop);
        let (Some(headers), Some(peer)) = (headers, self.peers.get_mut(&from)) else {
            return;
        };
        let limit = peer.handle.peer_protoconf_payload();
        if let Some(list) = enriched_headers(&self.chain, &headers, limit) {
            let sent = headers[..list.len()].last().map(|header| header.hash());
            peer.best_header_sent = Some(sent.unwrap_or(self.chain.tip().1));
            peer.send(&list.into());
        }
    }

    /// Announces up to 500 blocks after the fork. The request for the last one of a full list is
    /// followed by an announcement of the tip: the peer then requests the next part.
    pub(super) fn answer_getblocks(&mut self, from: PeerId, request: &GetBlocks) {
        let hashes = self
            .chain
            .hashes_for_locator(&request.locator, request.stop);
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if hashes.len() == MAX_BLOCK_HASHES {
            peer.continue_after = hashes.last().copied();
        }
        let entries: Vec<_> = hashes.into_iter().map(Inventory::Block).collect();
        peer.send_inv(&entries);
    }

    /// Sends a block in the form that `entry` requests.
    pub(super) fn send_block(&mut self, to: PeerId, hash: BlockHash, entry: &Inventory) {
        let (height, tip) = self.chain.tip();
        let is_recent = self.is_current()
            && self.chain.height_of(&hash) >= height.checked_sub(MAX_COMPACT_DEPTH);
        let (Some(block), Some(peer)) = (self.chain.block(&hash), self.peers.get_mut(&to)) else {
            return;
        };
        match entry {
            Inventory::FilteredBlock(_) => {
                let matches = block
                    .transactions()
                    .map(|tx| (tx, peer.filter.match_and_update(tx)));
                let matches: Vec<_> = matches.collect();
                let leaves = matches.iter().map(|(tx, matches)| (tx.txid(), *matches));
                // A block of the chain has at least a coinbase.
                if let Ok(tree) = PartialMerkleTree::new(leaves) {
                    let header = block.header();
                    peer.send(&MerkleBlock { header, tree }.into());
                }
                let matching = matches.iter().filter(|(_, matches)| *matches);
                matching.for_each(|(tx, _)| peer.send(&Tx::from(*tx).into()));
            }
            Inventory::CompactBlock(_) if is_recent => {
                let nonce = crate::random::random_u64();
                peer.send(&CompactBlock::new(block, nonce).into());
            }
            _ => peer.send(&block.clone().into()),
        }
        if peer.continue_after.take_if(|last| *last == hash).is_some() {
            peer.send_inv(&[Inventory::Block(tip)]);
        }
    }

    /// Returns whether the tip is so young that peers can have the transactions of the next blocks.
    fn is_current(&self) -> bool {
        let tip = self.chain.block(&self.chain.tip().1);
        tip.is_some_and(|tip| tip.header().time > unix_time().saturating_sub(MAX_COMPACT_AGE))
    }

    /// Sends transactions of a recent block, or the block if it is not recent or nearly all are
    /// requested.
    pub(super) fn answer_getblocktxn(&mut self, from: PeerId, request: &GetBlockTxn) {
        let hash = request.block();
        let (tip, height) = (self.chain.tip().0, self.chain.height_of(&hash));
        let (Some(block), Some(height)) = (self.chain.block(&hash), height) else {
            return;
        };
        let requested = request.indexes().len() * 100;
        let too_many = requested > MAX_BLOCKTXN_PERCENT * block.transaction_count();
        if height + MAX_BLOCKTXN_DEPTH < tip || too_many {
            return self.send_block(from, hash, &Inventory::Block(hash));
        }
        match BlockTransactions::for_request(block, request) {
            Ok(answer) => self.send(from, &answer.into()),
            Err(error) => self.misbehaved(from, Misbehavior::RequestBeyondBlock(error)),
        }
    }

    /// Sends known addresses to an inbound peer, once. Teranode sends nothing if it knows no other
    /// node.
    pub(super) fn answer_getaddr(&mut self, from: PeerId) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if peer.handle.direction() != Direction::Inbound || peer.got_addresses {
            return;
        }
        peer.got_addresses = true;
        let is_teranode = self.config.profile == PeerProfile::Teranode;
        if is_teranode && self.known_addresses.len() == 1 {
            return;
        }
        let time = unix_time().saturating_sub(ADDRESS_AGE);
        let addresses = self.known_addresses.iter().take(MAX_ADDRESSES);
        let addresses = addresses.map(|address| TimestampedAddress {
            time,
            address: NetworkAddress::new(Services::NETWORK, *address),
        });
        let addresses = addresses.collect();
        peer.send(&Addr { addresses }.into());
    }

    /// Records addresses of other nodes.
    pub(super) fn on_addr(&mut self, addr: &Addr) {
        let space = MAX_ADDRESSES.saturating_sub(self.known_addresses.len());
        let addresses = addr.addresses.iter();
        let addresses = addresses.map(|entry| entry.address.socket_address());
        self.known_addresses.extend(addresses.take(space));
    }

    pub(super) fn send(&self, to: PeerId, message: &Message) {
        if let Some(peer) = self.peers.get(&to) {
            peer.send(message);
        }
    }
}
