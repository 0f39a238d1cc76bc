//! What the chain's thread shares with the program.

use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex, RwLock};
use uuid::Uuid;

use super::NewTip;
use super::announcers::Announcers;
use super::subscribers::Subscribers;
use crate::log_level::{LogLevel, record};
use crate::wire::{BlockHash, BlockHeader, ExtendOutcome, HeaderChain, HeaderChainError};

/// The chain that is followed, and who wants to know of it. No lock in here is held while anything is waited for.
pub(super) struct ChainState {
    chain: RwLock<HeaderChain>,
    pub(super) announcers: Mutex<Announcers>,
    subscribers: Mutex<Subscribers>,
    looks: Mutex<Looks>,
    looked: Condvar,
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
struct Looks {
    wanted: u64,
    /// Up to which they are fulfilled.
    settled: u64,
    is_over: bool,
}

/// How a wish to have everything ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    Settled,
    TimedOut,
    Over,
}

impl ChainState {
    /// The state, and what wakes the thread.
    pub(super) fn new(chain: HeaderChain, log_level: LogLevel) -> (Self, Receiver<()>) {
        let (wake, woken) = bounded(1);
        let state = Self {
            chain: RwLock::new(chain),
            announcers: Mutex::default(),
            subscribers: Mutex::default(),
            looks: Mutex::default(),
            looked: Condvar::new(),
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

    pub(super) fn subscribe(&self) -> Receiver<NewTip> {
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
            let announced_by = self.announcers.lock().first(hash).unwrap_or(peer_id);
            let tip = NewTip {
                hash,
                height,
                header,
                announced_by: Some(announced_by),
                connected: connected.clone(),
                disconnected: disconnected.clone(),
                missed: 0,
            };
            record!(
                self.log_level,
                Debug,
                peer_id:% = announced_by,
                network:% = self.with_chain(HeaderChain::network);
                "the chain has a new tip: {tip}"
            );
            self.subscribers.lock().tell(&tip);
        }
        Ok(extended)
    }

    /// The last look that is wanted.
    pub(super) fn wanted(&self) -> u64 {
        self.looks.lock().wanted
    }

    /// All looks up to that one have found everything.
    pub(super) fn on_settled(&self, look: u64) {
        let mut looks = self.looks.lock();
        if look > looks.settled {
            looks.settled = look;
            self.looked.notify_all();
        }
    }

    /// Has the peers asked, and waits until everything is there that they have.
    pub(super) fn look(&self, deadline: Instant) -> Looked {
        let mut looks = self.looks.lock();
        looks.wanted += 1;
        let wanted = looks.wanted;
        // Full means that it will wake already.
        let _ = self.wake.try_send(());
        while looks.settled < wanted {
            if looks.is_over {
                return Looked::Over;
            }
            if self.looked.wait_until(&mut looks, deadline).timed_out() && looks.settled < wanted {
                return if looks.is_over {
                    Looked::Over
                } else {
                    Looked::TimedOut
                };
            }
        }
        Looked::Settled
    }

    /// Nothing will change any more: who waits is told so, and receivers end.
    pub(super) fn close(&self) {
        self.looks.lock().is_over = true;
        self.looked.notify_all();
        self.subscribers.lock().close();
    }
}
