//! A node in the process.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::listener::listen;
use super::shared::Shared;
use super::state::NodeState;
use super::{BlockRejectReason, Chain, InsertOutcome, InvalidTransaction, LocalNodeConfig};
use crate::connection::{ConnectionConfig, EventBus, ListeningSocket};
use crate::error::Error;
use crate::event::Event;
use crate::network::Network;
use crate::wire::{Block, BlockHash, Services, Transaction, Tx, Txid};

/// A node in the process, on loopback, with a real chain: for tests, examples and the tests of programs.
///
/// Its network is regtest, or a private one with the constant difficulty of regtest.
///
/// It takes any number of peers, follows the longest chain, relays blocks and transactions, and mines blocks that a real node
/// accepts. It does not verify scripts or spends.
///
/// Towards its peers it behaves as a Bitcoin SV node 1.2.2 with default options:
///
/// - It answers `getheaders`, `gethdrsen`, `getblocks`, `getdata` (blocks, compact and filtered blocks, transactions),
///   `getblocktxn`, `getaddr` and pings.
/// - It announces a block by `headers`, `hdrsen` or `cmpctblock` to a peer that requested this and is known to have the parent,
///   which means that the two exchanged headers. Other peers receive an `inv`. A peer that announced the block receives nothing.
/// - It rejects invalid headers, blocks and transactions with the node's text and score, and closes the connection at a score
///   of 100. It closes the connection of a peer that sends `mempool`, `filterload` or `filteradd`.
///
/// It differs from a node in the following:
///
/// - It sends no `sendcmpct`, `authch` and `feefilter`, and ignores the `feefilter` of a peer: it knows no fees.
/// - It answers `getaddr` at once, and serves all transactions of its pool.
/// - It splits a `notfound` at the limits of both sides.
/// - It requests the full block of a `cmpctblock`, and follows side chains of any length.
/// - It has no bans and no initial block download.
///
/// [`LocalNodeConfig`] has the options: orphan transactions, bloom filters, and the behavior of a Teranode.
///
/// It has a thread that listens, one that answers, and one for each peer; [`LocalNode::shutdown`] and dropping it end them all.
/// Safe to use from several threads.
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
/// let peer = Connection::connect(&node.address().to_string(), &config)?;
/// assert_eq!(peer.peer_info().start_height, 3);
/// # Ok(())
/// # }
/// ```
pub struct LocalNode {
    shared: Arc<Shared>,
    listener: Arc<ListeningSocket>,
    threads: Vec<JoinHandle<()>>,
}

