//! Blocks from whichever peer gives them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use super::suppliers::{Supplier, Suppliers};
use crate::connection::{BlockReader, PeerConnectionHandle};
use crate::error::{BlockFault, Error, Wait};
use crate::log_level::record;
use crate::manager::Manager;
use crate::manager::clock::Now;
use crate::session::{ConnectionState, Misbehavior};
use crate::wire::{Block, BlockHash, Services};

/// How long no byte may come from a peer before the next one is asked.
const STALL: Duration = Duration::from_secs(5);
/// How much is told of peers that did not give a block.
const TOLD: usize = 32;

/// Blocks, from one peer after the other until one gives them. Any number of threads at once: they are spread over the peers.
///
/// Who announced a block first is asked first, then who answers pings soonest; one that stood still in the last five minutes is asked last.
impl Manager {
    /// Asks for a block, and checks that its transactions are those which its header commits to.
    ///
    /// The next peer is asked when one does not have it, disconnects, sends something else, or stands still for 5 s; a large block that keeps
    /// coming is never cut off. Blocks at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFetched`], which says what each peer did; [`Error::NoPeer`] if none is connected; [`Error::PayloadTooLarge`] if it is
    /// above `limits.buffered`, whoever sends it: [`Manager::fetch_block_reader`] is the way to have it.
    pub fn fetch_block(&self, hash: BlockHash, timeout: Duration) -> Result<Block, Error> {
        self.fetch(hash, timeout, |peer, left| {
            peer.block_unless_still(hash, left, STALL)
        })
    }

    /// Asks for a block of whatever size, and returns as soon as its header has come from a peer: the rest is read while it arrives.
    ///
    /// What goes wrong after that ends the [`BlockReader`]: another peer is not asked for the rest. Blocks at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFetched`] and [`Error::NoPeer`].
    pub fn fetch_block_reader(
        &self,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<BlockReader, Error> {
        self.fetch(hash, timeout, |peer, left| {
            peer.block_reader_unless_still(hash, left, STALL)
        })
    }

    fn fetch<T>(
        &self,
        hash: BlockHash,
        timeout: Duration,
        ask: impl Fn(&PeerConnectionHandle, Duration) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let deadline = Now::read().after(timeout);
        let mut asked: Vec<Uuid> = Vec::new();
        let mut tried = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let next = self.next_supplier(hash, &asked);
            let Some(supply) = next.filter(|_| !left.is_zero()) else {
                break;
            };
            let peer = &supply.peer;
            asked.push(peer.peer_id());
            match ask(peer, left) {
                Err(error @ Error::PayloadTooLarge { .. }) => return Err(error),
                Err(error) => {
                    self.on_not_given(peer, &error);
                    if tried.len() < TOLD {
                        tried.push(error);
                    }
                }
                given => return given,
            }
        }
        if asked.is_empty() && self.connected() == 0 {
            return Err(Error::NoPeer);
        }
        Err(Error::NotFetched {
            hash,
            after: began.elapsed(),
            tried,
        })
    }

    /// The best peer of those that have not been asked.
    fn next_supplier(&self, hash: BlockHash, asked: &[Uuid]) -> Option<Supply<'_>> {
        let mut connections = self.shared.connections.all();
        connections.retain(|one| {
            one.state() == ConnectionState::Connected && !asked.contains(&one.peer_id())
        });
        let chain = self.following.state();
        let place = |peer_id| {
            let announcers = chain.as_ref()?.announcers.lock();
            announcers.place(peer_id, hash)
        };
        let all = connections.iter().map(|one| Supplier {
            peer_id: one.peer_id(),
            announced: place(one.peer_id()),
            serves: one
                .peer()
                .is_some_and(|peer| peer.services.contains(Services::NETWORK)),
            round_trip: one.round_trip().smoothed.unwrap_or(Duration::MAX),
        });
        let all: Vec<Supplier> = all.collect();
        let suppliers = &self.following.suppliers;
        let chosen = suppliers.lock().choose(&all, Instant::now())?;
        let peer = connections
            .into_iter()
            .find(|one| one.peer_id() == chosen)?;
        Some(Supply { suppliers, peer })
    }

    fn on_not_given(&self, peer: &PeerConnectionHandle, error: &Error) {
        record!(
            self.shared.log_level,
            Debug,
            peer_id:% = peer.peer_id(),
            peer_address:% = peer.address(),
            network:% = self.shared.config().network(),
            error:% = error;
            "a block was not given: {error}"
        );
        match error {
            Error::TimedOut {
                wait: Wait::Progress,
                ..
            } => {
                let mut suppliers = self.following.suppliers.lock();
                suppliers.on_slow(peer.peer_id(), Instant::now());
            }
            Error::BadBlock { error, .. } => {
                if let BlockFault::Content(error) = &**error {
                    peer.misbehaved(Misbehavior::InvalidBlock(error.clone()));
                }
            }
            _ => {}
        }
    }
}

/// A peer that is being asked, until this is dropped.
struct Supply<'a> {
    suppliers: &'a Mutex<Suppliers>,
    peer: Arc<PeerConnectionHandle>,
}

impl Drop for Supply<'_> {
    fn drop(&mut self) {
        self.suppliers.lock().on_end(self.peer.peer_id());
    }
}
