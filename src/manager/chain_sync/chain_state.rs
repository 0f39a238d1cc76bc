//! What the chain's thread shares with the program.

use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex, RwLock};
use uuid::Uuid;

use super::TipUpdate;
use super::announcement_log::AnnouncementLog;
use super::tip_subscribers::TipSubscribers;
use crate::log_level::{LogLevel, record};
use crate::wire::{BlockHash, BlockHeader, ExtendOutcome, HeaderChain, HeaderChainError};

/// The chain that is followed, and who wants to know of it. No lock in here is held while anything is waited for.
pub(super) struct ChainState {
    chain: RwLock<HeaderChain>,
    pub(super) announcements: Mutex<AnnouncementLog>,
    subscribers: Mutex<TipSubscribers>,
    waiters: Mutex<SyncWaiters>,
    synced: Condvar,
    /// Wakes the thread when a look is wanted.
    wake: Sender<()>,
    log_level: LogLevel,
}

/// Returns the time of the system clock, in Unix seconds.
fn unix_time() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
    })
}

/// Wishes to have everything that peers have, by number.
#[derive(Default)]
struct SyncWaiters {
    wanted: u64,
    /// Up to which they are fulfilled.
    settled: u64,
    is_over: bool,
}

/// How a wish to have everything ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncResult {
    Synced,
    TimedOut,
    Over,
}

impl ChainState {
    /// The state, and what wakes the thread.
    pub(super) fn new(chain: HeaderChain, log_level: LogLevel) -> (Self, Receiver<()>) {
        let (wake, woken) = bounded(1);
        let state = Self {
            chain: RwLock::new(chain),
            announcements: Mutex::default(),
            subscribers: Mutex::default(),
            waiters: Mutex::default(),
            synced: Condvar::new(),
            wake,
            log_level,
        };
        (state, woken)
    }

    pub(super) fn with_chain<T>(&self, look: impl FnOnce(&HeaderChain) -> T) -> T {
        look(&self.chain.read())
    }

    pub(super) fn height(&self) -> u32 {
        self.with_chain(|chain| chain.tip().0)
    }

    pub(super) fn contains(&self, hash: &BlockHash) -> bool {
        self.with_chain(|chain| chain.contains(hash))
    }

    pub(super) fn subscribe(&self) -> Receiver<TipUpdate> {
        self.subscribers.lock().add()
    }

    /// Takes headers that a peer has sent, and tells of the new tip if there is one.
    pub(super) fn extend(
        &self,
        peer_id: Uuid,
        headers: &[BlockHeader],
    ) -> Result<ExtendOutcome, HeaderChainError> {
        let (extended, tip) = {
            let mut chain = self.chain.write();
            let extended = chain.extend(headers, unix_time())?;
            let (height, hash) = chain.tip();
            let tip = chain
                .header_at(height)
                .map(|header| (hash, height, *header));
            (extended, tip)
        };
        if let (
            ExtendOutcome::NewTip {
                disconnected,
                connected,
            },
            Some((hash, height, header)),
        ) = (&extended, tip)
        {
            let announced_by = self.announcements.lock().first(hash).unwrap_or(peer_id);
            let tip = TipUpdate {
                hash,
                height,
                header,
                announced_by: Some(announced_by),
                connected: connected.clone(),
                disconnected: disconnected.clone(),
                skipped: 0,
            };
            record!(
                self.log_level,
                Debug,
                peer_id:% = announced_by,
                network:% = self.with_chain(HeaderChain::network);
                "the chain has a new tip: {tip}"
            );
            self.subscribers.lock().publish(&tip);
        }
        Ok(extended)
    }

    /// The last look that is wanted.
    pub(super) fn wanted(&self) -> u64 {
        self.waiters.lock().wanted
    }

    /// All waiters up to that one have found everything.
    pub(super) fn on_synced(&self, look: u64) {
        let mut waiters = self.waiters.lock();
        if look > waiters.settled {
            waiters.settled = look;
            self.synced.notify_all();
        }
    }

    /// Has the peers asked, and waits until everything is there that they have.
    pub(super) fn wait_synced(&self, deadline: Instant) -> SyncResult {
        let mut waiters = self.waiters.lock();
        waiters.wanted += 1;
        let wanted = waiters.wanted;
        // Full means that it will wake already.
        let _ = self.wake.try_send(());
        while waiters.settled < wanted {
            if waiters.is_over {
                return SyncResult::Over;
            }
            if self.synced.wait_until(&mut waiters, deadline).timed_out()
                && waiters.settled < wanted
            {
                return if waiters.is_over {
                    SyncResult::Over
                } else {
                    SyncResult::TimedOut
                };
            }
        }
        SyncResult::Synced
    }

    /// Nothing will change any more: who waits is told so, and receivers end.
    pub(super) fn close(&self) {
        self.waiters.lock().is_over = true;
        self.synced.notify_all();
        self.subscribers.lock().close();
    }
}
