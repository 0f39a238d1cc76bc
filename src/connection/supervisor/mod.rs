//! The thread that opens connections again.

mod keeper;
mod thread;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, unbounded};
use parking_lot::Mutex;

use self::keeper::{Ended, PlanKeeper};
use super::actor::Origin;
use super::restart::{RestartConfig, RestartPolicy};
use super::stop::Stop;
use super::{PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions, SlotGuard};
use crate::error::Error;
use crate::session::{Direction, DisconnectReason};

/// Keeps connections alive: opens again what was lost, when the [`RestartPolicy`] of each says so.
///
/// One thread for any number of connections; a connection that waits for its next try costs no thread. Safe to use from several
/// threads.
///
/// **Dropping it** ends its thread and waits for it. Connections that stand go on, for as long as their handles live, and
/// are not opened again; those that wait end with `ConnectionFailed` and the reason `Shutdown`.
///
/// ```no_run
/// use bsv_p2p::{ConnectionConfig, Network};
/// use bsv_p2p::connection::{PeerConnectionOptions, RestartConfig, Supervisor};
///
/// # fn main() -> Result<(), bsv_p2p::Error> {
/// let supervisor = Supervisor::start()?;
/// let setup = PeerConnectionOptions::new(ConnectionConfig::new(Network::Mainnet));
/// let messages = setup.events.subscribe();
/// let restarts = RestartConfig { max_retries: None, ..RestartConfig::default() };
/// let peer = supervisor.spawn_outbound("192.0.2.1:8333".parse().unwrap(), setup, restarts)?;
/// for event in messages {
///     println!("{event:?}"); // for ever, whatever happens to the peer
/// }
/// # Ok(())
/// # }
/// ```
pub struct Supervisor {
    ended: Sender<Ended>,
    stop: Arc<Stop>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Supervisor {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no thread to be had.
    pub fn start() -> Result<Self, Error> {
        // Never longer than there are connections: each is in it at most once.
        let (ended, ends) = unbounded();
        let stop = Arc::new(Stop::new());
        let signal = stop.clone();
        let thread = std::thread::Builder::new()
            .name("bsv-p2p supervisor".into())
            .stack_size(256 * 1024)
            .spawn(move || thread::run(&ends, &signal))
            .map_err(|error| Error::Io {
                what: "the supervisor's thread".into(),
                error: error.into(),
            })?;
        Ok(Self {
            ended,
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Dials `address` in a thread of its own, and again as `restarts` says. Returns at once: events tell how it goes.
    ///
    /// The connection keeps its `peer_id` over all restarts. A slot in `setup` is given back at each end, and one of the same
    /// [`ConnectionSlots`](super::ConnectionSlots) is taken for each restart; while none is free the restart waits. Between two connections
    /// sends end with [`Error::Disconnected`].
    ///
    /// # Errors
    ///
    /// Those of [`PeerConnectionActor::spawn_outbound`].
    pub fn spawn_outbound(
        &self,
        address: SocketAddr,
        setup: PeerConnectionOptions,
        restarts: RestartConfig,
    ) -> Result<PeerConnectionHandle, Error> {
        restarts.validate()?;
        setup.config.check_port(address)?;
        let keeper = PlanKeeper {
            plan: Mutex::new(RestartPolicy::new(Direction::Outbound, restarts)),
            supervisor: self.ended.clone(),
            slots: setup.slot.as_ref().map(SlotGuard::slots).cloned(),
        };
        PeerConnectionActor::spawn_kept(Origin::Dialled(address), setup, Box::new(keeper))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop.set(DisconnectReason::Shutdown);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").finish_non_exhaustive()
    }
}
