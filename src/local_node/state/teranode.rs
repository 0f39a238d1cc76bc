//! The behavior of a local node as a Teranode, where Teranode differs from SV Node.
//!
//! Source: Teranode's legacy peer service of 2026, `services/legacy/peer_server.go`,
//! `services/legacy/peer/peer.go` and `services/legacy/netsync/manager.go`.

use std::time::Instant;

use super::NodeState;
use crate::local_node::MAX_BLOCK_HASHES;
use crate::peers::PeerId;
use crate::session::PeerProfile;
use crate::wire::{
    BlockHash, GetBlocks, GetHeaders, Headers, Inventory, MAX_HEADERS, Message, NotFound, Reject,
    RejectCode,
};

/// The maximum number of hashes of a locator.
const MAX_LOCATOR: usize = 500;

/// Commands without a type in this library that are read and ignored. Others are malformed.
const IGNORED: [&str; 6] = [
    "getcfilters",
    "getcfcheckpt",
    "cfilter",
    "cfheaders",
    "cfcheckpt",
    "exttx",
];

impl NodeState {
    pub(super) fn is_teranode(&self) -> bool {
        self.config.profile == PeerProfile::Teranode
    }

    /// Handles a message that Teranode handles in another way than SV Node. Returns whether the
    /// message was handled.
    pub(super) fn handle_as_teranode(&mut self, from: PeerId, message: &Message) -> bool {
        match message {
            Message::GetHeaders(request) => self.send_headers_from_ancestor(from, request),
            Message::GetBlocks(request) => self.send_blocks_backwards(from, request),
            Message::Headers(_) => self.close(from, "unrequested headers"),
            Message::Mempool(_) => self.close(from, "mempool request"),
            Message::Addr(addr) if addr.addresses.is_empty() => self.close(from, "empty addr"),
            Message::FeeFilter(filter) if !filter.is_valid() => {
                self.close(from, "invalid feefilter")
            }
            Message::CompactBlock(_)
            | Message::GetBlockTxn(_)
            | Message::BlockTransactions(_)
            | Message::SendHdrsEn
            | Message::GetHdrsEn(_)
            | Message::HdrsEn(_)
            | Message::DsDetected(_)
            | Message::DatarefTx(_)
            | Message::RevokeMid(_)
            | Message::Alert(_) => self.refuse_malformed(from, message),
            Message::Unknown { command, .. } if !IGNORED.contains(&command.name()) => {
                self.refuse_malformed(from, message);
            }
            Message::FilterLoad(_)
            | Message::FilterAdd(_)
            | Message::FilterClear
            | Message::MerkleBlock(_)
            | Message::SendCmpct(_)
            | Message::Authresp(_)
            | Message::Unknown { .. } => {}
            _ => return false,
        }
        true
    }

    /// Announces the tip to the peers that sent `sendheaders`, whatever they have. Others receive no
    /// announcement.
    pub(super) fn announce_as_teranode(&mut self) {
        let headers = self.chain.headers_from(self.chain.tip().0).to_vec();
        let announcement = Headers { headers }.into();
        let peers = self.peers.values();
        peers
            .filter(|peer| peer.is_ready() && peer.wants_headers)
            .for_each(|peer| peer.send(&announcement));
    }

    /// Requests announced blocks. A list that ends with a known block is followed by a request for
    /// the next list.
    pub(super) fn request_announced_blocks(&mut self, from: PeerId, inventory: &[Inventory]) {
        let now = Instant::now();
        let mut wanted = Vec::new();
        let mut ends_with_known = false;
        for entry in inventory {
            if let Inventory::Block(hash) = entry {
                ends_with_known = self.chain.contains(hash);
                if !ends_with_known && self.requests.add(*hash, None, from, now) {
                    wanted.push(*entry);
                }
            }
        }
        if let Some(peer) = self.peers.get(&from) {
            peer.send_getdata(&wanted);
            if ends_with_known {
                peer.send(&self.chain_request());
            }
        }
    }

    /// Sends headers that begin with the common ancestor, at most 2,000 and never none. The highest
    /// known hash of the locator counts; without one there is no answer. The stop hash is ignored.
    fn send_headers_from_ancestor(&mut self, from: PeerId, request: &GetHeaders) {
        if request.locator.len() > MAX_LOCATOR {
            return self.refuse_malformed(from, &request.clone().into());
        }
        let active = |hash: &&BlockHash| self.chain.is_active(hash);
        let known = request.locator.iter().filter(active);
        let Some(ancestor) = known.filter_map(|hash| self.chain.height_of(hash)).max() else {
            return;
        };
        let headers = self.chain.headers_from(ancestor).iter();
        let headers = headers.take(MAX_HEADERS).copied().collect();
        self.send(from, &Headers { headers }.into());
    }

    /// Announces up to 500 blocks from the first hash of the locator backward, newest first, until
    /// the stop hash. If that block is unknown, the answer is an empty `notfound`.
    fn send_blocks_backwards(&mut self, from: PeerId, request: &GetBlocks) {
        if request.locator.len() > MAX_LOCATOR {
            return self.refuse_malformed(from, &request.clone().into());
        }
        let start = request.locator.first().copied();
        let parent = |hash: &BlockHash| Some(self.chain.block(hash)?.header().previous);
        let blocks = std::iter::successors(start, parent)
            .take_while(|hash| *hash != request.stop && self.chain.contains(hash))
            .take(MAX_BLOCK_HASHES);
        let entries: Vec<_> = blocks.map(Inventory::Block).collect();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if entries.len() == MAX_BLOCK_HASHES
            && let Some(Inventory::Block(last)) = entries.last()
        {
            peer.continue_after = Some(*last);
        }
        if entries.is_empty() {
            peer.send(&NotFound::default().into());
        }
        peer.send_inv(&entries);
    }

    /// Closes the connection after a message that Teranode cannot read.
    fn refuse_malformed(&mut self, from: PeerId, message: &Message) {
        let command = message.command();
        let reason = format!("unhandled command [{command}]");
        let reject = Reject::new("malformed", RejectCode::MALFORMED, &reason);
        self.send(from, &reject.into());
        self.close(from, &reason);
    }
}
