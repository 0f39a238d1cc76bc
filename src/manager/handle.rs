//! What a program holds of a manager.

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
use super::supervisor::{Beginning, Supervisor};
use crate::connection::{Announcer, random_number};
use crate::discovery::SeedResolver;
use crate::error::Error;
use crate::event::ControlEvent;
use crate::peers::{InMemoryPeerStore, PeerStore, StoreError};
use crate::session::ConfigError;

/// How many failures of the store wait to be told.
const STORE_FAILURES: usize = 16;

/// Many peers: finds them, keeps as many connected as wanted, lets others in, remembers and bans.
///
/// Make one, subscribe, start it. Everything is safe to use from several threads. Methods without a timeout wait for the supervisor's
/// thread at most, which never waits for anybody: some milliseconds.
///
/// **Threads**: one supervisor, one for each connection (and one more while its peer does not read as fast as it is sent to), one
/// listener if there is one, one for the store if there is one, one while seeds are asked, one for the chain if it is followed. All of them have ended when [`Manager::shutdown`] returns or the manager
/// is dropped.
///
/// ```
/// use std::time::Duration;
/// use bsv_p2p::{Manager, ManagerConfig, Network};
/// use bsv_p2p::local_node::LocalNode;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = LocalNode::start()?; // any peers work the same
/// let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
/// let messages = manager.subscribe_messages();
/// manager.start_fixed(&[node.address()])?;
/// manager.wait_for_peers(1, Duration::from_secs(10))?;
/// node.mine(1)?;
/// let announced = messages.recv_timeout(Duration::from_secs(10)).expect("an announcement");
/// println!("{}: {:?}", announced.peer_id, announced.message);
/// manager.shutdown()?;
/// # Ok(())
/// # }
/// ```
pub struct Manager {
    pub(super) shared: Arc<Shared>,
    store: Option<Arc<dyn PeerStore>>,
    /// What went wrong with the store before anybody could be told.
    troubles: Mutex<Vec<StoreError>>,
    running: Running,
    pub(super) chain_sync: ChainSync,
}

impl Manager {
    /// A manager that forgets what it knows of peers when it ends. It does nothing before it is started.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a wrong value.
    pub fn new(config: ManagerConfig) -> Result<Self, Error> {
        Self::with(config, None, Vec::new())
    }

    /// A manager that keeps what it knows of peers, and whom it bans, in a file: see [`InMemoryPeerStore`]. Blocks while the file is read.
    ///
    /// No file keeps it from being started. A damaged one is set aside; one that cannot be read or used, as that of another network, or one
    /// that somebody else has open, is left as it is, and what is known is forgotten at the end. [`ControlEvent::StoreFailed`] tells either
    /// when the manager is started. A program that wants to do without a manager then opens the store itself, for
    /// [`Manager::with_store`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a wrong value.
    pub fn with_file(config: ManagerConfig, path: impl AsRef<Path>) -> Result<Self, Error> {
        config.validate()?;
        let (network, max) = (config.network().clone(), config.max_known_peers);
        match InMemoryPeerStore::open(path.as_ref(), network, max, SystemTime::now()) {
            Ok((store, damaged)) => {
                let troubles = damaged.map(StoreError::Damaged).into_iter().collect();
                Self::with(config, Some(Arc::new(store)), troubles)
            }
            Err(error) => Self::with(config, None, vec![error]),
        }
    }

    /// A manager that keeps what it knows of peers, and whom it bans, in a store, such as an [`InMemoryPeerStore`](crate::peers::InMemoryPeerStore) with a file.
    ///
    /// The store is read when the manager is started, in the thread that does so; it is written by a thread of its own, at most once a
    /// second, and saved after bans, every `save_interval`, and at the end. What the store cannot do is told by
    /// [`ControlEvent::StoreFailed`], and costs nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a wrong value.
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
    /// manager, writes what is missing.
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
    /// manager.start_fixed(&[node.address()])?;
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

