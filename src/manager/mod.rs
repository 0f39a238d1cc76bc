//! Maintains connections to many peers.
//!
//! - [`Manager`] finds peers, maintains the number of connections in [`ManagerConfig`], accepts
//!   inbound connections, and bans misbehaving peers.
//! - It verifies headers by the rules of the network, and follows the chain with the most work:
//!   [`Manager::follow_chain`], [`Manager::subscribe_blocks`].
//! - It fetches blocks ([`Manager::fetch_block`]) and broadcasts transactions
//!   ([`Manager::broadcast_transaction`]).
//! - [`Snapshot`] and [`Metrics`] report its state.
//!
//! A single supervisor thread makes all decisions and never blocks. The decision logic is a pure
//! state machine without threads, sockets and clocks.

// The documentation of `Manager` lists its methods in the order of these groups.
mod handle;

mod subscribing;

mod reaching;
mod requests;

mod chain_sync;
mod transactions;

mod watching;

mod banning;
mod changes;
mod clock;
mod config;
mod connected;
mod discovery_config;
mod listener;
mod metrics;
mod plan;
mod records;
mod running;
mod shared;
mod snapshot;
mod store_thread;
mod supervisor;

pub use chain_sync::{ChainStart, TipUpdate};
pub use config::{ListenerConfig, ManagerConfig};
pub use discovery_config::DiscoveryConfig;
pub use handle::Manager;
pub use metrics::Metrics;
pub use reaching::BroadcastResult;
pub use requests::PeerSelector;
pub use snapshot::{BackoffPeer, Snapshot};
pub use transactions::{BroadcastReport, Rejection, TransactionBroadcast};
