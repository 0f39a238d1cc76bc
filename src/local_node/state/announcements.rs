//! Announcements of new blocks, in the form that each peer requested.
//!
//! Source: Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`, `SendBlockHeaders`.

use super::NodeState;
use super::enriched_headers::enriched_headers;
use super::peer::NodePeer;
use crate::local_node::Chain;
use crate::session::PeerProfile;
use crate::wire::{BlockHash, BlockHeader, CompactBlock, Headers, Inventory, Message};

/// The maximum number of blocks that are announced by their headers.
const MAX_ANNOUNCED: usize = 8;

/// A peer whose chain was this much higher than ours at its handshake receives no announcements.
const MAX_HEIGHT_BEHIND: i64 = 2_000;

impl NodeState {
    /// Announces the blocks that joined the active chain, in ascending order, to all peers that do
    /// not have them.
    pub(super) fn announce_blocks(&mut self, connected: &[BlockHash]) {
        if self.is_teranode() {
            return self.announce_as_teranode();
        }
        let recent = &connected[connected.len().saturating_sub(MAX_ANNOUNCED)..];
        let height = i64::from(self.chain.tip().0);
        let nonce = crate::random::random_u64();
        for peer in self.peers.values_mut() {
            let info = peer.info.as_ref();
            if info.is_some_and(|info| height > i64::from(info.start_height) - MAX_HEIGHT_BEHIND) {
                announce_to(peer, &self.chain, recent, nonce);
            }
        }
    }
}

/// Announces consecutive blocks, the last of which is the tip, to one peer.
fn announce_to(peer: &mut NodePeer, chain: &Chain, recent: &[BlockHash], nonce: u64) {
    let first_new = recent.iter().position(|hash| !peer.has_block(chain, hash));
    let (Some(first_new), Some(tip)) = (first_new, recent.last()) else {
        return;
    };
    let blocks = recent[first_new..]
        .iter()
        .filter_map(|hash| chain.block(hash));
    let headers: Vec<_> = blocks.map(|block| block.header()).collect();
    // Headers that do not follow a block of the peer would be useless to it. A Teranode closes the
    // connection for headers that it did not request.
    let connects = first_new > 0
        || (headers.first()).is_some_and(|first| peer.has_block(chain, &first.previous));
    let takes_headers = connects && peer.profile() != Some(PeerProfile::Teranode);
    let by_headers = takes_headers
        .then(|| announcement(peer, chain, headers, recent.len(), nonce))
        .flatten();
    match by_headers {
        Some(message) => {
            peer.send(&message);
            peer.best_header_sent = Some(*tip);
        }
        None => peer.send_inv(&[Inventory::Block(*tip)]),
    }
}

/// Returns the announcement of headers in the form that the peer requested. `None` if it requested
/// none, or if the message would exceed its limit.
fn announcement(
    peer: &NodePeer,
    chain: &Chain,
    headers: Vec<BlockHeader>,
    recent: usize,
    nonce: u64,
) -> Option<Message> {
    let wants_headers = peer.wants_headers || peer.wants_enriched_headers;
    if let [header] = &headers[..]
        && peer.wants_compact_blocks
        && (wants_headers || recent == 1)
    {
        let block = chain.block(&header.hash())?;
        return Some(CompactBlock::new(block, nonce).into());
    }
    if peer.wants_headers {
        return Some(Headers { headers }.into());
    }
    if !peer.wants_enriched_headers {
        return None;
    }
    let limit = peer.handle.peer_protoconf_payload();
    let enriched = enriched_headers(chain, &headers, limit)?;
    let fits = enriched.len() == headers.len() && enriched.bytes().len() as u64 <= u64::from(limit);
    fits.then(|| enriched.into())
}
