//! Supervisor thread that reopens lost connections.

mod supervised_observer;
mod thread;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded, unbounded};
use parking_lot::Mutex;

use self::supervised_observer::{ScheduledRestart, SupervisedObserver};
use super::restart::{RestartConfig, RestartPolicy};
use super::{PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions, SlotGuard};
use crate::error::Error;
use crate::session::Direction;

/// Reopens lost connections, as the [`RestartPolicy`] of each connection decides.
///
/// A single thread serves any number of connections. A connection that waits for a restart needs no
/// thread. Methods can be called from several threads.
///
/// **Dropping the supervisor** stops its thread and waits for it. Open connections continue as long
/// as their handles exist, but are not reopened. Connections that wait for a restart end with
/// `ConnectionFailed` and the reason `Shutdown`.
///
/// ```
/// use bsv_p2p::connection::{PeerConnectionOptions, RestartConfig, Supervisor};
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::{ConnectionConfig, Network};
///
/// # fn main() -> Result<(), bsv_p2p::Error> {
/// let node = LocalNode::start()?;
/// let supervisor = Supervisor::start()?;
/// let options = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
/// let events = options.events.subscribe_control();
/// let restarts = RestartConfig { max_delayed_restarts: None, ..RestartConfig::default() };
/// let peer = supervisor.spawn_outbound(node.address(), options, restarts)?;
/// assert!(events.iter().flatten().any(|event| event.name() == "HandshakeComplete"));
///
/// drop(node);
/// assert!(events.iter().flatten().any(|event| event.name() == "ConnectionRestarting"));
/// peer.disconnect(); // otherwise the address is dialed again
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the supervisor stops it"]
pub struct Supervisor {
    ended: Sender<ScheduledRestart>,
    /// Dropped to stop the thread, and the thread itself.
    thread: Mutex<Option<(Sender<Infallible>, JoinHandle<()>)>>,
}

impl Supervisor {
    /// Starts the supervisor and its thread. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] if the thread cannot be spawned.
    pub fn start() -> Result<Self, Error> {
        // Unbounded, because connection threads must not block. Holds each connection at most once.
        let (ended, ends) = unbounded();
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new()
            .name("bsv-p2p supervisor".into())
            .stack_size(256 * 1024)
            .spawn(move || thread::run(&ends, &stopped))
            .map_err(|error| Error::Io {
                operation: "spawning the supervisor thread".into(),
                error: error.into(),
            })?;
        Ok(Self {
            ended,
            thread: Mutex::new(Some((stop, thread))),
        })
    }

    /// Dials `address` on a new thread, and again as `restarts` defines.
    ///
    /// Events report the progress. The connection keeps its `peer_id` over all restarts. Until it
    /// is reopened, sends fail with [`Error::Disconnected`]. Does not block.
    ///
    /// The slot in `options` is released each time the connection ends. A restart reserves a slot of
    /// the same [`ConnectionSlots`](super::ConnectionSlots), and waits while none is free.
    ///
    /// # Errors
    ///
    /// - [`Error::Config`] if a value of `options.config` or `restarts` is invalid.
    /// - [`Error::PortMismatch`] if the port is the default port of another network.
    /// - [`Error::Io`] if a thread cannot be spawned.
    pub fn spawn_outbound(
        &self,
        address: SocketAddr,
        options: PeerConnectionOptions,
        restarts: RestartConfig,
    ) -> Result<PeerConnectionHandle, Error> {
        restarts.validate()?;
        options.config.check_port(address)?;
        let observer = SupervisedObserver {
            policy: Mutex::new(RestartPolicy::new(Direction::Outbound, restarts)),
            supervisor: self.ended.clone(),
            slots: options.slot.as_ref().map(SlotGuard::slots).cloned(),
        };
        PeerConnectionActor::spawn_observed(address, options, Box::new(observer))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.lock().take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").finish_non_exhaustive()
    }
}
