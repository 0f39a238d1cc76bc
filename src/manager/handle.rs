//! The manager: creation, start, configuration and shutdown.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use crossbeam_channel::bounded;
use parking_lot::Mutex;

use super::ManagerConfig;
use super::chain_sync::ChainSync;
use super::clock::Now;
use super::plan::Plan;
use super::running::Running;
use super::shared::Shared;
use super::store_thread::StoreThread;
use super::supervisor::{Beginning, ManagerSupervisor};
use crate::connection::{random_u64, resolve};
use crate::discovery::SeedResolver;
use crate::error::Error;
use crate::event::ControlEvent;
use crate::peers::{InMemoryPeerStore, PeerStore, StoreError};
use crate::session::ConfigError;

/// Maximum number of queued store failures.
const STORE_FAILURES: usize = 16;

/// Maintains connections to many peers.
///
/// A manager finds peers, keeps [`target_connections`](ManagerConfig::target_connections) of them
/// connected, accepts inbound connections, bans misbehaving peers, and remembers peers in a
/// [store](PeerStore).
///
/// Create a manager, subscribe to events, and start it:
///
/// ```
/// use std::time::Duration;
///
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::{Manager, ManagerConfig, Network};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = LocalNode::start()?; // or any other peer
/// let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
/// let messages = manager.subscribe_messages();
/// manager.start_fixed([node.address()])?;
/// manager.wait_for_peers(1, Duration::from_secs(10))?;
/// node.mine(1)?;
/// let announced = messages.recv_timeout(Duration::from_secs(10))?;
/// println!("{}: {:?}", announced.address, announced.message);
/// manager.shutdown()?;
/// # Ok(())
/// # }
/// ```
///
/// All methods can be called from several threads at once. Unless documented otherwise, a method
/// without a timeout waits only for the supervisor thread, for at most a few milliseconds.
///
/// # Threads
///
/// - one supervisor thread
/// - one thread for each connection, and one for each second stream
/// - one writer thread for each connection whose peer reads more slowly than the manager sends
/// - one thread for the listener, the store, a lookup of seeds, and the followed chain, if in use
///
/// All threads have ended when [`Manager::shutdown`] returns successfully. Dropping the manager
/// shuts it down and ignores errors.
#[must_use = "dropping a manager shuts it down"]
pub struct Manager {
    pub(super) shared: Arc<Shared>,
    store: Option<Arc<dyn PeerStore>>,
    /// Failures of the store before the start. The start reports them.
    troubles: Mutex<Vec<StoreError>>,
    running: Running,
    pub(super) chain_sync: ChainSync,
}

impl Manager {
    /// Creates a manager without a store: known peers and bans are lost when it ends.
    ///
    /// [`Manager::start`] starts it. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if a value is invalid.
    pub fn new(config: ManagerConfig) -> Result<Self, Error> {
        Self::with(config, None, Vec::new())
    }

    /// Creates a manager that keeps known peers and bans in a file; see [`InMemoryPeerStore`].
    ///
    /// A file that cannot be used is not an error:
    ///
    /// - A corrupt file is moved aside, and the store is empty.
    /// - A file that cannot be read, is open in another store, or is of another network is left
    ///   unchanged. The manager then has no store, like one created by [`Manager::new`].
    ///
    /// Both are reported by [`ControlEvent::StoreFailed`] when the manager is started. To stop in
    /// these cases instead, open the store with [`InMemoryPeerStore::open`] and call
    /// [`Manager::with_store`].
    ///
    /// Blocks until the file is read.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if a value is invalid.
    pub fn with_file(config: ManagerConfig, path: impl AsRef<Path>) -> Result<Self, Error> {
        config.validate()?;
        let (network, max) = (config.network().clone(), config.max_known_peers);
        match InMemoryPeerStore::open(path.as_ref(), network, max, SystemTime::now()) {
            Ok((store, damaged)) => {
                let troubles = damaged.map(StoreError::Corrupt).into_iter().collect();
                Self::with(config, Some(Arc::new(store)), troubles)
            }
            Err(error) => Self::with(config, None, vec![error]),
        }
    }