impl LocalNode {
    /// Starts a node on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system gives no socket or thread.
    pub fn start() -> Result<Self, Error> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), Self::default_config())
    }

    /// Starts a node that listens at `address` (port 0: a free port), with the genesis block alone.
    ///
    /// `config` is a [`LocalNodeConfig`], or a [`ConnectionConfig`] with the defaults for the rest.
    /// Its network must have the constant difficulty of regtest; see [`Chain::for_network`].
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of `config` is invalid.
    /// - [`Error::Io`] if the address cannot be listened on, or a thread cannot be started.
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
            "the network of the chain is needed",
        )?;
        let system = |error: io::Error| Error::Io {
            what: format!("listening on {address}"),
            error: error.into(),
        };
        let listener = Arc::new(ListeningSocket::bind(address).map_err(system)?);
        let own_address = listener.address();
        let events = EventBus::new();
        let inbox = events.subscribe();
        let shared = Arc::new(Shared::new(NodeState::new(
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

    /// How the connections of a local node behave unless said otherwise: regtest, blocks served and taken unasked, 1 GiB of them queued at
    /// most (blocks in the queue are shared with the chain, not copied).
    pub fn default_config() -> ConnectionConfig {
        let mut config = ConnectionConfig::new(Network::Regtest);
        config.session.services = Services::NETWORK;
        config.max_send_queue_bytes = 1024 * 1024 * 1024;
        config.max_send_queue_messages = 100_000;
        config.session.limits.unrequested = config.session.limits.buffered;
        config
    }

    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.state().own_address()
    }

    /// Dials another node. Returns at once; [`LocalNode::wait_for_peers`] tells when it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no thread to be had.
    pub fn connect(&self, address: SocketAddr) -> Result<(), Error> {
        self.shared.state().dial(address)
    }

    /// Mines `count` blocks with what waits in the pool, tells the peers, and returns their hashes.
    ///
    /// # Errors
    ///
    /// [`BlockRejectReason`] if the chain does not take a block: it is full, with what peers have sent perhaps, or the clock is before
    /// 2011. The blocks mined before that one stay, and peers have been told.
    pub fn mine(&self, count: usize) -> Result<Vec<BlockHash>, BlockRejectReason> {
        // Block by block, so that peers are answered in between.
        let mined = (0..count).map(|_| self.shared.state().mine());
        let mined = mined.collect();
        self.shared.tell_changed();
        mined
    }

    /// Takes a transaction into the pool and tells the peers.
    ///
    /// # Errors
    ///
    /// [`InvalidTransaction`] if it cannot be one. Scripts and spends are not verified.
    pub fn submit(&self, transaction: &Transaction) -> Result<InsertOutcome, InvalidTransaction> {
        let tx = Tx::from(transaction);
        let inserted = self.shared.state().submit(&tx);
        self.shared.tell_changed();
        inserted
    }

    /// The height of the active chain's last block; the genesis block has 0.
    pub fn height(&self) -> u32 {
        self.shared.state().chain.tip().0
    }

    /// The hash of the active chain's last block.
    pub fn tip(&self) -> BlockHash {
        self.shared.state().chain.tip().1
    }

    /// The hash of the active chain's block at `height`.
    pub fn block_hash(&self, height: u32) -> Option<BlockHash> {
        self.shared.state().chain.hash_at(height)
    }

    /// A block, by its hash.
    pub fn block(&self, hash: BlockHash) -> Option<Block> {
        self.shared.state().chain.block(&hash).cloned()
    }

    /// A transaction that waits to be mined.
    pub fn pooled_transaction(&self, txid: Txid) -> Option<Tx> {
        self.shared.state().transaction(&txid)
    }

    /// How many peers have completed the handshake.
    pub fn peer_count(&self) -> usize {
        self.shared.state().ready_peers()
    }

    /// Waits until at least `count` peers are connected; returns whether they are. Blocks at most for `timeout`.
    #[must_use = "the wait may have come to its end"]
    pub fn wait_for_peers(&self, count: usize, timeout: Duration) -> bool {
        self.shared
            .wait(timeout, |state| state.ready_peers() >= count)
    }

    /// Waits until the active chain's last block is `tip`; returns whether it is. Blocks at most for `timeout`.
    #[must_use = "the wait may have come to its end"]
    pub fn wait_for_tip(&self, tip: BlockHash, timeout: Duration) -> bool {
        self.shared
            .wait(timeout, |state| state.chain.tip().1 == tip)
    }

    /// Waits until a transaction is in the pool; returns whether it is. Blocks at most for `timeout`.
    #[must_use = "the wait may have come to its end"]
    pub fn wait_for_transaction(&self, txid: Txid, timeout: Duration) -> bool {
        self.shared
            .wait(timeout, |state| state.pool.contains(&txid))
    }

    /// Ends all connections and threads, and returns when they are gone.
    pub fn shutdown(self) {
        drop(self);
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new().name(name.into()).spawn(run);
        let thread = thread.map_err(|error| Error::Io {
            what: format!("the thread {name}"),
            error: error.into(),
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for LocalNode {
    fn drop(&mut self) {
        self.shared.stop();
        self.listener.end_wait();
        // Dropped without the lock: their threads may wait for it.
        let peers = self.shared.state().close_all();
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
    while let Ok(first) = inbox.recv() {
        handle(shared, first);
        // While requested objects must be sent, events that arrive are handled in between.
        while shared.state().is_busy() {
            inbox
                .try_iter()
                .take(EVENTS_PER_STEP)
                .for_each(|event| handle(shared, event));
            shared.state().continue_requests();
            shared.tell_changed();
        }
    }
}

fn handle(shared: &Shared, event: Event) {
    let ended = shared.state().on_event(event);
    // Waits for the threads of connections that have ended: without the lock.
    drop(ended);
    shared.tell_changed();
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
            matches!(refused, Err(BlockRejectReason::NoRoom { .. })),
            "{refused:?}"
        );
        let height = node.height();
        assert!((1..10).contains(&height), "{height}");
        assert_eq!(node.block_hash(height), Some(node.tip()));
    }
}
