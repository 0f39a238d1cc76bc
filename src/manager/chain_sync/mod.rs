//! Follows the block headers of the network and fetches blocks.

mod announcement_log;
mod block_fetch;
mod block_sources;
mod chain_start;
mod chain_state;
mod checkpoint_sync;
mod header_requests;
mod header_scheduler;
mod header_writer;
#[cfg(test)]
mod simulation;
mod source;
mod split_detector;
mod stale_tip;
mod sync_core;
mod sync_thread;
mod sync_waiters;
#[cfg(test)]
mod test_headers;
mod tip_subscribers;
mod tip_update;

pub use self::chain_start::ChainStart;
pub(super) use self::source::PeerClass;
pub use self::tip_update::TipUpdate;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use self::block_sources::BlockSources;
use self::chain_state::ChainState;
use self::header_writer::HeaderWriter;
use self::sync_thread::SyncThread;
use self::sync_waiters::SyncResult;
use super::Manager;
use super::clock::Now;
use super::shared::Shared;
use crate::connection::EventReceiver;
use crate::error::{Error, Timeout};
use crate::event::SubscriptionEndReason;
use crate::header_store::{HeaderStore, HeaderStoreError};
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

/// The result of writing the chain to its file.
type WriteResult = Result<(), HeaderStoreError>;

struct ChainThread {
    _until_stopped: Sender<Infallible>,
    ended: Receiver<Infallible>,
    thread: JoinHandle<WriteResult>,
}

impl ChainSync {
    fn state(&self) -> Option<Arc<ChainState>> {
        self.stage.lock().state.clone()
    }

    /// Follows a chain instead of the one that is followed. The first call starts the thread.
    fn follow(&self, shared: &Arc<Shared>, start: ChainStart) -> Result<(), Error> {
        let mut stage = self.stage.lock();
        if stage.is_over {
            return Err(Error::NotRunning);
        }
        match stage.state.clone() {
            Some(state) => {
                drop(stage);
                state.replace(start);
                Ok(())
            }
            None => stage.start(shared, start).map(drop),
        }
    }

    /// Returns the followed chain. Starts to follow from genesis if there is none.
    fn state_or_start(&self, shared: &Arc<Shared>) -> Result<Arc<ChainState>, Error> {
        let mut stage = self.stage.lock();
        match stage.state.clone() {
            Some(state) => Ok(state),
            None if stage.is_over => Err(Error::NotRunning),
            None => stage.start(shared, HeaderChain::new(shared.config().network()).into()),
        }
    }

    /// Follows the chain in a file, and writes to the file from now on.
    pub(super) fn follow_file(&self, shared: &Arc<Shared>, path: &Path) -> Result<(), Error> {
        let followed = self.state();
        let followed = followed.as_ref().map(|state| match state.pending() {
            // The file must satisfy the rules of the pending start.
            Some(start) => HeaderChain::new(start.rules().clone()),
            None => state.with_chain(Clone::clone),
        });
        let opened = match followed {
            // A file that starts at a checkpoint does not have the genesis header.
            Some(chain) if chain.tip().0 > 0 => HeaderStore::open_with(path, chain),
            Some(chain) => HeaderStore::open(path, chain.rules().clone()),
            None => HeaderStore::open(path, shared.config().network()),
        };
        let (store, chain, report) = opened.map_err(Box::new)?;
        let has_headers = store.tip().is_some();
        let mut stage = self.stage.lock();
        if stage.is_over {
            return Err(Error::NotRunning);
        }
        let state = match stage.state.clone() {
            Some(state) => {
                drop(stage);
                if has_headers && state.with_followed(HeaderChain::tip) != Some(chain.tip()) {
                    state.replace(chain.into());
                }
                state
            }
            None => stage.start(shared, chain.into())?,
        };
        state.set_writer(HeaderWriter::new(store, report));
        Ok(())
    }

