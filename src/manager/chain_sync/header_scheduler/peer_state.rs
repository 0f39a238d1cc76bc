//! What is known of one peer that may be asked for headers.

use std::time::Instant;

use crate::session::PeerInfo;
use crate::wire::{BlockHash, Services};

/// A connected peer, and what it is thought to have.
#[derive(Clone, Debug)]
pub(in crate::manager::chain_sync) struct PeerState {
    /// The height of its chain, by its own words and what it has announced since.
    pub(super) claims: u32,
    /// Whether it says that it serves blocks.
    pub(super) serves: bool,
    /// The number of the first news from it since it was last asked.
    pub(super) news: Option<u64>,
    /// The last block that it announced and that was not known then.
    pub(super) announced: Option<BlockHash>,
    /// The last header of its side chain, and the number of answers that led there.
    pub(super) side_chain_tip: Option<(BlockHash, u32)>,
    /// How many times in a row it had nothing of what it announced.
    pub(super) fruitless: u32,
    /// Since when it is being asked.
    pub(super) asked_at: Option<Instant>,
    /// The last look that was wanted when it was asked.
    pub(super) asked_for: u64,
    /// Whether its headers have broken rules.
    pub(super) was_wrong: bool,
}

impl PeerState {
    pub(in crate::manager::chain_sync) fn of(info: &PeerInfo) -> Self {
        let claims = u32::try_from(info.start_height).unwrap_or(0);
        Self::new(claims, info.services.contains(Services::NETWORK))
    }

    pub(super) fn new(claims: u32, serves: bool) -> Self {
        Self {
            claims,
            serves,
            news: None,
            announced: None,
            side_chain_tip: None,
            fruitless: 0,
            asked_at: None,
            asked_for: 0,
            was_wrong: false,
        }
    }
}
