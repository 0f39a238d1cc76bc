//! What a connection's thread and its handle share.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
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
    /// There once TCP stands.
    pub(super) link: OnceLock<Link>,
}

pub(super) struct Link {
    pub(super) stream: Arc<Stream>,
    pub(super) outbox: Outbox,
}
