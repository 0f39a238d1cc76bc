//! What a connection's thread and its handle share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::connection::event_bus::{Delivery, DeliveryLimits, Signals};
use crate::connection::outbox::Outbox;
use crate::connection::stop::Stop;
use crate::connection::stream::Stream;
use crate::connection::traffic::TrafficCounters;
use crate::connection::{ConnectionConfig, EventBus};
use crate::session::{Direction, Session};

/// What the connection's thread and the handle share.
pub(super) struct Shared {
    pub(super) peer_id: Uuid,
    pub(super) address: SocketAddr,
    pub(super) direction: Direction,
    pub(super) config: ConnectionConfig,
    /// Held for one call of the session, never while anything is waited for.
    pub(super) session: Mutex<Session>,
    pub(super) stop: Stop,
    pub(super) counters: Arc<TrafficCounters>,
    /// Held by the connection's thread as long as it lives.
    pub(super) delivery: Mutex<Delivery>,
    /// How many requests wait for an answer of the peer: as long as there are any, subscribers cannot stop the reading.
    pub(super) open_requests: AtomicUsize,
    /// Gets something when a request is opened.
    pub(super) wake: (Sender<()>, Receiver<()>),
    /// There while TCP stands.
    link: RwLock<Option<Arc<Link>>>,
}

pub(super) struct Link {
    pub(super) stream: Arc<Stream>,
    pub(super) outbox: Outbox,
}

impl Shared {
    pub(super) fn new(
        (direction, address): (Direction, SocketAddr),
        config: ConnectionConfig,
        events: &EventBus,
        session: Session,
    ) -> Self {
        let delivery = events.delivery(DeliveryLimits::from(&config));
        Self {
            peer_id: Uuid::new_v4(),
            address,
            direction,
            config,
            session: Mutex::new(session),
            stop: Stop::new(),
            counters: Arc::default(),
            delivery: Mutex::new(delivery),
            open_requests: AtomicUsize::new(0),
            wake: bounded(1),
            link: RwLock::default(),
        }
    }

    /// What ends a wait for subscribers.
    pub(super) fn signals(&self) -> Signals<'_> {
        Signals {
            stop: &self.stop,
            open_requests: &self.open_requests,
            wake: &self.wake.1,
        }
    }

    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.read().clone()
    }

    pub(super) fn set_link(&self, link: Arc<Link>) {
        *self.link.write() = Some(link);
    }

    /// Lets go of the socket: it is closed as soon as no call uses it any more.
    pub(super) fn remove_link(&self) -> Option<Arc<Link>> {
        self.link.write().take()
    }
}
