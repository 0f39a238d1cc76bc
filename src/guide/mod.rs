//! The guide: how to choose, use, configure and test this library.
//!
//! | page | contents |
//! | --- | --- |
//! | [`layers`] | the layers, networks, features |
//! | [`recipes`] | short programs for common tasks |
//! | [`manager`] | finding peers, connection limits, inbound peers, bans |
//! | [`chain`] | headers, tips, blocks |
//! | [`transactions`] | receiving and broadcasting transactions |
//! | [`streams`] | the second TCP connection of a peer |
//! | [`limits`] | all limits with their defaults |
//! | [`security`] | verified data, attacks, and weaknesses of the protocol |
//! | [`testing`] | how to test an application |
//! | [`logging`] | log records, snapshots and metrics |
//! | [`performance`] | benchmark results and their commands |
//! | [`architecture`] | layers, threads, the path of a message, dependencies |
//! | [`changelog`] | changes of each version |
//!
//! These modules contain no items. Their examples are compiled and run as tests.

pub mod architecture;
pub mod chain;
pub mod changelog;
pub mod layers;
pub mod limits;
pub mod logging;
pub mod manager;
pub mod performance;
pub mod recipes;
pub mod security;
pub mod streams;
pub mod testing;
pub mod transactions;
