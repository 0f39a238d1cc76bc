//! One peer's connection: in the caller's thread, or in a thread of its own.
//!
//! - [`Connection`] has no threads: connect, send, receive and ask, one caller at a time.
//! - [`PeerConnectionActor`] gives a peer a thread that reads, answers and tells an [`EventBus`]; its
//!   [`PeerConnectionHandle`] sends, from any thread.

mod actor;
mod blocking;
mod config;
mod dial;
mod event_bus;
mod inlet;
mod lanes;
mod outbox;
mod progress;
mod random;
mod slots;
mod stop;
mod stream;
mod traffic;

pub use actor::{
    PeerConnectionActor, PeerConnectionCommand, PeerConnectionHandle, PeerConnectionSetup,
};
pub use blocking::Connection;
pub use config::ConnectionConfig;
pub use dial::resolve;
pub use event_bus::{EventBus, Overflow, SubscriptionOptions};
pub use slots::{ConnectionSlots, SlotGuard};
pub use traffic::Traffic;
