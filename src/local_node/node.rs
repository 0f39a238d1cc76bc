//! The local node: its threads and its methods.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::listener::listen;
use super::shared_state::SharedState;
use super::state::NodeState;
use super::{BlockRejectReason, Chain, InsertOutcome, LocalNodeConfig};
use crate::connection::{ConnectionConfig, EventBus, EventReceiver, ListeningSocket};
use crate::error::Error;
use crate::event::Event;
use crate::network::Network;
use crate::wire::{Block, BlockHash, InvalidTransaction, Services, Transaction, Tx, Txid};

/// An in-process node on loopback with a real chain, for tests and examples.
///
/// Its network is regtest, or a private one with the constant difficulty of regtest. It accepts any
/// number of peers, follows the longest chain, relays blocks and transactions, and mines blocks
/// that real nodes accept. It verifies neither scripts nor inputs.
///
/// Its peers observe the behavior of a Bitcoin SV node 1.2.2 with default options:
///
/// - It answers `getheaders`, `gethdrsen`, `getblocks`, `getdata` (blocks, compact and filtered
///   blocks, transactions), `getblocktxn`, `getaddr` and pings.
/// - If a peer requested `headers`, `hdrsen` or `cmpctblock` announcements and is known to have the
///   parent, it receives such an announcement of a block. Other peers receive an `inv`. A peer that
///   announced the block receives nothing.
/// - It rejects invalid headers, blocks and transactions with the node's text and score, and closes
///   the connection at a score of 100. It closes the connection of a peer that sends `mempool`,
///   `filterload` or `filteradd`.
///
/// It differs from a node in these points:
///
/// - It sends no `sendcmpct`, `authch` or `feefilter`. It ignores the `feefilter` of a peer,
///   because it does not compute fees.
/// - It answers `getaddr` immediately, and serves all transactions of its pool.
/// - It splits a `notfound` at the limits of both sides.
/// - It requests the full block of a `cmpctblock`, and follows side chains of any length.
/// - It has no bans and no initial block download.
///
/// [`LocalNodeConfig`] has the options: orphan transactions, bloom filters, and the behavior of a
/// Teranode.
///
/// The node has a listener thread, a thread that replies to requests, and one thread per accepted
/// socket or stream.
/// [`LocalNode::shutdown`] and dropping the node stop all of them. The node can be shared between
/// threads. Its methods block only while another thread uses its state, except
/// [`mine`](Self::mine), the `wait_for_` methods and [`shutdown`](Self::shutdown).
///
/// ```
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::{Connection, ConnectionConfig, Network};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = LocalNode::start()?;
/// node.mine(3)?;
///
/// let config = ConnectionConfig::new(Network::Regtest);
/// let peer = Connection::connect(node.address(), &config)?;
/// assert_eq!(peer.peer_info().start_height, 3);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the node stops it"]
pub struct LocalNode {
    shared: Arc<SharedState>,
    listener: Arc<ListeningSocket>,
    threads: Vec<JoinHandle<()>>,
}

