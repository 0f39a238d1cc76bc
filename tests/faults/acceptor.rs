//! The side that is dialled, however often: every connection gets what one program shares among its connections.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bsv_p2p::connection::{
    AssociationRegistry, ConnectionSlots, EventBus, PeerConnectionActor, PeerConnectionHandle,
    PeerConnectionOptions,
};

use bsv_p2p::session::NonceRegistry;
use bsv_p2p::{ConnectionConfig, Error, PayloadMemory};
use parking_lot::Mutex;

/// How long a wait for somebody who dials lasts before it is asked whether it shall end.
const LOOK: Duration = Duration::from_millis(20);

/// Spawns the connections of one owner.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    pub(crate) config: ConnectionConfig,
    pub(crate) slots: ConnectionSlots,
    pub(crate) associations: AssociationRegistry,
    pub(crate) nonces: NonceRegistry,
    pub(crate) bus: EventBus,
    pub(crate) memory: PayloadMemory,
    further: Mutex<Vec<PeerConnectionHandle>>,
    stop: AtomicBool,
}

impl Acceptor {
    pub(crate) fn new(config: &ConnectionConfig, slots: &ConnectionSlots) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            config: config.clone(),
            slots: slots.clone(),
            associations: AssociationRegistry::default(),
            nonces: NonceRegistry::default(),
            bus: EventBus::new(),
            memory: PayloadMemory::default(),
            further: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// A connection that was accepted. `None` if it has been reset before anybody could look at it.
    pub(crate) fn spawn(&self, tcp: TcpStream) -> Option<PeerConnectionHandle> {
        let mut setup = PeerConnectionOptions::new(self.config.clone());
        setup.associations = self.associations.clone();
        setup.nonces = self.nonces.clone();
        setup.events = self.bus.clone();
        setup.memory = self.memory.clone();
        setup.slot = self.slots.reserve();
        assert!(setup.slot.is_some(), "no slot is free");
        match PeerConnectionActor::spawn_inbound(tcp, setup) {
            Ok(handle) => Some(handle),
            Err(Error::Io { .. }) => None,
            Err(other) => panic!("{other}"),
        }
    }

    /// Accepts and spawns whoever dials, until it is told to stop.
    pub(crate) fn run(&self) {
        let socket = socket2::SockRef::from(&self.listener);
        socket.set_read_timeout(Some(LOOK)).unwrap();
        while !self.stop.load(Relaxed) {
            if let Ok((tcp, _)) = self.listener.accept() {
                self.further.lock().extend(self.spawn(tcp));
            }
        }
    }

    /// Lets [`Acceptor::run`] return within moments once it is dropped, by a panic too.
    pub(crate) fn stops(&self) -> Stops<'_> {
        Stops(&self.stop)
    }

    /// Ends the connections that [`Acceptor::run`] has spawned. Returns how many there were.
    pub(crate) fn end_further(&self) -> usize {
        let further = std::mem::take(&mut *self.further.lock());
        let count = further.len();
        drop(further);
        count
    }
}

pub(crate) struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
