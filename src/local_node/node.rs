//! A node in the process.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use parking_lot::{Condvar, Mutex};

use super::state::State;
use super::{Inserted, InvalidTransaction};
use crate::connection::{ConnectionConfig, EventBus};
use crate::error::Error;
use crate::event::Event;
use crate::network::Network;
use crate::wire::{Block, BlockHash, Services, Transaction, Tx, Txid};

/// How long the listener rests when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the connection that wakes the listener may take.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// A regtest node in the process, on loopback, with a real chain: for tests, examples and the tests of programs.
///
/// It takes any number of peers, answers `getheaders`, `getdata`, `getaddr` and pings, follows the longest chain, relays
/// blocks and transactions, and mines blocks that a real node accepts. It does not verify scripts or spends.
///
/// It has a thread that listens, one that answers, and one for each peer; [`LocalNode::shutdown`] and dropping it end them all.
/// Safe to use from several threads.
///
/// ```
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::{Connection, ConnectionConfig, Network};
///
/// # fn main() -> Result<(), bsv_p2p::Error> {
/// let node = LocalNode::start()?;
/// node.mine(3);
///
/// let config = ConnectionConfig::new(Network::Regtest);
/// let peer = Connection::connect(&node.address().to_string(), &config)?;
/// assert_eq!(peer.peer().start_height, 3);
/// # Ok(())
/// # }
/// ```
pub struct LocalNode {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Told after every change of the state.
    changed: Condvar,
    stopped: AtomicBool,
}

