//! The peer store and its file: always complete, robust against any content, safe for many threads.

mod damaged;
mod files;
mod killed;
#[path = "../support/private_network.rs"]
mod private_network;
mod samples;
#[path = "../support/seeded.rs"]
mod seeded;
mod threads;
