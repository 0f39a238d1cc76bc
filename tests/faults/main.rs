//! Connections through a proxy that fails: whatever happens to the bytes, each side tells the same story, in order, with one end,
//! and gets no message that was not sent.
//!
//! Every run is decided by its seed. `FAULT_SEEDS=3000` runs so many instead of some tens, `FAULT_SEED=7` only that one;
//! a run that fails is printed with its seed and its plan.

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
