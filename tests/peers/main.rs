//! The store of peers and its file: whole at every moment, whatever is in it, and used from many threads.

mod damaged;
mod files;
mod killed;
#[path = "../support/private_network.rs"]
mod private_network;
mod samples;
#[path = "../support/seeded.rs"]
mod seeded;
mod threads;
