//! Many peers: a program says which network and how many, and has them.
//!
//! - [`Manager`] is what a program holds. It finds peers, keeps as many connected as [`ManagerConfig`] wants, lets others in, and bans.
//! - It follows the headers of the chain with the most work, verified by the rules of the network; see
//!   [`Manager::subscribe_blocks`].
//! - [`Snapshot`] and [`Metrics`] tell how it fares.
//!
//! All changing state belongs to one supervisor thread; what it decides is a pure plan, which knows no thread, socket or clock.

mod banning;
mod chain_sync;
mod changes;
mod clock;
mod config;
mod connected;
mod discovery_config;
mod handle;
mod listener;
mod metrics;
mod plan;
mod reaching;
mod requests;
mod running;
mod shared;
mod snapshot;
mod store_thread;
mod subscribing;
mod supervisor;
mod transactions;
mod watching;

pub use chain_sync::{ChainStart, TipUpdate};
pub use config::{ListenerConfig, ManagerConfig};
pub use discovery_config::DiscoveryConfig;
pub use handle::Manager;
pub use metrics::Metrics;
pub use reaching::BroadcastResult;
pub use requests::PeerSelector;
pub use snapshot::{BackoffPeer, Snapshot};
pub use transactions::{BroadcastReport, Rejection, TransactionBroadcast};