    /// Has the names of seeds resolved by this from now on, instead of by what `discovery` of the configuration says.
    ///
    /// It is called from a thread of its own, with one seed after the other.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn SeedResolver>) -> Self {
        // Nobody else has it before the start.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.resolver = Some(resolver);
        }
        self
    }

    /// Starts it: peers that the store knows are dialled, and others as they become known, until there are as many connections as wanted.
    ///
    /// Blocks while the store is read.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`], also after a shutdown; [`Error::Io`] if there is no thread to be had.
    pub fn start(&self) -> Result<(), Error> {
        self.start_with(None)
    }

    /// Starts it with these peers and no others: each is dialled, and dialled again after any outage for as long as the manager runs. No
    /// seed is asked. Peers that dial us are let in all the same, if there is a listener.
    ///
    /// A fixed peer is never banned for what it does: its connection ends, and it is dialled again after the longest pause.
    ///
    /// # Errors
    ///
    /// - The errors of [`Manager::start`].
    /// - [`Error::Config`] for more peers than `max_connections`.
    /// - [`Error::ScopedAddress`] for an address with an IPv6 scope.
    /// - [`Error::PortMismatch`] if the port of a peer is the default port of another network.
    pub fn start_fixed(&self, peers: &[SocketAddr]) -> Result<(), Error> {
        let config = self.shared.config();
        let max = config.max_connections;
        ConfigError::unless(
            peers.len() <= max,
            "peers",
            &peers.len(),
            "at most max_connections are allowed",
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
            let random = Box::new(random_number);
            let mut plan = Plan::new(config.clone(), bans, known, random, now);
            if let Some(peers) = fixed {
                let fixed = plan.fix(peers, now);
                fixed.map_err(|(address, not_dialled)| not_dialled.into_error(address))?;
            }
            let mut announcer = Announcer::new(&self.shared.bus, &config.connection);
            for error in troubles {
                log_trouble(&self.shared, &error);
                announcer.tell(ControlEvent::StoreFailed { error });
            }
            Ok(Supervisor::new(Beginning {
                shared: self.shared.clone(),
                plan,
                announcer,
                store: store_thread,
                store_failures,
            }))
        })?;
        self.shared.is_started.store(true, Ordering::Release);
        self.chain_sync.wake();
        Ok(())
    }

    /// Ends everything: peers are let in and dialled no more, every connection ends, every thread is joined, the store is saved, and every
    /// receiver gets what is in its queue and then ends. Blocks at most for `shutdown_timeout` and the moment that it takes to
    /// stop the listener. Doing it again does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::ShutdownTimedOut`] if the store, or anything else, took longer: what has not ended then ends by itself. [`Error::Store`] if
    /// the store could not be saved. All else has been done then.
    ///
    /// [`Error::HeaderStore`] if the header file could not be written completely.
    pub fn shutdown(&self) -> Result<(), Error> {
        let after = self.shared.config().shutdown_timeout;
        let deadline = Now::read().after(after);
        let chain_sync = self.chain_sync.stop();
        let mut end = self.running.stop(after);
        self.shared.bus.close();
        self.shared.connected.end();
        self.shared.transactions.end();
        let headers = chain_sync.join(deadline).unwrap_or_else(|| {
            end.left.push("the chain");
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

    /// The configuration that holds now.
    pub fn config(&self) -> ManagerConfig {
        ManagerConfig::clone(&self.shared.config())
    }

    /// Takes another configuration: all of it, or, with a wrong value, nothing. What each field does then is written at the field. Live
    /// connections have it within a second.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a wrong value, and for another network or magic; [`Error::NotRunning`].
    pub fn update_config(&self, config: ManagerConfig) -> Result<(), Error> {
        config.validate()?;
        let current = self.shared.config();
        ConfigError::unless(
            config.network() == current.network(),
            "connection.network",
            config.network(),
            "a manager keeps its network",
        )?;
        ConfigError::unless(
            config.connection.magic() == current.connection.magic(),
            "connection.magic",
            &config.connection.magic(),
            "a manager keeps its magic",
        )?;
        let config = Arc::new(config);
        Ok(self.ask(move |supervisor| supervisor.update_config(config))??)
    }

    pub(super) fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Supervisor) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.running.ask(what)
    }
}

fn log_trouble(shared: &Shared, error: &StoreError) {
    crate::log_level::record!(
        shared.log_level,
        Error,
        network:% = shared.config().network(),
        error:% = error;
        "the store of peers: {error}"
    );
}

impl Drop for Manager {
    fn drop(&mut self) {
        // Whoever wants to know what had not ended in time shuts it down before.
        let _ = self.shutdown();
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}