impl LocalNode {
    /// Starts a regtest node on a free port of 127.0.0.1. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the socket cannot be opened, or a thread cannot be spawned.
    pub fn start() -> Result<Self, Error> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), Self::default_config())
    }

    /// Starts a node that listens at `address` (port 0: a free port), with the genesis block alone.
    ///
    /// `config` is a [`LocalNodeConfig`], or a [`ConnectionConfig`] with the defaults for the rest.
    /// Its network must have the constant difficulty of regtest; see [`Chain::for_network`]. Does
    /// not block.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of `config` is invalid.
    /// - [`Error::Io`] if the node cannot listen at the address, or a thread cannot be spawned.
    pub fn start_at(
        address: SocketAddr,
        config: impl Into<LocalNodeConfig>,
    ) -> Result<Self, Error> {
        let config = config.into();
        let network = config.connection.network.clone();
        let chain = Chain::for_network(network, Chain::DEFAULT_MAX_BYTES)?;
        Self::start_with(chain, address, config)
    }

    /// Like [`start_at`](Self::start_at), for a node that already has the blocks of `chain`.
    ///
    /// The node keeps the memory limit of the chain. Use [`Chain::with_max_bytes`] for a chain that
    /// needs more than [`Chain::DEFAULT_MAX_BYTES`].
    ///
    /// ```
    /// use bsv_p2p::local_node::{Chain, LocalNode};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let now = 1_700_000_000;
    /// let mut chain = Chain::with_max_bytes(4 << 30);
    /// for extra_nonce in 0..100 {
    ///     chain.accept(&chain.template(now, extra_nonce).mine(), now)?;
    /// }
    /// let any_port = ([127, 0, 0, 1], 0).into();
    /// let node = LocalNode::start_with(chain, any_port, LocalNode::default_config())?;
    /// assert_eq!(node.height(), 100);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`start_at`](Self::start_at), and [`Error::Config`] if `config` is for another
    /// network than `chain`.
    pub fn start_with(
        chain: Chain,
        address: SocketAddr,
        config: impl Into<LocalNodeConfig>,
    ) -> Result<Self, Error> {
        let config = config.into();
        config.validate()?;
        crate::session::ConfigError::unless(
            config.connection.network == *chain.network(),
            "network",
            &config.connection.network,
            "the network of the chain",
        )?;
        let system = |error: io::Error| Error::Io {
            operation: format!("listening on {address}"),
            error: error.into(),
        };
        let listener = Arc::new(ListeningSocket::bind(address).map_err(system)?);
        let own_address = listener.address();
        let events = EventBus::new();
        let inbox = events.subscribe();
        let shared = Arc::new(SharedState::new(NodeState::new(
            chain,
            config,
            own_address,
            events,
        )));
        let mut node = Self {
            shared: shared.clone(),
            listener: listener.clone(),
            threads: Vec::new(),
        };
        let answering = shared.clone();
        node.spawn("bsv-p2p local node", move || answer(&answering, &inbox))?;
        node.spawn("bsv-p2p listener", move || listen(&shared, &listener))?;
        Ok(node)
    }

    /// Returns the default configuration of the connections of a local node.
    ///
    /// The network is regtest. The node offers blocks, and accepts blocks that it did not request.
    /// At most 1 GiB is queued for a peer. Queued blocks share the memory of the chain.
    pub fn default_config() -> ConnectionConfig {
        let mut config = ConnectionConfig::new(Network::Regtest);
        config.session.services = Services::NETWORK;
        config.max_send_queue_bytes = 1024 * 1024 * 1024;
        config.max_send_queue_messages = 100_000;
        config.session.limits.unrequested = config.session.limits.buffered;
        config
    }

    /// Returns the address at which the node listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.state().own_address()
    }

    /// Connects to another node. Does not block; use [`LocalNode::wait_for_peers`] to wait for the
    /// handshake.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a thread cannot be spawned.
    pub fn connect(&self, address: SocketAddr) -> Result<(), Error> {
        self.shared.state().dial(address)
    }

    /// Mines `count` blocks with the transactions of the pool, announces them, and returns their
    /// hashes.
    ///
    /// Blocks until all are mined, which takes a few hashes for each block.
    ///
    /// # Errors
    ///
    /// [`BlockRejectReason`] if the chain rejects a block: if it is full, possibly with blocks of peers, or
    /// if the clock is before 2011. The blocks mined before that one stay and were announced.
    pub fn mine(&self, count: usize) -> Result<Vec<BlockHash>, BlockRejectReason> {
        // The lock is released after each block, so that peers are answered in between.
        let mined = (0..count).map(|_| self.shared.state().mine());
        let mined = mined.collect();
        self.shared.notify();
        mined
    }

    /// Mines one block, like [`mine`](Self::mine), and returns its hash.
    ///
    /// # Errors
    ///
    /// The errors of [`mine`](Self::mine).
    pub fn mine_block(&self) -> Result<BlockHash, BlockRejectReason> {
        let mined = self.shared.state().mine();
        self.shared.notify();
        mined
    }

    /// Adds a transaction to the pool and announces it to the peers.
    ///
    /// # Errors
    ///
    /// [`InvalidTransaction`] if the structure of the transaction is invalid. Scripts and inputs
    /// are not verified.
    pub fn submit(&self, transaction: &Transaction) -> Result<InsertOutcome, InvalidTransaction> {
        let tx = Tx::from(transaction);
        let inserted = self.shared.state().submit(&tx);
        self.shared.notify();
        inserted
    }

    /// Returns the height of the active chain's last block. The genesis block has height 0.
    pub fn height(&self) -> u32 {
        self.shared.state().chain.tip().0
    }

    /// Returns the hash of the active chain's last block.
    pub fn tip(&self) -> BlockHash {
        self.shared.state().chain.tip().1
    }

    /// Returns the hash of the active chain's block at `height`, if there is one.
    pub fn block_hash(&self, height: u32) -> Option<BlockHash> {
        self.shared.state().chain.hash_at(height)
    }

    /// Returns the block with a hash, of any branch, if the node has it.
    pub fn block(&self, hash: BlockHash) -> Option<Block> {
        self.shared.state().chain.block(&hash).cloned()
    }

    /// Returns a transaction of the pool, if it is there.
    pub fn pooled_transaction(&self, txid: Txid) -> Option<Tx> {
        self.shared.state().transaction(&txid)
    }

    /// Returns the number of peers that completed the handshake.
    pub fn peer_count(&self) -> usize {
        self.shared.state().ready_peers()
    }

    /// Blocks until at least `count` peers are connected, but for at most `timeout`. Returns
    /// whether they are.
    ///
    /// The node may complete a handshake later than the peer. Objects that were added before are
    /// not announced to that peer.
    #[must_use = "the wait may have timed out"]
    pub fn wait_for_peers(&self, count: usize, timeout: Duration) -> bool {
        self.shared
            .wait(timeout, |state| state.ready_peers() >= count)
    }

    /// Blocks until `tip` is the active chain's last block, but for at most `timeout`. Returns
    /// whether it is.
    #[must_use = "the wait may have timed out"]
    pub fn wait_for_tip(&self, tip: BlockHash, timeout: Duration) -> bool {
        self.shared
            .wait(timeout, |state| state.chain.tip().1 == tip)
    }

    /// Blocks until a transaction is in the pool, but for at most `timeout`. Returns whether it is.
    #[must_use = "the wait may have timed out"]
    pub fn wait_for_transaction(&self, txid: Txid, timeout: Duration) -> bool {
        self.shared
            .wait(timeout, |state| state.pool.contains(&txid))
    }

    /// Closes all connections and stops all threads. Blocks until they have ended.
    pub fn shutdown(self) {
        drop(self);
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new().name(name.into()).spawn(run);
        let thread = thread.map_err(|error| Error::Io {
            operation: format!("spawning the thread {name}"),
            error: error.into(),
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for LocalNode {
    fn drop(&mut self) {
        self.shared.stop();
        self.listener.unblock();
        // Dropped without the lock, because the threads of the peers may wait for it.
        let (sockets, peers) = self.shared.state().close_all();
        drop(sockets);
        drop(peers);
        for thread in self.threads.drain(..) {
            // The panic hook has printed a panic of the thread.
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

/// Handles events until the last connection and the event bus are dropped.
fn answer(shared: &SharedState, inbox: &EventReceiver<Event>) {
    while let Ok(first) = inbox.recv() {
        handle(shared, first);
        // While requested objects must be sent, events that arrive are handled in between.
        while shared.state().is_busy() {
            inbox
                .try_iter()
                .map_while(Result::ok)
                .take(EVENTS_PER_STEP)
                .for_each(|event| handle(shared, event));
            shared.state().continue_requests();
            shared.notify();
        }
    }
}

fn handle(shared: &SharedState, event: Event) {
    let ended = shared.state().on_event(event);
    // Waits for the threads of closed connections, so the lock must be free.
    drop(ended);
    shared.notify();
}

/// The maximum number of events that are handled before the next requested objects are sent.
const EVENTS_PER_STEP: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_chain_rejects_the_next_block() {
        // Each block counts as its bytes and 1 KiB.
        let chain = Chain::with_max_bytes(5_000);
        let any_port = (Ipv4Addr::LOCALHOST, 0).into();
        let node = LocalNode::start_with(chain, any_port, LocalNode::default_config()).unwrap();
        let refused = node.mine(10);
        assert!(
            matches!(refused, Err(BlockRejectReason::ChainFull { .. })),
            "{refused:?}"
        );
        let height = node.height();
        assert!((1..10).contains(&height), "{height}");
        assert!(node.mine_block().is_err());
        assert_eq!(node.block_hash(height), Some(node.tip()));
    }
}
