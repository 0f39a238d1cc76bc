//! Connections to single peers, with or without a thread per connection.
//!
//! - [`Connection`] runs on the thread of its caller. It connects, sends, receives and requests.
//! - [`PeerConnectionActor`] spawns a thread that reads from one peer, replies to it and publishes
//!   events on an [`EventBus`]. A [`PeerConnectionHandle`] sends messages and requests from any
//!   thread.
//! - [`Supervisor`] reopens lost connections. The [`RestartPolicy`] of each connection decides
//!   when.

mod actor;
mod association_registry;
mod block_reader;
mod blocking;
mod close_cell;
mod config;
mod dial;
mod encoded_message;
mod event_bus;
mod first_message;
mod inbound_socket;
mod listening_socket;
mod logging;
mod message_reader;
mod observer;
mod outbox;
mod peer_addr;
mod peer_name;
mod progress;
mod random;
mod requests;
mod restart;
mod send_queue;
mod slots;
mod stream;
mod supervisor;
mod traffic;
mod waker;

pub(crate) use crate::random::random_u64;
pub use actor::{
    ConnectionStatistics, PeerConnectionActor, PeerConnectionCommand, PeerConnectionHandle,
    PeerConnectionOptions, QueueStats, StreamStatistics,
};
pub(crate) use actor::{HeadersRequest, StartHeadersError};
pub use association_registry::AssociationRegistry;
pub use block_reader::{BlockReader, BlockVisitor};
pub use blocking::{Connection, Messages};
pub use config::ConnectionConfig;
pub use encoded_message::EncodedMessage;
pub use event_bus::{
    EventBus, EventIntoIter, EventIter, EventReceiver, EventTryIter, OverflowPolicy, QueuedEvent,
    RecvError, RecvTimeoutError, SubscriptionOptions, TryRecvError,
};
pub(crate) use event_bus::{EventSender, event_queue};
pub use inbound_socket::{InboundConnection, InboundOutcome, InboundSocket};
pub(crate) use listening_socket::{AcceptFault, ListeningSocket};
pub(crate) use observer::{ConnectionObserver, PendingRestart};
pub use peer_addr::PeerAddr;
pub use peer_name::resolve;
pub use requests::DEFAULT_ADDRESSES_TIMEOUT;
pub use restart::{RestartConfig, RestartDecision, RestartPolicy, RestartTracking};
pub use slots::{ConnectionSlots, SlotGuard};
pub use supervisor::Supervisor;
pub use traffic::{CommandTraffic, TrafficStats};
