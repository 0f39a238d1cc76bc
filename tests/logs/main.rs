//! What is written to the log: in a process of its own, because there is one logger for all.

mod capture;
mod contents;
mod forgery;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
