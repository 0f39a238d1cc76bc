//! The accepting side. All its connections share the resources of one program.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bsv_p2p::connection::{
    AssociationRegistry, ConnectionSlots, EventBus, InboundOutcome, InboundSocket,
    PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};

use bsv_p2p::session::NonceRegistry;
use bsv_p2p::{ConnectionConfig, Error, PayloadMemory};
use parking_lot::Mutex;

/// The interval at which a waiting accept checks for the stop signal.
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
    further: Mutex<Vec<InboundSocket>>,
    /// The connections that started on them, because a fault destroyed their first message.
    strangers: Arc<Mutex<Vec<PeerConnectionHandle>>>,
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
            strangers: Arc::default(),
            stop: AtomicBool::new(false),
        }
    }

    fn setup(&self) -> PeerConnectionOptions {
        let mut setup = PeerConnectionOptions::new(self.config.clone());
        setup.associations = self.associations.clone();
        setup.nonces = self.nonces.clone();
        setup.events = self.bus.clone();
        setup.memory = self.memory.clone();
        setup.slot = self.slots.reserve();
        assert!(setup.slot.is_some(), "no slot is free");
        setup
    }

    /// Spawns the first connection. Returns `None` if it was reset before.
    pub(crate) fn spawn(&self, tcp: TcpStream) -> Option<PeerConnectionHandle> {
        unless_reset(PeerConnectionActor::spawn_inbound(tcp, self.setup()))
    }

    /// Accepts a further socket. Returns `None` if it was reset before.
    fn accept(&self, tcp: TcpStream) -> Option<InboundSocket> {
        let strangers = self.strangers.clone();
        unless_reset(PeerConnectionActor::accept(
            tcp,
            self.setup(),
            move |outcome| {
                if let InboundOutcome::Connection(connection) = outcome {
                    // Fails if the test has ended.
                    strangers.lock().extend(connection.start().ok());
                }
            },
        ))
    }

    /// Accepts and spawns connections until it is stopped.
    pub(crate) fn run(&self) {
        let socket = socket2::SockRef::from(&self.listener);
        socket.set_read_timeout(Some(LOOK)).unwrap();
        while !self.stop.load(Relaxed) {
            if let Ok((tcp, _)) = self.listener.accept() {
                self.further.lock().extend(self.accept(tcp));
            }
        }
    }

    /// Makes [`Acceptor::run`] return within moments after the drop, which includes panics.
    pub(crate) fn stops(&self) -> Stops<'_> {
        Stops(&self.stop)
    }

    /// Closes the sockets that [`Acceptor::run`] has accepted, and the connections on them.
    pub(crate) fn end_further(&self) {
        drop(std::mem::take(&mut *self.further.lock()));
        drop(std::mem::take(&mut *self.strangers.lock()));
    }
}

fn unless_reset<T>(accepted: Result<T, Error>) -> Option<T> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(Error::Io { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

pub(crate) struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