    /// Creates a manager that keeps known peers and bans in `store`.
    ///
    /// [`Manager::start`] reads the store in the calling thread. A separate thread writes changes
    /// to it, at most once per second. The store is saved when bans change, every
    /// [`save_interval`](ManagerConfig::save_interval), and during the shutdown.
    ///
    /// A failure of the store is reported by [`ControlEvent::StoreFailed`], and the manager
    /// continues with its copy in memory. A failed write is repeated every 10 s if it can succeed
    /// later.
    ///
    /// Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if a value is invalid.
    pub fn with_store(config: ManagerConfig, store: Arc<dyn PeerStore>) -> Result<Self, Error> {
        Self::with(config, Some(store), Vec::new())
    }

    fn with(
        config: ManagerConfig,
        store: Option<Arc<dyn PeerStore>>,
        troubles: Vec<StoreError>,
    ) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self {
            shared: Arc::new(Shared::new(config)),
            store,
            troubles: Mutex::new(troubles),
            running: Running::default(),
            chain_sync: ChainSync::default(),
        })
    }

    /// Follows the chain in a header file, and writes the chain to the file from now on.
    ///
    /// The file contains headers of 80 bytes each in the order of their heights, and nothing else;
    /// see [`HeaderStore`]. It is created if there is none. The chain continues from its last
    /// header, so that the headers are not downloaded again. Every change is written when it
    /// occurs, and is safe against a power failure after 5 s. A shutdown, also by dropping the
    /// manager, writes the remaining changes.
    ///
    /// Should be called before [`Manager::start`]. If a chain is already
    /// [followed](Manager::follow_chain), the file must have its first header and is verified by
    /// its rules. The result is the better one of both, in memory and in the file. An empty file
    /// accepts a chain of any start. A file with headers replaces a start at a checkpoint that is
    /// not complete.
    ///
    /// If `follow_chain` replaces the chain later, the file follows the new chain. A chain with
    /// another first header is followed, but not written.
    ///
    /// Damage that was removed from the file, and failed writes, are reported by
    /// [`ControlEvent::HeaderStoreFailed`] after the start. Blocks until the file is read and all
    /// headers are verified: about a second for a million headers.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use bsv_p2p::local_node::LocalNode;
    /// use bsv_p2p::{Manager, ManagerConfig, Network};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("headers");
    /// let node = LocalNode::start()?;
    /// node.mine(10)?;
    /// let config = ManagerConfig::new(Network::Regtest);
    /// let manager = Manager::new(config.clone())?.with_headers(&path)?;
    /// manager.start_fixed([node.address()])?;
    /// manager.sync_headers(Duration::from_secs(10))?;
    /// manager.shutdown()?;
    ///
    /// let restarted = Manager::new(config)?.with_headers(&path)?;
    /// assert_eq!(restarted.with_chain(|chain| chain.tip().0), Some(10));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::HeaderStore`] if the file cannot be opened, is in use by another store, or is of
    ///   another network or chain. See [`HeaderStore::open`]. The file is unchanged.
    /// - [`Error::NotRunning`] if the manager was shut down.
    /// - [`Error::Io`] if the thread cannot be spawned.
    ///
    /// [`HeaderStore`]: crate::HeaderStore
    /// [`HeaderStore::open`]: crate::HeaderStore::open
    pub fn with_headers(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.chain_sync.follow_file(&self.shared, path.as_ref())?;
        Ok(self)
    }

    /// Sets the resolver of seeds, instead of the one that the configuration of
    /// [discovery](ManagerConfig::discovery) selects.
    ///
    /// A call before [`Manager::start`] applies to all lookups, also after
    /// [`Manager::with_headers`] and [`Manager::follow_chain`]. A later call applies from
    /// the next lookup.
    ///
    /// A separate thread calls the resolver with one seed after the other. A panic of the resolver
    /// counts as a failure of the seed.
    pub fn with_resolver(self, resolver: Arc<dyn SeedResolver>) -> Self {
        *self.shared.resolver.write() = Some(resolver);
        self
    }

    /// Starts the manager.
    ///
    /// Dials peers of the store and discovered peers until
    /// [`target_connections`](ManagerConfig::target_connections) are connected, and replaces lost
    /// connections. Starts the listener if it is enabled. [`Manager::wait_for_peers`] waits for
    /// connections.
    ///
    /// Blocks until the store is read.
    ///
    /// # Errors
    ///
    /// - [`Error::AlreadyStarted`] if the manager was started or shut down before.
    /// - [`Error::Io`] if a thread cannot be spawned.
    pub fn start(&self) -> Result<(), Error> {
        self.start_with(None)
    }

    /// Starts the manager in fixed-peer mode: it maintains connections to `peers` only.
    ///
    /// Each peer is dialed, and dialed again after any failure while the manager runs. Discovery is
    /// disabled, and no other peer is dialed unless [`Manager::connect`] is called. Inbound
    /// connections are accepted if the listener is enabled.
    ///
    /// Each peer is a [`SocketAddr`](std::net::SocketAddr), or an IP address or host name with an
    /// optional port, as in [`resolve`]. The port defaults to that of the network. A host name is
    /// resolved once, before the start. If it has several addresses, each is a fixed peer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use bsv_p2p::local_node::LocalNode;
    /// # use bsv_p2p::{Manager, ManagerConfig, Network};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = LocalNode::start()?;
    /// # let port = node.address().port();
    /// let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
    /// manager.start_fixed([format!("localhost:{port}")])?;
    /// manager.wait_for_peers(1, Duration::from_secs(10))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A fixed peer is never banned automatically. If it misbehaves or is unsuitable, its
    /// connection is closed, and it is dialed again after
    /// [`max_backoff`](crate::connection::RestartConfig::max_backoff).
    ///
    /// Blocks until the store is read, and for at most
    /// [`resolve_timeout`](crate::ConnectionConfig::resolve_timeout) for each host name.
    ///
    /// # Errors
    ///
    /// - [`Error::AlreadyStarted`] if the manager was started or shut down before.
    /// - [`Error::Config`] if there are more peers than `max_connections`.
    /// - [`Error::Disconnected`] if a host name is invalid or cannot be resolved, with the reasons
    ///   documented at [`resolve`].
    /// - [`Error::PortMismatch`] if the port of a peer is the default port of another network.
    /// - [`Error::ScopedAddress`] if the address of a peer has an IPv6 scope.
    /// - [`Error::Io`] if a thread cannot be spawned.
    /// - [`Error::TooManyManualPeers`] if `max_known_peers` manual and fixed peers are already
    ///   known.
    ///
    /// [`resolve`]: crate::connection::resolve
    pub fn start_fixed(&self, peers: impl IntoIterator<Item = impl ToString>) -> Result<(), Error> {
        if self.running.was_started() {
            return Err(Error::AlreadyStarted);
        }
        let config = self.shared.config();
        let (port, timeout) = (config.network().port(), config.connection.resolve_timeout);
        let mut addresses = Vec::new();
        for peer in peers {
            let peer = peer.to_string();
            let resolved = resolve(&peer, port, timeout);
            addresses.extend(resolved.map_err(|reason| Error::Disconnected { peer, reason })?);
        }
        let peers = &addresses[..];
        let max = config.max_connections;
        ConfigError::unless(
            peers.len() <= max,
            "peers",
            &peers.len(),
            "at most max_connections",
        )?;
        for peer in peers {
            config.connection.check_port(*peer)?;
        }
        self.start_with(Some(peers))
    }

    fn start_with(&self, fixed: Option<&[SocketAddr]>) -> Result<(), Error> {
        self.running.start(|| {
            let now = Now::read();
            let config = self.shared.config();
            let (failures, store_failures) = bounded(STORE_FAILURES);
            let mut known = Vec::new();
            let mut troubles = std::mem::take(&mut *self.troubles.lock());
            let mut store_thread = None;
            if let Some(store) = &self.store {
                match store.list_all() {
                    Ok(peers) => known = peers,
                    Err(error) => troubles.push(error),
                }
                match store.read_bans() {
                    Ok(bans) => drop(self.shared.bans.write().load(bans, now.wall)),
                    Err(error) => troubles.push(error),
                }
                store_thread = Some(StoreThread::start(store.clone(), failures)?);
            }
            let bans = self.shared.bans.clone();
            let random = Box::new(random_u64);
            let mut plan = Plan::new(config.clone(), bans, known, random, now);
            if let Some(peers) = fixed {
                let fixed = plan.fix(peers, now);
                fixed.map_err(|(address, not_dialed)| not_dialed.into_error(address))?;
            }
            for error in troubles {
                let event = ControlEvent::StoreFailed { error };
                self.shared.log_event(&event);
                self.shared.bus.publish_control(&event);
            }
            Ok(ManagerSupervisor::new(Beginning {
                shared: self.shared.clone(),
                plan,
                store: store_thread,
                store_failures,
            }))
        })?;
        self.shared.is_started.store(true, Ordering::Release);
        self.chain_sync.wake();
        Ok(())
    }

    /// Shuts the manager down. A further call does nothing.
    ///
    /// Closes the listener and all connections, saves the store, writes the header file, and joins
    /// all threads. Each receiver then gets the events in its queue and ends. The manager cannot be
    /// started again.
    ///
    /// Blocks for at most [`shutdown_timeout`](ManagerConfig::shutdown_timeout), 500 ms for the
    /// thread of the followed chain, and the time to close the listener.
    ///
    /// # Errors
    ///
    /// After an error everything else has been shut down.
    ///
    /// - [`Error::ShutdownTimedOut`] if a thread did not end in time. It ends on its own later.
    /// - [`Error::Store`] if the store could not be saved.
    /// - [`Error::HeaderStore`] if the header file could not be written completely.
    pub fn shutdown(&self) -> Result<(), Error> {
        let after = self.shared.config().shutdown_timeout;
        let deadline = Now::read().after(after);
        let chain_sync = self.chain_sync.stop();
        let mut end = self.running.stop(after);
        self.shared.bus.close();
        self.shared.connected.end();
        self.shared.transactions.end();
        let headers = chain_sync.join(deadline).unwrap_or_else(|| {
            end.left.push("chain sync");
            Ok(())
        });
        if !end.left.is_empty() {
            let left = end.left.join(", ");
            return Err(Error::ShutdownTimedOut { after, left });
        }
        match end.store {
            Some(error) => Err(Error::Store(Box::new(error))),
            None => headers.map_err(|error| Error::HeaderStore(Box::new(error))),
        }
    }

    /// Returns a copy of the current configuration. Does not block.
    pub fn config(&self) -> ManagerConfig {
        ManagerConfig::clone(&self.shared.config())
    }

    /// Replaces the configuration. [`ManagerConfig`] documents the effect of each field.
    ///
    /// Live connections use the new configuration within a second. Nothing changes if an error is
    /// returned.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value is invalid, the network or the magic differs, or
    ///   `max_connections` is less than the number of fixed peers.
    /// - [`Error::NotRunning`] if the manager is not running.
    pub fn update_config(&self, config: ManagerConfig) -> Result<(), Error> {
        config.validate()?;
        let current = self.shared.config();
        ConfigError::unless(
            config.network() == current.network(),
            "connection.network",
            config.network(),
            "the network of the running manager",
        )?;
        ConfigError::unless(
            config.connection.magic() == current.connection.magic(),
            "connection.magic",
            &config.connection.magic(),
            "the magic of the running manager",
        )?;
        let config = Arc::new(config);
        Ok(self.ask(move |supervisor| supervisor.update_config(config))??)
    }

    pub(super) fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut ManagerSupervisor) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.running.ask(what)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // A caller that needs the error must call `shutdown` before.
        let _ = self.shutdown();
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("connected", &self.connected_count())
            .finish_non_exhaustive()
    }
}
