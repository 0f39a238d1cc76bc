//! Helpers that the integration tests, the benchmarks and the tests against a second implementation
//! share.

pub mod client;
pub mod dnsmasq;
pub mod header_server;
mod limited_relay;
pub mod manager_pair;
pub mod matrix;
pub mod mining;
pub mod node_rules;
pub mod own_process;
pub mod payment;
pub mod private_network;
pub mod raw_peer;
#[cfg(feature = "real-node")]
pub mod real_node;
mod seeded_random;
pub mod teranode;
pub mod with_sources;

pub use self::seeded_random::SeededRandom;
