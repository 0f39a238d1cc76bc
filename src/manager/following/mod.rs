//! Following the chain: headers from whichever peer has them, each new tip told once, blocks from whoever gives them.

mod announcers;
mod asking;
mod fetching;
mod sources;
mod state;
mod subscribers;
mod suppliers;
mod thread;
mod tip;

pub use self::tip::NewTip;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use self::state::{ChainState, Looked};
use self::suppliers::Suppliers;
use self::thread::Follower;
use super::Manager;
use super::clock::Now;
use super::shared::Shared;
use crate::error::{Error, Wait};
use crate::session::ConfigError;
use crate::wire::{BlockHash, HeaderChain};

/// How long at least is waited for the chain's thread at the end, when everything that it may wait for has ended.
const LAST_MOMENTS: Duration = Duration::from_millis(500);

/// Nothing is ever sent: the channel's end is the signal.
enum Never {}

/// The chain that a manager follows, if it does, and who has which blocks.
#[derive(Default)]
pub(super) struct Following {
    stage: Mutex<Stage>,
    suppliers: Mutex<Suppliers>,
}

#[derive(Default)]
struct Stage {
    state: Option<Arc<ChainState>>,
    thread: Option<ChainThread>,
    is_over: bool,
}

struct ChainThread {
    _until_stopped: Sender<Never>,
    ended: Receiver<Never>,
    thread: JoinHandle<()>,
}

impl Following {
    fn state(&self) -> Option<Arc<ChainState>> {
        self.stage.lock().state.clone()
    }

    /// Starts the thread, once in a manager's life.
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
        let follower = Follower::new(shared.clone(), state.clone(), woken);
        let (until_stopped, stopped) = bounded::<Never>(0);
        let (ends, ended) = bounded(0);
        let closing = CloseAtEnd(state.clone());
        let run = move || {
            // Dropped in the reverse order, after a panic as well.
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

    /// Tells the thread to end. What it waits for has to be ended before [`Stopping::join`].
    pub(super) fn stop(&self) -> Stopping {
        let mut stage = self.stage.lock();
        stage.is_over = true;
        Stopping {
            thread: stage.thread.take().map(|one| (one.ended, one.thread)),
        }
    }
}

/// Tells whoever waits for the chain that it will not change any more, however its thread ends.
struct CloseAtEnd(Arc<ChainState>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The chain's thread, which has been told to end.
pub(super) struct Stopping {
    thread: Option<(Receiver<Never>, JoinHandle<()>)>,
}

impl Stopping {
    /// Waits for the thread. Returns whether it has ended.
    pub(super) fn join(self, deadline: Instant) -> bool {
        let Some((ended, thread)) = self.thread else {
            return true;
        };
        let deadline = deadline.max(Instant::now() + LAST_MOMENTS);
        let end = ended.recv_deadline(deadline);
        let has_ended = matches!(end, Err(RecvTimeoutError::Disconnected));
        if has_ended {
            // A panic has been printed already.
            let _ = thread.join();
        }
        has_ended
    }
}

/// Following the chain.
impl Manager {
    /// Gives the manager a chain of headers to follow: from the first block, from a checkpoint, or one that has been filled already.
    ///
    /// From then on it asks the best of its peers for what is missing, goes on to the next when one does not answer or answers with what
    /// leads nowhere, and lives on the announcements of all peers. Headers that break rules count against a peer as they do at a node. May be
    /// called before the start, so that nothing is missed. Costs a thread, and one more while a peer is asked.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyFollowing`]; [`Error::Config`] for a chain of another network; [`Error::NotRunning`] after the shutdown;
    /// [`Error::System`] if there is no thread to be had.
    pub fn follow(&self, chain: HeaderChain) -> Result<(), Error> {
        ConfigError::unless(
            chain.network() == self.shared.config().network(),
            "chain.network",
            &chain.network(),
            "a manager follows a chain of its own network",
        )?;
        self.following.start(&self.shared, chain)
    }

    /// Subscribes to new tips of the chain: each once, however and by how many peers it was announced. Begins to
    /// [follow](Manager::follow) from the first block of the network if nothing is followed yet.
    ///
    /// 1,024 tips may wait in the receiver; what it misses then is counted in [`NewTip::missed`]. A receiver that is dropped costs nothing
    /// any more; one that is kept ends with the manager. Made before the start it misses nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Manager::follow`] but the first two.
    pub fn subscribe_blocks(&self) -> Result<Receiver<NewTip>, Error> {
        Ok(self.followed()?.subscribe())
    }

    /// Lets `look` see the chain that is followed; `None` if there is none. After the shutdown it is as it was at last.
    ///
    /// The chain does not grow meanwhile: better be short.
    pub fn chain<T>(&self, look: impl FnOnce(&HeaderChain) -> T) -> Option<T> {
        Some(self.following.state()?.with_chain(look))
    }

    /// Waits until the chain has all that the connected peers have: until the best of them has been asked, has nothing further, and nobody
    /// claims or announces more, but those whose word was not good lately. Returns the height and hash of the tip. Blocks at most for `timeout`, also while nobody is connected yet.
    ///
    /// Begins to [follow](Manager::follow) from the first block of the network if nothing is followed yet.
    ///
    /// # Errors
    ///
    /// [`Error::NoPeer`] if none is connected when the time is over, [`Error::TimedOut`] if the chain has not caught up by then;
    /// [`Error::NotRunning`] as soon as the manager is shut down; [`Error::System`].
    pub fn sync_headers(&self, timeout: Duration) -> Result<(u32, BlockHash), Error> {
        let state = self.followed()?;
        match state.look(Now::read().after(timeout)) {
            Looked::Settled => Ok(state.with_chain(HeaderChain::tip)),
            Looked::Over => Err(Error::NotRunning),
            Looked::TimedOut if self.connected() == 0 => Err(Error::NoPeer),
            Looked::TimedOut => Err(Error::TimedOut {
                peer: format!("{} peers", self.connected()),
                wait: Wait::Chain,
                after: timeout,
            }),
        }
    }

    /// What is followed, from the first block if nothing was.
    fn followed(&self) -> Result<Arc<ChainState>, Error> {
        if let Some(state) = self.following.state() {
            return Ok(state);
        }
        let network = self.shared.config().network();
        match self.follow(HeaderChain::new(network)) {
            Ok(()) | Err(Error::AlreadyFollowing) => {}
            Err(error) => return Err(error),
        }
        self.following.state().ok_or(Error::NotRunning)
    }
}
