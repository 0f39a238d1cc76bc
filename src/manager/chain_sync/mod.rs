//! Follows the block headers of the network and fetches blocks.

mod announcement_log;
mod block_fetch;
mod block_sources;
mod chain_state;
mod header_requests;
mod header_scheduler;
mod sync_thread;
mod tip_subscribers;
mod tip_update;

pub use self::tip_update::TipUpdate;

use std::convert::Infallible;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use self::block_sources::BlockSources;
use self::chain_state::{ChainState, SyncResult};
use self::sync_thread::SyncThread;
use super::Manager;
use super::clock::Now;
use super::shared::Shared;
use crate::error::{Error, Wait};
use crate::session::ConfigError;
use crate::wire::{BlockHash, HeaderChain};

/// Minimum time that the shutdown waits for the thread after all connections are closed.
const JOIN_GRACE: Duration = Duration::from_millis(500);

/// The followed chain, its thread, and the open block requests.
#[derive(Default)]
pub(super) struct ChainSync {
    stage: Mutex<Stage>,
    block_sources: Mutex<BlockSources>,
}

#[derive(Default)]
struct Stage {
    state: Option<Arc<ChainState>>,
    thread: Option<ChainThread>,
    is_over: bool,
}

struct ChainThread {
    _until_stopped: Sender<Infallible>,
    ended: Receiver<Infallible>,
    thread: JoinHandle<()>,
}

impl ChainSync {
    fn state(&self) -> Option<Arc<ChainState>> {
        self.stage.lock().state.clone()
    }

    /// Starts the thread. Can be called once.
    fn start(&self, shared: &Arc<Shared>, chain: HeaderChain) -> Result<(), Error> {
        let mut stage = self.stage.lock();
        if stage.is_over {
            return Err(Error::NotRunning);
        }
        if stage.state.is_some() {
            return Err(Error::AlreadyFollowing);
        }
        let (state, woken) = ChainState::new(chain, shared.log_level.clone());
        let state = Arc::new(state);
        let follower = SyncThread::new(shared.clone(), state.clone(), woken);
        let (until_stopped, stopped) = bounded::<Infallible>(0);
        let (ends, ended) = bounded(0);
        let closing = CloseOnDrop(state.clone());
        let run = move || {
            // Dropped in reverse order: waits end before the thread counts as ended.
            let _ends = ends;
            let _closing = closing;
            follower.run(&stopped);
        };
        let thread = std::thread::Builder::new()
            .name("bsv-p2p chain".into())
            .spawn(run)
            .map_err(|error| Error::System {
                what: "the chain's thread".into(),
                kind: error.kind(),
            })?;
        stage.state = Some(state);
        stage.thread = Some(ChainThread {
            _until_stopped: until_stopped,
            ended,
            thread,
        });
        Ok(())
    }

    /// Signals the thread to stop. All connections must be closed before [`Stopping::join`].
    pub(super) fn stop(&self) -> Stopping {
        let mut stage = self.stage.lock();
        stage.is_over = true;
        Stopping {
            thread: stage.thread.take().map(|one| (one.ended, one.thread)),
        }
    }
}

/// Ends all waits for the chain when its thread ends, also by a panic.
struct CloseOnDrop(Arc<ChainState>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The thread after the stop signal.
pub(super) struct Stopping {
    thread: Option<(Receiver<Infallible>, JoinHandle<()>)>,
}

impl Stopping {
    /// Waits for the thread. Returns whether it ended before the deadline.
    pub(super) fn join(self, deadline: Instant) -> bool {
        let Some((ended, thread)) = self.thread else {
            return true;
        };
        let deadline = deadline.max(Instant::now() + JOIN_GRACE);
        let end = ended.recv_deadline(deadline);
        let has_ended = matches!(end, Err(RecvTimeoutError::Disconnected));
        if has_ended {
            // The panic hook already printed a panic.
            let _ = thread.join();
        }
        has_ended
    }
}

/// The followed chain of headers.
impl Manager {
    /// Follows a chain of headers from its current tip.
    ///
    /// The manager requests missing headers from its peers and processes the announcements of all
    /// peers. Can be called before [`Manager::start`], so that no announcement is lost. Uses one
    /// thread, and one more for each open header request. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::AlreadyFollowing`] if a chain is already followed.
    /// - [`Error::Config`] if the chain is of another network.
    /// - [`Error::NotRunning`] if the manager was shut down.
    /// - [`Error::System`] if the thread cannot be spawned.
    pub fn follow_chain(&self, chain: HeaderChain) -> Result<(), Error> {
        ConfigError::unless(
            chain.network() == self.shared.config().network(),
            "chain.network",
            &chain.network(),
            "the network of the manager is required",
        )?;
        self.chain_sync.start(&self.shared, chain)
    }

    /// Subscribes to changes of the tip.
    ///
    /// Each tip is reported once, regardless of how many peers announce it. Starts to
    /// [follow](Manager::follow_chain) the chain from genesis if no chain is followed.
    ///
    /// The receiver holds 1,024 updates; [`TipUpdate::skipped`] counts the updates that did not
    /// fit. The receiver ends with the manager. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::NotRunning`] if the manager was shut down.
    /// - [`Error::System`] if the thread cannot be spawned.
    pub fn subscribe_blocks(&self) -> Result<Receiver<TipUpdate>, Error> {
        Ok(self.followed()?.subscribe())
    }

    /// Calls `f` with the followed chain and returns its result, or `None` if no chain is followed.
    ///
    /// The chain does not change during the call, so `f` should be short. After a shutdown the
    /// chain remains available in its last state.
    pub fn with_chain<T>(&self, f: impl FnOnce(&HeaderChain) -> T) -> Option<T> {
        Some(self.chain_sync.state()?.with_chain(f))
    }

    /// Blocks until the chain contains all headers of the connected peers.
    ///
    /// Returns the height and hash of the tip. Starts to [follow](Manager::follow_chain) the chain
    /// from genesis if no chain is followed. Blocks for at most `timeout`, also while no peer is
    /// connected.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeer`] if no peer is connected when the timeout expires.
    /// - [`Error::TimedOut`] if headers are still missing when the timeout expires.
    /// - [`Error::NotRunning`] if the manager is shut down, also during the call.
    /// - [`Error::System`] if the thread cannot be spawned.
    pub fn sync_headers(&self, timeout: Duration) -> Result<(u32, BlockHash), Error> {
        let state = self.followed()?;
        match state.wait_synced(Now::read().after(timeout)) {
            SyncResult::Synced => Ok(state.with_chain(HeaderChain::tip)),
            SyncResult::Over => Err(Error::NotRunning),
            SyncResult::TimedOut if self.connected() == 0 => Err(Error::NoPeer),
            SyncResult::TimedOut => Err(Error::TimedOut {
                peer: format!("{} peers", self.connected()),
                wait: Wait::Chain,
                after: timeout,
            }),
        }
    }

    /// Returns the followed chain. Starts to follow from genesis if there is none.
    fn followed(&self) -> Result<Arc<ChainState>, Error> {
        if let Some(state) = self.chain_sync.state() {
            return Ok(state);
        }
        let network = self.shared.config().network();
        match self.follow_chain(HeaderChain::new(network)) {
            Ok(()) | Err(Error::AlreadyFollowing) => {}
            Err(error) => return Err(error),
        }
        self.chain_sync.state().ok_or(Error::NotRunning)
    }
}
