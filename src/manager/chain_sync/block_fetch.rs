//! Fetches single blocks from any connected peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use parking_lot::Mutex;

use super::block_sources::{BlockSource, BlockSources};
use crate::connection::{BlockReader, PeerConnectionHandle};
use crate::error::{Error, InvalidBlock, Timeout};
use crate::manager::Manager;
use crate::manager::clock::Now;
use crate::peers::PeerId;
use crate::session::{ConnectionState, Misbehavior};
use crate::wire::{Block, BlockHash, Services};

/// Time without a received byte after which the next peer is tried.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of failed attempts that an error lists.
const MAX_ATTEMPTS_REPORTED: usize = 32;

/// Block requests. Each tries one peer after the other until one delivers the block.
///
/// The peer that announced the block first is tried first, then the peer with the shortest round
/// trip. A peer that stalled in the last five minutes is tried last. Concurrent calls are spread
/// over the peers.
impl Manager {
    /// Requests a block and verifies that its transactions match the merkle root of its header.
    ///
    /// Tries the next peer if a peer does not have the block, disconnects, sends an invalid block,
    /// or sends nothing for 5 s. A slow transfer that makes progress is not interrupted. Blocks
    /// for at most `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::FetchFailed`] if no peer delivered the block; lists the result of each attempt.
    /// - [`Error::NoPeers`] if no peer is connected.
    /// - [`Error::PayloadTooLarge`] if the block is larger than `limits.buffered` or
    ///   `limits.block`. [`Manager::fetch_block_reader`] has only the latter limit.
    pub fn fetch_block(&self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        self.fetch(hash, timeout, |peer, left| {
            peer.block_with_stall_timeout(hash, left, STALL_TIMEOUT)
        })
    }

    /// Requests a block of any size and returns as soon as a peer sent its header.
    ///
    /// The transactions are read from the [`BlockReader`] while they arrive. A failure after this
    /// call ends the reader; the rest is not requested from another peer. Blocks for at most
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::FetchFailed`] if no peer delivered the block; lists the result of each attempt.
    /// - [`Error::NoPeers`] if no peer is connected.
    /// - [`Error::PayloadTooLarge`] if the block is larger than `limits.block`.
    pub fn fetch_block_reader(
        &self,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<BlockReader<'static>, Error> {
        self.fetch(hash, timeout, |peer, left| {
            peer.block_reader_with_stall_timeout(hash, left, STALL_TIMEOUT)
        })
    }

    fn fetch<T>(
        &self,
        hash: BlockHash,
        timeout: Duration,
        request: impl Fn(&PeerConnectionHandle, Duration) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let deadline = Now::read().after(timeout);
        let mut requested: Vec<PeerId> = Vec::new();
        let mut attempts = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let next = self.next_block_source(hash, &requested);
            let Some(guard) = next.filter(|_| !left.is_zero()) else {
                break;
            };
            let peer = &guard.peer;
            requested.push(peer.peer_id());
            match request(peer, left) {
                Err(error @ Error::PayloadTooLarge { .. }) => return Err(error),
                Err(error) => {
                    self.on_fetch_error(peer, &error);
                    if attempts.len() < MAX_ATTEMPTS_REPORTED {
                        attempts.push(error);
                    }
                }
                fetched => return fetched,
            }
        }
        if requested.is_empty() && self.connected_count() == 0 {
            return Err(Error::NoPeers);
        }
        Err(Error::FetchFailed {
            hash,
            after: started.elapsed(),
            attempts,
        })
    }

    /// Chooses the best connected peer that is not in `requested`.
    fn next_block_source(&self, hash: BlockHash, requested: &[PeerId]) -> Option<FetchGuard<'_>> {
        let mut connections = self.shared.connections.all();
        connections.retain(|one| {
            one.state() == ConnectionState::Connected && !requested.contains(&one.peer_id())
        });
        let chain = self.chain_sync.state();
        let position = |peer_id| {
            let announcements = chain.as_ref()?.announcements.lock();
            announcements.position(peer_id, hash)
        };
        let all = connections.iter().map(|one| BlockSource {
            peer_id: one.peer_id(),
            announced: position(one.peer_id()),
            serves: one
                .peer_info()
                .is_some_and(|peer| peer.services.contains(Services::NETWORK)),
            round_trip: one.round_trip().smoothed.unwrap_or(Duration::MAX),
        });
        let all: Vec<BlockSource> = all.collect();
        let sources = &self.chain_sync.block_sources;
        let chosen = sources.lock().choose(&all, Instant::now())?;
        let peer = connections
            .into_iter()
            .find(|one| one.peer_id() == chosen)?;
        Some(FetchGuard { sources, peer })
    }

    fn on_fetch_error(&self, peer: &PeerConnectionHandle, error: &Error) {
        let record = self.shared.log(Level::Debug).peer_id(peer.peer_id());
        let record = record
            .peer_address(peer.peer_addr())
            .direction(peer.direction());
        record
            .error(error)
            .write(format_args!("block request failed"));
        match error {
            Error::Timeout {
                which: Timeout::Stall,
                ..
            } => {
                let mut sources = self.chain_sync.block_sources.lock();
                sources.on_slow(peer.peer_id(), Instant::now());
            }
            Error::InvalidBlock { error, .. } => {
                if let InvalidBlock::Content(error) = &**error {
                    peer.misbehaved(Misbehavior::InvalidBlock(error.clone()));
                }
            }
            _ => {}
        }
    }
}

/// Counts one open request of a peer until it is dropped.
struct FetchGuard<'a> {
    sources: &'a Mutex<BlockSources>,
    peer: Arc<PeerConnectionHandle>,
}

impl Drop for FetchGuard<'_> {
    fn drop(&mut self) {
        self.sources.lock().on_end(self.peer.peer_id());
    }
}