impl LocalNode {
    /// Starts a node on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the system gives no socket or thread.
    pub fn start() -> Result<Self, Error> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), Self::default_config())
    }

    /// Starts a node that listens at `address` (port 0: a free one) and whose connections behave as `config` says. The network
    /// has to be regtest.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a wrong value, [`Error::System`] if the address cannot be listened on.
    pub fn start_at(address: SocketAddr, config: ConnectionConfig) -> Result<Self, Error> {
        config.validate()?;
        crate::session::ConfigError::unless(
            config.network == Network::Regtest,
            "network",
            &config.network,
            "a local node mines regtest blocks",
        )?;
        let system = |error: io::Error| Error::System {
            what: format!("listening on {address}"),
            kind: error.kind(),
        };
        let listener = TcpListener::bind(address).map_err(system)?;
        let own_address = listener.local_addr().map_err(system)?;
        let events = EventBus::new();
        let inbox = events.subscribe();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(config, own_address, events)),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let mut node = Self {
            shared: shared.clone(),
            threads: Vec::new(),
        };
        let answering = shared.clone();
        node.spawn("bsv-p2p local node", move || answer(&answering, &inbox))?;
        node.spawn("bsv-p2p listener", move || listen(&shared, &listener))?;
        Ok(node)
    }

    /// How the connections of a local node behave unless said otherwise: regtest, blocks served, 1 GiB of them queued at most (blocks
    /// in the queue are shared with the chain, not copied).
    pub fn default_config() -> ConnectionConfig {
        let mut config = ConnectionConfig::new(Network::Regtest);
        config.session.services = Services::NETWORK;
        // The node answers in order.
        config.session.answer_pings = false;
        config.outbox_bytes = 1024 * 1024 * 1024;
        config.outbox_messages = 100_000;
        config
    }

    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.state.lock().own_address()
    }

    /// Dials another node. Returns at once; [`LocalNode::wait_for_peers`] tells when it is there.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no thread to be had.
    pub fn connect(&self, address: SocketAddr) -> Result<(), Error> {
        self.shared.state.lock().dial(address)
    }

    /// Mines `count` blocks with what waits in the pool, tells the peers, and returns their hashes.
    ///
    /// # Panics
    ///
    /// If the chain does not take its own block: it is full, or the clock is before 2011.
    pub fn mine(&self, count: usize) -> Vec<BlockHash> {
        let mined = (0..count).map(|_| {
            // Block by block, so that peers are answered in between.
            let mined = self.shared.state.lock().mine();
            mined.unwrap_or_else(|refused| panic!("the chain refuses its own block: {refused}"))
        });
        let mined = mined.collect();
        self.shared.changed.notify_all();
        mined
    }

    /// Takes a transaction into the pool and tells the peers.
    ///
    /// # Errors
    ///
    /// [`InvalidTransaction`] if it cannot be one. Scripts and spends are not verified.
    pub fn submit(&self, transaction: &Transaction) -> Result<Inserted, InvalidTransaction> {
        let inserted = self
            .shared
            .state
            .lock()
            .add_transaction(&Tx::from(transaction), None);
        self.shared.changed.notify_all();
        inserted
    }

    /// The height of the active chain's last block; the genesis block has 0.
    pub fn height(&self) -> u32 {
        self.shared.state.lock().chain.tip().0
    }

    /// The hash of the active chain's last block.
    pub fn tip(&self) -> BlockHash {
        self.shared.state.lock().chain.tip().1
    }

    /// The hash of the active chain's block at `height`.
    pub fn block_hash(&self, height: u32) -> Option<BlockHash> {
        self.shared.state.lock().chain.hash_at(height)
    }

    /// A block, by its hash.
    pub fn block(&self, hash: BlockHash) -> Option<Block> {
        self.shared.state.lock().chain.block(&hash).cloned()
    }

    /// A transaction that waits to be mined.
    pub fn pooled_transaction(&self, txid: Txid) -> Option<Tx> {
        self.shared.state.lock().transaction(&txid)
    }

    /// How many peers have completed the handshake.
    pub fn peer_count(&self) -> usize {
        self.shared.state.lock().ready_peers()
    }

    /// Waits until at least `count` peers are connected; returns whether they are. Blocks at most for `timeout`.
    #[must_use = "the wait may have come to its end"]
    pub fn wait_for_peers(&self, count: usize, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.ready_peers() >= count)
    }

    /// Waits until the active chain's last block is `tip`; returns whether it is. Blocks at most for `timeout`.
    #[must_use = "the wait may have come to its end"]
    pub fn wait_for_tip(&self, tip: BlockHash, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.chain.tip().1 == tip)
    }

    /// Waits until a transaction is in the pool; returns whether it is. Blocks at most for `timeout`.
    #[must_use = "the wait may have come to its end"]
    pub fn wait_for_transaction(&self, txid: Txid, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.pool.contains(&txid))
    }

    /// Ends all connections and threads, and returns when they are gone.
    pub fn shutdown(self) {
        drop(self);
    }

    fn wait(&self, timeout: Duration, mut reached: impl FnMut(&mut State) -> bool) -> bool {
        let mut state = self.shared.state.lock();
        let deadline = Instant::now() + timeout;
        let missing = |state: &mut State| !reached(state);
        !self
            .shared
            .changed
            .wait_while_until(&mut state, missing, deadline)
            .timed_out()
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new().name(name.into()).spawn(run);
        let thread = thread.map_err(|error| Error::System {
            what: format!("the thread {name}"),
            kind: error.kind(),
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for LocalNode {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Relaxed);
        let address = self.address();
        // The listener waits in `accept`: a connection wakes it. It may be gone already.
        let _ = TcpStream::connect_timeout(&reachable(address), WAKE_TIMEOUT);
        // Dropped without the lock: their threads may wait for it.
        let peers = self.shared.state.lock().close();
        drop(peers);
        for thread in self.threads.drain(..) {
            // A panic of a node's thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for LocalNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalNode")
            .field("address", &self.address())
            .field("height", &self.height())
            .field("peers", &self.peer_count())
            .finish()
    }
}

/// Answers until the last connection and the bus are gone.
fn answer(shared: &Shared, inbox: &Receiver<Event>) {
    for event in inbox {
        let gone = shared.state.lock().on_event(event);
        // Waits for the thread of a connection that has ended: without the lock.
        drop(gone);
        shared.changed.notify_all();
    }
}

fn listen(shared: &Shared, listener: &TcpListener) {
    while !shared.stopped.load(Relaxed) {
        let accepted = listener.accept();
        let mut state = shared.state.lock();
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = state.accept(stream) {
                    log::warn!("local node: {error}");
                }
            }
            Err(error) => {
                drop(state);
                log::warn!("local node: accepting a connection failed: {error}");
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

/// An address under which a listener at `address` can be reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, v6.port()).into()
        }
        address => address,
    }
}
