//! What a connection's thread and its handle share.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

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
    pub(super) events: EventBus,
    /// Held for one call of the session, never while anything is waited for.
    pub(super) session: Mutex<Session>,
    pub(super) stop: Stop,
    pub(super) counters: Arc<TrafficCounters>,
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
        events: EventBus,
        session: Session,
    ) -> Self {
        Self {
            peer_id: Uuid::new_v4(),
            address,
            direction,
            config,
            events,
            session: Mutex::new(session),
            stop: Stop::new(),
            counters: Arc::default(),
            link: RwLock::default(),
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
