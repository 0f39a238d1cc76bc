//! Log records, tested in a separate process because the logger is global.

mod capture;
mod contents;
mod forgery;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
