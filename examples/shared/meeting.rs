//! A manager for the peers that the arguments select.

use std::net::SocketAddr;
use std::time::Instant;

use bsv_p2p::connection::{EventReceiver, resolve};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::{Manager, ManagerConfig};

use crate::lasting::RESOLVE_TIMEOUT;
use crate::reach::Reach;
use crate::shared::Failure;

/// A manager and the peers it should connect to. It must be started by [`Meeting::start`].
pub(crate) struct Meeting {
    pub(crate) manager: Manager,
    named: Vec<SocketAddr>,
    /// Whether seeds are queried for further peers.
    seeds: bool,
    events: EventReceiver<ControlEvent>,
}

impl Meeting {
    /// Resolves the named peers and creates the manager.
    ///
    /// Blocks for at most [`RESOLVE_TIMEOUT`] for each name, and at most until `end`.
    ///
    /// # Errors
    ///
    /// - If there are no seeds and no named peer can be resolved.
    /// - If the port of a named peer is the default port of another network.
    /// - [`WrongUsage`](crate::shared::WrongUsage) if seeds are required and the network has none.
    /// - If the configuration is invalid.
    pub(crate) fn new(reach: &Reach, end: Instant) -> Result<Self, Failure> {
        let seeds = reach.seed_names()?;
        let (network, connection) = (reach.network(), reach.connection_config());
        let mut named = Vec::new();
        let mut last = None;
        for name in &reach.peer {
            let left = end.saturating_duration_since(Instant::now());
            match resolve(name, network.port(), left.min(RESOLVE_TIMEOUT)) {
                Ok(addresses) => {
                    for address in &addresses {
                        connection.check_port(*address)?;
                    }
                    named.extend(addresses);
                }
                Err(reason) => last = Some(reason),
            }
        }
        if let (true, true, Some(reason)) = (seeds.is_empty(), named.is_empty(), last) {
            return Err(reason.into());
        }
        let mut config = ManagerConfig::new(network);
        config.connection = connection;
        // Each named peer needs a slot.
        config.max_connections = config.max_connections.max(named.len());
        config.discovery.name_servers = reach.seeds.dns.clone();
        config.discovery.default_port = Some(reach.seed_port());
        config.discovery.addresses = named.clone();
        let ask_seeds = !seeds.is_empty();
        config.discovery.seeds = Some(seeds);
        let manager = Manager::new(config)?;
        Ok(Self {
            events: manager.subscribe_control(),
            manager,
            named,
            seeds: ask_seeds,
        })
    }

    /// Starts the manager. If there are no seeds, it connects to the named peers only.
    pub(crate) fn start(&self) -> Result<(), bsv_p2p::Error> {
        if self.seeds {
            self.manager.start()
        } else {
            self.manager.start_fixed(&self.named)
        }
    }

    /// Returns the number of peers that should be connected.
    pub(crate) fn expected(&self) -> usize {
        if self.seeds {
            self.manager.config().target_connections
        } else {
            self.named.len()
        }
    }

    /// Returns the error that no peer was reached, with the last failure if one was reported.
    pub(crate) fn nobody(&self) -> String {
        let told = self.events.try_iter().flatten().filter(|event| {
            matches!(
                event,
                ControlEvent::ConnectionFailed { .. }
                    | ControlEvent::ConnectionLost { .. }
                    | ControlEvent::ConnectionRestarting { .. }
                    | ControlEvent::DiscoveryFailed { .. }
            )
        });
        let last = told.last().map(|event| format!("; last failure: {event}"));
        format!("no peer was reached{}", last.unwrap_or_default())
    }
}
