//! The manager through its public face: peers dialled and let in, bans, configuration, the store, the end.

mod basics;
mod configuration;
mod ends;
mod harness;
mod policy;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod stores;
