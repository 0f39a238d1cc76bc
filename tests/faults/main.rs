//! Connections through a faulty proxy: whatever happens to the bytes, each side reports consistent
//! events in order, with one end, and receives no message that was not sent.
//!
//! Each run is determined by its seed. `FAULT_SEEDS=3000` sets the number of runs, and
//! `FAULT_SEED=7` runs only one seed. A failed run is printed with its seed and its plan.

mod acceptor;
#[path = "../support/alone.rs"]
mod alone;
mod asker;
#[cfg(unix)]
mod descriptors;
#[path = "../support/fault_proxy/mod.rs"]
mod fault_proxy;
mod local_node;
mod messages;
mod proxy;
#[path = "../support/real_node.rs"]
mod real_node;
mod real_peers;
mod resources;
#[path = "../support/seeded.rs"]
mod seeded;
mod seeds;
mod side;
mod stream_script;
mod stream_side;
mod stream_table;
mod table;
mod two_peers;
mod two_streams;
#[path = "../support/with_sources.rs"]
mod with_sources;
