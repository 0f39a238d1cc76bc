//! A peer with a thread of its own.

mod handle;
mod life;
mod shared;

pub use handle::{PeerConnectionCommand, PeerConnectionHandle};

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use self::shared::Shared;
use super::{ConnectionConfig, EventBus, SlotGuard, random};
use crate::error::Error;
use crate::session::{Direction, NonceRegistry, Session};

/// Spawns the threads that own connections.
///
/// A connection has one thread, which dials, shakes hands, reads and answers. Only while the peer does not take what it is sent as fast as it is
/// sent, a second thread writes.
///
/// ```
/// use bsv_p2p::{ConnectionConfig, Network};
/// use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionSetup};
/// use bsv_p2p::event::ControlEvent;
///
/// # fn main() -> Result<(), bsv_p2p::Error> {
/// let mut setup = PeerConnectionSetup::new(ConnectionConfig::new(Network::Regtest));
/// let events = setup.events.subscribe_control();
/// let peer = PeerConnectionActor::spawn_outbound("127.0.0.1:1".parse().unwrap(), setup)?;
/// for event in events {
///     println!("{event}");
///     if let ControlEvent::ConnectionFailed { .. } | ControlEvent::ConnectionLost { .. } = event {
///         break;
///     }
/// }
/// peer.join();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PeerConnectionActor;

/// What a connection is spawned with.
#[derive(Debug)]
pub struct PeerConnectionSetup {
    /// How it behaves.
    pub config: ConnectionConfig,
    /// The registry of the owner of all connections, by which a connection to ourselves is recognised.
    pub nonces: NonceRegistry,
    /// Where it tells what happens.
    pub events: EventBus,
    /// Its place among the connections, given back when it ends.
    pub slot: Option<SlotGuard>,
}

impl PeerConnectionSetup {
    /// A setup with a bus and a registry of its own, and no slot.
    pub fn new(config: ConnectionConfig) -> Self {
        Self {
            config,
            nonces: NonceRegistry::default(),
            events: EventBus::new(),
            slot: None,
        }
    }
}

impl PeerConnectionActor {
    /// Dials `address` in a thread of its own. Returns at once: events tell how it goes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a wrong value, [`Error::System`] if there is no thread to be had.
    pub fn spawn_outbound(
        address: SocketAddr,
        setup: PeerConnectionSetup,
    ) -> Result<PeerConnectionHandle, Error> {
        spawn(Direction::Outbound, address, None, setup)
    }

    /// Shakes hands with a peer that has dialled us, in a thread of its own. Returns at once.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a wrong value, [`Error::System`] if there is no thread to be had or the socket is
    /// closed already.
    pub fn spawn_inbound(
        stream: TcpStream,
        setup: PeerConnectionSetup,
    ) -> Result<PeerConnectionHandle, Error> {
        let address = stream.peer_addr().map_err(|error| Error::System {
            what: "an accepted socket".into(),
            kind: error.kind(),
        })?;
        spawn(Direction::Inbound, address, Some(stream), setup)
    }
}

fn spawn(
    direction: Direction,
    address: SocketAddr,
    accepted: Option<TcpStream>,
    setup: PeerConnectionSetup,
) -> Result<PeerConnectionHandle, Error> {
    let PeerConnectionSetup {
        config,
        nonces,
        events,
        slot,
    } = setup;
    config.validate()?;
    let session = Session::new(
        direction,
        config.session.clone(),
        nonces,
        random::nonces(),
        Instant::now(),
    )?;
    let peer = (direction, address);
    let shared = Arc::new(Shared::new(peer, config, events, session));
    let life = shared.clone();
    let thread = thread::Builder::new()
        .name(format!("bsv-p2p {address}"))
        .stack_size(256 * 1024)
        .spawn(move || life::run(&life, accepted, slot))
        .map_err(|error| Error::System {
            what: "the thread of a connection".into(),
            kind: error.kind(),
        })?;
    Ok(PeerConnectionHandle::new(shared, thread))
}