    /// Wakes the thread, if there is one.
    pub(super) fn wake(&self) {
        if let Some(state) = self.state() {
            state.wake();
        }
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

impl Stage {
    fn start(&mut self, shared: &Arc<Shared>, start: ChainStart) -> Result<Arc<ChainState>, Error> {
        let (state, woken) = ChainState::new(start, shared.log_level.clone());
        let state = Arc::new(state);
        let sync_thread = SyncThread::new(shared.clone(), state.clone(), woken);
        let (until_stopped, stopped) = bounded::<Infallible>(0);
        let (ends, ended) = bounded(0);
        let closing = CloseOnDrop(state.clone());
        let run = move || {
            // Locals are dropped in reverse order: waits end before the thread counts as ended.
            let _ends = ends;
            let _closing = closing;
            sync_thread.run(&stopped)
        };
        let thread = std::thread::Builder::new()
            .name("bsv-p2p chain".into())
            .spawn(run)
            .map_err(|error| Error::Io {
                operation: "spawning the chain thread".into(),
                error: error.into(),
            })?;
        self.state = Some(state.clone());
        self.thread = Some(ChainThread {
            _until_stopped: until_stopped,
            ended,
            thread,
        });
        Ok(state)
    }
}

/// Ends all waits for the chain when its thread ends or panics.
struct CloseOnDrop(Arc<ChainState>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(match std::thread::panicking() {
            true => SubscriptionEndReason::InternalError,
            false => SubscriptionEndReason::Shutdown,
        });
    }
}

/// The thread after the stop signal, not yet joined.
pub(super) struct Stopping {
    thread: Option<(Receiver<Infallible>, JoinHandle<WriteResult>)>,
}

impl Stopping {
    /// Waits for the thread and returns the result of writing the file.
    ///
    /// Returns `None` if the thread did not end before the deadline.
    pub(super) fn join(self, deadline: Instant) -> Option<WriteResult> {
        let Some((ended, thread)) = self.thread else {
            return Some(Ok(()));
        };
        let deadline = deadline.max(Instant::now() + JOIN_GRACE);
        match ended.recv_deadline(deadline) {
            // The panic hook has already printed the panic.
            Err(RecvTimeoutError::Disconnected) => Some(thread.join().unwrap_or(Ok(()))),
            _ => None,
        }
    }
}

/// The followed chain of headers.
///
/// # Sources
///
/// Configured peers (fixed, manual and whitelisted ones) and peers that the manager dialed are
/// sources of headers. Other inbound peers are sources only while no such peer is connected.
/// Strangers then decide which headers the chain receives, within the rules of the network. The
/// headers of other peers are verified and scored, and change nothing. The height in a peer's
/// `version` is not used.
///
/// # Verification
///
/// Each header is verified by the rules of [`HeaderChain`], as a node does. A forged chain needs as
/// much work as the real one. Transactions and scripts are not verified.
impl Manager {
    /// Follows a chain of headers from the tip of a [`HeaderChain`], or from the checkpoint of a
    /// [`CheckpointStart`](crate::wire::CheckpointStart), instead of the chain followed before.
    ///
    /// The manager requests missing headers from its sources and processes their announcements. A
    /// silent or slow source is replaced after 2 s; a source that sends invalid headers is scored
    /// as by a node. Uses one thread. Does not block.
    ///
    /// Can be called before [`Manager::start`], so that no announcement is lost. A later call can
    /// replace a chain that is on the wrong branch. Subscribers then receive one [`TipUpdate`] with
    /// the blocks that differ.
    ///
    /// A start at a checkpoint first downloads the trusted headers before it. The headers of each
    /// source are collected separately, until those of one source reach the checkpoint. A source
    /// with another block at its height is disconnected as
    /// [`WrongChain`](crate::session::DisconnectReason::WrongChain). Until then
    /// [`with_chain`](Manager::with_chain) returns `None`, [`sync_headers`](Manager::sync_headers)
    /// waits, and subscribers receive nothing. Afterwards they receive one [`TipUpdate`], which
    /// contains all collected blocks if no chain was followed before.
    ///
    /// ```
    /// use bsv_p2p::wire::CheckpointStart;
    /// use bsv_p2p::{Manager, ManagerConfig, Network};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = Manager::new(ManagerConfig::new(Network::Mainnet))?;
    /// manager.follow_chain(CheckpointStart::new(Network::Mainnet, 945_000)?)?;
    /// // Then `manager.start()` and `manager.sync_headers(..)`.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if the chain is of another network.
    /// - [`Error::NotRunning`] if the manager was shut down.
    /// - [`Error::Io`] if the thread cannot be spawned.
    pub fn follow_chain(&self, start: impl Into<ChainStart>) -> Result<(), Error> {
        let start = start.into();
        let network = start.rules().network();
        ConfigError::unless(
            network == self.shared.config().network(),
            "chain.network",
            network,
            "the network of the manager",
        )?;
        self.chain_sync.follow(&self.shared, start)
    }

