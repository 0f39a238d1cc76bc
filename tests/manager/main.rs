//! The manager through its public face: peers dialled and let in, bans, configuration, the store, attacks, the end.

mod attacks;
mod basics;
mod configuration;
mod crowds;
mod discovery;
mod ends;
mod floods;
mod following;
mod full_disk;
mod harness;
mod policy;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod served;
mod stores;