    /// Subscribes to changes of the tip.
    ///
    /// Each tip is reported once, regardless of how many peers announce it. Starts to
    /// [follow](Manager::follow_chain) the chain from genesis if no chain is followed.
    ///
    /// A tip is a header that satisfies the rules of the network. Its block, or one before it, may
    /// be invalid, because transactions and scripts are not verified. It may also be unavailable:
    /// [`fetch_block`](Manager::fetch_block) then fails. Another branch can replace the tip at any
    /// time, so a payment needs [confirmations](HeaderChain::confirmations); the number is
    /// discussed at [`HeaderChain`](HeaderChain#verification). Tips are also reported before the
    /// chain has the minimum work of its network; [`sync_headers`](Manager::sync_headers) waits for
    /// that.
    ///
    /// Inbound peers can change the tip only while no configured or dialed peer is connected.
    ///
    /// The receiver holds 1,024 updates; [`TipUpdate::skipped`] counts the updates that did not
    /// fit. It never ends as too slow. It ends with the manager, and also, with
    /// [`InternalError`](crate::event::SubscriptionEndReason::InternalError), if the thread that
    /// follows the chain panics. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::NotRunning`] if the manager was shut down.
    /// - [`Error::Io`] if the thread cannot be spawned.
    pub fn subscribe_blocks(&self) -> Result<EventReceiver<TipUpdate>, Error> {
        let state = self.chain_sync.state_or_start(&self.shared)?;
        Ok(state.subscribe())
    }

    /// Calls `f` with the followed chain and returns its result, or `None` if no chain is followed.
    ///
    /// `None` is also returned until a start at a checkpoint is complete.
    ///
    /// The chain does not change during the call, so `f` should be short. After a shutdown the
    /// chain remains available in its last state.
    pub fn with_chain<T>(&self, f: impl FnOnce(&HeaderChain) -> T) -> Option<T> {
        self.chain_sync.state()?.with_followed(f)
    }

    /// Blocks until the chain contains all headers of the connected sources.
    ///
    /// That is the case when
    ///
    /// - more than half of the usable sources answered a request sent after this call with nothing
    ///   new,
    /// - no usable source has, or announced, headers that are not yet verified, and
    /// - the chain has the minimum work of its network.
    ///
    /// The result is a tip of headers only, as described at
    /// [`subscribe_blocks`](Manager::subscribe_blocks).
    ///
    /// A source that sent invalid headers is not usable. Neither is one that did not answer for
    /// 2 s, or was slower than 100 headers per second for 2 s. Configured peers and peers that the
    /// manager dialed are sources; other inbound peers only while no such peer is connected.
    ///
    /// Returns the height and hash of the tip. Starts to [follow](Manager::follow_chain) the chain
    /// from genesis if no chain is followed. Blocks for at most `timeout`, also while no peer is
    /// connected.
    ///
    /// # Errors
    ///
    /// - [`Error::NoPeers`] if no peer is connected when the timeout expires.
    /// - [`Error::Timeout`] if headers are still missing when the timeout expires.
    /// - [`Error::NotRunning`] if the manager is shut down, also during the call.
    /// - [`Error::Io`] if the thread cannot be spawned.
    pub fn sync_headers(&self, timeout: Duration) -> Result<(u32, BlockHash), Error> {
        let deadline = Now::read().after(timeout);
        let state = self.chain_sync.state_or_start(&self.shared)?;
        let waiter = state.waiters.register();
        state.wake();
        match state.waiters.wait(waiter, deadline) {
            SyncResult::Synced => Ok(state.with_chain(HeaderChain::tip)),
            SyncResult::Closed => Err(Error::NotRunning),
            SyncResult::TimedOut if self.connected_count() == 0 => Err(Error::NoPeers),
            SyncResult::TimedOut => Err(Error::Timeout {
                peer: format!("{} peers", self.connected_count()),
                which: Timeout::HeaderSync,
                after: timeout,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::log_level::LogLevel;

    #[test]
    fn tip_receiver_reports_panic_of_thread() {
        let chain = HeaderChain::new(Network::Regtest);
        for panics in [false, true] {
            let (state, _woken) = ChainState::new(chain.clone().into(), LogLevel::default());
            let state = Arc::new(state);
            let tips = state.subscribe();
            let closing = CloseOnDrop(state.clone());
            let thread = std::thread::spawn(move || {
                let _closing = closing;
                assert!(!panics, "expected by the test");
            });
            assert_eq!(thread.join().is_err(), panics);
            let reason = match panics {
                true => SubscriptionEndReason::InternalError,
                false => SubscriptionEndReason::Shutdown,
            };
            assert_eq!(tips.recv().map_err(|error| error.reason), Err(reason));
            assert_eq!(tips.iter().count(), usize::from(panics));
            assert_eq!(state.subscribe().end_reason(), Some(reason));
        }
    }
}
